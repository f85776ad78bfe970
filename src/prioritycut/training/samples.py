"""Sheets of samples: how a run is doing, at a glance."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from prioritycut.drawing import draw_keypoints, paint_deformation, paint_map, paint_scores, sheet
from prioritycut.geometry import resize_deformation, warp
from prioritycut.models.base import Animator, Discriminator, KeypointAnimator
from prioritycut.outputs import AnimationOutput, Frames, Keypoints
from prioritycut.regularizers import PriorityCut, Regularizer, draw_mask, mix, partner
from prioritycut.train_config import TrainConfig
from prioritycut.training.networks import Networks
from prioritycut.training.step import step_generator

Panels = list[tuple[str, Frames]]


@torch.no_grad()
def sample_sheet(
    networks: Networks, config: TrainConfig, pairs: Float[Tensor, "batch 2 3 height width"]
) -> Float[Tensor, "3 rows cols"]:
    """What the networks, in evaluation mode, make of a few pairs: every map that there is, labelled."""
    source, driving = pairs[:, 0], pairs[:, 1]
    height, width = source.shape[-2:]
    output, start, end = _animated(networks.animator, source, driving)
    motion = output.motion
    deformation = resize_deformation(motion.deformation, height, width)
    panels = [
        ("source", source if start is None else draw_keypoints(source, start)),
        ("driving", driving if end is None else draw_keypoints(driving, end)),
        ("deformation", paint_deformation(motion.deformation, height, width)),
        ("deformed", warp(source, deformation, align_corners=config.model.align_corners)),
    ]
    if motion.occlusion_map is not None:
        panels.append(("occlusion", paint_map(motion.occlusion_map, height, width)))
    if motion.background_mask is not None:
        panels.append(("background", paint_map(motion.background_mask, height, width)))
    regularizer = config.regularizer
    if regularizer is None and motion.occlusion_map is not None and motion.background_mask is not None:
        regularizer = PriorityCut(fraction=(0.3, 0.3))
    if regularizer is not None:
        panels += _mixing(networks.discriminator, regularizer, driving, output, end, seed=config.seed)
    return sheet([*panels, ("prediction", output.prediction)])


def _animated(
    animator: Animator, source: Frames, driving: Frames
) -> tuple[AnimationOutput, Keypoints | None, Keypoints | None]:
    if not isinstance(animator, KeypointAnimator):
        return animator(source, driving), None, None
    start, end = animator.detect(source), animator.detect(driving)
    return animator.render(source, start, end), start, end


def _mixing(
    discriminator: Discriminator | None,
    regularizer: Regularizer,
    driving: Frames,
    output: AnimationOutput,
    end: Keypoints | None,
    *,
    seed: int,
) -> Panels:
    """The mask that a regularizer draws, the frame that it makes, and what a discriminator says of its pixels."""
    height, width = driving.shape[-2:]
    mask = draw_mask(regularizer, output.motion, driving, generator=step_generator(seed, 0))
    mixed = mix(driving, partner(regularizer, output.prediction), mask)
    panels = [("cut mask", paint_map(mask.float(), height, width)), ("mixed", mixed)]
    scores = None if discriminator is None else discriminator(mixed, end)[0].pixel_score
    return panels if scores is None else [*panels, ("pixel scores", paint_scores(scores, height, width))]
