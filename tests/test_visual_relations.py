"""What models of pictures that go together promise: exact accounts of both pictures, maps that point at the cause."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

import whyrec as wr
from whyrec.composites import plan_with
from whyrec.dataset import Catalog
from whyrec.datasets import amazon_products, linked_pictures, product_rooms
from whyrec.distances import personal_distance, strongest_features, weighted_distance
from whyrec.errors import BadInput, InvalidSetting, NotApplicable, UnknownId
from whyrec.image_network import VGG16, ImageNetwork, load_weights
from whyrec.interactions import Vocabulary
from whyrec.pair_relevance import bilrp_totals, feature_relevance
from whyrec.pictures import Features, Pictures, read_pictures
from whyrec.product_links import ProductLinks, split_links, unlinked
from whyrec.recommender import Request
from whyrec.relation_accuracy import evaluate_relations, pair_scores
from whyrec.relation_maps import RelationMaps, explain_pairs, patch_pairs
from whyrec.relation_survival import perturb_pairs
from whyrec.rules.epsilon import Epsilon
from whyrec.visual_relation import VisualRelation

LRP_0 = plan_with(Epsilon(0.0))
PAIRS = [("p0", "p1"), ("p2", "p3"), ("p4", "p4")]


def products(count: int, prefix: str = "p") -> Catalog:
    return Catalog(Vocabulary([f"{prefix}{row}" for row in range(count)], kind="product"))


def some_links(looks: Pictures | Features, *, users: int = 0) -> ProductLinks:
    chance = np.random.default_rng(1)
    query, item = np.triu_indices(len(looks), 1)
    kept = chance.permutation(len(query))[: len(looks)]
    members = Catalog(Vocabulary([f"u{row}" for row in range(users)], kind="user"))
    whose = chance.integers(0, users, len(kept)) if users else None
    relation = np.arange(len(kept)) % 2
    return ProductLinks("made", looks, ("alike", "together"), query[kept], item[kept], relation, members, whose)


def on_features(*, rank: int | None, personal: bool = False) -> VisualRelation:
    """A distance on vectors of 5 numbers, float64, none of its parameters what it began with."""
    torch.manual_seed(3)
    looks = Features(products(12), torch.randn(12, 5, dtype=torch.float64))
    model = VisualRelation(rank=rank, personal=personal).build_for(some_links(looks, users=4))
    with torch.no_grad():
        for one in model.parameters():
            one.add_(0.3 * torch.randn_like(one))
    return model.double()


def on_pictures(*, bias: bool = True, rank: int | None = 3) -> VisualRelation:
    """Two convolutions and a dense layer on pictures of 8 x 8, float64."""
    torch.manual_seed(5)
    looks = Pictures(products(9), torch.randint(0, 256, (9, 3, 8, 8), dtype=torch.uint8))
    network = ImageNetwork(((4,), (6,)), hidden=(7,))
    if bias:
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.bias.data.normal_(0, 0.2)
    return VisualRelation(network, rank=rank, patch=4).build_for(some_links(looks)).double().eval()


@pytest.fixture(scope="module")
def planted() -> ProductLinks:
    return wr.planted_pictures(pictures=300, relations=("also_viewed",))


@pytest.fixture(scope="module")
def trained(planted: ProductLinks) -> VisualRelation:
    train = planted.where(np.random.default_rng(0).permutation(len(planted))[:3000])
    training = wr.Training(epochs=6, batch_size=32, learning_rate=4e-3)
    model = VisualRelation(ImageNetwork.small(width=16, features=32), rank=4)
    return wr.fit_relations(model, train, training=training, known=planted)


@pytest.fixture(scope="module")
def why(trained: VisualRelation, planted: ProductLinks) -> RelationMaps:
    """Maps of pairs that are linked, and told so."""
    linked = planted.where(np.arange(120))
    right = pair_scores(trained, linked) > 0
    pairs = zip(linked.query[right].tolist(), linked.item[right].tolist(), strict=True)
    return explain_pairs(trained, [(f"p{a}", f"p{b}") for a, b in pairs][:40], "also_viewed")


# Distances: facts 15 to 17


@pytest.mark.parametrize("rank", [None, 3])
@pytest.mark.parametrize("user", [None, "u2"])
def test_a_distance_of_features_is_shared_as_its_closed_form_says(rank: int | None, user: str | None) -> None:
    model = on_features(rank=rank, personal=True).under("together", user=user)
    lists = wr.recommend(model, users=["p1", "p7"], k=4)
    why = wr.explain(model, lists, wr.LRP())
    looks, care = model.looks, model.care(model.whose)
    a = looks.of(lists.user_rows)[:, None].expand(-1, 4, -1)
    b = looks.of(lists.item_rows)
    if rank is None:
        closed = weighted_distance(a, b, model.log_weights[1].exp() * care)
    else:
        closed = personal_distance(a, b, model.projection[1], torch.ones(3, dtype=torch.float64) * care)
    for part, expected in zip(("query", "item"), closed, strict=True):
        torch.testing.assert_close(why.attribution.relevance[part], -expected, rtol=0, atol=1e-12)
    ledger = why.attribution.ledger
    torch.testing.assert_close(ledger.bias, model.threshold[1].expand(2, 4).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(ledger.target, lists.scores.double(), rtol=0, atol=1e-12)
    assert ledger.gap.abs().max() < 1e-12


def test_relevance_of_a_distance_is_half_of_gradient_times_input() -> None:
    model = on_features(rank=3).under("alike")
    lists = wr.recommend(model, users=["p0"], k=3)
    by_rule, by_gradient = (wr.explain(model, lists, one) for one in (wr.LRP(), wr.GradientTimesInput()))
    for part, found in by_rule.attribution.relevance.items():
        torch.testing.assert_close(2 * found, by_gradient.attribution.relevance[part], rtol=0, atol=1e-12)


def test_few_features_keep_a_share_that_grows_to_all() -> None:
    model = on_features(rank=None)
    first, second = model.looks.of(torch.tensor([0, 1]))
    parts = (first - second).square() * model.log_weights[0].exp().detach()
    kept = [strongest_features(parts, k) for k in range(1, 6)]
    shares = [float(one.retained) for one in kept]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    distance = model.distance(first, second, 0).item()
    assert [float(parts[one.kept].sum()) / distance for one in kept] == pytest.approx(shares, abs=1e-12)


@pytest.mark.parametrize("evidence", ["match", "distance"])
def test_swapping_two_pictures_swaps_their_maps(evidence: str) -> None:
    model = on_pictures()
    there = explain_pairs(model, [("p0", "p1")], "alike", evidence=evidence)
    back = explain_pairs(model, [("p1", "p0")], "alike", evidence=evidence)
    torch.testing.assert_close(there.query, back.item, rtol=0, atol=1e-12)
    torch.testing.assert_close(there.item, back.query, rtol=0, atol=1e-12)


def test_a_picture_is_no_distance_from_itself_and_its_chance_is_that_of_the_threshold() -> None:
    model = on_pictures()
    why = explain_pairs(model, [("p4", "p4")], "together", evidence="distance")
    assert float(why.both.abs().max()) == 0.0
    assert torch.sigmoid(why.score).item() == torch.sigmoid(model.threshold[1].double()).item()


# Both pictures through one network: facts 18 to 20


@pytest.mark.parametrize("plan", ["image", "image_plus", "embedding"])
@pytest.mark.parametrize("evidence", ["match", "distance"])
@pytest.mark.parametrize("rank", [None, 3])
def test_the_account_of_both_pictures_closes(plan: str, evidence: str, rank: int | None) -> None:
    why = explain_pairs(on_pictures(rank=rank), PAIRS, "alike", evidence=evidence, plan=plan)
    assert float(why.ledger.relative_gap({"pictures": why.both.unsqueeze(1)}).max()) < 1e-12
    torch.testing.assert_close(why.ledger.inputs[:, 0], why.both.flatten(1).sum(1))
    torch.testing.assert_close(why.score, on_pictures(rank=rank).threshold[0].double() - why.apart)


def test_a_pair_explained_with_others_is_the_pair_explained_alone() -> None:
    model = on_pictures()
    together = explain_pairs(model, PAIRS, "alike")
    for row, pair in enumerate(PAIRS):
        alone = explain_pairs(model, [pair], "alike").both[0]
        torch.testing.assert_close(alone, together.both[row], rtol=0, atol=1e-12)


def test_both_pictures_in_one_batch_are_two_passes() -> None:
    model = on_pictures().under("alike")
    why = explain_pairs(model, [("p0", "p1")], "alike", evidence="distance", plan=LRP_0)
    a, b = (model.part(torch.tensor([row])).values for row in (0, 1))
    seen = [model.features(model.pieced(one)).detach() for one in (a, b)]
    pull = -2 * (seen[0] - seen[1]) @ model.projection[0].detach() @ model.projection[0].detach().T / 2
    for patches, seed, found in ((a, pull, why.query), (b, -pull, why.item)):
        rows = feature_relevance(lambda values: model.features(model.pieced(values)), patches, plan=LRP_0)
        cut = torch.einsum("nk,nkpq->npq", seed.double(), rows)
        torch.testing.assert_close(F.avg_pool2d(found, 4) * 16, cut, rtol=0, atol=1e-10)


def test_pairs_of_patches_add_up_to_the_match_and_their_sums_are_one_pass() -> None:
    model = on_pictures(bias=False).under("together")
    found = patch_pairs(model, PAIRS, "together", plan=LRP_0)
    torch.testing.assert_close(found.relevance.flatten(1).sum(1), found.match, rtol=0, atol=1e-10)
    values = model.part(found.rows).values

    def compared(patches: Tensor) -> Tensor:
        return model.directions(model.features(model.pieced(patches)), 1)

    first, second = bilrp_totals(compared, values[:, 0], compared, values[:, 1], plan=LRP_0)
    torch.testing.assert_close(found.relevance.sum((3, 4)), 2 * first, rtol=0, atol=1e-10)
    torch.testing.assert_close(found.relevance.sum((1, 2)), 2 * second, rtol=0, atol=1e-10)
    alone = found.relevance[2]  # a picture and itself
    torch.testing.assert_close(alone, alone.permute(2, 3, 0, 1), rtol=0, atol=1e-12)


def test_the_match_of_a_linear_tower_is_its_matrix() -> None:
    """Planted answer I2: sum of z_a M z_b, pair (p, q) brings M_pq."""

    class Sums(nn.Module):
        def forward(self, pictures: Tensor) -> Tensor:
            return F.avg_pool2d(pictures.sum(1, keepdim=True), 4).flatten(1) * 16

    looks = Pictures(products(6), torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8))
    model = VisualRelation(Sums(), rank=2, patch=4).build_for(some_links(looks)).double()
    found = patch_pairs(model, [("p0", "p1")], "alike", plan=LRP_0)
    matrix = model.projection[0] @ model.projection[0].T
    a, b = Sums()(looks.of(torch.tensor([0, 1])).double())
    expected = 2 * a[:, None] * matrix * b[None]
    torch.testing.assert_close(found.relevance[0].reshape(4, 4), expected.detach(), rtol=0, atol=1e-9)


def test_maps_of_a_match_do_not_see_what_all_features_share() -> None:
    """A distance is blind to a constant that is added to all features, and so are both kinds of maps."""
    model = on_pictures()
    shifted = on_pictures()
    shifted.network = nn.Sequential(shifted.network, Shift(torch.full((7,), 5.0, dtype=torch.float64)))
    for one in (model, shifted.eval()):
        one.settle_usual()
    for evidence in ("match", "distance"):
        one, other = (explain_pairs(each, PAIRS, "alike", evidence=evidence).both for each in (model, shifted))
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


class Shift(nn.Module):
    def __init__(self, by: Tensor) -> None:
        super().__init__()
        self.by = by

    def forward(self, features: Tensor) -> Tensor:
        return features + self.by


def test_full_compact_and_ranked_scores_are_the_same() -> None:
    model = on_pictures().under("together")
    users, items = torch.tensor([0, 3]), torch.arange(9)[None]
    history = torch.zeros(2, 0, dtype=torch.int64)
    full, compact = (model.score(model.embed(Request(users, items, history, compact=one))) for one in (False, True))
    torch.testing.assert_close(full, compact, rtol=0, atol=1e-12)
    request = Request(users, items, history, compact=True)
    torch.testing.assert_close(full, model.looked().rank_scores(request), rtol=0, atol=1e-12)


def test_lists_are_the_nearest_products_and_never_the_product_itself() -> None:
    model = on_features(rank=3, personal=True).under("alike", user="u1")
    found = wr.recommend(model.looked(), users=["p2"], k=11)
    far = [model.distance(model.looks.vectors[2], one, 0, 1).item() for one in model.looks.vectors]
    expected = [row for row in np.argsort(far) if row != 2]
    assert found.item_rows[0].tolist() == expected
    other = wr.recommend(model.under("together").looked(), users=["p2"], k=11)
    assert other.item_rows[0].tolist() != expected


# Trained models: facts 34 and 35, and planted answers


def test_it_learns_which_pictures_go_together(trained: VisualRelation) -> None:
    unseen = wr.planted_pictures(pictures=60, relations=("also_viewed",), seed=9)
    assert evaluate_relations(trained.on(unseen.looks), unseen).by_relation["also_viewed"].low > 0.9


def test_maps_point_at_the_motif_in_both_pictures_and_not_at_decoys(why: RelationMaps, planted: ProductLinks) -> None:
    assert planted.truth is not None
    positive = why.both.clamp(min=0)  # where the match is weak the maps are, so all pairs are added up
    cause, decoy = planted.truth.causes[0][why.rows], planted.truth.decoys[why.rows]

    def mass(mask: Tensor) -> Tensor:
        return (positive * mask).sum((0, 2, 3)) / positive.sum((0, 2, 3))

    assert (mass(cause) > 4 * cause.double().mean((0, 2, 3))).all()
    assert (mass(decoy) < decoy.double().mean((0, 2, 3))).all()


def test_what_is_most_relevant_is_missed_most(trained: VisualRelation, why: RelationMaps) -> None:
    found = perturb_pairs(trained, why, region=4, steps=12)
    most, random, least = (found.fall(order) for order in found.scores)
    assert most > random > least
    assert found.between > 0
    again = perturb_pairs(trained, why, region=4, steps=12)
    for order, curve in found.scores.items():
        np.testing.assert_array_equal(curve, again.scores[order])
    assert all(sum(one.values()) == pytest.approx(np.ones(13)) for one in found.survives.values())


def test_a_map_that_says_nothing_has_no_area_between_its_orders(trained: VisualRelation, why: RelationMaps) -> None:
    flat = replace(why, query=torch.ones_like(why.query), item=torch.ones_like(why.item))
    assert perturb_pairs(trained, flat, region=8).between == 0.0


def test_other_weights_on_top_give_other_maps(trained: VisualRelation, why: RelationMaps) -> None:
    other = VisualRelation(ImageNetwork.small(width=16, features=32), rank=4)
    other.build_for(wr.planted_pictures(pictures=300, relations=("also_viewed",)))
    other.load_state_dict(trained.state_dict())
    torch.manual_seed(0)
    for weights in (other.projection, other.network.classifier[0].weight):
        weights.data = weights.data.flatten()[torch.randperm(weights.numel())].view_as(weights)
    pairs = [(f"p{a}", f"p{b}") for a, b in why.rows.tolist()]
    for plan in ("image", "embedding"):
        before = explain_pairs(trained, pairs, "also_viewed", plan=plan).both.flatten(1)
        after = explain_pairs(other, pairs, "also_viewed", plan=plan).both.flatten(1)
        assert F.cosine_similarity(before, after).mean() < 0.9


def test_each_relation_has_maps_of_its_own() -> None:
    found = wr.compare_relations(on_pictures(), ("p0", "p1"))
    assert list(found) == ["alike", "together"]
    assert not torch.allclose(found["alike"].query, found["together"].query)


def test_users_differ_in_what_matters_to_them() -> None:
    looks = Features(products(30), torch.randn(30, 2, generator=torch.Generator().manual_seed(0)))
    query, item = np.triu_indices(30, 1)
    links = list[tuple[int, int, int]]()
    for user in (0, 1):  # each looks at one of two features only
        near = (looks.vectors[query, user] - looks.vectors[item, user]).abs() < 0.3
        links += [(a, b, user) for a, b in zip(query[near.numpy()], item[near.numpy()], strict=True)]
    a, b, whose = (np.array(one) for one in zip(*links, strict=True))
    made = ProductLinks("two tastes", looks, ("alike",), a, b, np.zeros(len(a), dtype=int), products(2, "u"), whose)
    training = wr.Training(epochs=60, batch_size=64, learning_rate=0.03)
    model = wr.fit_relations(VisualRelation(rank=None, personal=True), made, training=training)
    care = [model.care(user).detach() * model.log_weights[0].exp().detach() for user in (0, 1)]
    assert care[0][0] > 2 * care[0][1]
    assert care[1][1] > 2 * care[1][0]


# Networks and files


def test_vgg16_is_called_as_everybody_calls_it() -> None:
    with torch.device("meta"):
        network = ImageNetwork.vgg16()
    shapes = {name: tuple(one.shape) for name, one in network.state_dict().items()}
    assert len(shapes) == 32
    assert shapes["features.0.weight"] == (64, 3, 3, 3)
    assert shapes["features.28.weight"] == (512, 512, 3, 3)
    assert shapes["classifier.0.weight"] == (4096, 25088)
    assert shapes["classifier.6.bias"] == (1000,)
    assert sum(one.numel() for one in network.state_dict().values()) == 138_357_544
    assert [one for block in VGG16 for one in block] == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6


def test_weights_come_from_tensors_alone(tmp_path: Path) -> None:
    first, second = (ImageNetwork(((4,),), hidden=(3,), classes=2) for _ in range(2))
    save_file(first.state_dict(), tmp_path / "w.safetensors")
    torch.save(first.state_dict(), tmp_path / "w.pth")
    for file in ("w.safetensors", "w.pth"):
        second = ImageNetwork(((4,),), hidden=(3,), classes=2)
        load_weights(second, tmp_path / file)
        pictures = torch.rand(2, 3, 8, 8)
        assert torch.equal(first.classify(pictures), second.classify(pictures))
    torch.save({"code": Shift(torch.zeros(1))}, tmp_path / "bad.pth")
    with pytest.raises(BadInput, match=r"bad\.pth: this holds no plain table of weights"):
        load_weights(second, tmp_path / "bad.pth")
    with pytest.raises(BadInput, match=r"w\.pth: these are weights of another network: missing features\.3"):
        load_weights(ImageNetwork(((4,), (4,)), hidden=(3,), classes=2), tmp_path / "w.pth")
    with pytest.raises(BadInput, match="there is no such file"):
        load_weights(second, tmp_path / "gone.pth")


# What is refused


def test_links_of_one_example_are_refused_by_name() -> None:
    made = some_links(Features(products(8), torch.randn(8, 3)))
    kept = made.where(np.flatnonzero((made.relation == 0) | (np.arange(len(made)) == 1)))
    with pytest.raises(BadInput, match="the relation 'together' has 1 link"):
        wr.fit_relations(VisualRelation(), kept)


def test_what_does_not_fit_is_refused_with_the_way_out() -> None:
    model = on_features(rank=3)
    with pytest.raises(NotApplicable, match="features and no pictures"):
        explain_pairs(model, [("p0", "p1")], "alike")
    with pytest.raises(InvalidSetting, match="there are alike, together"):
        model.under("bought")
    with pytest.raises(NotApplicable, match="personal=True"):
        model.under("alike", user="u1")
    with pytest.raises(UnknownId, match="product 'p99'"):
        explain_pairs(on_pictures(), [("p0", "p99")], "alike")
    with pytest.raises(InvalidSetting, match="pictures need a network"):
        VisualRelation().build_for(some_links(on_pictures().require_looks()))
    with pytest.raises(InvalidSetting, match="patch=5 does not divide"):
        VisualRelation(ImageNetwork.small(), patch=5).build_for(some_links(on_pictures().require_looks()))


# Splits


def test_a_pair_is_in_one_part_only_whatever_its_relation_and_direction() -> None:
    made = wr.planted_pictures(pictures=40, links=200)
    parts = split_links(made)
    learned, judged = (
        {tuple(sorted(one)) for one in zip(part.query, part.item, strict=True)} for part in (parts.train, parts.test)
    )
    assert not learned & judged
    assert len(parts.train) + len(parts.validation) + len(parts.test) == len(made)


def test_no_room_that_is_judged_by_was_learned_from() -> None:
    chance, looks = np.random.default_rng(0), Features(products(40), torch.randn(40, 2))
    scene = np.repeat(np.arange(60), 5)
    query, item = chance.integers(0, 40, (2, 300))
    made = ProductLinks("rooms", looks, ("together",), query, item, np.zeros(300, dtype=int), scene=scene)
    parts = split_links(made, validation=0.2, test=0.2)
    rooms = [set(part.scene.tolist()) for part in (parts.train, parts.validation, parts.test)]
    assert all(rooms)
    assert not (rooms[0] & rooms[1]) | (rooms[0] & rooms[2]) | (rooms[1] & rooms[2])
    keys = [set(part.keys.tolist()) for part in (parts.train, parts.validation, parts.test)]
    assert not keys[0] & keys[2] | keys[1] & keys[2] | keys[0] & keys[1]


def test_pairs_that_nobody_linked_are_as_many_and_none_of_them_is_linked() -> None:
    made = wr.planted_pictures(pictures=40)
    drawn = unlinked(made, made, seed=4)
    assert np.array_equal(drawn.relation, made.relation)
    assert not set(drawn.keys.tolist()) & set(made.keys.tolist())
    assert not (drawn.query == drawn.item).any()


# Readers


def metadata(path: Path, *rows: object) -> Path:
    text = "".join(f"{row}\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def product(asin: str, **related: list[str]) -> dict[str, object]:
    return {"asin": asin, "title": f"Product {asin[-1]}", "related": related}


def write_features(path: Path, *ids: str, cut: int = 0) -> Path:
    records = b"".join(one.encode() + np.full(4096, place, dtype="<f4").tobytes() for place, one in enumerate(ids))
    path.write_bytes(records[: len(records) - cut])
    return path


IDS = [f"B00000000{place}" for place in range(4)]
ROWS = (
    product(IDS[0], also_viewed=[IDS[1], "B999999999"], bought_together=[IDS[2]]),
    product(IDS[1], also_bought=[IDS[0], IDS[3]]),
    product(IDS[2]),
    product(IDS[3], also_viewed=[IDS[0]]),
)


def test_metadata_in_python_and_in_json_with_features_become_links(tmp_path: Path) -> None:
    features = write_features(tmp_path / "f.b", "B777777777", *IDS[:3])
    as_json = metadata(tmp_path / "j.json", *map(json.dumps, ROWS))
    as_python = metadata(tmp_path / "p.json.gz", *ROWS)
    for path in (as_json, as_python):
        made = amazon_products.load(path, features)
        assert made.counts() == {"also_viewed": 1, "buy_after_viewing": 0, "also_bought": 1, "bought_together": 1}
        assert made.looks.items.title(0) == "Product 0"
        assert made.looks.of(torch.tensor(2))[0] == 3.0
        assert made.findings == (
            "1 of 4 products have no picture or features and were left out",
            "3 links to products outside were left out",
        )


def test_files_that_end_early_are_read_as_far_as_they_go_and_say_so(tmp_path: Path) -> None:
    whole = metadata(tmp_path / "m.json.gz", *(product(f"B{row:09}", also_viewed=["B000000000"]) for row in range(900)))
    whole.write_bytes(whole.read_bytes()[:-900])
    made = amazon_products.load(whole, write_features(tmp_path / "f.b", *(f"B{row:09}" for row in range(9)), cut=5))
    assert len(made) == 7
    assert "m.json.gz ends early" in made.findings[0]
    assert made.findings[1] == "f.b ends early: 8 whole records were read"
    bad = metadata(tmp_path / "bad.json", ROWS[0], "__import__('os').getcwd()")
    with pytest.raises(BadInput, match=r"bad\.json, line 2: this is neither a JSON object nor a Python dictionary"):
        amazon_products.load(bad, tmp_path / "f.b")
    with pytest.raises(BadInput, match="none of its 1 records is of a product"):
        amazon_products.load(metadata(tmp_path / "m.json", *ROWS), write_features(tmp_path / "g.b", "B777777777"))


def test_pictures_of_any_kind_become_rgb_on_white(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("L", (4, 4), 100).save(tmp_path / "grey.png")
    image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    image.new("RGB", (8, 4), (10, 20, 30)).save(tmp_path / "wide.png")
    found = read_pictures(tmp_path, size=8)
    assert found.items.vocabulary.ids() == ["clear", "grey", "wide"]
    clear, grey, wide = found.pixels
    assert bool((clear == 255).all())
    assert bool((grey == 100).all())
    assert wide[:, 4, 4].tolist() == [10, 20, 30]
    assert wide[:, 0, 0].tolist() == [255] * 3
    normal = found.of(torch.tensor([0]))
    assert normal.amax((0, 2, 3)).tolist() == pytest.approx([2.2489, 2.4286, 2.64], abs=1e-4)


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(BadInput, match=r"broken\.jpg: this cannot be read as a picture"):
        read_pictures(tmp_path, size=8)
    with pytest.raises(BadInput, match="there is no picture here"):
        read_pictures(empty, size=8)


def shop(folder: Path, *rows: str) -> Path:
    image = pytest.importorskip("PIL.Image")
    for place in range(4):
        image.new("RGB", (8, 8), (60 * place, 20, 30)).save(folder / f"p{place}.png")
    (folder / "links.csv").write_text("query,item,relation,user\n" + "".join(f"{row}\n" for row in rows))
    return folder / "links.csv"


def test_a_folder_and_a_table_become_links(tmp_path: Path) -> None:
    made = linked_pictures.load(shop(tmp_path, "p0,p1,alike,ada", "p2,p3,with,", "p1,p2,with,bo"), tmp_path, size=8)
    assert made.relations == ("alike", "with")
    assert made.query.tolist() == [0, 2, 1]
    assert made.members.tolist() == [0, -1, 1]


def test_a_product_without_a_picture_is_named_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"links\.csv, row 3: product 'p9' has no picture among the 4 read"):
        linked_pictures.load(shop(tmp_path, "p0,p1,alike,", "p2,p9,alike,"), tmp_path, size=8)
    features = Features(products(2), torch.zeros(2, 3))
    with pytest.raises(BadInput, match="product 'p3' has no features among the 2 read"):
        linked_pictures.load(shop(tmp_path, "p0,p3,alike,"), features)


def test_products_of_a_room_go_together(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "images").mkdir()
    for place in range(3):
        image.new("RGB", (8, 8), (60 * place, 20, 30)).save(tmp_path / "images" / f"{place}.1.jpg")
    (tmp_path / "products.csv").write_text("id,name,type\n0.1,MLA,Easel\n1.1,KURA,Bed\n2.1,POL,Lamp\n")
    (tmp_path / "item_room.csv").write_text("id,room\n0.1,a\n1.1,a\n2.1,a\n0.1,b\n1.1,b\n7.7,b\n")
    made = product_rooms.load(tmp_path, size=8)
    assert [tuple(one) for one in zip(made.query, made.item, made.scene, strict=True)] == [
        (0, 1, 0), (0, 2, 0), (1, 2, 0), (0, 1, 1),
    ]  # fmt: skip
    assert made.looks.items.title(1) == "KURA Bed"
    assert made.findings == ("1 of 4 products have no picture and were left out",)
