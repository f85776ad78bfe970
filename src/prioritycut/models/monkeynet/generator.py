"""A U-Net whose every skip is warped, with the keypoints' movement beside it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import FeatureMap, HourglassEncoder, ResidualBlock, UpBlock, channels_at
from prioritycut.geometry import resize_deformation, warp
from prioritycut.models.monkeynet.config import MonkeyNetConfig
from prioritycut.models.monkeynet.dense_motion import DenseMotionNetwork, heatmap_differences
from prioritycut.outputs import Frames, Keypoints, MotionOutput


class WarpedDecoder(nn.Module):
    """Up blocks, each beside the warped map of its size and the keypoints' movement."""

    def __init__(self, config: MonkeyNetConfig) -> None:
        super().__init__()
        self.up_blocks = nn.ModuleList()
        for level in reversed(range(config.num_blocks)):
            width = channels_at(level + 1, config.block_expansion, config.max_features)
            joined = width if level == config.num_blocks - 1 else 2 * width
            below = channels_at(level, config.block_expansion, config.max_features)
            self.up_blocks.append(UpBlock(joined + config.num_keypoints, below))
        self.out_channels = config.block_expansion + 3 + config.num_keypoints

    def forward(self, levels: list[FeatureMap]) -> FeatureMap:
        """`levels` from the frame's size to the deepest."""
        *skips, features = levels
        for block, skip in zip(self.up_blocks, reversed(skips), strict=True):
            features = torch.cat([block(features), skip], dim=1)
        return features


class Generator(nn.Module):
    """Encodes the source at every size, warps each, and decodes what moved."""

    def __init__(self, config: MonkeyNetConfig) -> None:
        super().__init__()
        self.config = config
        self.dense_motion_module = DenseMotionNetwork(config)
        self.appearance_encoder = HourglassEncoder(3, config.block_expansion, config.num_blocks, config.max_features)
        self.video_decoder = WarpedDecoder(config)
        width = self.video_decoder.out_channels
        self.refinement_module = nn.Sequential()
        for i in range(config.num_refinement_blocks):
            self.refinement_module.add_module(f"r{i}", ResidualBlock(width))
        self.last = nn.Conv2d(width, 3, 1)

    def encode(self, source: Frames) -> tuple[FeatureMap, ...]:
        """The source at every size, the frame itself first."""
        return tuple(self.appearance_encoder(source))

    def decode(
        self, levels: tuple[FeatureMap, ...], motion: MotionOutput, start: Keypoints, end: Keypoints
    ) -> Float[Tensor, "batch 3 height width"]:
        """Move the encoded source; all of one batch."""
        scale = self.config.keypoint_scale
        height, width = levels[0].shape[-2:]
        movement = heatmap_differences(
            start, end, round(height * scale), round(width * scale), norm=self.config.heatmap_norm
        )
        moved = [torch.cat([self.warped(level, motion), resized(movement, level)], dim=1) for level in levels]
        hidden = self.refinement_module(self.video_decoder(moved))
        return self.last(hidden).float().sigmoid()

    def warped(self, features: FeatureMap, motion: MotionOutput) -> FeatureMap:
        deformation = resize_deformation(motion.deformation, *features.shape[-2:])
        return warp(features, deformation, align_corners=self.config.align_corners)


def resized(movement: FeatureMap, like: FeatureMap) -> FeatureMap:
    """Keypoint heatmaps at the size of a map."""
    return F.interpolate(movement, size=like.shape[-2:], mode="bilinear", align_corners=False).to(like.dtype)
