"""What a user is given: a puppet's clip, and the exact motion between two of its frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from prioritycut.data.puppets.affine import compose, invert
from prioritycut.data.puppets.arrays import Numbers, Whole

LANDMARKS: tuple[str, ...] = (
    "left_eye",
    "right_eye",
    "left_brow_inner",
    "left_brow_outer",
    "right_brow_inner",
    "right_brow_outer",
    "nose_tip",
    "mouth_left",
    "mouth_right",
    "mouth_top",
    "mouth_bottom",
    "left_cheek",
    "right_cheek",
    "chin",
    "left_ear",
    "right_ear",
    "crown",
    "left_shoulder",
    "right_shoulder",
)
"""The names of a puppet's keypoints, in the order of `PuppetClip.position`; left is the viewer's left."""


@dataclass(frozen=True, slots=True)
class PairTruth:
    """How a source frame must move to become a driving frame, and where it cannot.

    Attributes:
        deformation: For each pixel of the driving frame the xy in [-1, 1] where the source has that point of
            the puppet (or of the background); -1 and 1 are the centres of the first and last pixel. The
            pixel's own xy where nothing moved; outside [-1, 1] where the source's frame ends before.
        occlusion_map: 1 where the source shows the point, 0 where it hides it or ends before it.
    """

    deformation: Float[Tensor, "height width 2"]
    occlusion_map: Float[Tensor, "1 height width"]


@dataclass(frozen=True, slots=True)
class PuppetClip:
    """One puppet in motion, and what is known of every pixel.

    Attributes:
        name: "puppet-", the seed, the index and, if not the first, the take: "puppet-0-000123".
        identity: The number its looks were drawn from; two clips show the same person if and only if it is equal.
        frames: RGB in [0, 1].
        position: xy in [-1, 1] of each of `LANDMARKS`; also where it is hidden or out of frame.
        visible: False where a landmark is behind another sheet, turned away or out of frame.
        foreground: 1 puppet, 0 background: where the puppet covers more than half of the pixel.
        layer: The topmost sheet that covers more than half of the pixel, an index of `layer_names`.
        affine: Maps homogeneous sheet coordinates to xy in [-1, 1], one for every frame and sheet.
        layer_names: The parts from back to front; the first is the background.
    """

    name: str
    identity: int
    frames: Float[Tensor, "time 3 height width"]
    position: Float[Tensor, "time points 2"]
    visible: Bool[Tensor, "time points"]
    foreground: Float[Tensor, "time 1 height width"]
    layer: UInt8[Tensor, "time height width"]
    affine: Float[Tensor, "time layers 2 3"]
    layer_names: tuple[str, ...]

    def truth(self, source: int, driving: int) -> PairTruth:
        """The exact motion between two frames of this clip.

        Args:
            source: Index of the frame that gives appearance.
            driving: Index of the frame that gives motion; the truth is told at its pixels.

        Returns:
            Flow from driving to source, and where the source shows what is seen in the driving frame. Where
            they are the same frame, the flow is identity and nothing is occluded.

        Raises:
            IndexError: There is no such frame.
        """
        affine = self.affine.numpy().astype(np.float64)
        layer = self.layer.numpy()
        moved = compose(affine[source], invert(affine[driving])).astype(np.float32)
        seen, shown = layer[driving], layer[source]
        rows, cols = seen.shape
        x = (np.arange(cols, dtype=np.float32) * np.float32(2.0 / (cols - 1)) - 1.0)[None, :]
        y = (np.arange(rows, dtype=np.float32) * np.float32(2.0 / (rows - 1)) - 1.0)[:, None]
        terms = np.take(moved.reshape(-1, 6).T, seen.astype(np.intp), axis=1)
        deformation = np.empty((rows, cols, 2), np.float32)
        deformation[..., 0] = terms[0] * x + terms[1] * y + terms[2]
        deformation[..., 1] = terms[3] * x + terms[4] * y + terms[5]
        source_visible = _shows(shown, seen, deformation)
        return PairTruth(torch.as_tensor(deformation), torch.as_tensor(source_visible.astype(np.float32))[None])


def _shows(shown: Whole, seen: Whole, deformation: Numbers) -> NDArray[np.bool_]:
    """Whether a frame with layers `shown` has at `deformation` the layer that is `seen`.

    One of the four pixels around the point suffices, for on a border the nearest may fall to either side.
    """
    rows, cols = shown.shape
    col = (deformation[..., 0] + 1.0) * np.float32(0.5 * (cols - 1))
    row = (deformation[..., 1] + 1.0) * np.float32(0.5 * (rows - 1))
    slack = np.float32(0.01)  # of a pixel, for rounding
    inside = (col >= -slack) & (col <= cols - 1 + slack) & (row >= -slack) & (row <= rows - 1 + slack)
    left = np.clip(col, 0, cols - 1).astype(np.intp)
    top = np.clip(row, 0, rows - 1).astype(np.intp)
    right, bottom = np.minimum(left + 1, cols - 1), np.minimum(top + 1, rows - 1)
    match = np.zeros(seen.shape, np.bool_)
    for nearby_row in (top, bottom):
        for nearby_col in (left, right):
            np.logical_or(match, shown[nearby_row, nearby_col] == seen, out=match)
    return inside & match
