"""A mixture explains itself by who was heard; whether that is true of the model is measured like any explanation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
import torch
from tests.worlds import built, request
from torch import Tensor

import whyrec as wr
from whyrec import kinds
from whyrec.attribution import Attribution
from whyrec.dataset import Catalog
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.interactions import Vocabulary
from whyrec.mixture import Voices
from whyrec.question import Question, ask
from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind, keep_only
from whyrec.settings import settings
from whyrec.targets import Contrast

SPLIT = wr.leave_last_out(wr.planted(users=60, items=50))


class Two(Recommender):
    """Two experts on units a and b, and a third unit that opens the second expert, as far as `gated` says."""

    @settings
    class Settings:
        """The gate."""

        gated: float = 0.0
        """How far the third unit decides who is heard."""
        spoken: float = 1.0
        """How far what experts say depends on their units."""

    settings: Settings

    def make(self, user_count: int, item_count: int) -> None:
        self.register_buffer("people", torch.rand(user_count, 3, 1, dtype=torch.float64))

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {"units": "column"}

    @property
    def expert_titles(self) -> tuple[str, ...]:
        return ("a", "b")

    def embed(self, request: Request) -> Inputs:
        values = self.get_buffer("people")[request.users][:, None].expand(-1, request.items.shape[1], -1, -1)
        return {"units": Part.of(values)}

    def voices(self, inputs: Inputs) -> Voices:
        first, second, gate = inputs["units"].values[..., 0].unbind(-1)
        said = 1 + self.settings.spoken * torch.stack([first, second], -1)
        opened = 0.5 + self.settings.gated * (gate - 0.5)
        return Voices(said, torch.stack([1 - opened, opened], -1), rest=0.25)

    def sees(self, part: str, present: Tensor) -> Tensor:
        return torch.tensor([[True, False, False], [False, True, False]])

    def score(self, inputs: Inputs) -> Tensor:
        return self.voices(inputs).score


def two(**settings: float) -> Question:
    model = Two(**settings).build(*(Catalog(Vocabulary(range(4), kind=kind)) for kind in ("user", "item")), seed=1)
    return ask(model, Request(torch.arange(4), torch.arange(2)[None].expand(4, -1), torch.empty(4, 0).long()))


def shares(question: Question) -> Attribution:
    return wr.ExpertShares()(question)


def test_terms_are_what_was_said_as_far_as_it_was_heard() -> None:
    question = two(gated=0.5)
    voices = question.model.voices(question.inputs)  # type: ignore[operator]
    answer = shares(question)
    torch.testing.assert_close(answer.relevance["units"][..., :2], voices.shares * voices.said, rtol=0, atol=1e-15)
    assert not answer.relevance["units"][..., 2].any()
    assert answer.ledger.reference.unique().tolist() == [0.25]
    assert answer.ledger.gap.abs().max() < 1e-15


def test_with_a_gate_that_does_not_move_its_share_is_nothing() -> None:
    question = two(gated=0.0)
    answer = shares(question)
    assert not answer.notes["gate share"].any()
    shapley = wr.ExactShapley()(question).relevance["units"]
    baseline = 0.5  # what an expert says of nothing, as far as it is heard
    torch.testing.assert_close(answer.relevance["units"][..., :2] - baseline, shapley[..., :2], rtol=0, atol=1e-12)


def test_where_only_the_gate_moves_its_share_is_everything_and_the_terms_miss_it() -> None:
    class Uneven(Two):
        def voices(self, inputs: Inputs) -> Voices:
            voices = super().voices(inputs)
            return dataclasses.replace(voices, said=voices.said * torch.tensor([1.0, 3.0], dtype=torch.float64))

    model = Uneven(gated=1.0, spoken=0.0).build(
        *(Catalog(Vocabulary(range(4), kind=kind)) for kind in ("user", "item"))
    )
    question = ask(model, Request(torch.arange(4), torch.arange(2)[None], torch.empty(4, 0).long()))
    answer = shares(question)
    assert answer.notes["gate share"].min() == 1.0
    shapley = wr.ExactShapley()(question).relevance["units"]
    assert shapley[..., 2].abs().min() > 0.01
    assert shapley[..., :2].abs().max() < 1e-12
    assert not answer.relevance["units"][..., 2].any()


def test_the_way_from_the_baseline_is_what_was_said_and_who_was_heard() -> None:
    """f(x) - f(b), both sums to the last digits, on a trained model and on the planted world."""
    world = kinds.load("worlds", "masked_experts")(20)
    model = wr.fit(wr.MaskedExperts(width=4, hidden=(8,)), SPLIT, wr.Training(epochs=2)).double()
    asked = Request(torch.arange(30), torch.arange(12)[None], torch.empty(30, 0, dtype=torch.int64))
    for question in (world.question(), ask(model, asked)):
        nothing = {name: torch.zeros_like(question.inputs[name].present) for name in question.parts}
        removed = keep_only(question.inputs, nothing)
        at, before = (question.model.voices(inputs) for inputs in (question.inputs, removed))  # type: ignore[operator]
        by_saying, by_gate = at.since(before)
        moved = question.value(question.inputs) - question.value(removed)
        torch.testing.assert_close(by_saying + by_gate, moved, rtol=0, atol=1e-12)
        share = by_gate.abs() / (by_saying.abs() + by_gate.abs())
        torch.testing.assert_close(shares(question).notes["gate share"], share.detach(), rtol=0, atol=1e-9)
        assert 0 < share.mean() < 1


def test_counted_from_the_baseline_the_gate_is_nobodys_term() -> None:
    world = kinds.load("worlds", "masked_experts")(30)
    question = world.question()
    answer = wr.ExpertShares(since="baseline")(question)
    nothing = {name: torch.zeros_like(question.inputs[name].present) for name in question.parts}
    before = question.model.voices(keep_only(question.inputs, nothing))  # type: ignore[operator]
    voices = question.model.voices(question.inputs)  # type: ignore[operator]
    expected = voices.shares * (voices.said - before.said)
    torch.testing.assert_close(answer.relevance["experts"], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(answer.ledger.bias, voices.since(before)[1], rtol=0, atol=1e-12)
    torch.testing.assert_close(answer.ledger.reference, before.score, rtol=0, atol=1e-12)
    assert answer.ledger.relative_gap(answer.relevance).max() < 1e-12
    with pytest.raises(InvalidSetting, match="since='never'"):
        wr.ExpertShares(since="never")  # type: ignore[arg-type]


def test_in_the_planted_world_it_knows_the_experts_and_not_the_context() -> None:
    world = kinds.load("worlds", "masked_experts")(30)
    answer = shares(world.question())
    assert not answer.relevance["context"].any()
    assert world.truth.shapley["context"].abs().mean() > 0.1
    assert not answer.relevance["experts"][~world.truth.causes["experts"]].any()
    assert answer.ledger.relative_gap(answer.relevance).max() < 1e-12


def test_a_subset_shares_alike_among_the_units_it_sees_that_are_there() -> None:
    model = built("masked_experts", values={"width": 4, "hidden": (6,), "groups": {"both": ("user id", "item id")}})
    question = ask(model, request(model))
    relevance = shares(question).relevance
    there = question.present("both of the user")[..., 0]
    torch.testing.assert_close(relevance["both of the user"][there], relevance["both of the item"][there])
    only = shares(ask(model, request(model), parts=("both of the item",)))
    torch.testing.assert_close(only.relevance["both of the item"], relevance["both of the item"])
    torch.testing.assert_close(only.ledger.bias, relevance["both of the user"][..., 0], rtol=0, atol=1e-12)


def test_it_goes_with_any_precision_and_refuses_what_is_no_mixture_or_no_score() -> None:
    single = built("masked_experts", dtype=torch.float32)
    double = ask(single, request(single), dtype=torch.float64)
    assert shares(double).ledger.relative_gap(shares(double).relevance).max() < 1e-12
    with pytest.raises(NotApplicable, match="MF is no mixture of experts"):
        shares(ask(built("mf"), request(built("mf"))))
    model = built("masked_experts")
    with pytest.raises(NotApplicable, match="experts speak about one item at a time"):
        shares(ask(model, request(model), target=Contrast("oat"), parts=("user",)))


def test_it_stands_in_a_report_card_beside_the_others() -> None:
    training = wr.Training(epochs=10, batch_size=200, learning_rate=0.01)
    model = wr.fit(wr.MaskedExperts(width=8, hidden=(16,)), SPLIT, training)
    lists = wr.recommend(model, users=SPLIT.dataset.users.vocabulary.ids(range(12)), k=2)
    card = wr.verify(model, lists, [wr.ExpertShares(), wr.LeaveOneOut()], settings=wr.Verification(k=2))
    assert [row.method for row in card.rows] == ["expert_shares", "occlusion"]
    assert card.row("expert_shares").completeness_gap == pytest.approx(0.0, abs=1e-6)
    why = wr.explain(model, lists, wr.ExpertShares())
    assert {one.part for one in why.contributions(0, 0)} == {
        "content of the user",
        "content of the item",
        "user",
        "item",
    }
    assert why.attribution.notes["gate share"].shape == (12, 2)
