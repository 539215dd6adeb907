"""Every explainer in explainers/ keeps the promises of its kind, on every model; a new one is held to them unasked."""

from __future__ import annotations

import dataclasses
from functools import cache

import pytest
import torch
from tests.worlds import (
    WITHOUT_RULES,
    built,
    explainable_models,
    models_that_are_no_sums,
    models_with_rules,
    noise,
    request,
    wired,
)
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack

from whyrec import kinds
from whyrec.attribution import Attribution
from whyrec.errors import InvalidSetting, NoRule, NotExplainableByMasking, WhyrecError
from whyrec.explainers.deep_lift import DeepLIFT
from whyrec.explainers.exact_shapley import ExactShapley
from whyrec.explainers.expected_gradients import ExpectedGradients
from whyrec.explainers.gradient import GradientTimesInput
from whyrec.explainers.integrated_gradients import IntegratedGradients
from whyrec.explainers.kernel_shap import KernelSHAP
from whyrec.explainers.lime import LIME
from whyrec.explainers.lrp import LRP
from whyrec.explainers.occlusion import LeaveOneOut
from whyrec.explainers.permutation_shapley import PermutationShapley
from whyrec.explainers.smooth_grad import SmoothGrad
from whyrec.mixture import Mixing
from whyrec.question import Question, ask
from whyrec.recommender import Attending, Recommender, Request

CONTROLS = ("cosine", "popularity", "random")
"""Methods that other methods have to beat; all others must be exact where the truth is plain."""
OF_DATA = ("cosine", "popularity")
"""Methods that look at training events only, and so know nothing but past items."""
OF_ATTENTION = ("attention_weights",)
"""Methods that show what only a model with attention has."""
OF_EXPERTS = ("expert_shares",)
"""Methods that show what only a mixture of experts has."""
BY_STEPS = {"integrated_gradients": 0.05, "expected_gradients": 0.05}
"""Methods whose account closes as their steps grow, and the most that may be missing with the steps they have."""

EXPLAINERS = kinds.names("explainers")
MODELS = explainable_models()
TRUTHFUL = [name for name in EXPLAINERS if name not in (*CONTROLS, *OF_ATTENTION, *OF_EXPERTS)]
OF_ANY_PART = [name for name in EXPLAINERS if name not in (*OF_DATA, *OF_ATTENTION, *OF_EXPERTS)]

BY_RULES = ["deep_lift", *(name for name in EXPLAINERS if hasattr(kinds.load("explainers", name)(), "plan"))]
REFUSED = [(name, model) for name in BY_RULES for model in WITHOUT_RULES]
REFUSED += [("deep_lift", "text_classifier")]  # layer norms have no rule of differences
REFUSED += [("intrinsic", model) for model in models_that_are_no_sums()]
REFUSED += [(name, model) for name in OF_DATA for model in MODELS if built(model).history_limit == 0]
REFUSED += [(name, model) for name in OF_ATTENTION for model in MODELS if not isinstance(built(model), Attending)]
REFUSED += [(name, model) for name in OF_EXPERTS for model in MODELS if not isinstance(built(model), Mixing)]
PAIRS = [(name, model) for name in EXPLAINERS for model in MODELS if (name, model) not in REFUSED]

every_pair = pytest.mark.parametrize(("name", "model"), PAIRS)
every_explainer = pytest.mark.parametrize("name", EXPLAINERS)
every_question = pytest.mark.parametrize(
    ("name", "model", "all_parts"),
    [
        (name, model, all_parts)
        for name, model in PAIRS
        for all_parts in (
            (False,) if name in (*OF_DATA, *OF_ATTENTION, "intrinsic", "exact_shapley") else (False, True)
        )
    ],
)


def asked(
    model: str, users: list[int] | None = None, *, all_parts: bool = False, dtype: torch.dtype = torch.float64
) -> Question:
    """Four items for each of six users, the last of whom has no past."""
    recommender = built(model, dtype=dtype)
    parts = tuple(recommender.unit_kinds) if all_parts else None
    return ask(recommender, request(recommender, users), parts=parts, seed=3)


@cache
def answered(name: str, model: str, *, all_parts: bool = False) -> tuple[Question, Attribution]:
    question = asked(model, all_parts=all_parts)
    return question, kinds.load("explainers", name)()(question)


