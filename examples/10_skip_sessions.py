"""Which tracks of a listening session will be skipped, and what tells so: skips so far, buttons, or the music.

    python 10_skip_sessions.py                 generated sessions with planted rules; offline, in about half a minute
    python 10_skip_sessions.py FOLDER          files of the Music Streaming Sessions Dataset: logs and track features

The interpretable Transformer stands beside one that sees all at once and the last skip repeated. Then one session of
each kind as a table, and as pictures in the current folder.
"""

import sys

import whyrec as wr
from whyrec.figures.session_table import session_table
from whyrec.skip_reasons import shares_by_rule

data = wr.skip_sessions(sys.argv[1]) if len(sys.argv) > 1 else wr.planted_sessions(sessions=4000)
print(data.source, *data.findings, sep="\n")
train, validation, test = data.parts(0.7, 0.1)
training = wr.Training(epochs=5, batch_size=64, learning_rate=3e-3)

models = {
    name: wr.fit_skips(model, train, validation, training).on(test)
    for name, model in (
        ("persistence", wr.LastSkip()),
        ("transformer", wr.SkipTransformer()),
        ("interpretable", wr.SkipSession()),
    )
}
results = {name: wr.evaluate_skips(model) for name, model in models.items()}
for name, found in results.items():
    print(f"\n{name}\n{found}")
print("\ninterpretable minus transformer")
for metric, difference in results["interpretable"].minus(results["transformer"]).items():
    print(f"{metric:<6} {difference}")

# Who is listened to, over all sessions, and where each planted rule decides.
mixture = models["interpretable"]
shares = wr.subset_shares(mixture, wr.session_lists(mixture))
print(f"\n{shares}")
by_rule = shares_by_rule(mixture, shares)
for rule, means in by_rule.items():
    print(f"{rule:<12}", ", ".join(f"{category} {share:.2f}" for category, share in means.items()))

# One session for each rule: who was listened to, track by track.
rules = range(len(data.rules)) if test.ruled is not None else range(1)
for place in rules:
    row = 0 if test.ruled is None else int((test.ruled[:, 0] == place).argmax())
    found = wr.session_reasons(mixture, test.sessions.id(row))
    name = data.rules[place] if data.rules else "session"
    session_table(found).savefig(f"{name}.png", dpi=120)
    print(f"\n{name}: {found}")

# Any other explainer explains a guess as it explains any score: here the surest skip of the test sessions.
lists = wr.session_lists(mixture)
row, place = divmod(int(lists.scores.argmax()), lists.scores.shape[1])
why = wr.explain(mixture, wr.session_lists(mixture, [test.sessions.id(row)]), wr.LeaveOneOut())
print(f"\n{test.sessions.id(row)}, {test.title(row, 10 + place)}: skip, because of")
for reason in why.contributions(0, place)[:3]:
    print(f"    {reason.relevance:+.2f}  {reason.title}")
