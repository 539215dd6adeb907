"""Acceptance fact 28: an explanation changes nothing, not even where it fails, and can be asked for again."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from tests.worlds import Hybrid, Values, built, models_with_rules, network, noise, pair, request, wired
from torch import Tensor, nn

from whyrec.attribution import Attribution
from whyrec.backward import open_leaves, with_values
from whyrec.errors import NoRule, WhyrecError
from whyrec.explainers.lrp import LRP
from whyrec.question import ask


class Breaks(nn.Module):
    """A score that fails half way."""

    def __init__(self, how: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.how = network(3, 1), how

    def forward(self, parts: Values) -> Tensor:
        return self.how(self.net(parts["p"].flatten(2))).squeeze(-1)


def state_of(model: nn.Module) -> list[object]:
    """All of a model that an explanation could have changed, to be compared."""
    hooks = [
        dict(getattr(module, name))
        for module in model.modules()
        for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    ]
    weights = [(name, tensor.clone().flatten().tolist()) for name, tensor in model.state_dict().items()]
    flags = [(one.requires_grad, one.grad, one.grad_fn, one._backward_hooks) for one in model.parameters()]
    return [hooks, weights, flags, [module.training for module in model.modules()], torch.is_grad_enabled()]


@pytest.mark.parametrize("name", models_with_rules())
@pytest.mark.parametrize("epsilon", [0.0, 1e-6])
def test_a_model_is_left_as_it_was_found(name: str, epsilon: float) -> None:
    model = built(name)
    for number, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(number % 2 == 0)
    before, scores = state_of(model), model.score(model.embed(request(model)))
    LRP(epsilon)(ask(model, request(model)))
    assert state_of(model) == before
    assert model.score(model.embed(request(model))).equal(scores)


def test_the_score_is_the_same_to_the_last_bit() -> None:
    for name in models_with_rules():
        for epsilon in (0.0, 1e-6, 0.1, 0.5):
            question = ask(built(name, dtype=torch.float32), request(built(name)))
            with torch.no_grad():  # without rules, past items laid out for each place of the list as they are with them
                scores = question.value(with_values(question.inputs, open_leaves(question)))
            assert LRP(epsilon)(question).ledger.target.equal(scores.double()), (name, epsilon)


@pytest.mark.parametrize(
    ("how", "raised"), [(torch.erfinv, NoRule), (lambda x: x.reshape(-1, 1000), RuntimeError)], ids=["rule", "model"]
)
def test_an_explanation_that_fails_leaves_nothing_behind(
    how: Callable[[Tensor], Tensor], raised: type[Exception]
) -> None:
    question = wired(Breaks(how), {"p": noise(4, 3, 3, 1)})
    before = state_of(question.model)
    with pytest.raises(raised):
        LRP()(question)
    assert state_of(question.model) == before
    x = noise(4).requires_grad_()
    (slope,) = torch.autograd.grad(torch.exp(x * x).sum(), x)  # no rule stands for exp: the mode must be gone
    torch.testing.assert_close(slope, 2 * x * torch.exp(x * x), rtol=1e-12, atol=0)


def test_the_same_explainer_answers_again_and_from_several_threads() -> None:
    explainer, question = LRP(0.1), pair(Hybrid(bias=True))
    expected = explainer(question)
    start, answers = threading.Barrier(4), list[Attribution]()

    def answer() -> None:
        start.wait()
        answers.extend(explainer(question) for _ in range(5))

    threads = [threading.Thread(target=answer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    for found in answers:
        assert all(found.relevance[name].equal(expected.relevance[name]) for name in ("p", "q"))
        assert found.ledger.bias.equal(expected.ledger.bias)
        assert found.ledger.stabilizer.equal(expected.ledger.stabilizer)


def test_an_explanation_works_inside_no_grad_and_other_modes() -> None:
    question = pair(Hybrid(bias=True))
    expected = LRP()(question)
    with torch.no_grad(), torch.device("cpu"):  # the latter is a TorchFunctionMode too
        found = LRP()(question)
        assert not torch.is_grad_enabled()
    assert found.relevance["p"].equal(expected.relevance["p"])


@pytest.mark.parametrize("name", models_with_rules())
def test_a_model_in_train_mode_is_refused(name: str) -> None:
    model = built(name)
    wanted = request(model)
    with pytest.raises(WhyrecError, match=r"model\.eval\(\)"):
        ask(model.train(), wanted)


def test_a_model_with_one_layer_in_train_mode_is_refused() -> None:
    dropout = nn.Dropout(0.5).eval()
    question = wired(Breaks(dropout), {"p": noise(4, 3, 3, 1)})
    LRP()(question)
    dropout.train()
    with pytest.raises(WhyrecError, match=r"model\.eval\(\)"):
        ask(question.model, question.request)


@pytest.mark.parametrize("explainer", [LRP(gamma=0.25), LRP(alpha=2, beta=1), LRP(rule="flat"), LRP(composite="gamma")])
@pytest.mark.parametrize("name", models_with_rules())
def test_no_rule_changes_the_model_or_its_score(name: str, explainer: LRP) -> None:
    model = built(name)
    before, scores = state_of(model), model.score(model.embed(request(model)))
    try:
        answer = explainer(ask(model, request(model)))
    except NoRule:  # a rule for a first layer, in a model that has none
        assert explainer.rule == "flat"
    else:
        torch.testing.assert_close(answer.ledger.target, scores.double(), rtol=1e-12, atol=1e-13)
        assert float(answer.ledger.relative_gap(answer.relevance).max()) <= 1e-12
    assert state_of(model) == before


def test_a_compiled_model_is_explained_as_it_is_written() -> None:
    net = network(6, 8, 1)
    compiled = torch.compile(net, backend="eager")
    compiled(noise(5, 6))
    values = {"p": noise(5, 2, 6, 1)}
    plain, other = (
        LRP(0.1)(wired(lambda parts, run=run: run(parts["p"].flatten(2)).squeeze(-1), values))
        for run in (net, compiled)
    )
    assert plain.relevance["p"].equal(other.relevance["p"])
    assert plain.ledger.bias.equal(other.ledger.bias)
    calls = torch._dynamo.utils.counters["frames"]["total"]
    compiled(noise(5, 6))
    assert torch._dynamo.utils.counters["frames"]["total"] == calls  # and runs compiled again
