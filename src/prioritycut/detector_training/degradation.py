"""Frames altered as they may come: moved, blurred, noisy, recoded, lit otherwise; positions move along."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from prioritycut.detector_training.config import DegradationConfig
from prioritycut.outputs import Frames

_BLOCK = 8  # pixels, the side of what JPEG and most video codecs transform at once
_BLUR_RADIUS = 4  # pixels; the widest blur's Gaussian is below 0.05 beyond


@dataclass(frozen=True, slots=True)
class Moved:
    """Frames after a small random motion of the camera.

    Attributes:
        frames: The moved frames; where the old ones end, their last pixel goes on.
        position: xy in pixels of the landmarks there.
        visible: False also where one left the frame.
    """

    frames: Float[Tensor, "batch 3 height width"]
    position: Float[Tensor, "batch points 2"]
    visible: Bool[Tensor, "batch points"]


def move(
    frames: Frames,
    position: Float[Tensor, "batch points 2"],
    visible: Bool[Tensor, "batch points"],
    config: DegradationConfig,
    *,
    generator: torch.Generator,
) -> Moved:
    """Shift, scale and rotate each frame (square ones) about its middle by a small random amount."""
    batch, size = frames.shape[0], frames.shape[-1]
    half = (size - 1) / 2
    shift = _either_way((batch, 2), config.shift, generator)
    scale = 1 + _either_way((batch, 1), config.scale, generator)
    angle = torch.deg2rad(_either_way((batch,), config.rotation, generator))
    cos, sin = angle.cos(), angle.sin()
    rotation = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)

    moved = scale[:, None] * ((position - half) @ rotation.mT) + shift[:, None] + half
    # A pixel of the result looks up where it came from: the inverse map, in [-1, 1].
    back = rotation.mT / scale[..., None]
    start = -(back @ (shift / half)[..., None])
    grid = F.affine_grid(torch.cat([back, start], -1), list(frames.shape), align_corners=True)
    looked_up = F.grid_sample(frames, grid, padding_mode="border", align_corners=True)
    inside = ((moved >= -0.5) & (moved <= size - 0.5)).all(-1)
    return Moved(looked_up, moved, visible & inside)


def degrade(frames: Frames, config: DegradationConfig, *, generator: torch.Generator) -> Frames:
    """Lower resolution, blur, other light, coarse blocks, noise: each with its own probability and strength."""
    batch = frames.shape[0]
    coarse = F.interpolate(F.avg_pool2d(frames, 2), scale_factor=2, mode="bilinear", align_corners=False)
    frames = torch.where(_chosen(batch, config.coarse_probability, generator), coarse, frames)

    sigma = _strength(batch, config.blur, generator).flatten()
    frames = torch.where(_chosen(batch, config.blur_probability, generator), blur(frames, sigma), frames)

    contrast = 1 + _either_way((batch, 1, 1, 1), config.light, generator)
    brightness = _either_way((batch, 1, 1, 1), config.light, generator)
    tint = 1 + _either_way((batch, 3, 1, 1), config.tint, generator)
    frames = ((frames - 0.5) * contrast + 0.5 + brightness) * tint

    step = _strength(batch, config.block, generator)
    frames = torch.where(_chosen(batch, config.block_probability, generator), coarsen_blocks(frames, step), frames)

    noise = torch.randn(frames.shape, generator=generator) * _strength(batch, config.noise, generator)
    return (frames + noise).clamp(0, 1)


def blur(frames: Frames, sigma: Float[Tensor, " batch"]) -> Frames:
    """Blur each frame by a Gaussian of its own standard deviation, in pixels."""
    batch, channels, height, width = frames.shape
    offset = torch.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1, dtype=frames.dtype)
    line = torch.exp(-(offset**2) / (2 * sigma.clamp(min=1e-3)[:, None] ** 2))
    line = (line / line.sum(1, keepdim=True)).repeat_interleave(channels, 0)[:, None]
    planes = F.pad(frames, [_BLUR_RADIUS] * 4, mode="replicate").view(1, batch * channels, *_padded(height, width))
    planes = F.conv2d(planes, line[:, :, None], groups=batch * channels)
    planes = F.conv2d(planes, line[..., None], groups=batch * channels)
    return planes.view(batch, channels, height, width)


def _padded(height: int, width: int) -> tuple[int, int]:
    return height + 2 * _BLUR_RADIUS, width + 2 * _BLUR_RADIUS


def coarsen_blocks(frames: Frames, step: Float[Tensor, "batch 1 1 1"]) -> Frames:
    """Round the cosine coefficients of each 8x8 block, as a strongly compressed picture has them.

    Args:
        frames: Height and width must be multiples of 8.
        step: To multiples of what the mean of a block is rounded; the finest detail is rounded to four times that.
    """
    batch, channels, height, width = frames.shape
    transform = _cosines()
    frequency = torch.arange(_BLOCK, dtype=frames.dtype)
    coarseness = 1 + 3 * (frequency[:, None] + frequency[None, :]) / (2 * (_BLOCK - 1))
    steps = step[..., None, None] * coarseness + 1e-6
    blocks = frames.view(batch, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).transpose(3, 4)
    coefficients = transform @ blocks @ transform.T
    rounded = (coefficients / steps).round() * steps
    blocks = transform.T @ rounded @ transform
    return blocks.transpose(3, 4).reshape(batch, channels, height, width)


def _cosines() -> Float[Tensor, "8 8"]:
    """The orthonormal discrete cosine transform (type 2)."""
    place = torch.arange(_BLOCK, dtype=torch.float32)
    matrix = torch.cos(math.pi / _BLOCK * (place[None, :] + 0.5) * place[:, None]) * math.sqrt(2 / _BLOCK)
    matrix[0] /= math.sqrt(2)
    return matrix


def _chosen(batch: int, probability: float, generator: torch.Generator) -> Bool[Tensor, "batch 1 1 1"]:
    return torch.rand(batch, 1, 1, 1, generator=generator) < probability


def _strength(batch: int, most: float, generator: torch.Generator) -> Float[Tensor, "batch 1 1 1"]:
    return torch.rand(batch, 1, 1, 1, generator=generator) * most


def _either_way(shape: tuple[int, ...], most: float, generator: torch.Generator) -> Float[Tensor, "*shape"]:
    return (torch.rand(shape, generator=generator) * 2 - 1) * most
