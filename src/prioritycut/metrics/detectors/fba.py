"""Alpha mattes by FBA matting, the last step of the paper's salient masks: exact where a trimap leaves it open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from prioritycut.blocks import FeatureMap
from prioritycut.metrics.detectors.resnet import (
    ResNet,
    device_of,
    imagenet_normalized,
)
from prioritycut.metrics.detectors.weights import fill_from_file
from prioritycut.outputs import Frames

NAME = "fba"
EXTENTS = (6.4, 25.6, 51.2)
"""Standard deviations, in pixels, of the three bells that tell how near known background (foreground) is."""
POOLED = (1, 2, 3, 6)
"""Rows and columns that the deepest features are pooled to."""
MULTIPLE = 8
"""Sides must be a multiple of this many pixels, or the decoder's maps do not meet the encoder's."""
GROUPS = 32
FUSION_WEIGHT = 0.1
"""How much the network's own alpha counts against the one that its colours imply."""

ADVICE = (
    "it is FBA matting, ResNet-50 with group norm (FBA.pth of MarcoForte/FBA_Matting, 139 MB, for non-commercial use "
    "only); get it there and give --matting fba=FILE, or take --matting closed-form, which needs no file"
)

Map: TypeAlias = Float[Tensor, "batch 1 height width"]


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(GROUPS, channels)


def _convolution(in_channels: int, channels: int, kernel: int) -> list[nn.Module]:
    convolution = nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2)
    return [convolution, _group_norm(channels), nn.LeakyReLU()]


class Decoder(nn.Module):
    """From the deepest features back to the frame: alpha, and the colours of foreground and background."""

    def __init__(self) -> None:
        super().__init__()
        self.ppm = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(size), *_convolution(2048, 256, 1)) for size in POOLED
        )
        self.conv_up1 = nn.Sequential(*_convolution(2048 + 256 * len(POOLED), 256, 3), *_convolution(256, 256, 3))
        self.conv_up2 = nn.Sequential(*_convolution(256 + 256, 256, 3))
        self.conv_up3 = nn.Sequential(*_convolution(256 + 64, 64, 3))
        self.conv_up4 = nn.Sequential(
            nn.Conv2d(64 + 8, 32, 3, padding=1),
            nn.LeakyReLU(),
            nn.Conv2d(32, 16, 3, padding=1),
            nn.LeakyReLU(),
            nn.Conv2d(16, 7, 1),
        )

    def forward(self, frames: Frames, known: FeatureMap, features: tuple[FeatureMap, ...]) -> FeatureMap:
        half, quarter, _, _, deep = features
        pooled = [_resized(pool(deep), deep) for pool in self.ppm]
        hidden = self.conv_up1(torch.cat([deep, *pooled], dim=1))
        hidden = self.conv_up2(torch.cat([_resized(hidden, quarter), quarter], dim=1))
        hidden = self.conv_up3(torch.cat([_resized(hidden, half), half], dim=1))
        at_frame = [_resized(hidden, frames), imagenet_normalized(frames), frames, known]
        return self.conv_up4(torch.cat(at_frame, dim=1))


def _resized(features: FeatureMap, like: FeatureMap) -> FeatureMap:
    return F.interpolate(features, like.shape[-2:], mode="bilinear", align_corners=False)


