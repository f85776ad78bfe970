"""The generator's half of a step, by what model and discriminator can do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from prioritycut.geometry import random_transform, resize_deformation, resize_map, warp
from prioritycut.losses import (
    GeneratorLosses,
    Scalar,
    equivariance_jacobian_loss,
    equivariance_value_loss,
    explained_loss,
    feature_matching_loss,
    generator_adversarial_loss,
    pixel_scores_for,
)
from prioritycut.models.base import Discriminator, KeypointAnimator, PairDetector
from prioritycut.outputs import AnimationOutput, Frames, Keypoints
from prioritycut.stabilizers import Recoloring, draw_recoloring
from prioritycut.train_config import TrainConfig
from prioritycut.training.networks import Networks


@dataclass(frozen=True, slots=True)
class GeneratorPass:
    """What the generator's step leaves for the discriminator's.

    Attributes:
        losses: The generator's terms.
        output: What the model made of the batch.
        driving_keypoints: `None` of a model without keypoints.
        recoloring: The colours in which the discriminator saw the frames, and shall see them again; `None` as they are.
    """

    losses: GeneratorLosses
    output: AnimationOutput
    driving_keypoints: Keypoints | None
    recoloring: Recoloring | None = None


def detect_pair(animator: KeypointAnimator, source: Frames, driving: Frames) -> tuple[Keypoints, Keypoints]:
    """Keypoints of both frames, in two calls or in one: batch norm's statistics of each are part of a method."""
    if isinstance(animator, PairDetector):
        return animator.detect_pair(source, driving)
    return animator.detect(source), animator.detect(driving)


def generator_losses(
    networks: Networks, config: TrainConfig, source: Frames, driving: Frames, *, generator: torch.Generator
) -> GeneratorPass:
    """The generator's terms for one batch: those of equation 6, and those of the baselines.

    A term is 0 where its weight is 0, or where the model does not give what it looks at.
    """
    animator, weights = networks.animator, config.losses
    end = None
    if isinstance(animator, KeypointAnimator):
        start, end = detect_pair(animator, source, driving)
        output = animator.render(source, start, end)
    else:
        output = animator(source, driving)
    prediction, motion = output.prediction, output.motion
    perceptual = pixel = deformed = explained = value = jacobian = adversarial = matching = prediction.new_zeros(())

    if networks.perceptual is not None and any(weights.perceptual):
        perceptual = networks.perceptual(prediction, driving, weights.perceptual)
    if weights.pixel:
        pixel = (prediction - driving).abs().mean()
    if weights.deformed or (weights.explained and motion.occlusion_map is not None):
        height, width = driving.shape[-2:]
        deformation = resize_deformation(motion.deformation, height, width)
        moved = warp(source, deformation, align_corners=config.model.align_corners)
        if weights.deformed:
            deformed = (moved - driving).abs().mean()
        if weights.explained and motion.occlusion_map is not None:
            explained = explained_loss(moved, driving, resize_map(motion.occlusion_map, height, width))
    if isinstance(animator, KeypointAnimator) and end is not None:
        value, jacobian = equivariance_losses(animator, config, driving, end, generator=generator)
    recoloring = None
    if networks.discriminator is not None:
        if config.stabilizers.color_augmentation:
            recoloring = draw_recoloring(driving, generator=generator)
        seen = (driving, prediction) if recoloring is None else (recoloring(driving), recoloring(prediction))
        adversarial, matching = judged_losses(networks.discriminator, config, *seen, end)

    losses = GeneratorLosses(
        perceptual=perceptual,
        pixel=pixel,
        deformed=deformed,
        explained=explained,
        equivariance_value=value,
        equivariance_jacobian=jacobian,
        adversarial=adversarial,
        feature_matching=matching,
    )
    return GeneratorPass(losses, output, end, recoloring)


def equivariance_losses(
    animator: KeypointAnimator, config: TrainConfig, driving: Frames, end: Keypoints, *, generator: torch.Generator
) -> tuple[Scalar, Scalar]:
    """Equation 7 for places and for jacobians, by one random transform of the driving frames; 0 if frozen."""
    weights, settings = config.losses, config.equivariance
    zero = end.position.new_zeros(())
    if config.freeze_keypoints or not (weights.equivariance_value or weights.equivariance_jacobian):
        return zero, zero
    transform = random_transform(
        driving.shape[0],
        sigma_affine=settings.sigma_affine,
        sigma_bending=settings.sigma_bending,
        control_points=settings.control_points,
        generator=generator,
        device=driving.device,
    )
    seen = animator.detect(transform.frames(driving, align_corners=config.model.align_corners))
    value = equivariance_value_loss(end, seen, transform)
    if end.jacobian is None or not weights.equivariance_jacobian:
        return value, zero
    return value, equivariance_jacobian_loss(end, seen, transform)


def judged_losses(
    discriminator: Discriminator, config: TrainConfig, driving: Frames, prediction: Frames, end: Keypoints | None
) -> tuple[Scalar, Float[Tensor, " blocks"]]:
    """What the discriminator teaches the generator: to be taken for real, and to have a real frame's features."""
    teaches_keypoints = config.discriminator is not None and config.discriminator.teaches_keypoints
    fake = discriminator(prediction, end)
    with torch.set_grad_enabled(teaches_keypoints):
        real = discriminator(driving, end)
    adversarial = prediction.new_zeros(())
    for scale in fake:
        adversarial = adversarial + generator_adversarial_loss(scale.score, mode=config.gan_mode)
        pixels = pixel_scores_for(scale, mode=config.gan_mode)
        if pixels is not None:
            adversarial = adversarial + generator_adversarial_loss(pixels, mode=config.gan_mode)
    return adversarial, feature_matching_loss(real, fake, through_real=teaches_keypoints)


def step_generator(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step."""
    state = np.random.SeedSequence((seed, _STEP, step)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> 1))


_STEP = 3  # apart from the draws of the pairs
