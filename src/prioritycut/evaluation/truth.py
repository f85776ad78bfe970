"""What can be asked where the true motion is known: is the moving part right, and does the map find the holes?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from prioritycut.data.puppets import PuppetClip
from prioritycut.geometry import coordinate_grid, resize_map
from prioritycut.outputs import Frames, MotionOutput


@dataclass(frozen=True, slots=True)
class MotionTruth:
    """The truth about a batch of driving frames.

    Attributes:
        moving: True where the driving pixel's surface point lies more than half a pixel elsewhere in the source, or is
            not shown there.
        occluded: True where the source does not show it.
        foreground: 1 object, 0 background.
    """

    moving: Bool[Tensor, "batch 1 height width"]
    occluded: Bool[Tensor, "batch 1 height width"]
    foreground: Float[Tensor, "batch 1 height width"]


def puppet_truth(clip: PuppetClip, start: int, end: int) -> MotionTruth:
    """The truth about frames `start` to `end` (without it), with frame 0 as their source."""
    pairs = [clip.truth(0, time) for time in range(start, end)]
    occluded = torch.stack([pair.occlusion_map for pair in pairs]) < 0.5
    moving = moving_area(torch.stack([pair.deformation for pair in pairs])) | occluded
    return MotionTruth(moving, occluded, clip.foreground[start:end])


def moving_area(deformation: Float[Tensor, "time height width 2"]) -> Bool[Tensor, "time 1 height width"]:
    """Where the source has the driving pixel's point more than half a pixel elsewhere."""
    _, height, width, _ = deformation.shape
    pixel = torch.tensor([2 / (width - 1), 2 / (height - 1)])
    moved = (deformation - coordinate_grid(height, width)) / pixel
    return (moved.norm(dim=-1) > 0.5)[:, None]


def truth_metrics(
    prediction: Frames, target: Frames, source: Frames, motion: MotionOutput | None, truth: MotionTruth
) -> dict[str, list[float]]:
    """One value a frame for each metric that needs the truth; nan where a frame has none.

    `L1_moving`: L1 over the moving area, and `L1_moving_copy`, what copying the source would give there.
    `occlusion_average_precision`: of 1 - occlusion map as a finder of occluded pixels; 1 is perfect, a blind guess
    gets their share of the frame, `area_occluded`. `occlusion_correlation`: Pearson's, 0 is none.
    """
    error = (prediction - target).abs().mean(1, keepdim=True)
    copied = (source - target).abs().mean(1, keepdim=True)
    found = {
        "L1_moving": _means_within(error, truth.moving),
        "L1_moving_copy": _means_within(copied, truth.moving),
    }
    if motion is not None and motion.occlusion_map is not None:
        hidden = 1 - resize_map(motion.occlusion_map, *truth.occluded.shape[-2:]).flatten(1).cpu()
        occluded = truth.occluded.flatten(1)
        pairs = list(zip(hidden, occluded, strict=True))
        found["occlusion_average_precision"] = [average_precision(score, real) for score, real in pairs]
        found["occlusion_correlation"] = [correlation(score, real.float()) for score, real in pairs]
        found["area_occluded"] = truth.occluded.float().mean((1, 2, 3)).tolist()
    return found


def _means_within(
    values: Float[Tensor, "batch 1 height width"], area: Bool[Tensor, "batch 1 height width"]
) -> list[float]:
    # A frame where nothing moves gives 0 / 0, which is nan: no value.
    inside = area.to(values)
    return ((values * inside).sum((1, 2, 3)) / inside.sum((1, 2, 3))).tolist()


def average_precision(scores: Float[Tensor, " items"], positive: Bool[Tensor, " items"]) -> float:
    """Area under the precision-recall steps of a ranking; the share of positives for a blind one.

    Items with equal scores share one step, so their order does not matter. Without positives it is undefined (nan).
    """
    order = scores.argsort(descending=True)
    ranked, found = scores[order], positive[order].double().cumsum(0)
    if found.numel() == 0 or found[-1] == 0:
        return math.nan
    last_of_ties = torch.ones_like(ranked, dtype=torch.bool)
    last_of_ties[:-1] = ranked[1:] != ranked[:-1]
    taken = (torch.arange(len(ranked), dtype=torch.float64) + 1)[last_of_ties]
    found = found[last_of_ties]
    gained = torch.diff(found, prepend=found.new_zeros(1)) / found[-1]
    return float((gained * found / taken).sum())


def correlation(first: Float[Tensor, " items"], second: Float[Tensor, " items"]) -> float:
    """Pearson's correlation; nan if either is constant."""
    a, b = first.double() - first.double().mean(), second.double() - second.double().mean()
    return float((a * b).sum() / (a.norm() * b.norm()))
