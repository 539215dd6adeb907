"""Acceptance facts of relevance through transformers of Hugging Face, as they stand: random weights, float64."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
import torch
from tests.text_networks import ARCHITECTURES, SIZES, network, tokens
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from whyrec.calls import Plan
from whyrec.composites import COMPOSITES, plan_with
from whyrec.operations import Family
from whyrec.relevance import Relevance, Taken
from whyrec.rules.epsilon import Epsilon
from whyrec.rules.gamma import Gamma
from whyrec.rules.query_key_value import QueryKeyValue
from whyrec.rules.taylor import Taylor

LABEL = 1
CP = plan_with(Epsilon(0.0))
ATTN = plan_with(Epsilon(0.0), {Family.SOFTMAX: Taylor(), Family.ATTENTION: QueryKeyValue()})
PLANS = {"cp": CP, "epsilon": COMPOSITES["transformer"], "gamma": plan_with(Gamma(0.25)), "attnlrp": ATTN}
every = pytest.mark.parametrize("architecture", ARCHITECTURES)


def tables_of(made: nn.Module) -> dict[str, nn.Parameter]:
    """The vectors of pieces, positions and types."""
    return {name: one for name, one in made.named_parameters() if name.endswith("embeddings.weight")}


def at_tables(made: Any, plan: Plan | None) -> tuple[Tensor, Tensor, Tensor]:
    """Relevance of all vectors that are added up below the network, by plain gradient without a plan.

    One text, so that whatever a table holds belongs to it; returns the sum of the relevance, the ledger's bias and the
    logit.
    """
    ids, mask = tokens(rows=1)
    leaves = {name: one.detach().clone().requires_grad_() for name, one in tables_of(made).items()}
    taken = Taken((1,))

    def logits() -> Tensor:
        found: Tensor = torch.func.functional_call(made, leaves, (), {"input_ids": ids, "attention_mask": mask}).logits
        return found

    if plan is None:
        out = logits()
    else:
        with Relevance(plan, taken) as mode:
            for leaf in leaves.values():
                mode.follow(leaf)
            out = logits()
    gradients = torch.autograd.grad(out[:, LABEL].sum(), list(leaves.values()))
    total = torch.stack([(leaf * slope).sum() for leaf, slope in zip(leaves.values(), gradients, strict=True)]).sum()
    return total.detach(), taken.bias.sum(), out[0, LABEL].detach()


def at_pieces(
    made: Any, plan: Plan, ids: Tensor, mask: Tensor, vectors: Tensor | None = None
) -> tuple[Tensor, Taken, Tensor]:
    """Relevance of the vectors of pieces, (rows, length), what others took, and the logits."""
    found = made.get_input_embeddings()(ids) if vectors is None else vectors
    leaf = found.detach().clone().requires_grad_()
    taken = Taken((len(ids),))
    with Relevance(plan, taken) as mode:
        mode.follow(leaf)
        out = made(inputs_embeds=leaf, attention_mask=mask).logits
    (slope,) = torch.autograd.grad(out[:, LABEL].sum(), leaf)
    return (leaf * slope).sum(-1).detach(), taken, out.detach()


# Fact 22


@every
def test_without_its_rule_a_layer_norm_lets_next_to_nothing_through(architecture: str) -> None:
    total, _, logit = at_tables(network(architecture, biases=False), None)
    assert abs(total) < 1e-4 * abs(logit)


# Fact 23


@every
def test_without_biases_words_positions_and_types_are_the_whole_logit(architecture: str) -> None:
    total, bias, logit = at_tables(network(architecture, biases=False), CP)
    assert abs(total / logit - 1) <= 1e-8
    assert abs(bias) <= 1e-12 * abs(logit)


@every
def test_what_positions_and_types_bring_is_in_the_bias_where_words_alone_are_asked(architecture: str) -> None:
    made = network(architecture, biases=False)
    ids, mask = tokens(rows=1)
    words, taken, out = at_pieces(made, CP, ids, mask)
    everything, _, logit = at_tables(made, CP)
    assert float(out[0, LABEL]) == pytest.approx(float(logit), abs=1e-12)
    assert float(taken.bias[0]) == pytest.approx(float(everything - words.sum()), abs=1e-10)
    assert abs(taken.bias[0]) > 1e-3 * abs(logit)


@every
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_account_closes_with_biases_and_padding(architecture: str, plan: Plan) -> None:
    relevance, taken, out = at_pieces(network(architecture), plan, *tokens())
    whole = relevance.sum(1) + taken.bias + taken.stabilizer
    size = relevance.abs().sum(1) + taken.bias.abs()
    assert ((whole - out[:, LABEL]).abs() <= 1e-12 * size).all()


@every
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_padding_gets_exactly_nothing(architecture: str, attention: str) -> None:
    made = network(architecture)
    made.config._attn_implementation = attention
    relevance, _, _ = at_pieces(made, CP, *tokens())
    assert relevance[-1, -2:].tolist() == [0.0, 0.0]
    assert (relevance[:-1] != 0).all()


class Counted(TorchFunctionMode):
    """While open, counts calls of a few operations."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls[getattr(function, "__name__", "")] += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta"])
