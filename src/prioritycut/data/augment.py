"""Augmentation of a training pair: whatever happens, happens to both frames alike."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Pair = Float[Tensor, "2 3 height width"]
"""Source and driving frame, RGB in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What may happen to a pair (SPEC 7.1)."""

    time_flip: float = 0.5
    """Chance that source and driving change places."""
    horizontal_flip: float = 0.5
    """Chance of a mirror image, drawn where there was no time flip."""
    resize: tuple[float, float] = (1.0, 1.0)
    """Frames grow by a factor drawn from this range, and a random crop brings them back to their size. A factor below
    1 shrinks them instead, and their edge is repeated around them. 1 to 1 is off."""
    jitter: float = 0.1
    """Brightness, contrast and saturation change by up to this share, hue by up to this part of the wheel."""

    def __post_init__(self) -> None:
        for name in ("time_flip", "horizontal_flip", "jitter"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must lie in [0, 1], got {value}")
        smallest, largest = self.resize
        if not 0.1 <= smallest <= largest <= 10.0:
            raise ValueError(f"resize must be a range from low to high in [0.1, 10], got {smallest} to {largest}")


def augment_pair(pair: Pair, augmentation: Augmentation, *, generator: torch.Generator) -> Pair:
    """Flip in time, else mirror; then resize and crop; then jitter colours in random order.

    Resizing and jitter draw nothing from the generator while they are off.

    Source: FOMM's published augmentation (SPEC 7.1).
    """
    first, second = torch.rand(2, generator=generator).tolist()
    if first < augmentation.time_flip:
        pair = pair.flip(0)
    elif second < augmentation.horizontal_flip:
        pair = pair.flip(-1)
    if augmentation.resize != (1.0, 1.0):
        pair = resize_and_crop(pair, augmentation.resize, generator=generator)
    return jitter_colours(pair, augmentation.jitter, generator=generator) if augmentation.jitter > 0 else pair


def resize_and_crop(pair: Pair, factors: tuple[float, float], *, generator: torch.Generator) -> Pair:
    """Resize by a random factor, anti-aliased, then cut a random window of the former size.

    Along a side that became smaller the frames stay whole, in the middle, and their edge is repeated around them; an
    odd pixel goes to the right or the bottom.

    Args:
        pair: Both frames get the same factor and the same window.
        factors: Smallest and largest factor; the one that is used is uniform between them, and the same for height and
            width up to rounding to whole pixels.
        generator: Draws the factor and the window.
    """
    share, *places = torch.rand(3, generator=generator).tolist()
    factor = factors[0] + share * (factors[1] - factors[0])
    height, width = pair.shape[-2:]
    rows, columns = (max(1, round(side * factor)) for side in (height, width))
    pair = F.interpolate(pair, size=(rows, columns), mode="bilinear", antialias=True, align_corners=False)
    lower, narrower = max(0, height - rows), max(0, width - columns)
    edges = (narrower // 2, narrower - narrower // 2, lower // 2, lower - lower // 2)
    pair = F.pad(pair, edges, mode="replicate")
    # A place lies in [0, 1), so every window is equally likely.
    top = int(places[0] * (1 + max(0, rows - height)))
    left = int(places[1] * (1 + max(0, columns - width)))
    return pair[..., top : top + height, left : left + width]


def jitter_colours(pair: Pair, amount: float, *, generator: torch.Generator) -> Pair:
    """Brightness, contrast, saturation and hue, each once, in random order, clipped to [0, 1] after each."""
    draws = (2 * torch.rand(4, generator=generator) - 1) * amount
    for kind in torch.randperm(4, generator=generator).tolist():
        by = float(draws[kind])
        match kind:
            case 0:
                pair = pair * (1 + by)
            case 1:
                mean = _grey(pair).mean(dim=(-3, -2, -1), keepdim=True)
                pair = mean + (pair - mean) * (1 + by)
            case 2:
                grey = _grey(pair)
                pair = grey + (pair - grey) * (1 + by)
            case _:
                pair = torch.einsum("ij,njhw->nihw", _hue_rotation(by), pair)
        pair = pair.clamp(0, 1)
    return pair


def _grey(pair: Pair) -> Float[Tensor, "2 1 height width"]:
    return (pair * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)


def _hue_rotation(turns: float) -> Float[Tensor, "3 3"]:
    """The colour matrix that turns chroma by a part of the wheel and keeps brightness (YIQ)."""
    to_yiq = torch.tensor([colorsys.rgb_to_yiq(*row) for row in torch.eye(3).tolist()]).T
    angle = torch.tensor(2 * torch.pi * turns)
    turn = torch.eye(3)
    turn[1, 1] = turn[2, 2] = angle.cos()
    turn[1, 2], turn[2, 1] = -angle.sin(), angle.sin()
    return torch.linalg.inv(to_yiq) @ turn @ to_yiq
