"""Monkey-Net as an animator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import FeatureMap
from prioritycut.models.monkeynet.config import MonkeyNetConfig
from prioritycut.models.monkeynet.dense_motion import DenseMotionOutput
from prioritycut.models.monkeynet.generator import Generator
from prioritycut.models.monkeynet.keypoints import KeypointDetector, every_nth
from prioritycut.outputs import AnimationOutput, Frames, Keypoints


@dataclass(frozen=True, slots=True)
class EncodedSource:
    """What Monkey-Net needs of a source, computed once: its keypoints, its maps at every size, and small picture."""

    keypoints: Keypoints
    levels: tuple[FeatureMap, ...]
    small: Float[Tensor, "batch 3 small_rows small_cols"]


class MonkeyNet(nn.Module):
    """Monkey-Net as an `EncodingAnimator` and a `PairDetector`.

    It estimates a background mask, and no occlusion map. Frames of any multiple of the sizes that `MonkeyNetConfig`
    allows work; `config.frame_size` is what it was trained on.
    """

    def __init__(self, config: MonkeyNetConfig) -> None:
        super().__init__()
        self.config = config
        self.kp_detector = KeypointDetector(config)
        self.generator = Generator(config)

    def detect(self, frames: Frames) -> Keypoints:
        """Keypoints of each frame, with their covariance."""
        return self.kp_detector(frames)

    def detect_pair(self, source: Frames, driving: Frames) -> tuple[Keypoints, Keypoints]:
        """Keypoints of source and driving frames, found in one call as the published training does."""
        keypoints, count = self.detect(torch.cat([source, driving])), source.shape[0]
        return keypoints[:count], keypoints[count:]

    def dense_motion(self, source: Frames, start: Keypoints, end: Keypoints) -> DenseMotionOutput:
        """The motion from `start` to `end`, in all its parts."""
        return self.generator.dense_motion_module(self._small(source), start, end)

    def encode(self, source: Frames, start: Keypoints) -> EncodedSource:
        """The source's share of `render`."""
        return EncodedSource(start, self.generator.encode(source), self._small(source))

    def render_encoded(self, encoded: EncodedSource, end: Keypoints) -> AnimationOutput:
        """The driving keypoints' share of `render`; an encoded source of batch 1 serves any batch of `end`."""
        batch = end.position.shape[0]
        start = encoded.keypoints.expand(batch)
        small = encoded.small.expand(batch, -1, -1, -1)
        motion = self.generator.dense_motion_module(small, start, end).motion
        levels = tuple(level.expand(batch, -1, -1, -1) for level in encoded.levels)
        return AnimationOutput(self.generator.decode(levels, motion, start, end), motion)

    def render(self, source: Frames, start: Keypoints, end: Keypoints) -> AnimationOutput:
        """Move `source` from keypoints `start` (its own) to `end`."""
        return self.render_encoded(self.encode(source, start), end)

    def forward(self, source: Frames, driving: Frames) -> AnimationOutput:
        """Reconstruct `driving` from `source`."""
        return self.render(source, *self.detect_pair(source, driving))

    def _small(self, source: Frames) -> Float[Tensor, "batch 3 small_rows small_cols"]:
        return every_nth(source, self.config.dense_motion.scale_factor)
