"""What the pair network promises: the definition, whichever way the vectors meet, and the same when ranking."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from tests.worlds import built, noise, request, with_random_weights
from torch import Tensor

from whyrec import pair_network
from whyrec.explainers.lrp import LRP
from whyrec.pair_network import Interaction, PairNetwork
from whyrec.question import ask

WAYS = get_args(Interaction)


def network(interaction: Interaction, *, factors: int = 3, depth: int = 2) -> PairNetwork:
    return with_random_weights(PairNetwork(factors, depth, interaction).double())


def slowly(net: PairNetwork, u: Tensor, v: Tensor) -> Tensor:
    """One user's and one item's vector through the layers, as the formulas have it."""
    if net.interaction == "concat":
        weight = torch.cat([net.user_half.weight, net.item_half.weight], dim=1)
        hidden = weight @ torch.cat([u, v]) + net.user_half.bias
    else:
        hidden = torch.stack([u @ w @ v + b for w, b in zip(net.bilinear.weight, net.bilinear.bias, strict=True)])
    for layer in net.tower:
        hidden = layer.weight @ hidden + layer.bias if isinstance(layer, torch.nn.Linear) else hidden.clamp(min=0)
    return hidden


@pytest.mark.parametrize("interaction", WAYS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_each_pair_goes_through_the_layers_of_the_definition(interaction: Interaction, depth: int) -> None:
    net = network(interaction, depth=depth)
    users, items = noise(4, net.width), noise(5, net.width, seed=1)
    expected = torch.stack([torch.stack([slowly(net, u, v) for v in items]) for u in users])
    torch.testing.assert_close(net((users[:, None], None), (items[None], None)), expected)
    each = items.repeat(4, 1, 1)  # a list of its own for every user
    torch.testing.assert_close(net((users[:, None], None), (each, None)), expected)
    index = torch.tensor([[0, 1, 4], [2, 2, 3], [4, 0, 0], [1, 3, 2]])
    spread = net((users[None], torch.tensor([[3], [0], [1], [2]])), (items[None], index))
    torch.testing.assert_close(spread, expected[[3, 0, 1, 2]][torch.arange(4)[:, None], index])


@pytest.mark.parametrize("interaction", WAYS)
@pytest.mark.parametrize("rows", [1, 12, 4096])
def test_ranking_a_few_users_at_a_time_changes_nothing(
    interaction: Interaction, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_network, "ROWS_AT_ONCE", rows)
    net = network(interaction)
    users, items, weight = noise(7, net.width), noise(5, net.width, seed=1), noise(3, seed=2)
    expected = net((users[:, None], None), (items[None], None)) @ weight
    torch.testing.assert_close(net.rank(users, items, weight), expected)


def test_a_bilinear_fusion_adds_what_both_branches_say_together() -> None:
    size: dict[str, Any] = {"factors": 3, "depth": 2}
    fused, plain = built("neumf", values={**size, "fusion": "bilinear"}), built("neumf", values=size)
    plain.load_state_dict({name: one for name, one in fused.state_dict().items() if not name.startswith("fusion")})
    inputs = fused.embed(request(fused))
    u, v = inputs["history"].values.sum(2), inputs["item"].values[..., 0]
    network = fused.network((u[..., 3:], None), (v[..., 3:], None))  # type: ignore[operator]
    together = torch.einsum("uig,gm,uim->ui", u[..., :3] * v[..., :3], fused.fusion.weight[0], network)  # type: ignore
    torch.testing.assert_close(fused.score(inputs), plain.score(inputs) + together)


def test_training_begins_with_the_plain_fusion() -> None:
    fused = built("neumf", values={"factors": 3, "fusion": "bilinear"})
    fused.make(4, 4)
    assert not fused.get_parameter("fusion.weight").any()


def test_both_sides_of_a_bilinear_layer_get_half_of_what_they_make_together() -> None:
    model = built("mlp", values={"factors": 3, "depth": 1, "interaction": "bilinear"})
    with torch.no_grad():
        model.get_parameter("network.bilinear.bias").fill_(50.0)  # every unit is on: the score is bilinear
    found = LRP(0)(ask(model, request(model), parts=("history", "item")))
    history, item = (found.relevance[part].flatten(2).sum(2) for part in ("history", "item"))
    torch.testing.assert_close(history, item)
    assert (history.abs() > 1e-3).any()
    alone = LRP(0)(ask(model, request(model), parts=("history",))).relevance["history"]
    torch.testing.assert_close(alone, 2 * found.relevance["history"])
