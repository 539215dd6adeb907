"""What no rule can follow is refused, never guessed: a score that hides a step from the rules raises, and says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.worlds import expect_twins, follow, in_place, noise, wired
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import CheckpointError, checkpoint

from whyrec.errors import NoRule, Unseen, WhyrecError
from whyrec.explainers.lrp import LRP
from whyrec.operations import Family

Function = Callable[[Tensor, Tensor], Tensor]

X, Y = noise(3, 4), noise(3, 4, seed=1)  # (users, factor): both live wherever a function takes them
W, B = noise(5, 4, seed=2), noise(5, seed=3)
GATE = noise(4, seed=4)
BAGS, TABLE = torch.tensor([[0, 1, 5, 2], [1, 2, 2, 4], [2, 2, 3, 3]]), noise(6, 5, seed=5)


class Square(torch.autograd.Function):
    """An operation of somebody's own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        squared: Tensor = x * x
        return squared

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


class Spelled(Square):
    """The same, of operations that have no rule."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.exp().log().pow(2)


@pytest.mark.parametrize("step", [Square, Spelled])
@pytest.mark.parametrize("after", [lambda x: x, lambda x: x * 2, lambda x: x + noise(2, 3, 4)], ids=["", "*", "+"])
def test_a_custom_autograd_function_is_refused(step: type[Square], after: Callable[[Tensor], Tensor]) -> None:
    question = wired(lambda parts: after(step.apply(parts["p"].flatten(2))).sum(-1), {"p": noise(2, 3, 4, 1)})
    with pytest.raises((Unseen, NoRule)):
        LRP()(question)


def test_values_made_before_the_score_is_called_are_refused() -> None:
    made = torch.exp(noise(3, 4).requires_grad_())
    with pytest.raises(Unseen, match="ExpBackward"):
        follow(lambda x: x * made, X)


def written_to(x: Tensor, write: Callable[[Tensor], object]) -> Tensor:
    buffer = torch.zeros(3, 4, dtype=torch.float64)
    write(buffer)
    return buffer + x


def view_of(x: Tensor, change: Callable[[Tensor], object]) -> Tensor:
    whole = x * 1.0
    change(whole[:, 0])
    return whole


def assign(buffer: Tensor, value: Tensor | float) -> None:
    buffer[:, 0] = value


HIDDEN_WRITES: dict[str, Function] = {
    "h.mul_(y)": lambda x, y: in_place(lambda h: h.mul_(y), x),
    "h *= y": lambda x, y: in_place(lambda h: h.__imul__(y), x),
    "y *= 2": lambda x, y: in_place(lambda h: h.__imul__(2), y),
    "h /= y": lambda x, y: in_place(lambda h: h.__itruediv__(y), x),
    "constant += live": lambda x, y: written_to(x, lambda buffer: buffer.add_(y)),
    "constant.copy_(live)": lambda x, y: written_to(x, lambda buffer: buffer.copy_(y)),
    "constant[:, 0] = live": lambda x, y: written_to(x, lambda buffer: assign(buffer, y[:, 0])),
    "live[:, 0] = constant": lambda x, y: in_place(lambda h: assign(h, 1.0), x),
    "live.masked_fill_": lambda x, y: in_place(lambda h: h.masked_fill_(X > 0, 1.0), x),
    "live.zero_()": lambda x, y: in_place(lambda h: h.zero_(), x),
    "mul(out=)": lambda x, y: written_to(x, lambda buffer: torch.mul(x, y, out=buffer)),
    "add(out=)": lambda x, y: written_to(x, lambda buffer: torch.add(x, 1.0, out=buffer)),
    "a view += constant": lambda x, y: view_of(x, lambda view: view.add_(0.5)),
}


@pytest.mark.parametrize("name", HIDDEN_WRITES)
def test_a_write_that_would_hide_a_step_is_refused(name: str) -> None:
    with pytest.raises(NoRule):
        follow(HIDDEN_WRITES[name], X, Y)


def test_constants_may_be_written_to() -> None:
    def score(x: Tensor) -> Tensor:
        buffer = x.new_zeros(3, 4)
        buffer[:, 0] = 2.0
        buffer += 1.0
        return x * buffer

    torch.testing.assert_close(follow(score, X).relevance[0], X * torch.tensor([3.0, 1, 1, 1]), rtol=1e-12, atol=0)


BRANCHES: dict[str, Callable[[Tensor], object]] = {
    "float(x)": lambda x: float(x[0, 0]),
    "x.item()": lambda x: x[0, 0].item(),
    "x.tolist()": lambda x: x.tolist(),
    "bool(x > 0)": lambda x: bool(x[0, 0] > 0),
    "if x.sum() > 0": lambda x: 1 if x.sum() > 0 else 2,
    "(x > 0).any()": lambda x: bool((x > 0).any()),
    "int(x.argmax())": lambda x: int(x.argmax()),
    "x.detach().item()": lambda x: (x.detach() * 2).sum().item(),
    "x.detach().numpy()": lambda x: x.detach().numpy(),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_a_score_that_reads_its_inputs_into_python_is_refused(name: str) -> None:
    def score(x: Tensor) -> Tensor:
        BRANCHES[name](x)
        return x * 2

    with pytest.raises(NoRule, match="must not branch on its inputs"):
        follow(score, X)


def test_a_score_may_read_constants_into_python() -> None:
    followed = follow(lambda x: x * float(GATE[0]) if bool((GATE > 0).any()) else x, X)
    torch.testing.assert_close(followed.relevance[0], X * GATE[0], rtol=1e-12, atol=0)


ODD: dict[str, tuple[Function, Function]] = {
    "weights that are live": (lambda x, y: F.linear(x, y), lambda x, y: x @ y.T),
    "a bias that is live": (
        lambda x, y: F.linear(x, W, F.pad(y[0], (1, 0))),
        lambda x, y: x @ W.T + F.pad(y[0], (1, 0)),
    ),
    "vmap": (lambda x, y: x + torch.vmap(torch.mul)(x, y), lambda x, y: x + x * y),
    "vmap after a step": (lambda x, y: x + torch.vmap(torch.mul)(2 * x, y), lambda x, y: x + 2 * x * y),
    "a gradient as a step": (lambda x, y: x * torch.func.grad(lambda z: (z * z).sum())(y), lambda x, y: x * (2 * y)),
    "an embedding bag": (
        lambda x, y: F.embedding_bag(BAGS, TABLE, per_sample_weights=x, mode="sum"),
        lambda x, y: torch.einsum("ul,uld->ud", x, TABLE[BAGS]),
    ),
    "an embedding bag of live rows": (
        lambda x, y: F.embedding_bag(torch.arange(3)[:, None], x, per_sample_weights=y[:, :1], mode="sum"),
        lambda x, y: x * y[:, :1],
    ),
    "a sparse product": (lambda x, y: torch.sparse.mm(W[:4].to_sparse(), x.T).T, lambda x, y: x @ W[:4].T),
    "a fused product and sum": (lambda x, y: torch.addcmul(x, x, y), lambda x, y: x + x * y),
    "a fused linear map": (lambda x, y: torch.addmm(B, x, W.T), lambda x, y: F.linear(x, W, B)),
    "interpolation": (lambda x, y: torch.lerp(x, y, 0.3), lambda x, y: 0.7 * x + 0.3 * y),
    "a clamp": (lambda x, y: x.clamp(min=0), lambda x, y: F.relu(x)),
    "a power": (lambda x, y: x**2, lambda x, y: x * x),
    "a product over an axis": (lambda x, y: torch.stack([x, y]).prod(0), lambda x, y: x * y),
}


@pytest.mark.parametrize("name", ODD)
def test_an_unusual_step_is_followed_rightly_or_refused(name: str) -> None:
    odd, plain = ODD[name]
    try:
        follow(odd, X, Y)
    except (NoRule, Unseen):
        return
    expect_twins(odd, plain, X, Y)


OPAQUE: dict[str, Function] = {
    "GRU": lambda x, y: nn.GRU(4, 4).double()(x[:, None])[0],
    "attention": lambda x, y: F.scaled_dot_product_attention(x[:, None], y[:, None], y[:, None]),
    "normalize": lambda x, y: F.normalize(x),
    "cosine": lambda x, y: F.cosine_similarity(x, y),
    "cdist": lambda x, y: torch.cdist(x, y),
    "layer norm": lambda x, y: F.layer_norm(x, (4,)),
    "softmax": lambda x, y: x.softmax(-1) * y,
    "gelu": lambda x, y: F.gelu(x),
    "tanh": lambda x, y: x.tanh(),
    "maximum": lambda x, y: torch.maximum(x, y),
    "max pool": lambda x, y: F.max_pool1d(x, 2),
    "batch norm": lambda x, y: F.batch_norm(x, torch.ones(4).double(), torch.ones(4).double()),
    "a rounded quotient": lambda x, y: torch.div(x, 0.3, rounding_mode="floor"),
}


@pytest.mark.parametrize("name", OPAQUE)
def test_a_step_is_refused_unless_its_relevance_adds_up(name: str) -> None:
    try:
        followed = follow(OPAQUE[name], X, Y, seed=noise(*OPAQUE[name](X, Y).shape, seed=6))
    except NoRule:
        return
    assert followed.gap <= 1e-10


@pytest.mark.parametrize("score", [lambda x: 2 / x, lambda x: torch.div(X, x), lambda x: 1 / (1 + x.abs())])
def test_a_constant_divided_by_an_explained_value_is_refused(score: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(NoRule, match="divided by an explained value"):
        follow(score, X)


def test_a_refusal_names_the_operation_and_its_shape() -> None:
    with pytest.raises(NoRule, match=r"'torch\.erfinv' on a tensor of shape \(3, 4\)"):
        follow(lambda x: torch.erfinv(x), X)


@pytest.mark.parametrize("family", [Family.WEIGHTS, Family.PRODUCTS, Family.SUMS, Family.QUOTIENTS])
def test_a_family_without_a_rule_in_the_plan_is_refused(family: Family) -> None:
    score = {
        Family.WEIGHTS: lambda x: F.linear(x, W),
        Family.PRODUCTS: lambda x: x * x,
        Family.SUMS: lambda x: x + x,
        Family.QUOTIENTS: lambda x: x / x,
    }[family]
    plan = {one: rule for one, rule in LRP().rules.items() if one is not family}
    follow(score, X)
    with pytest.raises(NoRule, match="no relevance rule for"):
        follow(score, X, plan=plan)


def test_activation_checkpointing_is_right_or_loud() -> None:
    def score(x: Tensor, y: Tensor) -> Tensor:
        return checkpoint(lambda a, b: F.linear(F.relu(a * b), W), x, y, use_reentrant=False)  # type: ignore[no-any-return]

    try:
        followed = follow(score, X, Y, epsilon=0.1)
    except (CheckpointError, WhyrecError):
        return
    assert followed.gap <= 1e-12
