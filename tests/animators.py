"""Animators whose answers are known, and clips in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from prioritycut.evaluation.testsets import TestBatch, TestClip
from prioritycut.geometry import coordinate_grid
from prioritycut.outputs import AnimationOutput, Frames, MotionOutput


@dataclass
class Echo:
    """An animator without keypoints that gives the driving frame back, `offset` brighter; it remembers its sources."""

    offset: float = 0.0
    occlusion: torch.Tensor | None = None
    sources: list[Frames] = field(default_factory=list)

    def __call__(self, source: Frames, driving: Frames) -> AnimationOutput:
        self.sources.append(source)
        count, _, height, width = driving.shape
        grid = coordinate_grid(height, width).expand(count, -1, -1, -1)
        occlusion = None if self.occlusion is None else self.occlusion.expand(count, -1, -1, -1)
        return AnimationOutput(
            driving + self.offset, MotionOutput(grid, occlusion, torch.zeros(count, 1, height, width))
        )


def clip_of(name: str, frames: torch.Tensor) -> TestClip:
    """A clip that is in memory."""

    def batches(size: int):
        for part in frames.split(size):
            yield TestBatch(part, (frames.shape[2], frames.shape[3]))

    return TestClip(name, batches)
