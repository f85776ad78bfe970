"""Square frames out of frames of any shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Fit:
    """How frames become square.

    Attributes:
        width: Columns before.
        height: Rows before.
        left: First column of the square, in pixels of the frame; negative where padding comes before it.
        top: First row of the square, likewise.
        side: Side of the square before resizing, in pixels.
        size: Side after resizing, in pixels.
    """

    width: int
    height: int
    left: int
    top: int
    side: int
    size: int

    def describe(self) -> str:
        """One phrase for a person, such as "centre-cropped 1280x720 to 720x720, resized to 64x64"."""
        square, goal = f"{self.side}x{self.side}", f"{self.size}x{self.size}"
        steps: list[str] = []
        if self.width != self.height:
            verb = "padded" if self.side > min(self.width, self.height) else "centre-cropped"
            steps.append(f"{verb} {self.width}x{self.height} to {square}")
        if self.side != self.size:
            steps.append(f"resized to {goal}" if steps else f"resized {square} to {goal}")
        return ", ".join(steps) or f"kept {goal}"


def square_fit(width: int, height: int, size: int, mode: Literal["crop", "pad"] = "crop") -> Fit:
    """Plan how frames of `width` by `height` pixels become squares of `size`.

    Args:
        mode: "crop" keeps the centre and loses the ends of the longer side; "pad" keeps all and repeats the
            edges of the shorter. An odd pixel goes to the right or the bottom.

    Raises:
        ValueError: A number is below 1, or `mode` is neither of both.
    """
    if min(width, height, size) < 1:
        raise ValueError(f"width, height and size must be at least 1, got {width}, {height}, {size}")
    if mode not in ("crop", "pad"):
        raise ValueError(f"mode must be 'crop' or 'pad', got {mode!r}")
    side = min(width, height) if mode == "crop" else max(width, height)
    # Truncated towards zero both ways, so that cropping and padding give the odd pixel to the same end.
    return Fit(width, height, int((width - side) / 2), int((height - side) / 2), side, size)


def fit_square(
    frames: Float[Tensor, "*batch 3 height width"], size: int, mode: Literal["crop", "pad"] = "crop"
) -> Float[Tensor, "*batch 3 {size} {size}"]:
    """Make frames square and resize them with an anti-aliased bilinear filter.

    Args:
        frames: One frame, a batch or a clip; RGB in [0, 1].
        size: Side of the result in pixels.
        mode: As in `square_fit`, whose `Fit` tells in words what is done here.

    Raises:
        ValueError: As `square_fit`.
    """
    *batch, channels, height, width = frames.shape
    fit = square_fit(width, height, size, mode)
    flat = frames.reshape(-1, channels, height, width)
    if fit.side > min(height, width):
        right, bottom = fit.side - width + fit.left, fit.side - height + fit.top
        flat = F.pad(flat, (-fit.left, right, -fit.top, bottom), mode="replicate")
    else:
        flat = flat[..., fit.top : fit.top + fit.side, fit.left : fit.left + fit.side]
    if fit.side != size:
        flat = F.interpolate(flat, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return flat.reshape(*batch, channels, size, size)
