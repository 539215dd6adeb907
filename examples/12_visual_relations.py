"""Why do these two products go together, pixel by pixel? A network learns it from pairs, and its maps are tested.

The pictures are invented: each shows a motif of four families, and two products are bought together because one family
agrees. A watermark and a badge mean nothing. Runs offline, in less than a minute.
"""

import numpy as np

import whyrec as wr
from whyrec.figures.patch_lines import patch_lines
from whyrec.figures.picture_pair import picture_pair
from whyrec.figures.product_lists import product_lists
from whyrec.figures.surviving_relations import surviving_relations
from whyrec.related_products import recommend_related
from whyrec.relation_accuracy import evaluate_relations
from whyrec.relation_maps import patch_pairs
from whyrec.relation_survival import perturb_pairs

links = wr.planted_pictures(pictures=300, relations=("also_viewed", "bought_together"))
train = links.where(np.random.default_rng(0).permutation(len(links))[:4000])
model = wr.VisualRelation(wr.ImageNetwork.small(width=16, features=32), rank=4)
training = wr.Training(epochs=5, batch_size=32, learning_rate=4e-3)
wr.fit_relations(model, train, training=training, known=links)

unseen = wr.planted_pictures(pictures=80, relations=links.relations, seed=9)
model = model.on(unseen.looks)  # pictures that the network has never seen
print("right about pairs of new pictures, half of them linked:")
print(evaluate_relations(model, unseen))

print("\nwhat goes with the first of them:")
related = recommend_related(model, "p0", k=3, explained=True)
print(related)

ids = unseen.looks.items.vocabulary.ids()
print("\nshare of the relevance for a relation that lies on the motif that causes it (share of the pixels):")
for place, relation in enumerate(unseen.relations):
    linked = unseen.under(relation)
    pairs = [(ids[a], ids[b]) for a, b in zip(linked.query[:60], linked.item[:60], strict=True)]
    why = wr.explain_pairs(model, pairs, relation)
    shown, cause, decoy = why.both.clamp(min=0), unseen.truth.causes[place][why.rows], unseen.truth.decoys[why.rows]
    on_cause, on_decoy = ((shown * mask).sum() / shown.sum() for mask in (cause, decoy))
    print(f"  {relation:<16} {on_cause:.0%} ({cause.double().mean():.0%}), on marks that mean nothing {on_decoy:.0%}")
    survival = perturb_pairs(model, why, region=4, steps=12)
    falls = ", ".join(f"{order} {survival.fall(order):.2f}" for order in survival.scores)
    print(f"  {'':<16} the score falls on average by: {falls}")

picture_pair(wr.compare_relations(model, pairs[0])).savefig("pair.png")
product_lists(related, maps=True).savefig("lists.png")
patch_lines(patch_pairs(model, pairs[:1], relation)).savefig("patches.png")
surviving_relations(survival).savefig("survival.png")
print("\nwrote pair.png, lists.png, patches.png and survival.png")
