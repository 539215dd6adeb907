"""Which words made the classifier say "praise"? Hindi sentences in both scripts, explained word by word, and the check.

The sentences are generated: a word or two of praise or blame among words that mean nothing, so one can see whether an
explanation points at them. Runs offline, in seconds; with `pip install 'whyrec[text]'` a small transformer, too.
"""

import importlib.util
from pathlib import Path

import whyrec as wr

data = wr.planted_texts(600)
split = wr.by_ratio(data, per_user=False)
training = wr.Training(epochs=30, batch_size=32, learning_rate=0.01, patience=30)
planted = data.users.columns["planted"].values


def first_words(model: wr.Recommender, explainer: object) -> float:
    """Share of the test sentences whose planted words are the ones named first."""
    hits = 0
    for label, other in ((0, "praise"), (1, "blame")):
        rows = split.test.users[split.test.items == label]
        lists = wr.recommend(model, users=data.users.vocabulary.ids(rows), k=2)
        why = wr.explain(model, lists, explainer, target=wr.Contrast(other))
        for place, row in enumerate(rows):
            units = why.contributions(place, lists.item_rows[place].tolist().index(label))
            hits += {one.title for one in units[: len(planted[row])]} == set(planted[row])
    return hits / len(split.test)


models = {"pooled words": wr.fit(wr.PooledWords(width=16), split, training)}
if importlib.util.find_spec("transformers") is None:
    print("without transformers only pooled words are tried; pip install 'whyrec[text]' adds a transformer")
else:
    small = wr.TextClassifier(width=16, layers=1, vocabulary=200, max_pieces=32, word_dropout=0.8)
    models["transformer"] = wr.fit(small, split, training)

for name, model in models.items():
    print(f"\n{name}\n{wr.evaluate_labels(model, split)}")
    for explainer in (wr.LRP(), wr.IntegratedGradients(), wr.LeaveOneOut(), wr.Random()):
        found = first_words(model, explainer)
        print(f"{type(explainer).__name__:<20} names the planted words first in {found:.0%} of sentences")

model = next(reversed(models.values()))
new = model.on({"mixed": "kal film dekhi, kahani shaandaar thi aur gaana badhiya, par chai pheeki lagi"})
methods = {"LRP-0": wr.LRP(epsilon=0.0), "LRP-ε": wr.LRP(epsilon=0.1), "LRP-γ": wr.LRP(gamma=0.25)}
lists = wr.recommend(new, k=2)
target = wr.Contrast(lists.items.id(int(lists.item_rows[0, 1])))
lines = [
    wr.word_relevance(wr.explain(new, lists.best(1), one, target=target)).renamed(name) for name, one in methods.items()
]
print("\n" + wr.coloured_words(lines, to="terminal"))
page = f"<!doctype html><meta charset='utf-8'>{wr.coloured_words(lines)}"
Path("words.html").write_text(page, encoding="utf-8")
print("\nwords.html shows the same in a browser\n")

lists = wr.recommend(model, users=data.users.vocabulary.ids(split.test.users), k=1)
print(wr.verify(model, lists, [wr.LRP(), wr.LeaveOneOut(), wr.Random()], settings=wr.Verification(k=2, users=40)))
