"""An explanation can be about a lead: over the end of the list, or over one other item."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tests.worlds import ITEMS, built, request
from torch import Tensor

import whyrec as wr
from whyrec.attribution import Attribution
from whyrec.coalitions import Players
from whyrec.errors import InvalidSetting, NotApplicable, UnknownId
from whyrec.explanation import Explainer
from whyrec.question import Question, ask
from whyrec.recommender import Recommender, Request
from whyrec.targets import Contrast, Logit, Margin, Target

SMALL = Margin(k=1, among=7)
"""The newcomer and four of the five users have at least two unseen items of eight."""
USERS = [0, 1, 3, 4, 5]
HISTORY_MODELS = ("ease", "item_knn", "user_knn", "mf", "gmf", "mlp", "neumf")
METHODS = (wr.LRP(), wr.LRP(epsilon=0.1), wr.IntegratedGradients(steps=7), wr.LeaveOneOut(), wr.GradientTimesInput())
MOVING = (wr.IntegratedGradients, wr.LeaveOneOut)
"""Methods that move the inputs: on the way, or after a removal, another item may be the last of the list."""

every_model = pytest.mark.parametrize("name", HISTORY_MODELS)
every_method = pytest.mark.parametrize("method", METHODS, ids=repr)


def asked(model: Recommender, target: Target, users: list[int] | None = None) -> Question:
    return ask(model, request(model, USERS if users is None else users), target=target)


def about(model: Recommender, items: Tensor) -> Question:
    """The scores of these items, (users, items), of the same users."""
    return ask(model, dataclasses.replace(request(model, USERS), items=items))


def expect_difference(found: Attribution, one: Attribution, other: Attribution) -> None:
    for part, relevance in found.relevance.items():
        torch.testing.assert_close(relevance, one.relevance[part] - other.relevance[part], rtol=0, atol=1e-11)
    for field in dataclasses.fields(found.ledger):
        amount, first, second = (getattr(answer.ledger, field.name) for answer in (found, one, other))
        torch.testing.assert_close(amount, first - second, rtol=0, atol=1e-11)


@every_method
@every_model
def test_a_contrast_is_the_difference_of_two_explanations(name: str, method: Explainer) -> None:
    model = built(name)
    question = asked(model, Contrast("nut"))
    foil = torch.full_like(question.request.items, ITEMS.index("nut"))
    expect_difference(method(question), method(about(model, question.request.items)), method(about(model, foil)))


@pytest.mark.parametrize("method", [one for one in METHODS if not isinstance(one, MOVING)], ids=repr)
@every_model
def test_a_margin_is_a_contrast_with_the_last_item_of_the_list(name: str, method: Explainer) -> None:
    model = built(name)
    question = asked(model, SMALL)
    last = torch.tensor([[last_of(model, row, item) for item in row.items] for row in rows(question)])
    expect_difference(method(question), method(about(model, question.request.items)), method(about(model, last)))


@dataclasses.dataclass(frozen=True)
class Row:
    """One user and the items asked about."""

    user: int
    items: list[int]


def rows(question: Question) -> list[Row]:
    pairs = zip(question.request.users.tolist(), question.request.items.tolist(), strict=True)
    return [Row(user, items) for user, items in pairs]


def last_of(model: Recommender, row: Row, item: int, k: int = 1, history: Tensor | None = None) -> int:
    """The k-th best of the items that the user has not seen, without `item` itself; by plain search."""
    seen = model.require_known().histories(torch.tensor([row.user]).numpy(), 99)[0]
    past = model.seen_by(torch.tensor([row.user])) if history is None else history
    with torch.no_grad():
        wanted = Request(torch.tensor([row.user]), torch.arange(len(ITEMS))[None], past)
        scores = model.score(model.embed(wanted))[0].tolist()
    left = [other for other in range(len(ITEMS)) if other not in seen and other != item]
    return sorted(left, key=lambda other: -scores[other])[k - 1]


@pytest.mark.parametrize("k", [1, 2])
@every_model
def test_a_margin_is_positive_exactly_inside_the_list(name: str, k: int) -> None:
    model = built(name)
    users = [1, 3, 5]
    for row, user in enumerate(users):
        ids = wr.recommend(model, users=[model.users.id(user)], k=len(ITEMS)).item_rows[0]
        found = ids[ids >= 0]
        wanted = Request(torch.tensor([user]), found[None], model.seen_by(torch.tensor([user])))
        question = ask(model, wanted, target=Margin(k=k, among=7))
        margins = question.value(question.inputs)[0]
        assert (margins[:k] >= 0).all(), (row, margins)
        assert (margins[k:] <= 0).all(), (row, margins)


@pytest.mark.parametrize("target", [SMALL, Contrast("tea")], ids=repr)
@every_model
def test_a_lead_is_looked_up_anew_when_units_are_taken_away(name: str, target: Target) -> None:
    model = built(name)
    question = asked(model, target)
    players = Players(question)
    generator = torch.Generator().manual_seed(1)
    keep = torch.rand(5, *players.present.shape, generator=generator) < 0.5  # for each place another coalition
    found = players.worth(keep)
    assert found.shape == (5, *question.shape)
    for number, row, place in ((0, 0, 0), (2, 3, 1), (4, 4, 2), (1, 2, 3)):
        wanted = request(model, [USERS[row]])
        alone = ask(model, dataclasses.replace(wanted, items=wanted.items[:, place : place + 1]), target=target)
        mine = Players(alone)
        left = keep[number, row, place, : mine.count][None, None, None]
        torch.testing.assert_close(mine.worth(left)[0, 0, 0], found[number, row, place], rtol=0, atol=1e-12)
        assert alone.rivals is not None
        everything = torch.cat([alone.request.items, alone.rivals.clamp(min=0)], dim=1)
        apart = ask(model, dataclasses.replace(alone.request, items=everything))
        scores = Players(apart).worth(left)[0, 0]
        others = scores[1:][(alone.rivals[0] >= 0) & (alone.rivals[0] != alone.request.items[0, 0])]
        expected = scores[0] - (others.max() if isinstance(target, Margin) else scores[1])
        torch.testing.assert_close(found[number, row, place], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("target", [SMALL, Contrast("tea")], ids=repr)
@every_method
@every_model
def test_a_user_alone_gets_the_answer_of_a_user_in_company(name: str, method: Explainer, target: Target) -> None:
    model = built(name)
    together = method(asked(model, target))
    for row, user in enumerate(USERS):
        alone = method(asked(model, target, [user]))
        for part, relevance in alone.relevance.items():
            width = relevance.shape[2]
            torch.testing.assert_close(relevance[0], together.relevance[part][row][:, :width], rtol=0, atol=1e-11)
        torch.testing.assert_close(alone.ledger.target[0], together.ledger.target[row], rtol=0, atol=1e-11)


@pytest.mark.parametrize("target", [SMALL, Contrast("tea")], ids=repr)
@every_model
def test_the_account_is_about_the_target_and_closes(name: str, target: Target) -> None:
    model = built(name)
    question = asked(model, target)
    answer = wr.LRP()(question)
    torch.testing.assert_close(answer.ledger.target, question.value(question.inputs), rtol=0, atol=1e-12)
    itself = question.request.items == ITEMS.index("tea")  # nothing above itself but the last bit
    assert answer.ledger.target[~itself].abs().max() > 0
    assert answer.ledger.relative_gap(answer.relevance)[~itself].max() <= 1e-12
    assert answer.ledger.gap.abs().max() <= 1e-12


def test_of_the_item_itself_a_contrast_is_nothing() -> None:
    model = built("neumf")
    wanted = dataclasses.replace(request(model, USERS), items=torch.full((5, 1), ITEMS.index("tea")))
    answer = wr.LRP()(ask(model, wanted, target=Contrast("tea")))
    torch.testing.assert_close(answer.ledger.target, torch.zeros_like(answer.ledger.target))
    torch.testing.assert_close(answer.relevance["history"], torch.zeros_like(answer.relevance["history"]))


def test_explain_says_what_it_explains() -> None:
    model = built("mf")
    lists = wr.recommend(model, users=["ben", "dan"], k=2)
    for target, name in ((None, "logit"), (Logit(), "logit"), (SMALL, "margin@1"), (Contrast("tea"), "above tea")):
        why = wr.explain(model, lists, target=target)
        assert why.target == name
    assert not why.ledger.target.equal(wr.explain(model, lists).ledger.target)


def test_the_score_of_a_model_of_ratings_is_called_a_rating() -> None:
    split = wr.leave_last_out(wr.planted(users=60, items=50))
    model = wr.fit(wr.BiasedMF(factors=4, implicit=True), split, wr.Training(epochs=1), progress=False)
    lists = wr.recommend(model, k=2)
    assert [wr.explain(model, lists, target=target).target for target in (None, SMALL)] == ["rating", "margin@1"]
    card = wr.verify(model, lists, [wr.LRP()], settings=wr.Verification(users=20, k=2))
    assert card.target == "rating"
    assert set(card.about) >= {"validation RMSE"}
    reasons = wr.verified_reasons(model, wr.explain(model, lists.best(1)), card)
    assert reasons.sentence(0, 0)
    with pytest.raises(wr.errors.NotExplainableByMasking, match="train it with implicit=True"):
        wr.verify(wr.fit(wr.BiasedMF(factors=4), split, wr.Training(epochs=1), progress=False), lists, [wr.LRP()])


def test_a_target_is_explained_in_double_precision_too() -> None:
    model = built("neumf", dtype=torch.float32)
    why = wr.explain(model, wr.recommend(model, users=["ben"], k=2), target=SMALL, dtype=torch.float64)
    assert why.ledger.relative_gap(why.attribution.relevance).max() <= 1e-12


def test_items_are_compared_by_what_they_share_only() -> None:
    model = built("mf")
    with pytest.raises(NotApplicable, match="a unit of 'item' belongs to one item only; ask for history, which"):
        ask(model, request(model), parts=("history", "item"), target=Contrast("tea"))
    with pytest.raises(NotApplicable, match="explain the score itself"):
        ask(model, request(model), parts=("item",), target=Contrast("tea"))
    by_id = built("mf", values={"user": "id"})
    assert ask(by_id, request(by_id), target=Contrast("tea")).parts == ("user",)


def test_a_list_without_an_end_has_no_margin() -> None:
    model = built("mf")
    with pytest.raises(InvalidSetting, match="choose a smaller k"):
        ask(model, request(model, [0]), target=Margin(k=6, among=9))
    with pytest.raises(InvalidSetting, match="less than among"):
        Margin(k=10, among=10)
    with pytest.raises(UnknownId, match="'marmite'"):
        ask(model, request(model), target=Contrast("marmite"))


def test_somebody_new_has_a_margin() -> None:
    model = built("ease")
    why = wr.explain(model, wr.recommend(model, history=["egg", "tea"], k=1), target=Margin(k=2, among=7))
    assert why.ledger.target[0, 0] > 0
    assert why.ledger.gap.abs().max() < 1e-12


def test_the_items_compared_with_stay_when_a_question_is_asked_again() -> None:
    model = built("mf")
    question = asked(model, SMALL)
    other = built("mf", seed=5)
    again = ask(other, question.request, parts=question.parts, target=question.target, rivals=question.rivals)
    assert again.rivals is question.rivals
    assert not ask(other, question.request, target=SMALL).rivals.equal(question.rivals)  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize("target", [Margin(k=5, among=30), Contrast("i0003")], ids=repr)
def test_explanations_of_a_lead_are_verified_by_watching_the_lead(target: Target) -> None:
    model = wr.fit(wr.EASE(regularisation=50.0), wr.leave_last_out(wr.planted(users=60, items=60)))
    lists = wr.recommend(model, k=1)
    settings = wr.Verification(users=30, floor=4, steps=4, resamples=100)
    methods = [wr.Intrinsic() if isinstance(target, Contrast) else wr.LeaveOneOut(), wr.ByPopularity()]
    card = wr.verify(model, lists, methods, target=target, settings=settings)
    assert card.to_json()["target"] == target.name
    exact, popular = card.rows
    assert exact.deletion.normalised is not None
    assert popular.deletion.normalised is not None
    assert exact.deletion.normalised.value > 0.9
    assert popular.deletion.normalised.value < 0.6
    about_scores = wr.verify(model, lists, methods[:1], settings=settings)
    assert about_scores.rows[0].deletion.ceiling != exact.deletion.ceiling
    why = wr.explain(model, lists, methods[0], target=target)
    with pytest.raises(NotApplicable, match="explain and verify without target="):
        wr.verified_reasons(model, why, card)


def test_rivals_are_all_that_a_user_has_not_seen_also_long_ago() -> None:
    model = built("mf", values={"history": {"limit": 1}})
    question = asked(model, Margin(k=1, among=8))
    assert question.rivals is not None
    for row, user in enumerate(USERS):
        seen = set(model.require_known().histories(torch.tensor([user]).numpy(), 99)[0].tolist())
        rivals = [item for item in question.rivals[row].tolist() if item >= 0]
        assert sorted(rivals) == sorted(set(range(len(ITEMS))) - seen)


def test_rivals_of_somebody_new_are_all_but_the_history() -> None:
    model = built("ease")
    somebody = Request(torch.tensor([-1]), torch.tensor([[2]]), torch.tensor([[0, 4]]))
    question = ask(model, somebody, target=SMALL)
    assert question.rivals is not None
    assert sorted(item for item in question.rivals[0].tolist() if item >= 0) == [1, 2, 3, 5, 6, 7]
