"""Where a new shot begins, and where the camera moves: each frame compared with the one before."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, UInt8

from prioritycut.data.media import Pixels
from prioritycut.metrics.detectors.packages import import_package

Square: TypeAlias = UInt8[np.ndarray, "256 256 3"]

ColourShares: TypeAlias = Float[np.ndarray, "colours"]
"""How much of a frame has each of 8x8x8 colours; they add up to 1."""

SHOT_CHANGE = 0.3
"""A frame begins a new shot where more of it than this share has other colours than the frame before.

From frame to frame of ten real clips it was at most 0.06, between any two moments of one at most 0.21, between frames
of two clips at least 0.39.
"""

CAMERA_FLOW = 1.0
"""Median optical flow, in pixels of a frame of 256x256, above which the camera moves (SPEC 7.3)."""

LIGHT_CHANGE = 1.5
"""Median change of a channel, in levels of 255, above which the light or the exposure changes (SPEC 7.3)."""

_COLOURS = 8
_LOOKED_AT = 10_000


class ShotWatch:
    """Tells of each frame whether a new shot begins with it, by its colours, wherever they are in the frame.

    The rule of SPEC 7.3 would not do for faces: one that fills the frame moves most pixels when it moves. It fires in
    nine of ten real clips, about a hundred times in one, though none of them holds a cut.
    """

    def __init__(self) -> None:
        self._before: ColourShares | None = None

    def __call__(self, pixels: Pixels) -> bool:
        """The first frame begins none."""
        before, self._before = self._before, colour_shares(pixels)
        return before is not None and 0.5 * float(np.abs(self._before - before).sum()) > SHOT_CHANGE


class CameraWatch:
    """Tells of each frame whether a new shot begins with it or the camera moves: for people before a still camera.

    The rules of SPEC 7.3, with one difference: the change of light is the median of the pixels' changes, where the
    published lists took the change of the medians. The two agree where all pixels change alike. But the median colour
    also changes when a large subject covers and uncovers parts of the ground, by up to 3 levels in a studio clip of one
    dancer; the median of the changes is 0 then. New shots are found by their colours, as `ShotWatch` does.
    """

    def __init__(self) -> None:
        self._shot = ShotWatch()
        self._before: Square | None = None

    def __call__(self, pixels: Pixels) -> bool:
        """The first frame begins none."""
        new_shot = self._shot(pixels)
        before, after = self._before, _square(pixels)
        self._before = after
        if before is None or new_shot:
            return new_shot
        return median_change(before, after) > LIGHT_CHANGE or median_flow(before, after) > CAMERA_FLOW


def colour_shares(pixels: Pixels) -> ColourShares:
    """How much of a frame has which colour.

    Every pixel counts for the eight colours around its own by nearness, so that a slight drift of a large even ground
    moves slight shares. Of large frames some ten thousand pixels are looked at, spread evenly.
    """
    step = max(1, math.isqrt(pixels.shape[0] * pixels.shape[1] // _LOOKED_AT))
    colours = pixels[::step, ::step].reshape(-1, 3) * np.float32((_COLOURS - 1) / 255)
    lower = np.minimum(colours.astype(np.int64), _COLOURS - 2)
    part = colours - lower
    shares = np.zeros(_COLOURS**3)
    for corner in np.ndindex(2, 2, 2):
        weights = np.where(corner, part, 1 - part).prod(1)
        places = (lower + corner) @ (_COLOURS**2, _COLOURS, 1)
        shares += np.bincount(places, weights, minlength=len(shares))
    return shares / len(colours)


def median_change(before: Pixels, after: Pixels) -> float:
    """The largest of the channels' median change between two frames of one size, in levels of 255, unsigned."""
    change = after.astype(np.int16) - before
    return float(np.abs(np.median(change, axis=(0, 1))).max())


def median_flow(before: Pixels, after: Pixels) -> float:
    """How far the median pixel moves between two frames of one size, in pixels (Farneback's optical flow)."""
    cv2 = _opencv()
    earlier, later = (cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) for pixels in (before, after))
    flow = cv2.calcOpticalFlowFarneback(earlier, later, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    return float(np.median(np.hypot(flow[..., 0], flow[..., 1])))


def _square(pixels: Pixels) -> Square:
    cv2 = _opencv()
    return cv2.resize(pixels, (256, 256), interpolation=cv2.INTER_AREA)


def _opencv() -> Any:
    return import_package("cv2", user="--subject person")
