"""A counterfactual is no story: without these past items the model really recommends something else."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from tests.worlds import ITEMS, built, dataset, with_random_weights
from torch import Tensor

import whyrec as wr
from whyrec.counterfactuals import Counterfactual
from whyrec.errors import InvalidSetting, NotExplainableByMasking, UnknownId
from whyrec.explanation import Explainer
from whyrec.interactions import Id, Interactions
from whyrec.recommender import Recommender, Request

HISTORY_MODELS = ("ease", "item_knn", "user_knn", "ials", "mf", "gmf", "mlp", "neumf")
PASTS = ("egg tea jam oat", "nut oat tea jam pea", "fig", "rye pea egg")

every_model = pytest.mark.parametrize("name", HISTORY_MODELS)


def found_for(model: Recommender, past: list[str], *, k: int = 1, budget: int = 5000) -> Counterfactual:
    best = wr.recommend(model, history=past, k=k).lines(0)[-1]
    return wr.counterfactual(model, None, best.item, history=past, k=k, budget=budget)


def scores(model: Recommender, past: list[str], seen: list[str]) -> dict[str, float]:
    """Scores with a shorter past, of what the whole past leaves to recommend, one plain request for each."""
    rows = torch.tensor([[ITEMS.index(one) for one in past]], dtype=torch.int64).reshape(1, -1)
    with torch.no_grad():
        return {
            item: float(model.score(model.embed(Request(torch.tensor([-1]), torch.tensor([[row]]), rows)))[0, 0])
            for row, item in enumerate(ITEMS)
            if item not in seen
        }


def is_in_list(model: Recommender, item: Id, past: list[str], seen: list[str], k: int) -> bool:
    found = scores(model, past, seen)
    return sum(score > found[str(item)] + 1e-9 for score in found.values()) < k


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("past", PASTS)
@pytest.mark.parametrize("seed", [0, 1, 2])
@every_model
def test_what_is_told_really_happens_and_nothing_smaller_does_it(name: str, seed: int, past: str, k: int) -> None:
    model, taken = built(name, seed=seed), past.split()
    found = found_for(model, taken, k=k)
    removed = [str(one.item) for one in found.removed]
    wanted = found.item.item
    assert found.minimal == "proven"
    smaller = range(len(removed) if removed else len(taken) + 1)
    for size in smaller:
        for gone in combinations(taken, size):
            left = [one for one in taken if one not in gone]
            assert is_in_list(model, wanted, left, taken, k), f"{gone} would do"
    if not removed:
        assert found.replacement is None
        assert "No set of past items was found" in str(found)
        return
    left = [one for one in taken if one not in removed]
    assert not is_in_list(model, wanted, left, taken, k)
    before, after = scores(model, taken, taken), scores(model, left, taken)
    assert found.replacement is not None
    for standing in (found.item, found.replacement):
        assert standing.score == pytest.approx(before[str(standing.item)])
        assert standing.score_after == pytest.approx(after[str(standing.item)])
        assert standing.rank == 1 + sum(score > before[str(standing.item)] for score in before.values())
        assert standing.rank_after == 1 + sum(score > after[str(standing.item)] for score in after.values())
    assert found.item.rank <= k < found.item.rank_after
    assert found.replacement.rank_after <= k < found.replacement.rank


def test_most_of_these_searches_find_something() -> None:
    found = [found_for(built(name, seed=1), past.split()) for name in HISTORY_MODELS for past in PASTS]
    sizes = [len(one.removed) for one in found]
    assert sum(size > 0 for size in sizes) > len(sizes) / 2
    assert max(sizes) >= 2  # so that minimality is put to the test


@every_model
def test_without_a_budget_a_set_is_still_true_and_no_item_of_it_can_come_back(name: str) -> None:
    for seed in range(4):
        model, taken = built(name, seed=seed), PASTS[1].split()
        found = found_for(model, taken, budget=0)
        removed = [str(one.item) for one in found.removed]
        assert found.searched == 0
        assert found.minimal == ("proven" if len(removed) == 1 else "not proven")
        left = [one for one in taken if one not in removed]
        assert is_in_list(model, found.item.item, left, taken, 1) == (not removed)
        for back in removed if len(removed) > 1 else ():
            assert is_in_list(model, found.item.item, [*left, back], taken, 1)


class Either(wr.Recommender):
    """A tea is wanted by whoever took an egg or a fig; nuts are wanted a little by everybody."""

    Settings = wr.EASE.Settings

    def make(self, user_count: int, item_count: int) -> None:
        """There are no weights."""

    @property
    def unit_kinds(self) -> dict[str, str]:  # type: ignore[override]
        return {"history": "past item"}

    @property
    def history_limit(self) -> int:
        return 5

    def floats_per_user(self, items: int) -> int:
        return items

    def embed(self, request: Request) -> dict[str, wr.Part]:
        is_cause = torch.isin(request.history, torch.tensor([ITEMS.index("egg"), ITEMS.index("fig")]))
        values = is_cause.float()[:, None, :, None]
        items = request.items.expand(len(request.users), -1)
        worth = 2.0 * (items == ITEMS.index("tea")) + 0.5 * (items == ITEMS.index("nut"))
        return {
            "history": wr.Part.of(values, present=(request.history >= 0)[:, None]),
            "worth": wr.Part.of(worth[..., None]),
        }

    def score(self, inputs: dict[str, wr.Part]) -> Tensor:  # type: ignore[override]
        wants_tea = inputs["history"].values.sum((2, 3)).clamp(max=1.0)
        worth = inputs["worth"].values[..., 0]
        return torch.where(worth > 1, worth * wants_tea, worth)


def either() -> Recommender:
    data = dataset()
    return Either().build(data.users, data.items)


@pytest.mark.parametrize("explainer", [None, wr.Random()])
def test_causes_that_stand_in_for_each_other_are_found_together(explainer: Explainer | None) -> None:
    past = ["jam", "egg", "rye", "fig"]
    found = wr.counterfactual(either(), None, "tea", history=past, k=1, explainer=explainer)
    assert {one.item for one in found.removed} == {"egg", "fig"}
    assert (found.minimal, found.searched) == ("proven", 1)
    assert found.replacement is not None
    assert found.replacement.item == "nut"
    assert str(found).startswith("Without “")
    assert "“tea” falls from rank 1 to" in str(found)


def test_where_the_past_is_not_the_cause_nothing_is_found() -> None:
    found = wr.counterfactual(either(), None, "nut", history=["jam", "rye"], k=1)
    assert (found.removed, found.replacement) == ((), None)
    assert (found.minimal, found.searched) == ("proven", 2)


def test_older_items_come_into_sight_when_recent_ones_are_removed() -> None:
    past = ["egg", "jam", "rye", "oat", "pea", "fig"]  # the model looks at five: the egg is out of sight
    found = wr.counterfactual(either(), None, "tea", history=past, k=1)
    assert found.removed == ()  # without the fig the egg is seen again


def test_what_is_too_old_to_be_looked_at_does_not_count() -> None:
    past = ["egg", "jam", "rye", "oat", "pea", "jam"]  # six events, and the model looks at five
    assert wr.counterfactual(either(), None, "nut", history=past, k=1).item.rank == 1


def test_an_item_taken_twice_is_removed_wholly() -> None:
    found = wr.counterfactual(either(), None, "tea", history=["egg", "jam", "egg"], k=1)
    assert [one.item for one in found.removed] == ["egg"]


def test_a_known_user_is_asked_about_by_id_and_told_by_titles() -> None:
    model = built("ease", seed=1)
    best = wr.recommend(model, users=["ada"], k=1).lines(0)[0]
    found = wr.counterfactual(model, "ada", best.item, k=1)
    past = [ITEMS[row] for row in model.require_known().histories(torch.tensor([0]).numpy(), 99)[0]]
    again = wr.counterfactual(model, None, best.item, history=past, k=1)
    assert found.user == "ada"
    assert [one.item for one in found.removed] == [one.item for one in again.removed]


def test_the_normaliser_is_that_of_the_shorter_history() -> None:
    model = built("mf", values={"history": {"exponent": 1.0}})
    data = dataset()
    model.known = Interactions(
        data.interactions.users, data.interactions.items, user_count=len(data.users), item_count=len(ITEMS)
    )
    found = wr.counterfactual(model, "ben", wr.recommend(model, users=["ben"], k=1).lines(0)[0].item, k=1)
    left = [one for one in ("jam", "fig", "egg") if one not in {str(past.item) for past in found.removed}]
    assert found.item.score_after == pytest.approx(scores(model, left, [])[str(found.item.item)])


def test_questions_without_an_answer_are_refused() -> None:
    model = built("ease", seed=1)
    past = PASTS[0].split()
    worst = wr.recommend(model, history=past, k=4).lines(0)[-1]
    with pytest.raises(InvalidSetting, match="has rank 4 for 'new user', so it is not in a list of 2"):
        wr.counterfactual(model, None, worst.item, history=past, k=2)
    with pytest.raises(InvalidSetting, match="in the past of 'new user'"):
        wr.counterfactual(model, None, "egg", history=past)
    with pytest.raises(InvalidSetting, match="only 4 items are left"):
        wr.counterfactual(model, None, worst.item, history=past, k=4)
    with pytest.raises(InvalidSetting, match="needs a user or a history"):
        wr.counterfactual(model, None, "egg")
    with pytest.raises(UnknownId, match="marmite"):
        wr.counterfactual(model, "ada", "marmite")


def test_models_that_do_not_look_at_a_past_say_what_to_do() -> None:
    with pytest.raises(NotExplainableByMasking, match=r"call whyrec\.fold_in\(model\)"):
        wr.counterfactual(built("mf", values={"user": "id"}), "ada", "fig")
    with pytest.raises(NotExplainableByMasking, match="choose a model that looks at what a user took"):
        wr.counterfactual(with_random_weights(built("popularity")), "ada", "fig")
