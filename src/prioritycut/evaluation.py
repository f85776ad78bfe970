"""Held-out figures of an animator on puppets, where the truth is known.

Each clip is reconstructed from its first frame: source is frame 0, driving every later frame, absolute keypoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from prioritycut.data.puppets import PuppetClip, generate_puppets
from prioritycut.geometry import coordinate_grid, resize_map
from prioritycut.models.base import KeypointAnimator
from prioritycut.outputs import Clip

HELD_OUT_SEED = 1
"""The cast that no preset trains on (they train on 0); two casts share nobody."""


@dataclass(frozen=True, slots=True)
class HeldOutFigures:
    """How well an animator does on puppets that it has not seen.

    L1 is the mean absolute difference over pixels and colours, frames in [0, 1]; the interval is 95%, by clip.

    Attributes:
        clips: Clips that were reconstructed.
        frames: Driving frames in all.
        l1: Over the whole frame.
        l1_moving: Over the moving area: driving pixels whose surface point lies more than half a pixel elsewhere
            in the source, or is not shown there.
        copy_l1_moving: The same for a copy of the source frame.
        ratio: `l1_moving` over `copy_l1_moving`; 1 is no better than copying, 0 is perfect.
        ratio_interval: Half the width of its 95% interval over clips.
        occlusion_average_precision: Of 1 - occlusion map as a finder of occluded pixels; 1 is perfect.
        occluded_share: Share of pixels that are occluded: the average precision of a blind guess.
        occlusion_correlation: Pearson's, between 1 - occlusion map and the truth; 0 is none, 1 is perfect.
    """

    clips: int
    frames: int
    l1: float
    l1_moving: float
    copy_l1_moving: float
    ratio: float
    ratio_interval: float
    occlusion_average_precision: float | None
    occluded_share: float
    occlusion_correlation: float | None


@dataclass(frozen=True, slots=True)
class _ClipSums:
    error: float
    moving_error: float
    copy_error: float
    pixels: int
    moving_pixels: int
    hidden: Float[Tensor, " pixels"] | None
    occluded: Bool[Tensor, " pixels"]


def evaluate_on_puppets(
    animator: KeypointAnimator,
    *,
    size: int,
    clips: int = 64,
    frames: int = 32,
    seed: int = HELD_OUT_SEED,
    advance: Callable[[int], None] = lambda done: None,
) -> HeldOutFigures:
    """Reconstruct held-out puppets and compare with the truth.

    Args:
        animator: Any keypoint model, on the CPU.
        size: Side of the frames that it works at.
        clips, frames, seed: See `generate_puppets`.
        advance: Told the clips done so far.
    """
    sums = list[_ClipSums]()
    for done, clip in enumerate(generate_puppets(clips, frames=frames, size=size, seed=seed), start=1):
        sums.append(_evaluate_clip(animator, clip))
        advance(done)
    moving = sum(s.moving_error for s in sums) / sum(s.moving_pixels for s in sums)
    copied = sum(s.copy_error for s in sums) / sum(s.moving_pixels for s in sums)
    # The ratio of two sums over clips; its spread by the linear approximation that ratio estimates have.
    ratio = moving / copied
    mean_copy = sum(s.copy_error for s in sums) / len(sums)
    residuals = torch.tensor([s.moving_error - ratio * s.copy_error for s in sums], dtype=torch.float64)
    spread = residuals.std().item() / mean_copy if len(sums) > 1 else math.nan
    occluded = torch.cat([s.occluded for s in sums])
    hidden = [s.hidden for s in sums if s.hidden is not None]
    scores = torch.cat(hidden) if len(hidden) == len(sums) else None
    return HeldOutFigures(
        clips=len(sums),
        frames=len(sums) * (frames - 1),
        l1=sum(s.error for s in sums) / sum(s.pixels for s in sums),
        l1_moving=moving,
        copy_l1_moving=copied,
        ratio=ratio,
        ratio_interval=1.96 * spread / math.sqrt(len(sums)),
        occlusion_average_precision=None if scores is None else average_precision(scores, occluded),
        occluded_share=occluded.float().mean().item(),
        occlusion_correlation=None if scores is None else correlation(scores, occluded.float()),
    )


@torch.inference_mode()
def _evaluate_clip(animator: KeypointAnimator, clip: PuppetClip) -> _ClipSums:
    source, driving = clip.frames[:1], clip.frames[1:]
    count, _, height, width = driving.shape
    start = animator.detect(source)
    predictions, maps = list[Clip](), list[Tensor]()
    for stack in driving.split(8):
        output = animator.render(
            source.expand(len(stack), -1, -1, -1), start.expand(len(stack)), animator.detect(stack)
        )
        predictions.append(output.prediction)
        if output.motion.occlusion_map is not None:
            maps.append(resize_map(output.motion.occlusion_map, height, width))
    truths = [clip.truth(0, time) for time in range(1, count + 1)]
    deformation = torch.stack([truth.deformation for truth in truths])
    occluded = torch.stack([truth.occlusion_map for truth in truths]) < 0.5
    moving = moving_area(deformation) | occluded

    error = (torch.cat(predictions) - driving).abs().mean(1, keepdim=True)
    copied = (source - driving).abs().mean(1, keepdim=True)
    return _ClipSums(
        error=error.sum().item(),
        moving_error=error[moving].sum().item(),
        copy_error=copied[moving].sum().item(),
        pixels=error.numel(),
        moving_pixels=int(moving.sum()),
        hidden=1 - torch.cat(maps).flatten() if maps else None,
        occluded=occluded.flatten(),
    )


def moving_area(deformation: Float[Tensor, "time height width 2"]) -> Bool[Tensor, "time 1 height width"]:
    """Where the source has the driving pixel's point more than half a pixel elsewhere."""
    _, height, width, _ = deformation.shape
    pixel = torch.tensor([2 / (width - 1), 2 / (height - 1)])
    moved = (deformation - coordinate_grid(height, width)) / pixel
    return (moved.norm(dim=-1) > 0.5)[:, None]


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
