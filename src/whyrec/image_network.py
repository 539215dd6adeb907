"""Networks of convolutions that say what a picture shows, as plain layers: VGG-16, and smaller ones of its kind.

VGG-16 is configuration D of Simonyan and Zisserman 2015, Very deep convolutional networks. Its layers are called as in
the weights that are passed around for it, `features.0.weight` to `classifier.6.bias`, so that a file of pre-trained
weights fits. What a picture shows is said by the last layer but one, after its activation: 4096 features.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from whyrec.chance import seeded
from whyrec.errors import BadInput, InvalidSetting

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the convolutions, in blocks that end in pooling."""

SHOWN = 5
"""How many names of a file with other weights a message shows."""


class ImageNetwork(nn.Module):
    """Blocks of 3 x 3 convolutions with pooling behind each, then dense layers; without batch norm.

    `across` is the side of the grid of means that the dense layers read, 1 for the largest value of each channel,
    wherever it stands; `hidden` are the widths of the dense layers below the last one, which has `classes` outputs
    and is left out where that is 0. Weights are drawn from `seed`.

    >>> network = ImageNetwork(((8,), (16, 16)), hidden=(32,))
    >>> network(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2, 32])
    """

    def __init__(
        self,
        blocks: Sequence[Sequence[int]],
        *,
        hidden: Sequence[int] = (4096, 4096),
        classes: int = 0,
        across: int = 1,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not blocks or not all(blocks) or not hidden or across < 1:
            raise InvalidSetting(
                f"ImageNetwork: blocks={blocks}, hidden={hidden}, across={across}: there is at least one convolution "
                "in each block, one dense layer, and a grid of 1 x 1"
            )
        with seeded(seed):
            self.features = nn.Sequential(*_convolutions(blocks))
            self.avgpool = nn.AdaptiveAvgPool2d(across) if across > 1 else nn.AdaptiveMaxPool2d(1)
            widths = (blocks[-1][-1] * across**2, *hidden)
            dense: list[nn.Module] = []
            for before, after in pairwise(widths):
                dense += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
            if classes:
                dense.append(nn.Linear(widths[-1], classes))
            self.classifier = nn.Sequential(*dense)
            self._up_to = 3 * len(hidden)
            for name, weights in self.named_parameters():
                if name.endswith("weight"):
                    nn.init.kaiming_normal_(weights, nonlinearity="relu")
                else:
                    nn.init.zeros_(weights)

    @classmethod
    def vgg16(cls, *, classes: int = 1000, seed: int = 0) -> Self:
        """Configuration D: 13 convolutions, 4096 features of a picture of 224 x 224."""
        return cls(VGG16, hidden=(4096, 4096), classes=classes, across=7, dropout=0.5, seed=seed)

    @classmethod
    def small(cls, *, width: int = 16, depth: int = 3, features: int = 64, seed: int = 0) -> Self:
        """One for small data: `depth` blocks of one convolution, the first `width` wide, each twice the one before."""
        if width < 1 or depth < 1:
            raise InvalidSetting(f"ImageNetwork.small: width={width}, depth={depth}: both are at least 1")
        return cls([(width * 2**block,) for block in range(depth)], hidden=(features,), seed=seed)

    def forward(self, pictures: Tensor) -> Tensor:
        """Features of pictures: (pictures, 3, height, width) normalised -> (pictures, features), none negative."""
        found: Tensor = self.avgpool(self.features(pictures)).flatten(1)
        for layer in list(self.classifier)[: self._up_to]:
            found = layer(found)
        return found

    def classify(self, pictures: Tensor) -> Tensor:
        """Logits of the classes that the weights were trained for, (pictures, classes)."""
        if len(self.classifier) == self._up_to:
            raise InvalidSetting("this network was made with classes=0, so it has no classes to tell apart")
        logits: Tensor = self.classifier[-1](self(pictures))
        return logits


def load_weights(network: nn.Module, path: Path | str) -> None:
    """Fill a network from a file on this machine: .safetensors, or a .pth or .pt file of tensors.

    A .pth file is a pickle. It is read by PyTorch's reader for weights, which makes tensors and plain containers and
    nothing else, so that a file with other objects, which could run code, is refused.

    Raises `BadInput` where the file cannot be read, or where names or shapes are not those of the network.
    """
    file = Path(path)
    weights, expected = _read_weights(file), network.state_dict()
    missing, extra = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    if missing or extra:
        raise BadInput(
            f"{file}: these are weights of another network: missing {_some(missing)}; unknown {_some(extra)}"
        )
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape:
            raise BadInput(
                f"{file}: {name} has shape {tuple(tensor.shape)} and the network's has {tuple(expected[name].shape)}; "
                "make the network as it was when the file was written"
            )
    network.load_state_dict(weights)


def _read_weights(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise BadInput(f"{file}: there is no such file of weights; download it first, nothing is fetched from here")
    if file.suffix not in (".safetensors", ".pth", ".pt"):
        raise BadInput(f"{file}: weights are a .safetensors, .pth or .pt file")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as problem:
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise BadInput(f"{file}: this holds no plain table of weights; save it as .safetensors ({reason})") from None
    if not isinstance(found, dict) or not all(isinstance(one, Tensor) for one in found.values()):
        raise BadInput(f"{file}: this holds no table of names and tensors; save network.state_dict()")
    return found


def _convolutions(blocks: Sequence[Sequence[int]]) -> list[nn.Module]:
    layers, before = list[nn.Module](), 3
    for block in blocks:
        for width in block:
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        layers.append(nn.MaxPool2d(2))
    return layers


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN]) or "none"
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
