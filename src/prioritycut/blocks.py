"""Parts that more than one network is built from: convolution blocks, hourglass, anti-aliased pyramid."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

FeatureMap = Float[Tensor, "batch _channels _rows _cols"]


class SameBlock(nn.Module):
    """Convolution, batch norm, ReLU; the size stays."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, features: FeatureMap) -> FeatureMap:
        return F.relu(self.norm(self.conv(features)))


class DownBlock(SameBlock):
    """`SameBlock`, then 2x2 average pooling; an odd last row or column is dropped."""

    def forward(self, features: FeatureMap) -> FeatureMap:
        return F.avg_pool2d(super().forward(features), 2)


class UpBlock(SameBlock):
    """Nearest upsampling by two, then `SameBlock`."""

    def forward(self, features: FeatureMap) -> FeatureMap:
        return super().forward(F.interpolate(features, scale_factor=2))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each after batch norm and ReLU, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: FeatureMap) -> FeatureMap:
        hidden = self.conv1(F.relu(self.norm1(features)))
        return features + self.conv2(F.relu(self.norm2(hidden)))


def channels_at(level: int, block_expansion: int, max_features: int) -> int:
    """Width of a network `level` halvings down: it doubles with each, up to `max_features`."""
    return min(max_features, block_expansion * 2**level)


class HourglassEncoder(nn.Module):
    def __init__(self, in_channels: int, block_expansion: int, num_blocks: int, max_features: int) -> None:
        super().__init__()
        widths = [
            in_channels,
            *(channels_at(i + 1, block_expansion, max_features) for i in range(num_blocks)),
        ]
        self.down_blocks = nn.ModuleList(DownBlock(widths[i], widths[i + 1]) for i in range(num_blocks))

    def forward(self, features: FeatureMap) -> list[FeatureMap]:
        levels = [features]
        for block in self.down_blocks:
            levels.append(block(levels[-1]))
        return levels


class HourglassDecoder(nn.Module):
    def __init__(self, in_channels: int, block_expansion: int, num_blocks: int, max_features: int) -> None:
        super().__init__()
        self.up_blocks = nn.ModuleList()
        for level in reversed(range(num_blocks)):
            width = channels_at(level + 1, block_expansion, max_features)
            # From the second block on, half of the input is the encoder's map of the same size.
            joined = width if level == num_blocks - 1 else 2 * width
            self.up_blocks.append(UpBlock(joined, channels_at(level, block_expansion, max_features)))
        self.out_channels = block_expansion + in_channels

    def forward(self, levels: list[FeatureMap]) -> FeatureMap:
        *skips, features = levels
        for block, skip in zip(self.up_blocks, reversed(skips), strict=True):
            features = torch.cat([block(features), skip], dim=1)
        return features


class Hourglass(nn.Module):
    """A U-shaped network whose output has the size of its input.

    Args:
        in_channels: Channels of the input, which is also the last skip.
        block_expansion: Channels at full size; they double with each halving.
        num_blocks: Halvings. Height and width must be multiples of 2 to this power.
        max_features: Widest layer.

    Output: `block_expansion + in_channels` channels.
    """

    def __init__(self, in_channels: int, *, block_expansion: int, num_blocks: int, max_features: int) -> None:
        super().__init__()
        self.encoder = HourglassEncoder(in_channels, block_expansion, num_blocks, max_features)
        self.decoder = HourglassDecoder(in_channels, block_expansion, num_blocks, max_features)
        self.out_channels = self.decoder.out_channels

    def forward(self, features: FeatureMap) -> FeatureMap:
        return self.decoder(self.encoder(features))


def antialias_kernel(scale: float) -> Float[Tensor, "side side"]:
    """The Gaussian that is applied before a picture is shrunk to `scale` of its size.

    Standard deviation (1/scale - 1)/2 pixels, cut at four of them; it sums to 1.
    """
    sigma = (1 / scale - 1) / 2
    radius = round(sigma * 4)
    if radius == 0:
        return torch.ones(1, 1)
    offset = torch.arange(-radius, radius + 1, dtype=torch.float32)
    line = torch.exp(-(offset**2) / (2 * sigma**2))
    kernel = line[:, None] * line[None, :]
    return kernel / kernel.sum()


def check_scale(scale: float) -> None:
    """Refuse a scale that is not one over a whole number."""
    if not 0.0 < scale <= 1.0 or not math.isclose(round(1 / scale) * scale, 1.0):
        raise ValueError(f"scale must be one over a whole number (1, 0.5, 0.25, ...), got {scale}")


class AntialiasDownscale(nn.Module):
    """Blur, then keep every n-th row and column (n = 1/scale), beginning with the first.

    Args:
        channels: Channels of the frames.
        scale: One over a whole number; 1 leaves the frames as they are.
        persistent: Whether the fixed kernel is part of the weights, as published FOMM files have it.

    Source: FOMM (`down.weight` in its checkpoints).
    """

    weight: Tensor

    def __init__(self, channels: int, scale: float, *, persistent: bool = True) -> None:
        super().__init__()
        check_scale(scale)
        self.step = round(1 / scale)
        kernel = antialias_kernel(scale).expand(channels, 1, -1, -1).contiguous()
        self.register_buffer("weight", kernel, persistent=persistent and self.step > 1)

    def forward(self, frames: FeatureMap) -> FeatureMap:
        if self.step == 1:
            return frames
        blurred = F.conv2d(frames, self.weight, padding=self.weight.shape[-1] // 2, groups=frames.shape[1])
        return blurred[:, :, :: self.step, :: self.step]


class ImagePyramid(nn.Module):
    """The same frames at several scales, anti-aliased, in the order of `scales`."""

    def __init__(self, scales: tuple[float, ...], channels: int = 3) -> None:
        super().__init__()
        self.downscales = nn.ModuleList(AntialiasDownscale(channels, s, persistent=False) for s in scales)

    def forward(self, frames: FeatureMap) -> tuple[FeatureMap, ...]:
        return tuple(downscale(frames) for downscale in self.downscales)
