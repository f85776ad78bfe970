"""Who judges a Monkey-Net: patches of the frame, seen together with where the keypoints are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import FeatureMap, channels_at
from prioritycut.models.monkeynet.config import MonkeyNetDiscriminatorConfig
from prioritycut.models.monkeynet.keypoints import keypoint_heatmaps
from prioritycut.outputs import DiscriminatorOutput, Frames, Keypoints


class JudgingBlock(nn.Module):
    """4x4 convolution without padding, instance norm (not in the first block), leaky ReLU, 2x2 average pooling."""

    def __init__(self, in_channels: int, out_channels: int, *, normalize: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 4)
        self.norm = nn.InstanceNorm2d(out_channels, affine=True) if normalize else None

    def forward(self, features: FeatureMap, clip_length: int) -> FeatureMap:
        hidden = self.conv(features)
        if self.norm is not None:
            hidden = apart(self.norm(together(hidden, clip_length)), clip_length)
        return F.avg_pool2d(F.leaky_relu(hidden, 0.2), 2)


def together(frames: FeatureMap, clip_length: int) -> Float[Tensor, "clips channels all_rows cols"]:
    """The frames of each clip as one, below each other."""
    return frames.unflatten(0, (-1, clip_length)).transpose(1, 2).flatten(2, 3)


def apart(clips: Float[Tensor, "clips channels all_rows cols"], clip_length: int) -> FeatureMap:
    """The reverse of `together`."""
    return clips.unflatten(2, (clip_length, -1)).transpose(1, 2).flatten(0, 1)


class MonkeyNetDiscriminator(nn.Module):
    """Monkey-Net's discriminator, trained with least squares and feature matching."""

    def __init__(self, config: MonkeyNetDiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        blocks = range(1, config.num_blocks + 1)
        widths = [
            3 + config.num_keypoints,
            *(channels_at(i, config.block_expansion, config.max_features) for i in blocks),
        ]
        self.down_blocks = nn.ModuleList(
            JudgingBlock(widths[i], widths[i + 1], normalize=i > 0) for i in range(config.num_blocks)
        )
        self.conv = nn.Conv2d(widths[-1], 1, 1)

    def forward(
        self, frames: Frames, keypoints: Keypoints | None = None, *, clip_length: int = 1
    ) -> tuple[DiscriminatorOutput, ...]:
        """Judge frames; one output (there is one scale), whose features are the blocks' outputs.

        Args:
            frames: Real or generated.
            keypoints: The driving ones, with their covariance; gradients flow into them, on real frames too.
            clip_length: Frames that follow each other in one clip. The published network normalizes the frames of a
                clip together; the batch is then as many clips of so many frames.
        """
        if keypoints is None:
            raise ValueError("Monkey-Net's discriminator judges frames beside their keypoints; give the driving ones")
        height, width = frames.shape[-2:]
        self.config.check_frame_size(min(height, width))
        heatmaps = keypoint_heatmaps(keypoints, height, width, norm=self.config.heatmap_norm)
        hidden, features = torch.cat([frames, heatmaps], dim=1), list[FeatureMap]()
        for block in self.down_blocks:
            hidden = block(hidden, clip_length)
            features.append(hidden)
        return (DiscriminatorOutput(self.conv(hidden).float(), tuple(features)),)
