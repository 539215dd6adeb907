"""Experts on the subsets of a lattice, as networks: what one of them says can depend on nothing outside its subset.

    h_0^s = groups of s, side by side
    z_k^s = block_k^s(h_k-1^s)                             weights of its own for each expert and layer
    h_k^s = z_k^s and z_k^t of every child t, side by side

`Experts` computes one expert after the other, of any kind of block. `MatrixExperts` holds the same network of dense
layers as one matrix a layer, masked in the forward pass, hence from the first one on (Afchar and Hennequin 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.errors import InvalidSetting
from whyrec.lattice import Lattice, block_mask


class Block(Protocol):
    """A kind of layer: how wide its output is, and how to make one."""

    @property
    def width(self) -> int: ...

    def __call__(self, inputs: int) -> nn.Module:
        """A new layer from `inputs` channels to `width`, (..., inputs) -> (..., width)."""


class Experts(nn.Module):
    """One expert after the other."""

    def __init__(self, lattice: Lattice, widths: Sequence[int], blocks: Sequence[Block], *, lateral: bool = True):
        """`widths` are the channels of each group, `blocks` the layers; with `lateral` experts read their children."""
        super().__init__()
        self.lattice, self.widths, self.lateral = lattice, tuple(widths), lateral
        self.children_read = lattice.children if lateral else ((),) * len(lattice)
        self.inputs = [sum(widths[place] for place in lattice.places(expert)) for expert in range(len(lattice))]
        self.hidden = tuple(block.width for block in blocks)
        layers, wide = [], self.inputs
        for block in blocks:
            layers.append(nn.ModuleList(block(one) for one in wide))
            wide = [block.width * (1 + len(inner)) for inner in self.children_read]
        self.layers = nn.ModuleList(layers)
        self.outputs = nn.ModuleList(nn.Linear(one, 1) for one in wide)

    def forward(self, groups: Sequence[Tensor], *, apart: bool = False) -> Tensor:
        """What each expert says, without bound: groups (..., channel) -> (..., expert).

        With `apart` an expert reads what its children found and teaches them nothing: the same values, but no gradient
        from an expert to the weights of another.
        """
        found = [side_by_side([groups[place] for place in self.lattice.places(one)]) for one in range(len(self.inputs))]
        for layer in self.layers:
            own = [block(one) for block, one in zip(cast(nn.ModuleList, layer), found, strict=True)]
            read = [one.detach() for one in own] if apart else own
            found = [
                side_by_side([one, *(read[child] for child in inner)])
                for one, inner in zip(own, self.children_read, strict=True)
            ]
        return side_by_side([output(one) for output, one in zip(self.outputs, found, strict=True)])

    @property
    def widest(self) -> int:
        """Channels of the widest layer of one expert, its inputs among them."""
        most = 1 + max(len(inner) for inner in self.children_read)
        return max(*self.inputs, *(most * width for width in self.hidden), len(self.lattice))


class MatrixExperts(nn.Module):
    """The same experts with one matrix a layer; made from `Experts` of dense layers, whose weights it copies.

    Here a parent's loss trains the hidden layers of its children, too.
    """

    def __init__(self, experts: Experts) -> None:
        super().__init__()
        self.lattice, count = experts.lattice, len(experts.lattice)
        heights = (*experts.hidden, 1)
        related = torch.eye(count, dtype=torch.bool)
        if experts.lateral:
            related = related | self.lattice.inside.T
        channels = torch.arange(len(experts.widths)).repeat_interleave(torch.tensor(experts.widths))
        seen = self.lattice.holds[:, channels]  # (expert, channels of all groups)
        self.masks = [seen.repeat_interleave(heights[0], 0)]
        self.masks += [block_mask(related, high, wide) for wide, high in pairwise(heights)]
        dtype = cast(nn.Linear, experts.outputs[0]).weight.dtype
        self.layers = nn.ModuleList(nn.Linear(mask.shape[1], mask.shape[0], dtype=dtype) for mask in self.masks)
        self.widest = max(max(mask.shape) for mask in self.masks)
        for place, parts in enumerate((*experts.layers, experts.outputs)):
            wide = heights[place - 1]
            for expert, part in enumerate(cast(nn.ModuleList, parts)):
                related_to = (expert, *experts.children_read[expert])
                read = [channel + wide * one for one in related_to for channel in range(wide)]
                columns = seen[expert].nonzero()[:, 0] if place == 0 else torch.tensor(read)
                self._copy(place, expert, columns, linear_of(part))

    def forward(self, groups: Sequence[Tensor], *, apart: bool = False) -> Tensor:
        """As `Experts`, (..., channel) of each group -> (..., expert); `apart` is refused."""
        if apart:
            raise InvalidSetting("experts in one matrix cannot be taught apart; choose realisation='list'")
        x = side_by_side(groups)
        for place, layer in enumerate(self.layers):
            dense = cast(nn.Linear, layer)
            x = F.linear(F.relu(x) if place else x, dense.weight * self.masks[place].to(dense.weight), dense.bias)
        return x

    @torch.no_grad()
    def _copy(self, place: int, expert: int, columns: Tensor, part: nn.Linear) -> None:
        whole = cast(nn.Linear, self.layers[place])
        rows = torch.arange(part.out_features) + expert * part.out_features
        whole.weight[rows[:, None], columns] = part.weight
        whole.bias[rows] = part.bias


def linear_of(block: nn.Module) -> nn.Linear:
    """The dense layer that a block is."""
    found = block if isinstance(block, nn.Linear) else next(iter(block.children()), None)
    if not isinstance(found, nn.Linear):
        raise InvalidSetting(f"only dense layers become one matrix, and {type(block).__name__} is none")
    return found


def side_by_side(tensors: Sequence[Tensor]) -> Tensor:
    """Channels of all of them, one behind the other; what all users or items share is repeated where it has to be."""
    if len(tensors) == 1:
        return tensors[0]
    shape = torch.broadcast_shapes(*(one.shape[:-1] for one in tensors))
    return torch.cat([one.expand(*shape, one.shape[-1]) for one in tensors], dim=-1)
