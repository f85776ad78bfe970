"""X2Face: one network frames the source's face, another looks that face up as the driving frame says.

It knows no keypoints, so motion cannot be transferred relatively, and it judges neither what is hidden nor what is
background: both maps of its `MotionOutput` are `None`.

Source: Wiles, Koepke & Zisserman, "X2Face: A network for controlling face generation using images, audio, and pose
codes", ECCV 2018; SPEC 6.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import FeatureMap, channels_at
from prioritycut.geometry import coordinate_grid, warp
from prioritycut.outputs import AnimationOutput, Frames, MotionOutput


@dataclass(frozen=True, kw_only=True)
class X2FaceConfig:
    """X2Face. The defaults are the published 256x256 networks."""

    kind: Literal["x2face"] = "x2face"
    frame_size: int = 256
    """Height and width of the frames that the network is trained on, in pixels."""
    block_expansion: int = 64
    """Channels after the first halving; they double with each of the next."""
    max_features: int = 512
    """Widest layer."""
    num_levels: int = 8
    """Halvings; the published 8 leave one pixel of 256."""
    bottleneck: int = 128
    """Channels of the driving network's deepest map: all that it tells of the driving frame."""
    confidence_floor: float = 0.1
    """Added to exp(confidence), so that no source frame is left out entirely."""
    align_corners: bool = True
    """Sampling convention of both warps: True is what X2Face was trained with and what its grids imply."""
    upsampling_align_corners: bool = True
    """Convention of the bilinear upsampling inside both networks; True likewise."""
    num_keypoints: ClassVar[int] = 0
    estimate_occlusion_map: ClassVar[bool] = False
    estimate_background_mask: ClassVar[bool] = False
    estimate_covariance: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("block_expansion", "max_features", "bottleneck"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.num_levels < 2:
            raise ValueError(f"num_levels must be at least 2, got {self.num_levels}")
        if not self.confidence_floor >= 0:
            raise ValueError(f"confidence_floor must not be negative, got {self.confidence_floor}")
        if self.frame_size < 1 or self.frame_size % 2**self.num_levels:
            raise ValueError(
                f"frame_size must be a multiple of {2**self.num_levels} (2 to the power of num_levels), got "
                f"{self.frame_size}; take fewer levels or another size"
            )


class DownLayer(nn.Module):
    """Leaky ReLU, 4x4 convolution with stride 2, batch norm: half the size."""

    def __init__(self, in_channels: int, out_channels: int, *, activate: bool, normalize: bool) -> None:
        super().__init__()
        self.activate = activate
        self.conv = nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels) if normalize else None

    def forward(self, features: FeatureMap) -> FeatureMap:
        hidden = self.conv(F.leaky_relu(features, 0.2) if self.activate else features)
        return hidden if self.norm is None else self.norm(hidden)


class UpLayer(nn.Module):
    """ReLU, bilinear upsampling by two, 3x3 convolution, batch norm."""

    def __init__(self, in_channels: int, out_channels: int, *, normalize: bool, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels) if normalize else None

    def forward(self, features: FeatureMap) -> FeatureMap:
        doubled = F.interpolate(F.relu(features), scale_factor=2, mode="bilinear", align_corners=self.align_corners)
        hidden = self.conv(doubled)
        return hidden if self.norm is None else self.norm(hidden)


class LookupNetwork(nn.Module):
    """Frames -> maps of the same size, through a stack of halvings and doublings.

    Args:
        config: Widths and conventions.
        out_channels: Maps.
        deepest: Channels of the deepest map.
        skips: Whether each doubling also sees the map of its size from the way down.
    """

    def __init__(self, config: X2FaceConfig, *, out_channels: int, deepest: int, skips: bool) -> None:
        super().__init__()
        self.skips = skips
        levels, last = range(config.num_levels), config.num_levels - 1
        widths = [channels_at(level, config.block_expansion, config.max_features) for level in levels]
        widths[-1] = deepest
        self.down = nn.ModuleList(
            DownLayer(
                3 if level == 0 else widths[level - 1],
                widths[level],
                activate=level > 0,
                normalize=0 < level < last,
            )
            for level in levels
        )
        self.up = nn.ModuleList(
            UpLayer(
                widths[level] * (2 if skips and level < last else 1),
                out_channels if level == 0 else widths[level - 1],
                normalize=level > 0,
                align_corners=config.upsampling_align_corners,
            )
            for level in levels
        )

    def descend(self, frames: Frames) -> list[FeatureMap]:
        """The map after each halving."""
        maps = list[FeatureMap]()
        for layer in self.down:
            maps.append(layer(maps[-1] if maps else frames))
        return maps

    def forward(self, frames: Frames) -> Float[Tensor, "batch channels height width"]:
        maps = self.descend(frames)
        hidden = self.up[-1](maps[-1])
        for layer, skip in zip(reversed(self.up[:-1]), reversed(maps[:-1]), strict=True):
            hidden = layer(torch.cat([hidden, skip], dim=1) if self.skips else hidden)
        return hidden.float()


