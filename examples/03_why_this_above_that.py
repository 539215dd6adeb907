"""Why this above that, what would have to be missing for it to leave the list, and which events it was learned from.

The first two questions are put to a model of histories, the third to one of user ids, which learned a vector of each
user from training events. Runs offline on the bundled world, in seconds.
"""

import whyrec as wr

split = wr.leave_last_out(wr.planted(users=300, items=100))
USER = "u0007"

model = wr.fit(wr.EASE(regularisation=50.0), split)
lists = wr.recommend(model, users=[USER], k=5)
print(lists)
first, second, *_, last = lists.lines(0)

for target, words in (
    (wr.Contrast(second.item), f"above “{second.title}”"),
    (wr.Margin(k=5), "in the list of five"),
):
    why = wr.explain(model, lists.best(1), wr.LRP(), target=target)
    lead = float(why.ledger.target[0, 0])
    reasons = ", ".join(f"“{one.title}” {one.relevance:+.3f}" for one in why.contributions(0, 0)[:3])
    print(f"\nWhy is “{first.title}” {words}, by {lead:.3f}? {reasons}")

print(f"\nWhat if the past had been shorter? {wr.counterfactual(model, USER, last.item, k=5)}")

by_id = wr.fit(wr.MF(factors=16, user="id"), split, wr.Training(epochs=30, learning_rate=0.02))
best = wr.recommend(by_id, users=[USER], k=1).lines(0)[0]
print(f"\nBy a model of user ids: {wr.influence(by_id, USER, best.item, train=split.train)}")

print("\nThe same model for somebody it has never met, who took two of these:")
print(wr.recommend(wr.fold_in(by_id), history=[first.item, second.item], k=3))
