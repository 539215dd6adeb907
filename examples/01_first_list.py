"""From data to a list, its reasons and a verdict, in twenty lines. Runs offline on the bundled world in ten seconds."""

import whyrec as wr

data = wr.planted()  # or wr.read("ratings.csv", items="movies.csv")
split = wr.leave_last_out(data)
model = wr.fit(wr.MF(), split)
print(wr.evaluate(model, split, baselines=("popularity", "ease")))

everybody = wr.recommend(model, k=10)
card = wr.verify(model, everybody, [wr.LRP(), wr.LeaveOneOut(), wr.Random()])
print(card)

lists = wr.recommend(model, users=["u0007"], k=5)
why = wr.explain(model, lists, wr.LRP())
reasons = wr.verified_reasons(model, why, card)
for place, line in enumerate(lists.lines(0)):
    print(f"{line.rank}. {line.title}: {reasons.sentence(0, place)}")

somebody_new = wr.recommend(model, history=["i0003", "i0007", "i0012"], k=3)
print(somebody_new)
