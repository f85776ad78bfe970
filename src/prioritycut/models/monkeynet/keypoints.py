"""Keypoints that know their spread: found, and drawn as heatmaps."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import Hourglass
from prioritycut.geometry import apply_2x2, coordinate_grid, expected_position, inverse_2x2
from prioritycut.models.monkeynet.config import MonkeyNetConfig
from prioritycut.outputs import Frames, Keypoints


class KeypointDetector(nn.Module):
    """Frames -> keypoints: an hourglass and one heatmap a keypoint, of which mean and covariance are taken."""

    def __init__(self, config: MonkeyNetConfig) -> None:
        super().__init__()
        detector = config.detector
        self.config = config
        self.predictor = Hourglass(
            3,
            block_expansion=detector.block_expansion,
            num_blocks=detector.num_blocks,
            max_features=detector.max_features,
        )
        self.heatmap = nn.Conv2d(self.predictor.out_channels, config.num_keypoints, 3, padding=1)

    def forward(self, frames: Frames) -> Keypoints:
        features = self.predictor(every_nth(frames, self.config.detector.scale_factor))
        logits = self.heatmap(features).float() / self.config.temperature
        heatmap = logits.flatten(2).softmax(-1).view_as(logits)
        return keypoints_of(heatmap, smallest_variance=self.config.smallest_variance)


def every_nth(
    frames: Float[Tensor, "batch channels height width"], scale: float
) -> Float[Tensor, "batch channels rows cols"]:
    """Shrink frames to `scale` (one over a whole number) by keeping every n-th row and column, unblurred."""
    step = round(1 / scale)
    return frames[:, :, ::step, ::step]


def keypoints_of(heatmap: Float[Tensor, "batch points rows cols"], *, smallest_variance: float) -> Keypoints:
    """Mean and covariance of the place that each heatmap (summing to 1) gives.

    A heatmap that is peaked on one pixel, or on a line of them, has no spread in some direction; its covariance is
    widened (see below), so that it has an inverse.

    Source: Monkey-Net, section 3.1.
    """
    floored = heatmap + _FLOOR
    position = expected_position(floored)
    grid = coordinate_grid(*heatmap.shape[-2:], device=heatmap.device, dtype=heatmap.dtype)
    offset = grid - position[:, :, None, None, :]
    products = offset[..., :, None] * offset[..., None, :]
    covariance = (floored[..., None, None] * products).sum((2, 3))
    return Keypoints(position, covariance=widened(covariance, smallest_variance))


# Published keypoints have it: without it their covariances are 3e-5 off.
_FLOOR = 1e-7


def widened(covariance: Float[Tensor, "*batch 2 2"], smallest: float) -> Float[Tensor, "*batch 2 2"]:
    """Covariances with no variance below `smallest` in any direction.

    Those that have are scaled as a whole, as published keypoints are, so that their smaller eigenvalue becomes
    `smallest`; the others stay as they are, to the bit. Values and gradients are finite for every heatmap, one that
    is peaked on a single pixel (two equal eigenvalues near 0) included.
    """
    a, b, d = covariance[..., 0, 0], covariance[..., 0, 1], covariance[..., 1, 1]
    # A hair under the root: its slope where the eigenvalues are equal would be infinite.
    spread = (((a - d) / 2) ** 2 + b**2 + _TINY**2).sqrt()
    smaller = (a + d) / 2 - spread
    return covariance * (smallest / smaller.clamp(_TINY, smallest))[..., None, None]


_TINY = 1e-10


def covariance_of(keypoints: Keypoints) -> Float[Tensor, "batch points 2 2"]:
    """The covariance that these networks need.

    Raises:
        ValueError: The keypoints carry none.
    """
    if keypoints.covariance is None:
        raise ValueError("Monkey-Net needs keypoints with a covariance, and these carry none; take them from `detect`")
    return keypoints.covariance


def keypoint_heatmaps(
    keypoints: Keypoints, height: int, width: int, *, norm: float
) -> Float[Tensor, "batch points height width"]:
    """One blob a keypoint in the shape of its covariance C: exp(-(z - p)^T C^-1 (z - p) / 2) / norm."""
    grid = coordinate_grid(height, width, device=keypoints.position.device, dtype=keypoints.position.dtype)
    offset = grid - keypoints.position[:, :, None, None, :]
    precision = inverse_2x2(covariance_of(keypoints))[:, :, None, None]
    return torch.exp(-0.5 * (offset * apply_2x2(precision, offset)).sum(-1)) / norm
