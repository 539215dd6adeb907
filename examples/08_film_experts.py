"""A recommender that is its own explanation: films from what is known of people and films, and from their ids.

    python 08_film_experts.py               the invented cinema; runs offline, in about half a minute
    python 08_film_experts.py PATH          MovieLens 100K or 1M, a folder as it is unpacked; the better part of an hour

Four experts see content, content and the user's id, content and the film's id, and everything; larger subsets are heard
where smaller ones are not sure. Beside them a black box with the same inputs.
"""

import sys

import whyrec as wr
from whyrec.figures.shapes import shapes

data = wr.movielens(sys.argv[1]) if len(sys.argv) > 1 else wr.planted(users=400, items=120)
split = wr.leave_last_out(data)
training = wr.Training(epochs=12, batch_size=1024, patience=3, validation_users=500)

mixture = wr.fit(wr.MaskedExperts(hidden=(32, 16), width=8), split, training, progress=False)
twin = wr.fit(wr.FeatureMLP(hidden=(64, 32), width=8, column_dropout=0.25), split, training, progress=False)
for name, model in (("masked experts", mixture), ("black box", twin)):
    found = wr.evaluate(model, split, baselines=())
    print(f"{name}\n{found}\n")

# One recommendation, and what its experts say of it.
lists = wr.recommend(mixture, k=10)
shares = wr.subset_shares(mixture, lists)
owner, best = lists.user(0), lists.lines(0)[0]
print(f"{owner}: {best.title}, mostly by {shares.best(0, 0)}")
for title, share in zip(shares.titles, shares.shares[0, 0], strict=True):
    print(f"  {share:6.1%}  {title}")
print(wr.explain(mixture, lists.best(1), wr.ExpertShares()), "\n")

# Who is listened to, over everybody and by genre.
print(shares, "\n")
for genre, means in list(shares.by_column("genres").items())[:6]:
    print(f"{genre:<14}" + "".join(f"  {title} {share:.2f}" for title, share in means.items()))

# Is that true of the model? The same checks as for any other explanation.
methods = [wr.ExpertShares(), wr.LeaveOneOut(), wr.LRP()]
print(f"\n{wr.verify(mixture, lists.best(1), methods, settings=wr.Verification(users=60, k=1))}")

# Steering: without the experts that know people by their ids, lists change at once.
quiet = wr.recommend(mixture.steered({"user": 0.0}), k=10)
kept = sum(len(set(a) & set(b)) for a, b in zip(lists.item_rows.tolist(), quiet.item_rows.tolist(), strict=True))
print(f"\nwith ids of users muted {kept / (10 * len(lists)):.0%} of the recommendations stay\n")

# Fewer subsets, learned by pruning: all of them first, then those that are listened to.
everything = wr.fit(wr.MaskedExperts(subsets=3, hidden=(16,), width=8), split, training, progress=False)
chosen = wr.choose_subsets(everything, most=3)
pruned = wr.fit(wr.MaskedExperts(subsets=chosen, hidden=(32, 16), width=8), split, training, progress=False)
print(f"three subsets that were listened to: {', '.join(pruned.expert_titles)}")
print(wr.evaluate(pruned, split, baselines=()), "\n")

# Additive: one expert a column, and no gate.
gam = wr.MaskedExperts(groups="columns", subsets=1, gate="constant", hidden=(16,), width=8)
found = wr.additive_shapes(wr.fit(gam, split, training, progress=False))
print(found)
shapes(found).savefig("shapes.png", dpi=120)
