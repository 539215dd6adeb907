"""What products look like: pictures as pixels, or features that somebody else's network made of them.

Pictures are kept as bytes and normalised when they are looked at, by the mean and spread of photographs that networks
are usually pre-trained with, so that black and white are where the box rule of the image composites expects them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from whyrec.dataset import Catalog
from whyrec.errors import BadInput
from whyrec.interactions import Id, Vocabulary

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue in photographs whose values run from 0 to 1."""

WHITE = (255, 255, 255)
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")


@dataclass(frozen=True, eq=False)
class Pictures:
    """One picture for each product, all of one size."""

    items: Catalog
    pixels: Tensor  # (items, 3, height, width) uint8

    def __post_init__(self) -> None:
        shape = tuple(self.pixels.shape)
        if self.pixels.dtype != torch.uint8 or len(shape) != 4 or shape[1] != 3 or 0 in shape:
            raise BadInput(
                f"pictures are {self.pixels.dtype} of shape {shape}; give bytes, torch.uint8, as (items, 3, height, "
                "width)"
            )
        _refuse_other_count(len(self.items), shape[0], "pictures")

    def __len__(self) -> int:
        return len(self.pixels)

    def of(self, rows: Tensor) -> Tensor:
        """Normalised pictures of some rows, (*rows, 3, height, width) float32."""
        mean, spread = (torch.tensor(one, device=rows.device)[:, None, None] for one in (MEAN, SPREAD))
        found = self.pixels[rows.to(self.pixels.device)].to(rows.device)
        return (found / 255.0 - mean) / spread

    @cached_property
    def middle(self) -> Tensor:
        """The mean of all pictures, (3, height, width), normalised: what stands in for what is taken away."""
        total = sum(part.double().sum(0) for part in self.pixels.split(256))
        mean, spread = (torch.tensor(one, dtype=torch.float64)[:, None, None] for one in (MEAN, SPREAD))
        found: Tensor = (total / len(self) / 255.0 - mean) / spread
        return found.float()


@dataclass(frozen=True, eq=False)
class Features:
    """One vector for each product, such as the 4096 numbers that a pre-trained network says of its picture."""

    items: Catalog
    vectors: Tensor  # (items, features) floating point

    def __post_init__(self) -> None:
        if not self.vectors.is_floating_point() or self.vectors.ndim != 2 or 0 in self.vectors.shape:
            raise BadInput(
                f"features are {self.vectors.dtype} of shape {tuple(self.vectors.shape)}; give floating-point numbers, "
                "(items, features)"
            )
        _refuse_other_count(len(self.items), len(self.vectors), "rows of features")

    def __len__(self) -> int:
        return len(self.vectors)

    def of(self, rows: Tensor) -> Tensor:
        """Vectors of some rows, (*rows, features)."""
        return self.vectors[rows.to(self.vectors.device)].to(rows.device)

    @cached_property
    def middle(self) -> Tensor:
        """The mean of all vectors, (features,)."""
        return self.vectors.mean(0)


Looks = Pictures | Features


def read_pictures(
    files: Mapping[Id, Path] | Path | str, *, size: int = 224, titles: Mapping[Id, str] | None = None
) -> Pictures:
    """Pictures from a folder, where a file is called as its product is, or from a file for each id.

    Each is fitted into a white square of `size` pixels, its shape kept. Grey pictures and those with a palette become
    RGB, and what shows through stands on white, as products mostly do. Needs pillow, the extra `whyrec[vision]`.

    Raises `BadInput` with the file that is no picture.
    """
    chosen = files if isinstance(files, Mapping) else _in_folder(Path(files))
    if not chosen:
        raise BadInput(f"{files}: there is no picture here; they end in {', '.join(ENDINGS)}")
    pixels = torch.stack([read_picture(path, size) for path in chosen.values()])
    names = None if titles is None else tuple(str(titles.get(item, item)) for item in chosen)
    return Pictures(Catalog(Vocabulary(chosen, kind="product"), names), pixels)


def read_picture(path: Path | str, size: int) -> Tensor:
    """One picture in a white square, (3, size, size) uint8."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGBA")
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such picture; leave its product out, or add the file") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        raise BadInput(f"{path}: this cannot be read as a picture; copy it again or leave it out ({problem})") from None
    ground = Image.new("RGBA", upright.size, (*WHITE, 255))
    flat = Image.alpha_composite(ground, upright).convert("RGB")
    square = ImageOps.pad(flat, (size, size), method=Image.Resampling.BILINEAR, color=WHITE)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).contiguous()


def require_looks(looks: Looks, ids: Sequence[Id], what: str) -> None:
    """Raises `BadInput` for the first product that has no picture or no features."""
    for one in ids:
        if one not in looks.items.vocabulary:
            kind = "picture" if isinstance(looks, Pictures) else "features"
            raise BadInput(
                f"{what}: product {str(one)!r} has no {kind} among the {len(looks):,} read; add it, or leave out the "
                "links that name it"
            )


def _in_folder(folder: Path) -> dict[Id, Path]:
    if not folder.is_dir():
        raise BadInput(f"{folder}: this is no folder of pictures")
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS}


def _refuse_other_count(known: int, given: int, what: str) -> None:
    if known != given:
        raise BadInput(f"{given:,} {what} for {known:,} products; give one for each, in the order of the catalog")