class FbaNetwork(nn.Module):
    """Encoder and decoder with the public state-dict keys: 34,693,031 weights.

    Source: Forte & Pitié, "F, B, Alpha Matting", arXiv:2003.07711.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = ResNet(50, in_channels=11, dilated=(False, True, True), norm=_group_norm)
        self.decoder = Decoder()

    def forward(self, frames: Frames, trimaps: Map) -> Map:
        """Alpha in [0, 1] of frames whose sides are multiples of 8."""
        known = known_regions(trimaps)
        seen = torch.cat([imagenet_normalized(frames), nearness(known), known], dim=1)
        alpha, foreground, background = self.decoder(frames, known, self.encoder(seen)).split((1, 3, 3), dim=1)
        return fused_alpha(frames, alpha.clamp(0, 1), foreground.sigmoid(), background.sigmoid())


def known_regions(trimaps: Map) -> Float[Tensor, "batch 2 height width"]:
    """1 where a trimap says background (first channel), 1 where it says foreground (second)."""
    return torch.cat([trimaps == 0, trimaps == 1], dim=1).to(trimaps.dtype)


def nearness(known: Float[Tensor, "batch 2 height width"]) -> Float[Tensor, "batch 6 height width"]:
    """How near the known background (three channels, narrow to wide) and foreground (three) are.

    exp(-d^2 / (2 s^2)) of the Euclidean distance d in pixels to the nearest known pixel, for each of the `EXTENTS` s: 1
    in the known region, towards 0 far from it, 0 everywhere if there is none.
    """
    maps = known.cpu().numpy().reshape(-1, *known.shape[-2:])
    squared = np.array([_squared_distance(one) for one in maps]).reshape(known.shape)
    bells = [torch.from_numpy(np.exp(-squared / (2 * extent**2))) for extent in EXTENTS]
    return torch.stack(bells, dim=2).flatten(1, 2).to(known)


def _squared_distance(known: NDArray[np.float32]) -> NDArray[np.float64]:
    from scipy.ndimage import distance_transform_edt

    if not known.any():
        return np.full(known.shape, np.inf)
    return np.square(np.asarray(distance_transform_edt(known == 0), np.float64))


def fused_alpha(frames: Frames, alpha: Map, foreground: Frames, background: Frames) -> Map:
    """Make alpha agree with the colours that were found: the most likely one given both.

    First the colours are moved towards C = alpha F + (1 - alpha) B, foreground before background; then alpha is the
    weighted mean of the network's and of the share of the way from B to F at which C lies.

    Source: Forte & Pitié, section 3 (fusion), in the order of their public weights' evaluation.
    """
    clear, mixed = 1 - alpha, alpha * (1 - alpha)
    foreground = alpha * frames + (1 - alpha**2) * foreground - mixed * background
    background = clear * frames + (1 - clear**2) * background - mixed * foreground
    background, foreground = background.clamp(0, 1), foreground.clamp(0, 1)
    way = foreground - background
    along = ((frames - background) * way).sum(1, keepdim=True)
    length = (way * way).sum(1, keepdim=True)
    return ((FUSION_WEIGHT * alpha + along) / (FUSION_WEIGHT + length)).clamp(0, 1)


@torch.no_grad()
def standardize_weights(network: FbaNetwork) -> None:
    """Give each filter that stands before a group norm mean 0 and deviation 1, once instead of at every use.

    The public code has two versions, which differ in the unbiased deviation and in what keeps it from 0. This is the
    first, which the published weights were trained with.

    Source: Qiao et al., "Weight Standardization", arXiv:1903.10520.
    """
    plain = {id(module) for module in network.decoder.conv_up4}
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and id(module) not in plain:
            filters = module.weight.flatten(1)
            centred = filters - filters.mean(1, keepdim=True)
            deviation = (centred.var(1, keepdim=True) + 1e-12).sqrt() + 1e-5
            module.weight.copy_((centred / deviation).view_as(module.weight))


class FbaMatting:
    """Turns trimaps into alpha mattes.

    Attributes:
        name: "fba".
        version: Of the weights.
    """

    name = NAME

    def __init__(self, network: FbaNetwork, *, version: str) -> None:
        self.network = network
        self.version = version

    @classmethod
    def load(cls, files: Sequence[Path], device: torch.device | str) -> FbaMatting:
        """Read the published weights.

        Args:
            files: One: a state dict with `encoder.*` and `decoder.*`.
            device: Where to compute.

        Raises:
            UserError: No file, more than one, or one that does not fit.
        """
        network = FbaNetwork()
        version = fill_from_file(network, files, tool=NAME, advice=ADVICE)
        standardize_weights(network)
        return cls(network.to(device), version=version)

    @torch.no_grad()
    def __call__(self, frames: Frames, trimaps: Map) -> Map:
        """How much of each pixel is foreground, in [0, 1].

        Args:
            frames: RGB in [0, 1], any size; sides are padded to multiples of 8 by repeating the last row and column.
            trimaps: 0 background, 1 foreground, anything between unknown (0.5). What is known stays: alpha is exactly 0
                and 1 there.
        """
        height, width = frames.shape[-2:]
        padding = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
        device = device_of(self.network)
        padded = [F.pad(part.to(device, torch.float32), padding, mode="replicate") for part in (frames, trimaps)]
        alpha = self.network(*padded)[..., :height, :width].to(frames)
        return torch.where((trimaps == 0) | (trimaps == 1), trimaps, alpha)