def expect_same(one: Attribution, other: Attribution) -> None:
    for part, relevance in one.relevance.items():
        torch.testing.assert_close(relevance, other.relevance[part], rtol=1e-12, atol=1e-13)
    for field in dataclasses.fields(one.ledger):
        torch.testing.assert_close(
            getattr(one.ledger, field.name), getattr(other.ledger, field.name), rtol=1e-12, atol=1e-13
        )


@every_explainer
def test_an_explainer_is_a_frozen_record_with_defaults(name: str) -> None:
    explainer = kinds.load("explainers", name)()
    assert type(explainer).__dataclass_params__.frozen
    with pytest.raises(dataclasses.FrozenInstanceError):
        explainer.anything = 1


@every_question
def test_every_unit_of_every_asked_part_gets_a_number(name: str, model: str, all_parts: bool) -> None:
    question, answer = answered(name, model, all_parts=all_parts)
    users, items = question.shape
    assert (users, items) == (6, 4)
    assert set(answer.relevance) == set(answer.present) == set(question.parts)
    for part, relevance in answer.relevance.items():
        assert relevance.shape == (users, items, *question.inputs[part].present.shape[2:])
        assert relevance.dtype is torch.float64
        assert relevance.isfinite().all()
        assert not relevance.requires_grad
        assert answer.present[part].dtype is torch.bool
        assert answer.present[part].equal(question.present(part))


@every_question
def test_units_that_are_not_there_get_zero(name: str, model: str, all_parts: bool) -> None:
    question, answer = answered(name, model, all_parts=all_parts)
    for part, relevance in answer.relevance.items():
        there = answer.present[part]
        assert not relevance[~there].any()
        if part == "history":
            assert there.any()
            assert not there.all()
            assert not there[-1].any()  # the newcomer has no past
            assert (question.request.history[-1] == -1).all()


@pytest.mark.parametrize("name", [name for name in EXPLAINERS if name not in (*OF_ATTENTION, *OF_EXPERTS)])
def test_hidden_past_items_get_zero(name: str) -> None:
    model = built("mf")
    plain = request(model)
    hidden = torch.zeros_like(plain.history, dtype=torch.bool)
    hidden[:, 0] = True
    answer = kinds.load("explainers", name)()(ask(model, dataclasses.replace(plain, hidden=hidden)))
    assert not answer.relevance["history"][:, :, 0].any()
    assert answer.relevance["history"][:, :, 1].any()


@pytest.mark.parametrize("name", OF_ANY_PART)
def test_a_part_that_is_padded_by_the_score_itself_gets_zero_there(name: str) -> None:
    question = wired(lambda parts: parts["p"].sum((2, 3)), {"p": noise(3, 2, 4, 2)})
    present = torch.tensor([True, True, True, False]).expand(3, 2, 4)
    padded = noise(3, 2, 4, 2) * present[..., None]
    part = dataclasses.replace(question.inputs["p"], values=padded, present=present)
    answer = kinds.load("explainers", name)()(dataclasses.replace(question, inputs={"p": part}))
    assert not answer.relevance["p"][..., 3].any()
    assert (answer.relevance["p"][..., :3] != 0).all()


@every_question
def test_the_account_is_of_the_models_scores_and_adds_up(name: str, model: str, all_parts: bool) -> None:
    question, answer = answered(name, model, all_parts=all_parts)
    with torch.no_grad():
        scores = question.model.score(question.model.embed(question.request))
    ledger = answer.ledger
    torch.testing.assert_close(ledger.target, scores, rtol=1e-12, atol=1e-13)
    inputs = torch.stack([relevance.flatten(2).sum(2) for relevance in answer.relevance.values()]).sum(0)
    torch.testing.assert_close(ledger.inputs, inputs, rtol=1e-12, atol=1e-13)
    for field in dataclasses.fields(ledger):
        amount = getattr(ledger, field.name)
        assert amount.shape == question.shape
        assert amount.dtype is torch.float64
        assert not amount.requires_grad


