"""Frames as programs outside of torch want them, and what these found brought back to the frames' own pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from prioritycut.outputs import Frames

Pixels: TypeAlias = NDArray[np.uint8]
"""One RGB picture, rows by columns by 3, 0 to 255."""
Points: TypeAlias = NDArray[np.float64]
"""xy in pixels from the centre of the first, one row a point; NaN for a point that was not found."""

SHORTEST_SIDE = 256
"""Detectors miss faces of few pixels, and some answer in whole ones: smaller frames are enlarged to this side."""


def frame_pixels(frame: Float[Tensor, "3 height width"]) -> Pixels:
    """One frame in 8 bits, enlarged bilinearly where its shorter side is below `SHORTEST_SIDE`.

    Values outside of [0, 1] are clipped and NaN is black.
    """
    height, width = frame.shape[-2:]
    factor = SHORTEST_SIDE / min(height, width)
    if factor > 1:
        size = (round(height * factor), round(width * factor))
        frame = F.interpolate(frame[None], size=size, mode="bilinear", align_corners=False)[0]
    levels = (frame.nan_to_num(nan=0.0).clamp(0, 1) * 255).round().byte()
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())


@torch.no_grad()
def points_by_frame(
    frames: Frames, points: int, find: Callable[[Pixels], Points | None]
) -> Float[Tensor, "batch {points} 2"]:
    """Look at one frame after the other.

    Args:
        frames: RGB in [0, 1].
        points: How many `find` gives.
        find: From a picture to its points in the picture's pixels; `None` where there is nothing.

    Returns:
        xy in pixels of `frames`, whatever was enlarged in between; NaN for what was not found.
    """
    height, width = frames.shape[-2:]
    found = np.full((len(frames), points, 2), np.nan)
    for number, frame in enumerate(frames):
        pixels = frame_pixels(frame)
        seen = find(pixels)
        if seen is not None:
            scale = np.array([width / pixels.shape[1], height / pixels.shape[0]])
            found[number] = (seen + 0.5) * scale - 0.5
    return torch.from_numpy(found).to(frames.device, torch.float32)
