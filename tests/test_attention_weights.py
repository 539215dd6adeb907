"""What attention weights promise: the model's own weights on the units there, or a word on why there are none."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from tests.worlds import attention_pooling, built, request
from torch import Tensor

from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.explainers.attention_weights import AttentionWeights
from whyrec.explainers.occlusion import LeaveOneOut
from whyrec.question import ask
from whyrec.recommender import Attending, Inputs


def test_the_weights_of_the_model_are_its_explanation() -> None:
    question = attention_pooling()
    model = question.model
    assert isinstance(model, Attending)
    answer = AttentionWeights()(question)
    torch.testing.assert_close(answer.relevance["history"], model.attention(question.inputs)["history"])
    torch.testing.assert_close(answer.relevance["history"].sum(-1), torch.ones(4, 3).double())
    assert not answer.relevance["history"][~answer.present["history"]].any()
    assert answer.ledger.target.equal(question.value(question.inputs).double())
    assert not answer.complete


def test_where_a_model_looks_is_not_what_moves_its_score() -> None:
    """A user with one past item is looked at with weight 1 whatever that item brings, up or down."""
    question = attention_pooling()
    weights, moved = (
        explainer(question).relevance["history"][3, :, 0] for explainer in (AttentionWeights(), LeaveOneOut())
    )
    assert weights.equal(torch.ones(3).double())
    assert moved.std() > 0.1


@pytest.mark.parametrize("name", ["ease", "mf", "neumf"])
def test_a_model_without_attention_says_so(name: str) -> None:
    model = built(name)
    with pytest.raises(NotApplicable, match="has no attention weights; choose a model that attends"):
        AttentionWeights()(ask(model, request(model)))


def test_a_part_that_is_not_attended_to_is_refused() -> None:
    with pytest.raises(NotApplicable, match="attends to history and not to 'item'; ask for those parts"):
        AttentionWeights()(attention_pooling(parts=("history", "item")))


def test_weights_of_another_shape_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    question = attention_pooling()

    def by_head(inputs: Inputs) -> Mapping[str, Tensor]:
        return {"history": torch.ones(2, 4, 3, 5)}

    monkeypatch.setattr(question.model, "attention", by_head)
    with pytest.raises(InvalidSetting, match=r"expected \(4, 3, 5\), \(users, items, \*unit\), the mean over heads"):
        AttentionWeights()(question)