@pytest.mark.parametrize(("dtype", "most"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@every_question
def test_the_account_closes_where_a_method_promises_it(
    name: str, model: str, all_parts: bool, dtype: torch.dtype, most: float
) -> None:
    answer = kinds.load("explainers", name)()(asked(model, all_parts=all_parts, dtype=dtype))
    if answer.complete:
        assert answer.ledger.relative_gap(answer.relevance).max() <= BY_STEPS.get(name, most)


@pytest.mark.parametrize("name", BY_RULES)
def test_a_method_of_rules_refuses_a_step_that_has_none(name: str) -> None:
    equations = torch.eye(2, dtype=torch.float64) * 2
    question = wired(lambda parts: torch.linalg.solve(equations, parts["p"].mT).sum((2, 3)), {"p": noise(3, 2, 4, 2)})
    with pytest.raises(NoRule, match=r"no relevance rule for 'torch\.linalg\.solve'"):
        kinds.load("explainers", name)()(question)


@pytest.mark.parametrize("model", models_with_rules())
def test_a_model_can_be_explained_in_double_precision(model: str) -> None:
    single = built(model, dtype=torch.float32)
    answer = LRP()(ask(single, request(single), dtype=torch.float64))
    assert answer.ledger.relative_gap(answer.relevance).max() <= 1e-12
    assert {tensor.dtype for tensor in single.state_dict().values() if tensor.is_floating_point()} == {torch.float32}


def snapshot(question: Question) -> list[object]:
    """All that an explanation could have changed, to be compared."""
    modules, parameters = list(question.model.modules()), list(question.model.parameters())
    return [
        {name: tensor.tolist() for name, tensor in question.model.state_dict().items()},
        [(one.requires_grad, one.grad is None, one.grad_fn, one._backward_hooks) for one in parameters],
        [(one.training, len(one._forward_hooks), len(one._forward_pre_hooks)) for one in modules],
        [(len(one._backward_hooks), len(one._backward_pre_hooks)) for one in modules],
        [(part.values.tolist(), part.present.tolist(), part.values.requires_grad) for part in question.inputs.values()],
        (torch.get_rng_state().tolist(), torch.is_grad_enabled(), len(_get_current_function_mode_stack())),
    ]


@every_pair
def test_model_inputs_and_random_state_are_left_as_found(name: str, model: str) -> None:
    question = asked(model)
    for number, parameter in enumerate(question.model.parameters()):
        parameter.requires_grad_(number % 2 == 0)
    before = snapshot(question)
    kinds.load("explainers", name)()(question)
    assert snapshot(question) == before


@every_pair
def test_one_seed_gives_one_answer(name: str, model: str) -> None:
    question, answer = answered(name, model)
    torch.manual_seed(99)
    again = kinds.load("explainers", name)()(asked(model))
    for part in question.parts:
        assert again.relevance[part].equal(answer.relevance[part])


@every_question
def test_a_user_alone_gets_the_answer_of_a_user_in_company(name: str, model: str, all_parts: bool) -> None:
    question, together = answered(name, model, all_parts=all_parts)
    for row, user in enumerate(question.request.users.tolist()):
        alone = kinds.load("explainers", name)()(asked(model, [user], all_parts=all_parts))
        for part, relevance in alone.relevance.items():
            there = alone.present[part][0]
            width = relevance.shape[2]  # a lone user's history is not padded to the longest
            torch.testing.assert_close(relevance[0], together.relevance[part][row][:, :width], rtol=1e-12, atol=1e-13)
            assert there.equal(together.present[part][row][:, :width])
        for field in dataclasses.fields(alone.ledger):
            whole, single = (getattr(one.ledger, field.name) for one in (together, alone))
            torch.testing.assert_close(single[0], whole[row], rtol=1e-12, atol=1e-13)


@every_question
def test_one_list_for_all_users_is_that_list_for_each(name: str, model: str, all_parts: bool) -> None:
    recommender = built(model)
    parts = tuple(recommender.unit_kinds) if all_parts else None
    each = request(recommender)
    shared = Request(each.users, each.items[:1], each.history)
    spread = Request(each.users, each.items[:1].repeat(6, 1), each.history)
    expect_same(
        *(kinds.load("explainers", name)()(ask(recommender, wanted, parts=parts)) for wanted in (shared, spread))
    )


class Line(nn.Module):
    """An affine score of two columns of two channels each, and a history that is summed."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.v, self.b = noise(3, 2, seed=5), noise(2, seed=6), 0.75

    def forward(self, parts: dict[str, Tensor]) -> Tensor:
        return (parts["p"] * self.w).sum((2, 3)) + (parts["q"].sum(2) * self.v).sum(2) + self.b


def line() -> tuple[Question, dict[str, Tensor]]:
    """An affine question and its answer: w_j x_j of every unit."""
    score = Line()
    values = {"p": noise(4, 3, 3, 2), "q": noise(4, 1, 5, 2, seed=1)}
    truth = {"p": (values["p"] * score.w).sum(3), "q": (values["q"] * score.v).sum(3).expand(4, 3, 5)}
    return wired(score, values), truth


@pytest.mark.parametrize("name", TRUTHFUL)
def test_an_affine_score_is_split_exactly(name: str) -> None:
    question, truth = line()
    answer = kinds.load("explainers", name)()(question)
    for part, expected in truth.items():
        torch.testing.assert_close(
            answer.relevance[part],
            expected,
            rtol=0,
            atol=1e-12,
            msg=lambda said: f"{name} is not exact on an affine score; if it is a control, add it to CONTROLS. {said}",
        )


@pytest.mark.parametrize("name", sorted(set(CONTROLS) - set(OF_DATA)))
def test_a_control_does_not_tell_the_truth(name: str) -> None:
    question, truth = line()
    answer = kinds.load("explainers", name)()(question)
    assert (answer.relevance["p"] - truth["p"]).abs().max() > 0.1
    assert not answer.complete


def test_random_numbers_are_of_one_user_one_part_and_one_seed() -> None:
    same = noise(1, 1, 4, 1).expand(3, 2, 4, 1)
    question = wired(lambda parts: parts["user_genre"].sum((2, 3)), {"user_genre": same, "user_gender": same})
    one = kinds.load("explainers", "random")()(question).relevance
    other = kinds.load("explainers", "random")()(dataclasses.replace(question, seed=1)).relevance
    assert len({tuple(row.flatten().tolist()) for part in (*one.values(), *other.values()) for row in part}) == 12


@pytest.mark.parametrize(
    ("model", "values"), [("mf", {"user": "history", "factors": 5}), ("ease", {}), ("item_knn", {})]
)
def test_history_models_that_are_affine_leave_no_room_for_opinion(model: str, values: dict[str, object]) -> None:
    recommender = built(model, values=values)
    question = ask(recommender, request(recommender))
    rows, items = question.request.history.clamp(min=0), question.request.items
    if model in ("ease", "item_knn"):
        brought = recommender.get_buffer("weights")[rows[:, None, :], items[:, :, None]]
    else:
        there = (question.request.history >= 0).sum(1).clamp(min=1).double()
        past, wanted = (recommender.get_parameter(f"{table}_table.weight") for table in ("user", "item"))
        shares = past[rows] / there.sqrt()[:, None, None]
        brought = torch.einsum("uhd,uid->uih", shares, wanted[items]).detach()
    truth = torch.where(question.present("history"), brought, 0.0)
    of_paths = (IntegratedGradients(), ExpectedGradients(), DeepLIFT())
    of_gradients = (GradientTimesInput(), *of_paths, SmoothGrad())
    of_coalitions = (LeaveOneOut(), ExactShapley(), KernelSHAP(), PermutationShapley(1), LIME())
    for explainer in (LRP(0), *of_coalitions, *of_gradients, SmoothGrad(DeepLIFT())):
        torch.testing.assert_close(explainer(question).relevance["history"], truth, rtol=0, atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_in_train_mode_is_not_explained(model: str) -> None:
    recommender = built(model)
    wanted = request(recommender)
    with pytest.raises(WhyrecError, match=r"call model\.eval\(\) first"):
        ask(recommender.train(), wanted)


def test_models_without_anything_to_name_say_so() -> None:
    silent = sorted(set(kinds.names("models")) - set(MODELS))
    assert "popularity" in silent
    for name in silent:
        model: Recommender = built(name)
        with pytest.raises(NotExplainableByMasking, match="choose a model that looks at users"):
            ask(model, request(model))


def test_a_part_that_a_model_lacks_cannot_be_asked_for() -> None:
    model = built("mf")
    with pytest.raises(InvalidSetting, match="no part 'user' to explain; it has history, item"):
        ask(model, request(model), parts=("user",))
