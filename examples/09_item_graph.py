"""Which films are like a film, and why: walks over co-ratings, vectors, and the paths between two films.

python examples/09_item_graph.py     needs Numba: pip install 'whyrec[graph]'; some seconds
"""

import whyrec as wr
from whyrec.figures.item_map import item_map
from whyrec.figures.item_neighbourhood import item_neighbourhood
from whyrec.item_places import item_places
from whyrec.neighbourhoods import neighbourhood

split = wr.leave_last_out(wr.planted())
model = wr.fit(wr.ItemGraph(min_common_users=5), split)

graph = model.graph()
print(wr.summarise_graph(graph))
print("losses of company and of noise, by epoch:", model.losses.round(decimals=3).tolist())

film = model.items.id(int(graph.degrees.argmax()))
print(f"\nlike {model.items.title(graph.row(film))}:")
nearest = model.similar(film, k=5)
print(*nearest, sep="\n")
print()
print(wr.why_similar(graph, film, nearest[0].item, paths=3))

lists = wr.recommend(model, k=3)
why = wr.explain(model, lists, wr.LRP())
print("\nwhat past films bring to a recommendation, exactly:")
print(*(f"{one.relevance:+.3f}  {one.title}" for one in why.contributions(0, 0)[:5]), sep="\n")

item_neighbourhood(neighbourhood(graph, film)).savefig("neighbourhood.png")
item_map(item_places(model.vectors.numpy(), model.items, weights=graph.degrees)).savefig("map.png")
print("\nwrote neighbourhood.png and map.png")
