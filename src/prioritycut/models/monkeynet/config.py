"""What a Monkey-Net is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from prioritycut.models.fomm import HourglassConfig


def _hourglass() -> HourglassConfig:
    return HourglassConfig(block_expansion=32)


@dataclass(frozen=True, kw_only=True)
class MonkeyNetConfig:
    """Monkey-Net. The defaults are the published 256x256 networks for VoxCeleb."""

    kind: Literal["monkey-net"] = "monkey-net"
    frame_size: int = 256
    """Height and width of the frames that the network is trained on, in pixels."""
    num_keypoints: int = 10
    temperature: float = 0.1
    """Of the softmax that makes a heatmap; lower is more peaked."""
    smallest_variance: float = 0.001
    """Least variance of a keypoint in any direction, in squared [-1, 1] units."""
    heatmap_norm: float = 100.0
    """The heatmaps that show keypoints to the networks are divided by this."""
    detector: HourglassConfig = field(default_factory=_hourglass)
    dense_motion: HourglassConfig = field(default_factory=_hourglass)
    num_group_blocks: int = 2
    """Layers that look at each motion apart before the dense motion's hourglass sees all."""
    block_expansion: int = 32
    """Of the generator: half the channels after its first halving."""
    max_features: int = 1024
    num_blocks: int = 7
    """Halvings of the generator."""
    num_refinement_blocks: int = 4
    keypoint_scale: float = 0.25
    """Size of the keypoint heatmaps that the generator sees, over the size of the frame."""
    align_corners: bool = True
    """Sampling convention of every warp: True is what Monkey-Net was trained with and what its grids imply."""
    estimate_occlusion_map: ClassVar[bool] = False
    estimate_background_mask: ClassVar[bool] = True
    estimate_covariance: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("num_keypoints", "block_expansion", "max_features", "num_blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("num_group_blocks", "num_refinement_blocks"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("temperature", "smallest_variance", "heatmap_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.keypoint_scale not in (1.0, 0.5, 0.25, 0.125):
            raise ValueError(f"keypoint_scale must be 1, 0.5, 0.25 or 0.125, got {self.keypoint_scale}")
        _require_halvings("detector", self.frame_size, self.detector.scale_factor, self.detector.num_blocks)
        _require_halvings("dense_motion", self.frame_size, self.dense_motion.scale_factor, self.dense_motion.num_blocks)
        _require_halvings("the generator", self.frame_size, 1.0, self.num_blocks)
        _require_halvings("keypoint_scale", self.frame_size, self.keypoint_scale, 0)


def _require_halvings(name: str, frame_size: int, scale: float, num_blocks: int) -> None:
    side = frame_size * scale
    if side < 1 or side % 2**num_blocks:
        raise ValueError(
            f"{name}: {num_blocks} halvings at scale {scale:g} need frames whose size times the scale is a multiple of "
            f"{2**num_blocks}, got {frame_size} * {scale:g} = {side:g}; take fewer blocks or another scale"
        )


@dataclass(frozen=True, kw_only=True)
class MonkeyNetDiscriminatorConfig:
    """Monkey-Net's discriminator. The defaults are the published one."""

    kind: Literal["monkey-net"] = "monkey-net"
    num_keypoints: int = 10
    """Keypoint heatmaps appended to the frame; the model's number of keypoints."""
    block_expansion: int = 32
    """Half the channels of the first block."""
    max_features: int = 256
    num_blocks: int = 4
    heatmap_norm: float = 100.0
    """The heatmaps are divided by this."""
    teaches_keypoints: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("num_keypoints", "block_expansion", "max_features", "num_blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.heatmap_norm > 0:
            raise ValueError(f"heatmap_norm must be positive, got {self.heatmap_norm}")

    def check_frame_size(self, frame_size: int) -> None:
        """Refuse frames that the blocks would shrink to nothing: each takes 3 pixels off a side, then halves it."""
        side = frame_size
        for _ in range(self.num_blocks):
            side = (side - 3) // 2
        if side < 1:
            raise ValueError(
                f"frames of {frame_size} pixels are too small for a discriminator of {self.num_blocks} blocks; take "
                "larger frames or fewer blocks"
            )
