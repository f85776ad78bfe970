"""Augmentation of a training pair: whatever happens, happens to both frames alike."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import torch
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
    jitter: float = 0.1
    """Brightness, contrast and saturation change by up to this share, hue by up to this part of the wheel."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must lie in [0, 1], got {value}")


def augment_pair(pair: Pair, augmentation: Augmentation, *, generator: torch.Generator) -> Pair:
    """Flip in time, else mirror; then jitter colours in random order.

    Source: FOMM's published augmentation.
    """
    first, second = torch.rand(2, generator=generator).tolist()
    if first < augmentation.time_flip:
        pair = pair.flip(0)
    elif second < augmentation.horizontal_flip:
        pair = pair.flip(-1)
    return jitter_colours(pair, augmentation.jitter, generator=generator) if augmentation.jitter > 0 else pair


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