def lookup_grid(raw: Float[Tensor, "batch 2 height width"]) -> Float[Tensor, "batch height width 2"]:
    """The xy that each pixel looks at: its own place plus tanh of the network's answer. Zero is the identity."""
    grid = coordinate_grid(*raw.shape[-2:], device=raw.device, dtype=raw.dtype)
    return grid + raw.tanh().permute(0, 2, 3, 1)


def confidence_shares(
    confidence: Float[Tensor, "batch views height width"], *, floor: float
) -> Float[Tensor, "batch views height width"]:
    """Each source frame's share of the face, pixel by pixel: (exp(c) + floor) over the sum of these. They sum to 1.

    Numerator and denominator are divided by exp of the largest c, so that no confidence overflows.
    """
    largest = confidence.detach().amax(1, keepdim=True).clamp_min(0)
    weights = (confidence - largest).exp() + floor * (-largest).exp()
    return weights / weights.sum(1, keepdim=True)


@dataclass(frozen=True, slots=True)
class EmbeddedFace:
    """What X2Face keeps of a source: its face in a pose that suits every driving frame.

    Attributes:
        face: The embedded face, the source frames' faces averaged by confidence.
        grid: Where the face's pixels lie in the first source frame, xy in [-1, 1].
        confidence: The c of each source frame; see `confidence_shares`.
    """

    face: Frames
    grid: Float[Tensor, "batch height width 2"]
    confidence: Float[Tensor, "batch views height width"]


class X2Face(nn.Module):
    """X2Face as an `Animator`; a face that is embedded once serves any number of driving frames.

    Frames whose sides are multiples of 2 to the power of `num_levels` work; `config.frame_size` is what it was
    trained on.
    """

    def __init__(self, config: X2FaceConfig) -> None:
        super().__init__()
        self.config = config
        deepest = channels_at(config.num_levels - 1, config.block_expansion, config.max_features)
        self.embedding = LookupNetwork(config, out_channels=3, deepest=deepest, skips=True)
        self.driving = LookupNetwork(config, out_channels=2, deepest=config.bottleneck, skips=False)

    def encode(self, sources: Float[Tensor, "batch views 3 height width"]) -> EmbeddedFace:
        """The source's share of the work.

        Args:
            sources: One or more frames (views) of each person, RGB in [0, 1].
        """
        batch, views = sources.shape[:2]
        raw = self.embedding(sources.flatten(0, 1))
        grid = lookup_grid(raw[:, :2])
        faces = warp(sources.flatten(0, 1), grid, align_corners=self.config.align_corners)
        confidence = raw[:, 2].unflatten(0, (batch, views))
        shares = confidence_shares(confidence, floor=self.config.confidence_floor)
        face = (shares[:, :, None] * faces.unflatten(0, (batch, views))).sum(1)
        return EmbeddedFace(face, grid.unflatten(0, (batch, views))[:, 0], confidence)

    def driving_grid(self, driving: Frames) -> Float[Tensor, "batch height width 2"]:
        """Where in the embedded face each pixel of the driving frame lies."""
        # The published driving network ends in a tanh of its own, before the one that every offset passes.
        return lookup_grid(self.driving(driving).tanh())

    def render(self, encoded: EmbeddedFace, driving: Frames) -> AnimationOutput:
        """The driving frames' share of the work; an embedded face of batch 1 serves any batch of them.

        The output's deformation is at the frame's size and leads through the embedded face into the source: into the
        first source frame, where there are several. Warping a single source by it gives the prediction, but for the
        second interpolation.
        """
        convention, batch = self.config.align_corners, driving.shape[0]
        grid = self.driving_grid(driving)
        prediction = warp(encoded.face.expand(batch, -1, -1, -1), grid, align_corners=convention)
        # Offsets, not positions, are looked up: beyond the face's border they go on, and the sum stays outside.
        offset = encoded.grid - coordinate_grid(*encoded.grid.shape[1:3], device=grid.device)
        channels_first = offset.permute(0, 3, 1, 2).expand(batch, -1, -1, -1)
        beyond = warp(channels_first, grid, align_corners=convention, padding_mode="border")
        return AnimationOutput(prediction, MotionOutput(grid + beyond.permute(0, 2, 3, 1)))

    def forward(self, source: Frames, driving: Frames) -> AnimationOutput:
        """Show the source as the driving frame shows its own object, from one source frame each."""
        return self.render(self.encode(source[:, None]), driving)