def test_the_rules_see_each_norm_attention_and_activation_once(architecture: str) -> None:
    ids, mask = tokens()
    with Counted() as seen:
        network(architecture)(input_ids=ids, attention_mask=mask)
    layers = SIZES["num_hidden_layers"]
    wanted = {"layer_norm": 1 + 2 * layers, "scaled_dot_product_attention": layers, "gelu": layers, "tanh": 1}
    assert {name: seen.calls[name] for name in wanted} == wanted


# Facts 24 and 25


@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta"])
def test_attnlrp_does_not_change_with_a_constant_added_to_all_attention_logits(architecture: str) -> None:
    made = network(architecture)
    made.config._attn_implementation = "eager"
    ids, _ = tokens(rows=1)
    flat, raised = (torch.full((1, 1, 7, 7), constant, dtype=torch.float64) for constant in (0.0, 3.0))
    one, _, before = at_pieces(made, ATTN, ids, flat)
    other, _, after = at_pieces(made, ATTN, ids, raised)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-12)
    torch.testing.assert_close(other, one, rtol=0, atol=1e-10)


@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta"])
def test_attnlrp_keeps_a_part_in_softmax_and_so_hands_on_less_than_the_logit(architecture: str) -> None:
    made = network(architecture, biases=False)
    total, bias, logit = at_tables(made, ATTN)
    assert abs(total / logit - 1) > 1e-2
    assert float(total + bias) == pytest.approx(float(logit), abs=1e-10)


def test_without_the_path_through_softmax_values_hand_on_half_of_what_attention_puts_out() -> None:
    """Queries of zero leave nothing but the path through values, which gets half of what it gets from CP-LRP."""
    made = network("xlm-roberta", biases=False)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if ".query." in name:
                weight.zero_()
    ids, mask = tokens(rows=1)
    made.roberta.encoder.layer = made.roberta.encoder.layer[:1]
    whole, half = (at_attention(made, plan, ids, mask) for plan in (CP, ATTN))
    assert half == pytest.approx(whole / 2, abs=1e-10)
    assert abs(whole) > 1e-6


def at_attention(made: Any, plan: Plan, ids: Tensor, mask: Tensor) -> float:
    """Relevance that the first layer's attention hands to its input, all places together."""
    block, inside = made.roberta.encoder.layer[0].attention.self, made.get_input_embeddings()(ids)
    leaf = inside.detach().clone().requires_grad_()
    with Relevance(plan, Taken((1,))) as mode:
        mode.follow(leaf)
        put_out = block(leaf, attention_mask=None)[0]
    (slope,) = torch.autograd.grad(put_out[:, 0].sum(), leaf)
    return float((leaf * slope).detach().sum())


# Fact 26


@every
@pytest.mark.parametrize("level", [0.0, 1e-12, -1e-12])
def test_vectors_of_zero_and_next_to_it_give_no_nan(architecture: str, level: float) -> None:
    made = network(architecture, biases=False)
    ids, mask = tokens()
    vectors = torch.full((*ids.shape, 16), level, dtype=torch.float64)
    for plan in (CP, ATTN):
        relevance, taken, _ = at_pieces(made, plan, ids, mask, vectors)
        assert torch.isfinite(relevance).all()
        assert torch.isfinite(taken.bias).all()


@pytest.mark.parametrize(
    ("bend", "limit"), [(F.gelu, 0.5), (F.silu, 0.5), (torch.tanh, 1.0)], ids=["gelu", "silu", "tanh"]
)
def test_the_factor_of_an_activation_goes_to_its_limit_at_zero(bend: Any, limit: float) -> None:
    leaf = torch.tensor([[0.0, 1e-12, -1e-12]], dtype=torch.float64, requires_grad=True)
    with Relevance(CP, Taken((1,))) as mode:
        mode.follow(leaf)
        out = bend(leaf)
    (slope,) = torch.autograd.grad(out.sum(), leaf)
    assert slope[0].tolist() == pytest.approx([limit] * 3, abs=1e-9)


# Fact 28


@every
def test_the_network_is_left_as_it_was(architecture: str) -> None:
    made = network(architecture)
    ids, mask = tokens()
    before = copy.deepcopy(made.state_dict())
    logits = made(input_ids=ids, attention_mask=mask).logits
    for plan in (CP, ATTN):
        at_pieces(made, plan, ids, mask)
    assert all(torch.equal(before[name], one) for name, one in made.state_dict().items())
    assert torch.equal(made(input_ids=ids, attention_mask=mask).logits, logits)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in made.modules())
