"""Subsets and the networks on them: an expert sees its own groups and nothing else, however the weights are held."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from whyrec.errors import InvalidSetting
from whyrec.expert_blocks import Attention, Dense, Recurrent
from whyrec.experts import Block, Experts, MatrixExperts
from whyrec.lattice import Lattice, block_mask, contained
from whyrec.mixture import heard

ALL_OF_THREE = Lattice.up_to(("a", "b", "c"), 3)
WIDTHS = (2, 1, 3)
SKIP_MODEL = Lattice(
    ("position", "context", "interaction", "generic", "musical"),
    tuple(
        ("position", *some)
        for some in (
            ("context",),
            ("interaction",),
            ("generic",),
            ("musical",),
            ("context", "interaction"),
            ("generic", "musical"),
            ("context", "interaction", "generic"),
            ("context", "interaction", "generic", "musical"),
        )
    ),
)
"""The eight subsets of a published model of skipped tracks."""


def groups_of(*leading: int, widths: Sequence[int] = WIDTHS, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*leading, width, generator=generator, dtype=torch.float64) for width in widths]


def experts(*blocks: Block, lattice: Lattice = ALL_OF_THREE, lateral: bool = True) -> Experts:
    torch.manual_seed(0)
    return Experts(lattice, WIDTHS, blocks, lateral=lateral).double()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 31), min_size=1, max_size=10, unique=True))
def test_what_lies_inside_what_is_the_same_in_bits_and_in_names(bits: list[int]) -> None:
    names = "vwxyz"
    subsets = tuple(tuple(name for place, name in enumerate(names) if bit >> place & 1) for bit in bits)
    lattice = Lattice(tuple(names), subsets)
    by_bits = [[one & ~other == 0 for other in bits] for one in bits]
    assert contained(lattice.holds).tolist() == by_bits
    strictly = [tuple(child for child, one in enumerate(bits) if one & ~other == 0 and one != other) for other in bits]
    assert list(lattice.children) == strictly


def test_the_masks_are_those_of_the_definition() -> None:
    holds = torch.tensor([[1, 0], [0, 1], [1, 1]]).bool()
    assert contained(holds).tolist() == [[True, False, True], [False, True, True], [False, False, True]]
    mask = block_mask(torch.tensor([[1, 1], [0, 1]]), 2, 3)
    assert mask.shape == (4, 6)
    assert mask.sum() == 18
    assert not mask[2:, :3].any()


def test_children_of_published_models_are_those_that_were_published() -> None:
    assert [len(some) for some in Lattice.around_first(("content", "user", "item")).children] == [0, 1, 1, 3]
    assert [len(some) for some in SKIP_MODEL.children] == [0, 0, 0, 0, 2, 2, 4, 7]


def test_an_expert_reads_as_many_channels_as_it_has_children_and_one_more() -> None:
    movies = Lattice.around_first(("content", "user", "item"))
    network = Experts(movies, (32, 64, 64), [Dense(128), Dense(64), Dense(32), Dense(16)])
    second = network.layers[1]
    assert isinstance(second, nn.ModuleList)
    assert [block[0].in_features for block in second] == [128, 256, 256, 512]  # type: ignore[index]
    assert sum(one.numel() for one in network.parameters()) == 147_028
    embedded = 6_040 * 64 + 3_883 * 64 + 2 * 2 + 7 * 6 + 21 * 8 + 20 * 16
    assert sum(one.numel() for one in network.parameters()) + embedded == 782_634
    sizes = (32 + 64 + 64, 512, 256, 128, 64, 1)
    twin = nn.Sequential(*(nn.Linear(wide, narrow) for wide, narrow in itertools.pairwise(sizes)))
    assert sum(one.numel() for one in twin.parameters()) == 254_977
    assert 254_977 + embedded == 890_583


BLOCKS: list[tuple[Block, ...]] = [
    (),
    (Dense(4),),
    (Dense(4), Dense(3), Dense(5)),
    (Recurrent(3), Dense(5)),
    (Attention(4, heads=2), Attention(4, heads=2, causal=True)),
]


@pytest.mark.parametrize("lateral", [True, False])
@pytest.mark.parametrize("blocks", BLOCKS, ids=repr)
def test_what_an_expert_says_depends_on_its_own_groups_and_on_all_of_them(
    blocks: tuple[Block, ...], lateral: bool
) -> None:
    network, groups = experts(*blocks, lateral=lateral), groups_of(4, 5)
    _expect_own_groups_only(network, groups)


@pytest.mark.parametrize("blocks", BLOCKS[:3], ids=repr)
def test_masks_hold_from_the_first_pass_on(blocks: tuple[Block, ...]) -> None:
    torch.manual_seed(1)
    fresh = MatrixExperts(experts(*blocks)).double()
    with torch.no_grad():
        for weight in fresh.parameters():
            weight.normal_()  # what stands outside of a mask is not zero, and never read
    _expect_own_groups_only(fresh, groups_of(4, 5))


def test_children_by_hand_are_heard_first_and_read_only_where_they_see_no_more() -> None:
    lattice = Lattice(("a", "b", "c"), (("a",), ("b",), ("b", "c")), below=((0, 2), (1, 2)))
    said = torch.tensor([0.5, -0.5, 1.0])
    assert heard(said, lattice.children, "absolute").tolist() == [0.5, 0.5, 0.25]
    assert lattice.readable == ((), (), (1,))
    network = experts(Dense(4), Dense(3), lattice=lattice)
    for one in (network, MatrixExperts(network).double()):
        leaves = [group.requires_grad_() for group in groups_of(4, 5)]
        gradients = torch.autograd.grad(one(leaves)[..., 2].sum(), leaves, materialize_grads=True)
        assert [bool(gradient.any()) for gradient in gradients] == [False, True, True]


def _expect_own_groups_only(network: nn.Module, groups: list[Tensor]) -> None:
    leaves = [one.clone().requires_grad_() for one in groups]
    said = network(leaves)
    assert said.shape == (4, 5, len(ALL_OF_THREE))
    for expert, holds in enumerate(ALL_OF_THREE.holds.tolist()):
        gradients = torch.autograd.grad(said[..., expert].sum(), leaves, retain_graph=True, materialize_grads=True)
        for gradient, seen in zip(gradients, holds, strict=True):
            assert bool(gradient.any()) == seen  # outside of a subset exactly 0.0


@pytest.mark.parametrize("lateral", [True, False])
@pytest.mark.parametrize("lattice", [ALL_OF_THREE, Lattice(("a", "b", "c"), (("a",), ("b", "c")), ((0, 1),))])
@pytest.mark.parametrize("blocks", BLOCKS[:3], ids=repr)
def test_a_list_and_a_matrix_say_the_same(blocks: tuple[Block, ...], lattice: Lattice, lateral: bool) -> None:
    network, groups = experts(*blocks, lattice=lattice, lateral=lateral), groups_of(4, 5)
    torch.testing.assert_close(MatrixExperts(network).double()(groups), network(groups), rtol=0, atol=1e-12)


def test_only_dense_layers_become_a_matrix() -> None:
    with pytest.raises(InvalidSetting, match="only dense layers with a ReLU become one matrix, and _Recurrent is none"):
        MatrixExperts(experts(Recurrent(3)))
    with pytest.raises(InvalidSetting, match="and Sequential is none; choose realisation='list'"):
        MatrixExperts(experts(Bounded(3)))  # a ReLU in its place would be another network
    with pytest.raises(InvalidSetting, match="taught apart"):
        MatrixExperts(experts(Dense(3)))(groups_of(2), apart=True)


@dataclass(frozen=True)
class Bounded:
    """A linear map and a hyperbolic tangent."""

    width: int

    def __call__(self, inputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, self.width), nn.Tanh())


def touched(network: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    names, weights = zip(*network.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, weights, materialize_grads=True), strict=True))


@pytest.mark.parametrize("block", [Dense(4), Recurrent(3), Attention(4, heads=2)], ids=repr)
def test_taught_apart_an_expert_teaches_itself_only(block: Block) -> None:
    network, groups = experts(block, Dense(12)), groups_of(8, 5)
    torch.testing.assert_close(network(groups, apart=True), network(groups), rtol=0, atol=0)
    for expert in range(len(ALL_OF_THREE)):
        gradients = touched(network, network(groups, apart=True)[..., expert].square().sum())
        own = {name for name in gradients if name.startswith("outputs.") and name.split(".")[1] == str(expert)}
        own |= {name for name in gradients if name.startswith("layers.") and name.split(".")[2] == str(expert)}
        assert {name for name, gradient in gradients.items() if gradient.any()} <= own
        assert gradients[f"outputs.{expert}.weight"].any()


def test_the_true_function_has_gradients_through_children() -> None:
    """What methods that look from outside have to see: taught apart, the same function shows a part of its slope."""
    network, groups = experts(Dense(8), Dense(8)), [one.requires_grad_() for one in groups_of(6)]
    whole, part = (
        torch.autograd.grad(network(groups, apart=apart)[:, -1].sum(), groups[0])[0] for apart in (False, True)
    )
    step = 1e-6 * torch.ones_like(groups[0])
    with torch.no_grad():
        moved = [network([groups[0] + sign * step, *groups[1:]])[:, -1] for sign in (1, -1)]
    torch.testing.assert_close(whole.sum(-1), (moved[0] - moved[1]) / 2e-6, rtol=1e-6, atol=1e-8)
    assert not torch.allclose(whole, part)


def test_in_a_matrix_parents_teach_their_children_and_nobody_else() -> None:
    network, groups = MatrixExperts(experts(Dense(4), Dense(4))).double(), groups_of(64)
    for expert in range(len(ALL_OF_THREE)):
        gradient = touched(network, network(groups)[..., expert].square().sum())["layers.0.weight"]
        taught = gradient.unflatten(0, (len(ALL_OF_THREE), 4)).flatten(1).any(1).nonzero()[:, 0].tolist()
        assert taught == sorted((expert, *ALL_OF_THREE.children[expert]))


def test_inputs_that_experts_share_are_taught_by_all_that_hold_them() -> None:
    network, table = experts(Dense(4)), torch.nn.Embedding(6, 2).double()
    others = groups_of(6)[1:]
    for expert, holds in enumerate(ALL_OF_THREE.holds[:, 0].tolist()):
        said = network([table(torch.arange(6)), *others], apart=True)[:, expert]
        (gradient,) = torch.autograd.grad(said.sum(), table.weight, materialize_grads=True)
        assert bool(gradient.any()) == holds


def test_what_users_or_items_share_is_repeated() -> None:
    network = experts(Dense(4), Dense(3))
    user, item, both = groups_of(4, 1)[0], groups_of(1, 5)[1], groups_of(4, 5)[2]
    wide = [user.expand(4, 5, 2), item.expand(4, 5, 1), both]
    torch.testing.assert_close(network([user, item, both]), network(wide), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("groups", "subsets", "said"),
    [
        (("a",), (), "0 subsets of 1 groups"),
        (("a",), (("a",), ("b",)), "names the group 'b'; the groups are a"),
        (("a", "b"), (("a", "b"), ("b", "a")), "stands twice"),
        (("a",), ((),), "an empty subset"),
        (("a", "b"), (("a", "a"),), r"\['a', 'a'\] names a group twice"),
        (("a", "b", "a + b"), (("a", "b"), ("a + b",)), "two subsets are both called 'a \\+ b'; rename"),
    ],
)
def test_subsets_without_sense_are_refused(groups: tuple[str, ...], subsets: tuple[tuple[str, ...], ...], said: str):
    with pytest.raises(InvalidSetting, match=said):
        Lattice(groups, subsets)


@pytest.mark.parametrize("pair", [(0, 2), (-1, 0), (1, 1)])
def test_children_by_hand_are_places_of_other_subsets(pair: tuple[int, int]) -> None:
    with pytest.raises(InvalidSetting, match="give two places of the 2 subsets, child and parent"):
        Lattice(("a", "b"), (("a",), ("a", "b")), below=(pair,))


def test_billions_of_subsets_are_refused_before_they_are_listed() -> None:
    many = tuple(str(number) for number in range(60))
    with pytest.raises(InvalidSetting, match="1,152,921,504,606,846,975 subsets of 60 groups: there must be 1 to 256"):
        Lattice.up_to(many, 60)
    with pytest.raises(InvalidSetting, match="576,460,752,303,423,488 subsets"):
        Lattice.around_first(many)


def test_each_moment_of_a_recurrent_block_knows_those_before_it() -> None:
    torch.manual_seed(0)
    block, x = Recurrent(3)(2).double(), torch.randn(4, 5, 6, 2, dtype=torch.float64, requires_grad=True)
    found = block(x)
    assert found.shape == (4, 5, 6, 3)
    (gradient,) = torch.autograd.grad(found[1, 2, 3].sum(), x)
    assert gradient[1, 2].any(-1).tolist() == [True, True, True, True, False, False]
    assert gradient.any(-1).sum() == 4  # nothing of another sequence
    alone = torch.stack([block(some) for some in x.detach()])
    torch.testing.assert_close(found, alone, rtol=0, atol=1e-14)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_that_of_the_definition(causal: bool) -> None:
    """Moments one by one, heads one by one; both norms over the channels."""
    torch.manual_seed(0)
    block, x = Attention(4, heads=2, causal=causal)(3).double(), torch.randn(5, 6, 3, dtype=torch.float64)

    def norm(one: Tensor) -> Tensor:
        return (one - one.mean()) / (one.var(correction=0) + 1e-5).sqrt()

    found = torch.empty(5, 6, 4, dtype=torch.float64)
    for row, time in itertools.product(range(5), range(6)):
        queries, keys, values = block.queries_keys_values(x[row]).split(4, dim=-1)  # type: ignore[operator]
        known, heads = range(time + 1) if causal else range(6), []
        for head in (slice(0, 2), slice(2, 4)):
            weights = torch.stack([queries[time, head] @ keys[one, head] / 2**0.5 for one in known]).softmax(0)
            heads.append(sum(weight * values[one, head] for weight, one in zip(weights, known, strict=True)))
        seen = norm(torch.cat(heads) + block.straight(x[row, time]))  # type: ignore[arg-type, operator]
        found[row, time] = norm(seen + block.network(seen))  # type: ignore[operator]
    torch.testing.assert_close(block(x), found, rtol=0, atol=1e-12)


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="width=10 is no multiple of heads=4; change either"):
        Attention(10)


def test_what_experts_hold_is_counted_over_all_of_them() -> None:
    """Three alone, three pairs of two children each and the whole with six: 19 blocks are read, and 4 are copies."""
    assert experts(Dense(4), Dense(3)).widest == 19 * 4 + (19 + 4) * 3
    assert experts(Dense(4), Dense(3), lateral=False).widest == 7 * 4 + 7 * 3
    assert MatrixExperts(experts(Dense(4), Dense(3))).widest == 7 * 3 + 2 * 7 * 4
