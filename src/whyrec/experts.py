"""Experts on the subsets of a lattice, as networks: what one of them says can depend on nothing outside its subset.

    h_0^s = groups of s, side by side
    z_k^s = block_k^s(h_k-1^s)                             weights of its own for each expert and layer
    h_k^s = z_k^s and z_k^t of every child t, side by side

A child that holds what its parent does not (see `Lattice.below`) is not read. `Experts` computes one expert after the
other, of any kind of block. `MatrixExperts` holds the same network of dense layers as one matrix a layer, masked in the
forward pass, hence from the first one on (Afchar and Hennequin 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.errors import InvalidSetting
from whyrec.lattice import Lattice, block_mask
from whyrec.recommender import spread
from whyrec.vectors import side_by_side


class Block(Protocol):
    """A kind of layer: how wide its output is, and how to make one."""

    @property
    def width(self) -> int: ...

    def __call__(self, inputs: int) -> nn.Module:
        """A new layer from `inputs` channels to `width`, (..., inputs) -> (..., width)."""


Half = tuple[Tensor, Tensor | None]
"""Channels that come from one side, (users | 1, items | distinct | 1, channel), and the index that `spread` follows."""

Group = Tensor | Sequence[Half]
"""Channels of a group, (..., channel), or its halves: then each is taken through a dense layer before it is spread."""


class Experts(nn.Module):
    """One expert after the other."""

    def __init__(self, lattice: Lattice, widths: Sequence[int], blocks: Sequence[Block], *, lateral: bool = True):
        """`widths` are the channels of each group, `blocks` the layers; with `lateral` experts read their children."""
        super().__init__()
        self.lattice, self.widths, self.lateral = lattice, tuple(widths), lateral
        self.children_read = lattice.readable if lateral else ((),) * len(lattice)
        self.inputs = [sum(widths[place] for place in lattice.places(expert)) for expert in range(len(lattice))]
        self.hidden = tuple(block.width for block in blocks)
        layers, wide = [], self.inputs
        for block in blocks:
            layers.append(nn.ModuleList(block(one) for one in wide))
            wide = [block.width * (1 + len(inner)) for inner in self.children_read]
        self.layers = nn.ModuleList(layers)
        self.outputs = nn.ModuleList(nn.Linear(one, 1) for one in wide)

    def forward(self, groups: Sequence[Group], *, apart: bool = False) -> Tensor:
        """What each expert says, without bound: groups (..., channel) -> (..., expert).

        With `apart` an expert reads what its children found and teaches them nothing: the same values, but no gradient
        from an expert to the weights of another.
        """
        halves = [_halves(one) for one in groups]
        given = [
            [half for place in self.lattice.places(one) for half in halves[place]] for one in range(len(self.inputs))
        ]
        if not self.layers:
            return side_by_side([_first(output, one) for output, one in zip(self.outputs, given, strict=True)])
        found: list[Tensor] = []
        for place, layer in enumerate(self.layers):
            blocks = cast(nn.ModuleList, layer)
            if place == 0:
                own = [_first(block, one) for block, one in zip(blocks, given, strict=True)]
            else:
                own = [block(one) for block, one in zip(blocks, found, strict=True)]
            read = [one.detach() for one in own] if apart else own
            found = [
                side_by_side([one, *(read[child] for child in inner)])
                for one, inner in zip(own, self.children_read, strict=True)
            ]
        return side_by_side([output(one) for output, one in zip(self.outputs, found, strict=True)])

    @property
    def widest(self) -> int:
        """Channels that all experts together hold at once: of a layer, of what is read of it, and of what it read."""
        read = sum(1 + len(inner) for inner in self.children_read)
        parents = sum(bool(inner) for inner in self.children_read)  # others pass on what they found, uncopied
        layers = pairwise((0, *self.hidden, 1))
        return max(read * before + (read + parents) * width for before, width in layers)


class MatrixExperts(nn.Module):
    """The same experts with one matrix a layer; made from `Experts` of dense layers, whose weights it copies.

    Here a parent's loss trains the hidden layers of its children, too.
    """

    def __init__(self, experts: Experts) -> None:
        super().__init__()
        self.lattice, count = experts.lattice, len(experts.lattice)
        heights = (*experts.hidden, 1)
        related = torch.eye(count, dtype=torch.bool)
        for expert, inner in enumerate(experts.children_read):
            related[expert, list(inner)] = True
        channels = torch.arange(len(experts.widths)).repeat_interleave(torch.tensor(experts.widths))
        seen = self.lattice.holds[:, channels]  # (expert, channels of all groups)
        self.masks = [seen.repeat_interleave(heights[0], 0)]
        self.masks += [block_mask(related, high, wide) for wide, high in pairwise(heights)]
        dtype = cast(nn.Linear, experts.outputs[0]).weight.dtype
        self.layers = nn.ModuleList(nn.Linear(mask.shape[1], mask.shape[0], dtype=dtype) for mask in self.masks)
        self.widest = max(high + 2 * wide for high, wide in (mask.shape for mask in self.masks))
        for place, parts in enumerate((*experts.layers, experts.outputs)):
            wide = heights[place - 1]
            for expert, part in enumerate(cast(nn.ModuleList, parts)):
                related_to = (expert, *experts.children_read[expert])
                read = [channel + wide * one for one in related_to for channel in range(wide)]
                columns = seen[expert].nonzero()[:, 0] if place == 0 else torch.tensor(read)
                self._copy(place, expert, columns, _linear_of(part))

    def forward(self, groups: Sequence[Group], *, apart: bool = False) -> Tensor:
        """As `Experts`, (..., channel) of each group -> (..., expert); `apart` is refused."""
        if apart:
            raise InvalidSetting("experts in one matrix cannot be taught apart; choose realisation='list'")
        x = torch.empty(0)
        for place, layer in enumerate(self.layers):
            dense = cast(nn.Linear, layer)
            weight = dense.weight * self.masks[place].to(dense.weight)
            if place == 0:
                x = _spread_linear([half for one in groups for half in _halves(one)], weight, dense.bias)
            else:
                x = F.linear(F.relu(x), weight, dense.bias)
        return x

    @torch.no_grad()
    def _copy(self, place: int, expert: int, columns: Tensor, part: nn.Linear) -> None:
        whole = cast(nn.Linear, self.layers[place])
        rows = torch.arange(part.out_features) + expert * part.out_features
        whole.weight[rows[:, None], columns] = part.weight
        whole.bias[rows] = part.bias


def _halves(group: Group) -> Sequence[Half]:
    return [(group, None)] if isinstance(group, Tensor) else group


def _linear_of(block: nn.Module) -> nn.Linear:
    """The weights of an output, or of a block that is a linear map and a ReLU."""
    if isinstance(block, nn.Linear):
        return block
    if [type(one) for one in block.children()] != [nn.Linear, nn.ReLU]:
        raise InvalidSetting(
            f"only dense layers with a ReLU become one matrix, and {type(block).__name__} is none; choose "
            "realisation='list'"
        )
    return cast(nn.Linear, next(block.children()))


def _first(block: nn.Module, halves: Sequence[Half]) -> Tensor:
    """A first layer of what comes in halves; a dense one takes each by itself, before users and items meet."""
    if isinstance(block, nn.Linear):
        return _spread_linear(halves, block.weight, block.bias)
    if isinstance(block, nn.Sequential) and isinstance(block[0], nn.Linear):
        rest: Tensor = block[1:](_spread_linear(halves, block[0].weight, block[0].bias))
        return rest
    whole: Tensor = block(side_by_side([spread(*one) for one in halves]))
    return whole


def _spread_linear(halves: Sequence[Half], weight: Tensor, bias: Tensor) -> Tensor:
    """A linear map of all halves side by side: the sum of one of each."""
    parts = weight.split([values.shape[-1] for values, _ in halves], dim=1)
    found = [
        spread(F.linear(values, part, bias if place == 0 else None), index)
        for place, ((values, index), part) in enumerate(zip(halves, parts, strict=True))
    ]
    return reduce(torch.add, found)
