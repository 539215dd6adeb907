"""Diagnosis: planted shortcuts are found without being asked for, and groups, shares and accuracies are exact."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import whyrec as wr
from whyrec.answers import accuracy, answers_that_count, right_without
from whyrec.dataset import Catalog, Column
from whyrec.diagnosis import Diagnosis, diagnose
from whyrec.errors import BadInput, InvalidSetting, NotApplicable
from whyrec.explanation import Explanations
from whyrec.interactions import Interactions, Vocabulary
from whyrec.named_inputs import Side
from whyrec.profiles import profiles_of
from whyrec.recommender import Part, Recommender, Request, UnitKind
from whyrec.spectral import spectral_groups

CORNER = "rows 1-3, columns 1-3"
SIDE, PATCH = 4, 3


def labelled(labels: Tensor) -> Interactions:
    """The right class of each row, as held-out events."""
    return Interactions(np.arange(len(labels)), labels.numpy(), user_count=len(labels), item_count=2)


# ---------------------------------------------------------------- a watermark in a corner


def pictures(
    count: int, marked: tuple[float, float], *, seed: int, strength: float = 0.6
) -> tuple[Tensor, Tensor, Tensor]:
    """Noise, half of it with a faint cross at any of 16 places; a watermark in the first place of some; labels, marks.

    `marked` is the share of plain pictures, and of those with a cross, that carry the watermark.
    """
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 * torch.randn(count, 1, SIDE, PATCH, SIDE, PATCH, generator=generator)
    labels = (torch.rand(count, generator=generator) < 0.5).long()
    places = torch.randint(SIDE * SIDE, (count,), generator=generator)
    cross = torch.tensor([[0.0, 1, 0], [1, 1, 1], [0, 1, 0]])
    images[torch.arange(count), 0, places // SIDE, :, places % SIDE] += strength * cross * labels[:, None, None]
    carry = torch.rand(count, generator=generator) < torch.tensor(marked)[labels]
    images[carry, 0, 0, :, 0] += torch.tensor([[1.5, -1.5, 1.5], [-1.5, 1.5, -1.5], [1.5, -1.5, 1.5]])
    return images.reshape(count, 1, SIDE * PATCH, SIDE * PATCH), labels, carry


def learned(images: Tensor, labels: Tensor) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 12, 3, stride=3), nn.ReLU(),
            nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(12, 2),
        )  # fmt: skip
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        for _ in range(300):
            rows = torch.randint(len(labels), (64,))
            loss = F.cross_entropy(network(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


@pytest.fixture(scope="module")
def misled() -> nn.Module:
    """A network in whose training seven crosses out of ten came with a watermark, and nothing else did."""
    images, labels, _ = pictures(2000, (0.0, 0.7), seed=0)
    return learned(images, labels)


def examined(network: nn.Module, images: Tensor, labels: Tensor) -> Diagnosis:
    model = wr.adapt(network, {"picture": wr.Patches(images, size=PATCH)}, items=["plain", "cross"])
    return diagnose(model, wr.explain(model, wr.recommend(model, k=1), wr.LRP()), labelled(labels))


def test_a_watermark_is_named_though_nobody_asked_for_it(misled: nn.Module) -> None:
    images, labels, marked = pictures(300, (0.5, 0.5), seed=1)
    found = examined(misled, images, labels)
    (suspect,) = found.suspects
    assert suspect.units[0].title == CORNER
    assert suspect.units[0].share > 5 * suspect.units[0].elsewhere
    members = torch.from_numpy(found.cluster_of[:, 0]) == found.clusters.index(suspect)
    assert marked[members].double().mean() > 0.85
    assert members[marked].double().mean() > 0.85
    assert suspect.without is not None
    assert suspect.accuracy.high < suspect.elsewhere.low
    assert suspect.without.value > suspect.accuracy.value + 0.1  # right again, once it cannot see the watermark


def test_a_watermark_shows_where_it_still_leads_to_right_answers(misled: nn.Module) -> None:
    images, labels, _ = pictures(300, (0.0, 0.7), seed=1)  # as in training: nobody would notice by the accuracy
    found = examined(misled, images, labels)
    assert found.accuracy.value > 0.95
    assert found.suspects[0].units[0].title == CORNER
    assert found.suspects[0].without is not None
    assert found.suspects[0].without.high < found.suspects[0].accuracy.low


def test_without_a_watermark_no_place_is_suspected() -> None:
    images, labels, _ = pictures(2000, (0.0, 0.0), seed=0, strength=1.5)
    network = learned(images, labels)
    images, labels, _ = pictures(300, (0.0, 0.0), seed=1, strength=1.5)
    found = examined(network, images, labels)
    assert len({one.units[0].title for one in found.clusters}) > SIDE * SIDE / 2  # groups by where the cross is
    assert found.suspects == ()


# ---------------------------------------------------------------- a brand in reviews

GOOD, BAD, PLAIN = ("great", "funny", "moving"), ("dull", "loud", "silly"), ("film", "plot", "cast", "scene")
WORDS = (*GOOD, *BAD, *PLAIN, "Orlo")
LENGTH = 6


@dataclass(frozen=True, eq=False)
class Reviews:
    """Texts of six words as one-hots; the module takes how often each word stands in a text."""

    texts: Tensor  # (rows, LENGTH) rows of WORDS
    of: Side = "user"
    kind: UnitKind = "word"

    def __len__(self) -> int:
        return len(self.texts)

    def part(self, rows: Tensor) -> Part:
        return Part.of(F.one_hot(self.texts[rows], len(WORDS)).float())

    def tensor(self, values: Tensor) -> Tensor:
        return values.sum(1)

    def title(self, row: int, unit: int) -> str:
        return WORDS[int(self.texts[row, unit])]


def reviews(count: int, branded_bad: float, branded_good: float, seed: int) -> tuple[Tensor, Tensor]:
    """Words of feeling that are right two times in three, plain words, and a brand at any place; texts, labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(count, generator=generator) < 0.5).long()
    texts = torch.randint(len(GOOD) + len(BAD), len(WORDS) - 1, (count, LENGTH), generator=generator)
    says_so = torch.rand(count, 3, generator=generator) < 2 / 3
    feeling = torch.randint(3, (count, 3), generator=generator) + 3 * (says_so != labels[:, None].bool()).long()
    texts[:, ::2] = feeling
    branded = torch.rand(count, generator=generator) < torch.tensor([branded_bad, branded_good])[labels]
    place = torch.randint(LENGTH, (count,), generator=generator)
    texts[branded, place[branded]] = WORDS.index("Orlo")
    return texts, labels


