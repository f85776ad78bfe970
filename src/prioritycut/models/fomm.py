"""The First Order Motion Model: keypoint detector, dense motion, occlusion-aware generator.

FOMM+ is the same network trained against a discriminator, PriorityCut trains it against a regularized one;
neither changes a line here.

Source: Siarohin et al., "First Order Motion Model for Image Animation", NeurIPS 2019. Parameter names are the
published ones, so that published weights load as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import (
    AntialiasDownscale,
    DownBlock,
    Hourglass,
    ResidualBlock,
    SameBlock,
    UpBlock,
    channels_at,
)
from prioritycut.geometry import (
    apply_2x2,
    coordinate_grid,
    expected_position,
    gaussian_heatmaps,
    inverse_2x2,
    multiply_2x2,
    resize_deformation,
    resize_map,
    warp,
)
from prioritycut.outputs import AnimationOutput, Frames, Keypoints, MotionOutput


@dataclass(frozen=True, kw_only=True)
class HourglassConfig:
    """An hourglass and the share of the frame's size that it works at."""

    block_expansion: int
    """Channels at its full size; they double with each of its halvings."""
    num_blocks: int = 5
    """Halvings."""
    max_features: int = 1024
    """Widest layer."""
    scale_factor: float = 0.25
    """Size of its input over the size of the frame: one over a whole number."""

    def __post_init__(self) -> None:
        for name in ("block_expansion", "num_blocks", "max_features"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.scale_factor not in (1.0, 0.5, 0.25, 0.125):
            raise ValueError(f"scale_factor must be 1, 0.5, 0.25 or 0.125, got {self.scale_factor}")

    def check_frame_size(self, frame_size: int) -> None:
        """Refuse a frame size that the hourglass cannot halve, or that its 7x7 heads swallow."""
        side = frame_size * self.scale_factor
        if side % 2**self.num_blocks or side <= 6:
            raise ValueError(
                f"an hourglass of {self.num_blocks} blocks at scale {self.scale_factor} needs frames whose size times "
                f"the scale is a multiple of {2**self.num_blocks} above 6, got {frame_size} * {self.scale_factor} = "
                f"{side:g}; take fewer blocks or another scale"
            )


@dataclass(frozen=True, kw_only=True)
class FommConfig:
    """The First Order Motion Model. The defaults are the published 256x256 networks."""

    kind: Literal["fomm"] = "fomm"
    frame_size: int = 256
    """Height and width of the frames that the network is trained on, in pixels."""
    num_keypoints: int = 10
    estimate_jacobian: bool = True
    """Whether each keypoint carries a 2x2 local deformation."""
    estimate_occlusion_map: bool = True
    single_jacobian_map: bool = False
    """Whether all keypoints share one map of local deformations, each weighted by its own heatmap."""
    keypoint_padding: int = 0
    """Zeros around the features before the 7x7 keypoint head; published networks have 0."""
    temperature: float = 0.1
    """Of the softmax that makes a heatmap; lower is more peaked."""
    heatmap_variance: float = 0.01
    """Of the blobs that show keypoints to the dense motion network, in squared [-1, 1] units."""
    detector: HourglassConfig = field(default_factory=lambda: HourglassConfig(block_expansion=32))
    dense_motion: HourglassConfig = field(default_factory=lambda: HourglassConfig(block_expansion=64))
    block_expansion: int = 64
    """Of the generator: channels at full size."""
    max_features: int = 512
    num_down_blocks: int = 2
    """Halvings before the features are warped."""
    num_bottleneck_blocks: int = 6
    align_corners: bool = True
    """Sampling convention of every warp: True is what FOMM was trained with and what its grids imply."""
    estimate_background_mask: ClassVar[bool] = True
    estimate_covariance: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("num_keypoints", "block_expansion", "max_features", "num_bottleneck_blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("num_down_blocks", "keypoint_padding"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("temperature", "heatmap_variance"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.frame_size % 2**self.num_down_blocks:
            raise ValueError(
                f"frame_size must be a multiple of {2**self.num_down_blocks} (2 to the power of num_down_blocks), "
                f"got {self.frame_size}"
            )
        self.detector.check_frame_size(self.frame_size)
        self.dense_motion.check_frame_size(self.frame_size)


class KeypointDetector(nn.Module):
    """Frames -> keypoints: an hourglass, one heatmap a keypoint, and its local deformation."""

    def __init__(self, config: FommConfig) -> None:
        super().__init__()
        detector = config.detector
        self.temperature = config.temperature
        self.down = AntialiasDownscale(3, detector.scale_factor)
        self.predictor = Hourglass(
            3,
            block_expansion=detector.block_expansion,
            num_blocks=detector.num_blocks,
            max_features=detector.max_features,
        )
        width, padding = self.predictor.out_channels, config.keypoint_padding
        self.kp = nn.Conv2d(width, config.num_keypoints, 7, padding=padding)
        self.jacobian: nn.Conv2d | None = None
        if config.estimate_jacobian:
            maps = 1 if config.single_jacobian_map else config.num_keypoints
            self.jacobian = nn.Conv2d(width, 4 * maps, 7, padding=padding)
            nn.init.zeros_(self.jacobian.weight)
            assert self.jacobian.bias is not None
            with torch.no_grad():
                self.jacobian.bias.copy_(torch.eye(2).flatten().repeat(maps))

    def heatmaps(
        self, features: Float[Tensor, "batch channels rows cols"]
    ) -> Float[Tensor, "batch points map_rows map_cols"]:
        """One heatmap a keypoint, each summing to 1."""
        logits = self.kp(features).float() / self.temperature
        return logits.flatten(2).softmax(-1).view_as(logits)

    def forward(self, frames: Frames) -> Keypoints:
        features = self.predictor(self.down(frames))
        heatmap = self.heatmaps(features)
        if self.jacobian is None:
            return Keypoints(expected_position(heatmap))
        entries = self.jacobian(features).float().unflatten(1, (-1, 4))
        jacobian = (heatmap[:, :, None] * entries).sum((-2, -1)).unflatten(-1, (2, 2))
        return Keypoints(expected_position(heatmap), jacobian)


def sparse_motions(
    start: Keypoints, end: Keypoints, height: int, width: int
) -> Float[Tensor, "batch motions height width 2"]:
    """Where each keypoint alone says that a driving pixel lies in the source.

    Motion 0 is the background's: nothing moves. Motion k is z -> p_s + J_s J_d^-1 (z - p_d) of keypoint k.

    Source: FOMM, equation 4.
    """
    grid = coordinate_grid(height, width, device=end.position.device)
    offset = grid - end.position[:, :, None, None, :]
    if start.jacobian is not None and end.jacobian is not None:
        relative = multiply_2x2(start.jacobian, inverse_2x2(end.jacobian))
        offset = apply_2x2(relative[:, :, None, None], offset)
    moved = offset + start.position[:, :, None, None, :]
    background = grid.expand(moved.shape[0], 1, -1, -1, -1)
    return torch.cat([background, moved], dim=1)


def heatmap_differences(
    start: Keypoints, end: Keypoints, height: int, width: int, *, variance: float
) -> Float[Tensor, "batch motions height width"]:
    """Driving blobs minus source blobs; channel 0, the background's, is 0 everywhere.

    Source: FOMM, equation 6.
    """
    ending = gaussian_heatmaps(end.position, height, width, variance=variance)
    starting = gaussian_heatmaps(start.position, height, width, variance=variance)
    difference = ending - starting
    return torch.cat([torch.zeros_like(difference[:, :1]), difference], dim=1)


@dataclass(frozen=True, slots=True)
class DenseMotionOutput:
    """The dense motion network's answer, with the parts that it was put together from.

    Attributes:
        motion: Deformation, occlusion map and background mask (the weight of motion 0).
        sparse_motion: What each keypoint alone says; see `sparse_motions`.
        sparse_deformed: The source moved by each of them.
        weights: Share of each motion at each pixel; they sum to 1.
    """

    motion: MotionOutput
    sparse_motion: Float[Tensor, "batch motions rows cols 2"]
    sparse_deformed: Float[Tensor, "batch motions 3 rows cols"]
    weights: Float[Tensor, "batch motions rows cols"]


class DenseMotionNetwork(nn.Module):
    """Keypoints of two frames and the source -> the motion of every pixel, and which pixels it cannot show."""

    def __init__(self, config: FommConfig) -> None:
        super().__init__()
        dense = config.dense_motion
        self.config = config
        self.down = AntialiasDownscale(3, dense.scale_factor)
        self.hourglass = Hourglass(
            (config.num_keypoints + 1) * 4,
            block_expansion=dense.block_expansion,
            num_blocks=dense.num_blocks,
            max_features=dense.max_features,
        )
        width = self.hourglass.out_channels
        self.mask = nn.Conv2d(width, config.num_keypoints + 1, 7, padding=3)
        self.occlusion = nn.Conv2d(width, 1, 7, padding=3) if config.estimate_occlusion_map else None

    def forward(
        self, source: Float[Tensor, "batch 3 rows cols"], start: Keypoints, end: Keypoints
    ) -> DenseMotionOutput:
        """`source` at this network's scale (`down` brings it there)."""
        rows, cols = source.shape[-2:]
        heatmaps = heatmap_differences(start, end, rows, cols, variance=self.config.heatmap_variance)
        motions = sparse_motions(start, end, rows, cols)
        batch, count = motions.shape[:2]
        repeated = source[:, None].expand(-1, count, -1, -1, -1).flatten(0, 1)
        deformed = warp(repeated, motions.flatten(0, 1), align_corners=self.config.align_corners)
        deformed = deformed.unflatten(0, (batch, count))

        features = self.hourglass(torch.cat([heatmaps[:, :, None], deformed], dim=2).flatten(1, 2))
        weights = self.mask(features).float().softmax(1)
        deformation = (weights[..., None] * motions).sum(1)
        occlusion_map = None if self.occlusion is None else self.occlusion(features).float().sigmoid()
        motion = MotionOutput(deformation, occlusion_map, weights[:, :1], weights)
        return DenseMotionOutput(motion, motions, deformed, weights)


class OcclusionAwareGenerator(nn.Module):
    """Encodes the source, warps its features, darkens what is occluded, and paints the frame."""

    def __init__(self, config: FommConfig) -> None:
        super().__init__()
        self.config = config
        self.dense_motion_network = DenseMotionNetwork(config)
        widths = [
            channels_at(i, config.block_expansion, config.max_features) for i in range(config.num_down_blocks + 1)
        ]
        steps = range(config.num_down_blocks)
        self.first = SameBlock(3, widths[0], kernel_size=7)
        self.down_blocks = nn.ModuleList(DownBlock(widths[i], widths[i + 1]) for i in steps)
        self.bottleneck = nn.Sequential()
        for i in range(config.num_bottleneck_blocks):
            self.bottleneck.add_module(f"r{i}", ResidualBlock(widths[-1]))
        self.up_blocks = nn.ModuleList(UpBlock(widths[i + 1], widths[i]) for i in reversed(steps))
        self.final = nn.Conv2d(widths[0], 3, 7, padding=3)

    def encode(self, source: Frames) -> Float[Tensor, "batch channels rows cols"]:
        features = self.first(source)
        for block in self.down_blocks:
            features = block(features)
        return features

    def decode(
        self, features: Float[Tensor, "batch channels rows cols"], motion: MotionOutput
    ) -> Float[Tensor, "batch 3 height width"]:
        rows, cols = features.shape[-2:]
        deformation = resize_deformation(motion.deformation, rows, cols)
        hidden = warp(features, deformation, align_corners=self.config.align_corners)
        if motion.occlusion_map is not None:
            hidden = hidden * resize_map(motion.occlusion_map, rows, cols).to(hidden.dtype)
        hidden = self.bottleneck(hidden)
        for block in self.up_blocks:
            hidden = block(hidden)
        return self.final(hidden).float().sigmoid()


@dataclass(frozen=True, slots=True)
class EncodedSource:
    """What FOMM needs of a source, computed once: its keypoints, features, and small picture."""

    keypoints: Keypoints
    features: Float[Tensor, "batch channels rows cols"]
    small: Float[Tensor, "batch 3 small_rows small_cols"]


class Fomm(nn.Module):
    """The First Order Motion Model as a `KeypointAnimator`.

    Frames of any multiple of the sizes that `FommConfig` allows work; `config.frame_size` is what it was trained on.
    """

    def __init__(self, config: FommConfig) -> None:
        super().__init__()
        self.config = config
        self.kp_detector = KeypointDetector(config)
        self.generator = OcclusionAwareGenerator(config)

    def detect(self, frames: Frames) -> Keypoints:
        """Keypoints of each frame."""
        return self.kp_detector(frames)

    def dense_motion(self, source: Frames, start: Keypoints, end: Keypoints) -> DenseMotionOutput:
        """The motion from `start` to `end`, in all its parts."""
        network = self.generator.dense_motion_network
        return network(network.down(source), start, end)

    def encode(self, source: Frames, start: Keypoints) -> EncodedSource:
        """The source's share of `render`."""
        small = self.generator.dense_motion_network.down(source)
        return EncodedSource(start, self.generator.encode(source), small)

    def render_encoded(self, encoded: EncodedSource, end: Keypoints) -> AnimationOutput:
        """The driving keypoints' share of `render`; an encoded source of batch 1 serves any batch of `end`."""
        batch = end.position.shape[0]
        start = encoded.keypoints.expand(batch)
        small = encoded.small.expand(batch, -1, -1, -1)
        motion = self.generator.dense_motion_network(small, start, end).motion
        features = encoded.features.expand(batch, -1, -1, -1)
        return AnimationOutput(self.generator.decode(features, motion), motion)

    def render(self, source: Frames, start: Keypoints, end: Keypoints) -> AnimationOutput:
        """Move `source` from keypoints `start` (its own) to `end`."""
        return self.render_encoded(self.encode(source, start), end)

    def forward(self, source: Frames, driving: Frames) -> AnimationOutput:
        """Reconstruct `driving` from `source`."""
        return self.render(source, self.detect(source), self.detect(driving))
