"""Which family each PyTorch operation belongs to. A plan has one rule for a family; an operation outside has none.

Operations are told apart by function object: `h *= y`, `h.mul_(y)` and `torch.mul(h, y)` are three objects of one
family, and a name such as `__get__` stands for many. Every object here is one that `torch.overrides` offers.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Function = Callable[..., Any]


class Family(Enum):
    """What an operation does to relevance."""

    METADATA = "asks about a tensor, not for its numbers"
    CONSTANT = "its result does not carry relevance: comparisons, positions, detached values"
    READS = "reads numbers into Python, where a score would branch on its inputs"
    WRITES = "writes numbers where no rule can follow"
    PASSES = "the plain gradient already shares relevance rightly"
    SUMS = "adds up; constants that are added take their share"
    PRODUCTS = "multiplies live values with one another"
    QUOTIENTS = "divides by a live value"
    WEIGHTS = "a linear map with weights: dense layers and convolutions"
    ACTIVATIONS = "bends each number by itself, and leaves zero where it is"
    POWERS = "raises each number to a constant power"
    GATES = "puts out factors that other values are multiplied by: sigmoids, reciprocals"
    SOFTMAX = "puts out shares that add up to one"
    ATTENTION = "scaled dot-product attention, as one operation"
    NORMS = "divides by a spread or a length that it takes from the values themselves"
    BATCH_NORM = "scales and shifts each channel by constants that training left behind"
    POOLS = "the largest of each window"


def _methods(names: str) -> list[Function]:
    """Methods of tensors; what this version of PyTorch lacks cannot be called, so it needs no family."""
    return [getattr(Tensor, name) for name in names.split() if hasattr(Tensor, name)]


def _functions(names: str) -> list[Function]:
    return [getattr(torch, name) for name in names.split() if hasattr(torch, name)]


def _getters(names: str) -> list[Function]:
    return [getattr(Tensor, name).__get__ for name in names.split() if hasattr(Tensor, name)]


_REARRANGED_ALONE: list[Function] = [
    *_methods("reshape view view_as reshape_as flatten unflatten ravel squeeze unsqueeze permute transpose movedim t"),
    *_methods("swapaxes expand expand_as repeat repeat_interleave tile contiguous clone to float double half bfloat16"),
    *_methods("__getitem__ select narrow split chunk unbind index_select gather take_along_dim diagonal roll flip"),
    *_methods("type_as unfold tensor_split split_with_sizes cpu cuda"),
    *_functions("reshape flatten unflatten ravel squeeze unsqueeze permute transpose movedim t swapaxes tile"),
    *_functions("repeat_interleave clone select narrow split chunk unbind index_select gather take_along_dim"),
    *_functions("diagonal roll flip broadcast_to tensor_split"),
    *_getters("T mT"),
]
"""Operations that put the numbers of one tensor elsewhere and change none."""

_MEMBERS: dict[Family, list[Function]] = {
    Family.METADATA: [
        *_getters("shape dtype device ndim requires_grad is_leaf grad_fn layout names itemsize nbytes is_sparse"),
        *_getters("is_cuda is_mps is_quantized is_meta is_mkldnn is_nested grad"),
        *_methods("size dim numel nelement ndimension stride is_contiguous is_floating_point is_complex element_size"),
        *_methods("get_device storage_offset __len__ __repr__ __format__ type is_signed"),
        *_functions("numel is_floating_point is_complex result_type"),
    ],
    Family.CONSTANT: [
        *_methods(
            "detach gt ge lt le eq ne __gt__ __ge__ __lt__ __le__ __eq__ __ne__ argmax argmin argsort sign bool int"
        ),
        *_methods("long new_zeros new_ones new_empty new_full isfinite isnan isinf any all"),
        *_functions("gt ge lt le eq ne argmax argmin argsort sign zeros_like ones_like empty_like full_like"),
        *_functions("isfinite isnan isinf rand_like randn_like any all"),
        *_getters("data"),
    ],
    Family.READS: [
        *_methods("item tolist numpy __bool__ __float__ __int__ __index__ __contains__ __array__"),
    ],
    Family.WRITES: [
        *_methods("__setitem__ index_put_ copy_ masked_fill_ scatter_ fill_ zero_ backward"),
    ],
    Family.PASSES: [
        *_REARRANGED_ALONE,
        *_methods("sum mean neg __neg__ positive abs relu relu_ triu tril cumsum amax amin requires_grad_"),
        *_functions("sum mean neg positive abs relu relu_ triu tril cumsum amax amin"),
        *_functions("atleast_1d atleast_2d atleast_3d"),
        *_methods("max min topk sort norm"),  # the winners; a length is homogeneous, so its gradient shares it out
        *_functions("max min topk sort norm"),
        torch.linalg.vector_norm,
        F.relu,
        F.relu_,
        F.leaky_relu,
        F.leaky_relu_,
        F.prelu,
        F.dropout,  # only outside of training, where they do nothing
        F.dropout1d,
        F.dropout2d,
        F.dropout3d,
        F.alpha_dropout,
        F.feature_alpha_dropout,
        F.embedding,  # with live rows: a gather
        F.avg_pool1d,
        F.avg_pool2d,
        F.avg_pool3d,
        F.adaptive_avg_pool1d,
        F.adaptive_avg_pool2d,
        F.adaptive_avg_pool3d,
    ],
    Family.SUMS: [
        *_methods(
            "add __add__ __radd__ add_ __iadd__ sub __sub__ __rsub__ sub_ __isub__ subtract subtract_ where masked_fill"
        ),
        *_functions("add sub subtract rsub cat concat concatenate stack hstack vstack where masked_fill"),
        F.pad,
    ],
    Family.PRODUCTS: [
        *_methods("mul __mul__ __rmul__ mul_ __imul__ multiply multiply_ matmul __matmul__ __rmatmul__ bmm mm mv dot"),
        *_functions("mul multiply matmul bmm mm mv dot inner outer einsum tensordot"),
        F.bilinear,
        F.embedding_bag,  # rows that are live, weights of a sum that are live, or both
    ],
    Family.QUOTIENTS: [
        *_methods("div __truediv__ __rtruediv__ div_ __itruediv__ divide divide_ true_divide true_divide_"),
        *_functions("div divide true_divide"),
    ],
    Family.WEIGHTS: [
        F.linear,
        *_functions("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d"),
    ],
    Family.ACTIVATIONS: [
        *_methods("tanh tanh_ clamp clip hardshrink erf expm1 log1p asinh atan sin sinh"),
        *_functions("tanh tanh_ clamp clip erf expm1 log1p asinh atan sin sinh selu celu"),
        F.gelu,
        F.silu,
        F.mish,
        F.elu,
        F.hardswish,
        F.hardtanh,
        F.relu6,
        F.selu,
        F.celu,
        F.softsign,
        F.softshrink,
        F.tanhshrink,
    ],
    Family.POWERS: [
        *_methods("pow __pow__ square sqrt"),
        *_functions("pow square sqrt"),
    ],
    Family.GATES: [
        *_methods("sigmoid rsqrt reciprocal"),
        *_functions("sigmoid rsqrt reciprocal"),
        F.hardsigmoid,
    ],
    Family.SOFTMAX: [Tensor.softmax, torch.softmax, F.softmax],
    Family.ATTENTION: [F.scaled_dot_product_attention],
    Family.NORMS: [F.layer_norm, F.rms_norm, F.group_norm, F.normalize],
    Family.BATCH_NORM: [F.batch_norm],
    Family.POOLS: [
        *_functions("max_pool1d max_pool2d max_pool3d"),
        F.max_pool1d,
        F.max_pool2d,
        F.max_pool3d,
        F.adaptive_max_pool1d,
        F.adaptive_max_pool2d,
        F.adaptive_max_pool3d,
    ],
}

FAMILY: dict[Function, Family] = {function: family for family, functions in _MEMBERS.items() for function in functions}

IN_PLACE: frozenset[Function] = frozenset(
    function
    for function in FAMILY
    if (name := getattr(function, "__name__", "")).endswith("_")
    and (not name.endswith("__") or name in {"__iadd__", "__isub__", "__imul__", "__idiv__"})
)
"""Operations that change their first operand."""

DROPOUTS: frozenset[Function] = frozenset(
    [F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout]
)
"""Operations that do nothing outside of training, and draw at random in it."""

REARRANGES: frozenset[Function] = frozenset(
    [*_REARRANGED_ALONE, *_functions("cat concat concatenate stack hstack vstack")]
)
"""Operations that put numbers elsewhere and change none."""

TRANSPOSED: frozenset[Function] = frozenset(_functions("conv_transpose1d conv_transpose2d conv_transpose3d"))
"""Convolutions whose weights begin with the input's channels."""