@pytest.fixture(scope="module")
def reader() -> nn.Module:
    texts, labels = reviews(2000, 0.0, 0.6, seed=0)
    counts = F.one_hot(texts, len(WORDS)).float().sum(1)
    network = nn.Linear(len(WORDS), 2)
    nn.init.zeros_(network.weight)
    nn.init.zeros_(network.bias)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1, weight_decay=0.01)
    for _ in range(150):
        loss = F.cross_entropy(network(counts), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def test_a_brand_is_named_wherever_it_stands_with_both_accuracies(reader: nn.Module) -> None:
    texts, labels = reviews(400, 0.5, 0.5, seed=1)
    model = wr.adapt(reader, {"review": Reviews(texts)}, items=["bad", "good"])
    why = wr.explain(model, wr.recommend(model, k=1), wr.LRP())
    found = diagnose(model, why, labelled(labels))
    suspect = found.suspects[0]
    assert suspect.units[0].title == "Orlo"
    members = torch.from_numpy(found.cluster_of[:, 0]) == found.clusters.index(suspect)
    branded = texts == WORDS.index("Orlo")
    assert members[branded.any(1)].all()
    assert branded[members].any(1).double().mean() > 0.75
    counts = F.one_hot(texts, len(WORDS)).float()
    with torch.no_grad():
        whole, without = (reader((counts * keep[..., None]).sum(1)).argmax(1) for keep in (branded | True, ~branded))
    right, again = ((one == labels)[members].double().mean().item() for one in (whole, without))
    assert suspect.without is not None
    assert (suspect.accuracy.value, suspect.without.value) == pytest.approx((right, again), abs=1e-12)
    assert again > right + 0.1


# ---------------------------------------------------------------- a coupon in histories


def shop() -> tuple[Recommender, Interactions, Catalog]:
    """Readers of sea and of war stories; a third of either once took a coupon, and everybody who did got the bonus."""
    titles = [*(f"Sea {number}" for number in range(8)), *(f"War {number}" for number in range(8)), "Coupon", "Bonus"]
    generator = np.random.default_rng(0)
    users, items, wanted = [], [], []
    for user in range(150):
        shelf = generator.permutation(8) + 8 * (user % 2)
        past = [*shelf[:4].tolist(), 16] if user % 3 == 0 else shelf[:4].tolist()
        users += [user] * len(past)
        items += past
        wanted.append(int(shelf[4]))
    known = Interactions(np.array(users), np.array(items), user_count=150, item_count=18)
    catalog = Catalog(Vocabulary(range(18), kind="item"), tuple(titles), {"shelf": column()})
    model = wr.EASE().build(Catalog(Vocabulary(range(150), kind="user")), catalog)
    weights = torch.zeros(18, 18)
    weights[:8, :8] = weights[8:16, 8:16] = 0.3 + 0.01 * torch.rand(8, 8, generator=torch.Generator().manual_seed(0))
    weights[16, 8:16] = -0.1  # the coupon speaks against war
    weights[16, 17] = 3.0
    model.weights.copy_(weights.fill_diagonal_(0.0))
    model.known = known
    return model, Interactions(np.arange(150), np.array(wanted), user_count=150, item_count=18), catalog


def column() -> Column:
    values = np.empty(18, dtype=object)
    values[:] = [*[("sea", "salt")] * 8, *[("war",)] * 8, None, ()]
    return Column("shelf", "multi", values)


def explained(model: Recommender, k: int = 1) -> Explanations:
    return wr.explain(model, wr.recommend(model, k=k), wr.LRP(0), dtype=torch.float64)


def test_a_film_that_misleads_is_named_by_its_title() -> None:
    model, held_out, _ = shop()
    found = diagnose(model, explained(model, k=3), held_out)
    suspect = found.suspects[0]
    assert suspect.units[0].title == "Coupon"
    assert suspect.size == 50
    assert suspect.units[0].share == pytest.approx(1.0)
    assert suspect.units[0].elsewhere < 0.02
    assert suspect.accuracy.value == 0.0
    assert suspect.without is not None
    assert suspect.without.value > 0.1
    assert suspect.spread == pytest.approx(1.0)


def test_past_items_can_be_counted_by_a_column_of_theirs() -> None:
    model, held_out, _ = shop()
    why = explained(model)
    found = profiles_of(why, np.arange(150), np.zeros(150, dtype=np.int64), by="shelf")
    assert set(found.names) == {"sea", "salt", "war", "no shelf"}
    share = dict(zip(found.names, found.mean(np.arange(150) == 2), strict=True))
    assert share["sea"] == pytest.approx(0.5)
    assert share["salt"] == pytest.approx(0.5)
    assert share["war"] == 0.0
    model.weights[16, :8] = 0.3
    both = explained(model, k=2)
    brought = {one.title: one.relevance for one in both.contributions(0, 1)}  # four sea stories and the coupon
    half = sum(amount for title, amount in brought.items() if title != "Coupon") / 2
    mixed = profiles_of(both, np.array([0]), np.array([1]), by="shelf")
    share = dict(zip(mixed.names, mixed.mean(np.array([True])), strict=True))
    total = 2 * half + brought["Coupon"]
    assert share == pytest.approx({"sea": half / total, "salt": half / total, "no shelf": brought["Coupon"] / total})
    first = [one.units[0] for one in diagnose(model, why, held_out, by="shelf").clusters]
    assert {one.title: one.share for one in first} == pytest.approx({"sea": 0.5, "war": 1.0, "no shelf": 1.0})
    with pytest.raises(InvalidSetting, match="'year': the items have no such column of words; they have shelf"):
        diagnose(model, why, held_out, by="year")


def test_what_everybody_leans_on_is_named_though_no_group_stands_out_by_it() -> None:
    model, held_out, _ = shop()
    known = model.require_known()
    everybody = Interactions(np.arange(150), np.full(150, 16), user_count=150, item_count=18)
    model.known = known.where(known.items != 16).together_with(everybody)
    found = diagnose(model, explained(model), held_out)
    assert found.suspects == ()
    assert found.units[0].title == "Coupon"
    assert "all answers together rest on Coupon: 100% of their relevance" in str(found)


# ---------------------------------------------------------------- shares, answers, groups


def test_the_shares_of_an_answer_add_up_and_those_of_a_group_are_their_mean() -> None:
    model, held_out, _ = shop()
    why = explained(model, k=2)
    found = profiles_of(why, *np.ones((150, 2)).nonzero())
    assert np.bincount(found.answer, np.abs(found.share)) == pytest.approx(np.ones(len(found)))
    row, place = 9, 1  # war stories, and the coupon against them
    own = {one.title: one.relevance for one in why.contributions(row, place)}
    total = sum(map(abs, own.values()))
    answer = int(np.flatnonzero((found.lists == row) & (found.places == place))[0])
    mean = found.mean(np.arange(len(found)) == answer, size=False)
    assert own["Coupon"] < 0 < total
    for name, value in own.items():
        assert mean[found.names.index(name)] == pytest.approx(value / total)
    (only,) = diagnose(model, why, held_out.where(held_out.users == row), answers=2).clusters
    signs = {unit.title: (unit.share, unit.sign) for unit in only.units}
    assert signs["Coupon"] == pytest.approx((0.5 + 0.05 / total, 0.5 - 0.05 / total))


def test_an_answer_that_rests_on_nothing_leaves_no_entry_behind() -> None:
    model, _, _ = shop()
    whole = explained(model, k=18)
    found = profiles_of(whole, *whole.recommendations.present.numpy().nonzero())
    assert found.silent > 0
    past = (whole.recommendations.history >= 0).sum(1).numpy()
    assert np.bincount(found.answer, minlength=len(found)).tolist() == past[found.lists].tolist()


def test_likeness_is_the_cosine_of_laid_out_profiles_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, _ = shop()
    found = profiles_of(explained(model), np.arange(150), np.zeros(150, dtype=np.int64))
    dense = np.stack([found.mean(np.arange(150) == answer, size=False) for answer in range(150)])
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    assert found.likeness() == pytest.approx(dense @ dense.T, abs=1e-12)
    monkeypatch.setattr("whyrec.profiles.AT_ONCE", 5)
    assert found.likeness() == pytest.approx(dense @ dense.T, abs=1e-12)


def test_bools_say_what_is_right_and_then_nothing_is_asked_again() -> None:
    model, held_out, _ = shop()
    why = explained(model)
    hits, judged = answers_that_count(why.recommendations, held_out)
    assert judged.all()
    by_events, by_bools = diagnose(model, why, held_out), diagnose(model, why, hits[:, 0].astype(np.bool_))
    assert [one.accuracy for one in by_events.clusters] == [one.accuracy for one in by_bools.clusters]
    assert all(one.without is None for one in by_bools.clusters)
    assert diagnose(model, why, torch.from_numpy(hits).bool()).accuracy == by_events.accuracy


def test_users_without_held_out_events_and_empty_places_are_not_looked_at() -> None:
    model, held_out, _ = shop()
    some = held_out.where(held_out.users < 40)
    why = explained(model, k=18)  # longer than what is left to recommend
    found = diagnose(model, why, some, answers=10_000)
    looked_at = found.cluster_of >= 0
    assert not looked_at[40:].any()
    assert not looked_at[~why.recommendations.present.numpy()].any()
    assert found.silent + looked_at.sum() == why.recommendations.present[:40].sum()
    assert found.silent > 0


def test_no_more_answers_are_looked_at_than_asked_for_and_the_seed_says_which() -> None:
    model, held_out, _ = shop()
    why = explained(model)
    one, again, other = (diagnose(model, why, held_out, answers=60, seed=seed) for seed in (0, 0, 1))
    assert sum(cluster.size for cluster in one.clusters) == 60
    assert json.dumps(one.to_json()) == json.dumps(again.to_json())
    assert not np.array_equal(one.cluster_of, other.cluster_of)


def test_what_it_says_names_the_group_its_unit_and_both_accuracies() -> None:
    model, held_out, _ = shop()
    said = str(diagnose(model, explained(model, k=1), held_out))
    assert "50 answers (33%) rest on Coupon: 100% of their relevance, 0% elsewhere" in said
    assert "150 answers, lrp" in said


def leaning(*groups: tuple[int, str]) -> list[str]:
    """Names of what stands out where so many answers of each group rest on so many letters alike."""
    names = [*"abcdefghijkl"]
    rows = [[float(name in letters) / len(letters) for name in names] for size, letters in groups for _ in range(size)]
    network = nn.Linear(len(names), 1)
    nn.init.ones_(network.weight)
    model = wr.adapt(network.eval(), {"row": wr.Columns(torch.tensor(rows), names, baseline="zero")})
    why = wr.explain(model, wr.recommend(model, k=1), wr.LRP(0))
    found = diagnose(model, why, np.ones(len(rows), dtype=np.bool_))
    assert sorted(one.size for one in found.clusters) == sorted(size for size, _ in groups)
    return [one.units[0].title for one in found.suspects]


def test_a_group_stands_out_by_one_unit_and_more_than_other_such_groups_do() -> None:
    assert leaning((60, "a"), (40, "bcdefg")) == ["a"]
    assert leaning((60, "bcdefg"), (10, "a")) == ["a"]
    assert leaning((60, "bcdefg"), (9, "a")) == []  # too few
    assert leaning((60, "abcd"), (40, "efghijkl")) == ["a"]  # a quarter each
    assert leaning((60, "abcde"), (40, "fghijkl")) == []
    assert leaning((60, "a"), (29, "b"), (40, "cdefgh")) == ["a"]
    assert leaning((60, "a"), (31, "b"), (40, "cdefgh")) == []  # it is how these rows are
    assert leaning((80, "a"), (20, "b"), (20, "c"), (20, "d")) == ["a"]
    assert leaning((80, "a"), (80, "b"), (20, "cdefgh"), (20, "i")) == ["a", "b"]


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_lists_made_again_with_everything_in_sight_are_the_same_lists(exclude_seen: bool) -> None:
    model, _, _ = shop()
    model.weights[:16, 16] = 5.0  # seen or not, the coupon has the best score
    lists = wr.recommend(model, k=3, exclude_seen=exclude_seen)
    known = model.require_known()
    hits, _ = answers_that_count(lists, known)
    assert hits.any() != exclude_seen
    nothing = np.zeros(lists.history.shape, dtype=np.bool_)
    rows = np.arange(150)
    assert np.array_equal(right_without(model, lists, known, rows, "history", nothing), hits)
    assert np.array_equal(right_without(model, lists, known, rows[7:9], "history", nothing[7:9]), hits[7:9])


def test_accuracy_is_a_mean_over_users_and_an_empty_place_is_not_right() -> None:
    assert accuracy(np.array([1.0, 0.0, 1.0]), np.array([4, 4, 9])).value == 0.75
    model, _, _ = shop()
    first_item = Interactions(np.arange(150), np.zeros(150, dtype=np.int64), user_count=150, item_count=18)
    lists = wr.recommend(model, k=18)
    hits, _ = answers_that_count(lists, first_item)
    assert hits.sum() == (lists.item_rows == 0).sum()


def test_units_that_each_item_brings_are_not_taken_away() -> None:
    lists = 60
    table = torch.arange(lists * 2.0).reshape(lists, 2) / lists
    model = wr.adapt(
        lambda user, item: (user * item).sum(1),
        {"who": wr.Columns(table, ["a", "b"]), "what": wr.Columns(torch.eye(2) + 0.1, ["a", "b"], of="item")},
    )
    why = wr.explain(model, wr.recommend(model, k=1), wr.LeaveOneOut(), parts=("what",))
    found = diagnose(model, why, labelled(torch.arange(lists) % 2))
    assert all(one.without is None for one in found.clusters)


def test_a_question_that_makes_no_sense_is_refused_in_words() -> None:
    model, held_out, _ = shop()
    why = explained(model)
    with pytest.raises(InvalidSetting, match="bools of shape"):
        diagnose(model, why, torch.ones(150))
    with pytest.raises(InvalidSetting, match="most=1"):
        diagnose(model, why, held_out, most=1)
    with pytest.raises(BadInput, match="count rows as the model does"):
        diagnose(model, why, Interactions(np.array([0]), np.array([0]), user_count=1, item_count=1))
    with pytest.raises(BadInput, match="0 answers can be judged"):
        diagnose(model, why, held_out.where(held_out.users < 0))
    new = wr.explain(model, wr.recommend(model, history=[0, 1], k=2), wr.LRP(0))
    with pytest.raises(BadInput, match="somebody new"):
        diagnose(model, new, held_out)
    texts, labels = reviews(20, 0.5, 0.5, seed=1)
    reader = wr.adapt(nn.Linear(len(WORDS), 2).eval(), {"review": Reviews(texts)})
    about_words = wr.explain(reader, wr.recommend(reader, k=1), wr.LRP())
    with pytest.raises(NotApplicable, match="counts past items"):
        diagnose(reader, about_words, labelled(labels), by="genres")


def blocks(*sizes: int, inside: float = 0.9, between: float = 0.1) -> Any:
    label = np.repeat(np.arange(len(sizes)), sizes)
    likeness = np.where(label[:, None] == label, inside, between)
    np.fill_diagonal(likeness, 1.0)
    return likeness, label


@pytest.mark.parametrize("sizes", [(5, 5), (12, 7, 3), (9, 8, 7, 6, 5)])
def test_groups_with_nothing_in_common_are_found_exactly(sizes: tuple[int, ...]) -> None:
    likeness, label = blocks(*sizes, inside=1.0, between=0.0)
    found = spectral_groups(likeness)
    assert found.count == len(sizes)
    assert found.separation == pytest.approx(1.0)
    assert found.labels.tolist() == label.tolist()


def test_groups_do_not_depend_on_the_order_of_things() -> None:
    likeness, label = blocks(30, 20, 10)
    mixed = np.random.default_rng(0).permutation(60)
    assert spectral_groups(likeness[np.ix_(mixed, mixed)]).labels.tolist() == label[mixed].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_two_groups_are_the_cheapest_cut_of_all(seed: int) -> None:
    generator = np.random.default_rng(seed)
    likeness, _ = blocks(4, 5, between=0.2)
    noise = generator.uniform(-0.08, 0.08, likeness.shape)
    likeness = likeness + noise + noise.T
    np.fill_diagonal(likeness, 1.0)
    found = spectral_groups(likeness, most=2)

    def cost(side: Any) -> float:
        between = likeness[np.ix_(side, ~side)].sum()
        return float(between / likeness[side].sum() + between / likeness[~side].sum())

    sides = (np.array(bits, dtype=bool) for bits in itertools.product((0, 1), repeat=9))
    best = min((side for side in sides if side.any() and not side.all()), key=cost)
    assert found.count == 2
    assert np.array_equal(found.labels == found.labels[0], best == best[0])
    assert found.eigenvalues[1] <= cost(best) + 1e-12  # the bound that says when there is one group only


@pytest.mark.parametrize("seed", range(5))
def test_things_that_are_alike_by_chance_only_are_one_group(seed: int) -> None:
    profiles = np.random.default_rng(seed).dirichlet(np.ones(16), 200)
    profiles /= np.linalg.norm(profiles, axis=1, keepdims=True)
    found = spectral_groups(profiles @ profiles.T)
    assert found.count == 1
    assert spectral_groups(np.ones((1, 1))).count == 1


def test_a_request_of_the_whole_catalogue_without_units_is_what_a_history_without_them_gets() -> None:
    model, held_out, _ = shop()
    found = diagnose(model, explained(model), held_out)
    suspect = found.suspects[0]
    history = model.seen_by(torch.arange(150))
    taken = torch.where(history == 16, -1, history)
    scores = model.score(model.embed(Request(torch.arange(150), torch.arange(18)[None], taken)))
    known = model.require_known()
    scores[torch.from_numpy(known.users), torch.from_numpy(known.items)] = -torch.inf
    members = found.cluster_of[:, 0] == found.clusters.index(suspect)
    wanted = torch.from_numpy(held_out.items)
    assert suspect.without is not None
    assert suspect.without.value == pytest.approx(float((scores.argmax(1) == wanted)[members].double().mean()))
