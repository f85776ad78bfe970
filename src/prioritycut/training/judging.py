"""The discriminator's half of a step: which frames are mixed, and what is asked of the scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from prioritycut.losses import (
    DiscriminatorLosses,
    GanMode,
    Scalar,
    discriminator_adversarial_loss,
    fakeness_losses,
    mixed_adversarial_loss,
    pixel_scores_for,
)
from prioritycut.models.base import Discriminator
from prioritycut.outputs import DiscriminatorOutput, Frames, Keypoints, MotionOutput
from prioritycut.regularizers import Mask, consistency_loss, draw_mask, mix, mix_probability, partner
from prioritycut.stabilizers import Recoloring, ScoreAnchors, lecam_loss, r1_loss
from prioritycut.train_config import TrainConfig

Part = TypeVar("Part", Tensor, Keypoints)


@dataclass(frozen=True, slots=True)
class Mixing:
    """What one step mixes.

    Attributes:
        mask: Of every sample of the batch.
        samples: Which ones are mixed; `None` says all.
        weight: What the terms of mixed frames count, in (0, 1].
    """

    mask: Mask
    samples: Int[Tensor, " mixed"] | None = None
    weight: float = 1.0

    def of(self, part: Part) -> Part:
        """The mixed samples' share of anything that has a batch."""
        return part if self.samples is None else part[self.samples]

    @property
    def share(self) -> float:
        """How many of the batch are mixed."""
        return 1.0 if self.samples is None else len(self.samples) / len(self.mask)

    @property
    def rest(self) -> Int[Tensor, " unmixed"]:
        """The samples that are not mixed."""
        left = torch.ones(len(self.mask), dtype=torch.bool, device=self.mask.device)
        left[slice(None) if self.samples is None else self.samples] = False
        return left.nonzero().flatten()


def draw_mixing(
    config: TrainConfig,
    epoch: int,
    find_motion: Callable[[], MotionOutput],
    frames: Frames,
    *,
    generator: torch.Generator,
) -> Mixing | None:
    """What this step mixes, if its coin falls so, else `None` (SPEC section 3).

    Args:
        config: The run's.
        epoch: From 0.
        find_motion: Gives the motion whose maps choose the pixels; not asked where nothing is mixed.
        frames: The generated ones, for batch, size and device.
        generator: Of the step.
    """
    if config.regularizer is None:
        return None
    mixing, ramp, samples, weight = config.mixing, config.warmup_epochs, None, 1.0
    match mixing.coin:
        case "step":
            chance = mix_probability(epoch, warmup_epochs=ramp, maximum=mixing.probability)
            if float(torch.rand((), generator=generator)) >= chance:
                return None
        case "sample":
            chance = mix_probability(epoch, warmup_epochs=ramp, maximum=mixing.probability)
            samples = (torch.rand(len(frames), generator=generator) < chance).nonzero().flatten()
            if len(samples) == 0:
                return None
            samples = samples.to(frames.device)
        case "none":
            weight = mix_probability(epoch, warmup_epochs=ramp, maximum=1.0)
            if weight == 0.0:
                return None
    return Mixing(draw_mask(config.regularizer, find_motion(), frames, generator=generator), samples, weight)


def discriminator_losses(
    discriminator: Discriminator,
    config: TrainConfig,
    real_frames: Frames,
    fake_frames: Frames,
    keypoints: Keypoints | None,
    mixing: Mixing | None,
    *,
    step: int = 1,
    recoloring: Recoloring | None = None,
    anchors: ScoreAnchors | None = None,
) -> DiscriminatorLosses:
    """The terms of equation 4 for one batch, and those of the levers that the config pulls.

    Args:
        discriminator: Who judges.
        config: The run's.
        real_frames: The driving frames.
        fake_frames: What was made of them, detached.
        keypoints: The driving ones; they learn nothing here.
        mixing: What is mixed; without it the consistency term is 0.
        step: Counted from 1; says when the gradient penalty is due.
        recoloring: How the frames' colours are changed; `None` leaves them.
        anchors: What LeCam ties scores to, which follow this step's scores; `None` ties them to nothing.
    """
    keypoints = None if keypoints is None else keypoints.detach()
    if recoloring is not None:
        real_frames, fake_frames = recoloring(real_frames), recoloring(fake_frames)
    fake = discriminator(fake_frames, keypoints)
    real = discriminator(real_frames, keypoints)

    rest = mixing.rest if mixing is not None and config.mixing.skip_ordinary else None
    encoder, decoder = ordinary_losses(real, fake, mode=config.gan_mode, samples=rest)
    consistency, mixed_encoder, mixed_decoder = encoder.new_zeros(()), None, None
    if mixing is not None and config.regularizer is not None:
        mixed_frames = mix(
            mixing.of(real_frames), partner(config.regularizer, mixing.of(fake_frames)), mixing.of(mixing.mask)
        )
        mixed = discriminator(mixed_frames, None if keypoints is None else mixing.of(keypoints))[0]
        consistency = mixed_consistency(config, mixing, mixed, real[0], fake[0])
        if config.mixing.as_sample:
            mixed_encoder, mixed_decoder = sample_losses(mixing, mixed, mode=config.gan_mode)

    lecam = r1 = None
    if anchors is not None:
        lecam = anchored_loss(anchors, real, fake, decay=config.stabilizers.lecam_decay)
    every = config.stabilizers.r1_every
    if config.losses.r1 and step % every == 0:
        r1 = every * r1_loss(lambda frames: realness(discriminator(frames, keypoints), config.gan_mode), real_frames)
    return DiscriminatorLosses(encoder, decoder, consistency, mixed_encoder, mixed_decoder, lecam, r1)


def ordinary_losses(
    real: tuple[DiscriminatorOutput, ...],
    fake: tuple[DiscriminatorOutput, ...],
    *,
    mode: GanMode,
    samples: Int[Tensor, " some"] | None = None,
) -> tuple[Scalar, Scalar]:
    """Real is real and fake is fake, by patch and by pixel.

    Args:
        real: The discriminator on driving frames.
        fake: The discriminator on generated ones.
        mode: Form of the loss.
        samples: Which of the batch count, each as much as if all did; `None` says all.
    """
    encoder = decoder = real[0].score.new_zeros(())
    share = 1.0 if samples is None else len(samples) / len(real[0].score)
    if share == 0.0:
        return encoder, decoder

    def some(scores: Tensor) -> Tensor:
        return scores if samples is None else scores[samples]

    for real_scale, fake_scale in zip(real, fake, strict=True):
        patches = discriminator_adversarial_loss(some(real_scale.score), some(fake_scale.score), mode=mode)
        encoder = encoder + share * patches
        real_pixels, fake_pixels = pixel_scores_for(real_scale, mode=mode), pixel_scores_for(fake_scale, mode=mode)
        if real_pixels is not None and fake_pixels is not None:
            pixels = discriminator_adversarial_loss(some(real_pixels), some(fake_pixels), mode=mode)
            decoder = decoder + share * pixels
    return encoder, decoder


def mixed_consistency(
    config: TrainConfig,
    mixing: Mixing,
    mixed: DiscriminatorOutput,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
) -> Scalar:
    """Equation 5 for the samples that are mixed; for the others it is 0."""
    if mixed.pixel_score is None or real.pixel_score is None or fake.pixel_score is None or config.regularizer is None:
        raise ValueError("a regularizer works on pixel scores, which only the U-Net discriminator gives")
    real_score, fake_score = mixing.of(real.pixel_score), mixing.of(fake.pixel_score)
    if config.mixing.detach_target:
        real_score, fake_score = real_score.detach(), fake_score.detach()
    fake_score = partner(config.regularizer, fake_score)
    loss = consistency_loss(mixed.pixel_score, real_score, fake_score, mixing.of(mixing.mask))
    return mixing.weight * mixing.share * loss


def sample_losses(mixing: Mixing, mixed: DiscriminatorOutput, *, mode: GanMode) -> tuple[Scalar, Scalar]:
    """The mixed frames as samples of their own: fake by patch, real or fake by pixel (ambiguity A8)."""
    pixels = pixel_scores_for(mixed, mode=mode)
    assert pixels is not None  # mixed_consistency saw to it
    scale = mixing.weight * mixing.share
    encoder = fakeness_losses(mixed.score, mode=mode).mean()
    return scale * encoder, scale * mixed_adversarial_loss(pixels, mixing.of(mixing.mask), mode=mode)


def anchored_loss(
    anchors: ScoreAnchors, real: tuple[DiscriminatorOutput, ...], fake: tuple[DiscriminatorOutput, ...], *, decay: float
) -> Scalar:
    """LeCam on the patch scores of every scale, whose anchors follow them first."""
    real_scores, fake_scores = [each.score for each in real], [each.score for each in fake]
    anchors.follow(real_scores, fake_scores, decay=decay)
    ends = zip(real_scores, fake_scores, anchors.real.clone(), anchors.fake.clone(), strict=True)
    return torch.stack([lecam_loss(*each) for each in ends]).sum()


def realness(outputs: tuple[DiscriminatorOutput, ...], mode: GanMode) -> Float[Tensor, " batch"]:
    """What the generator is told of each frame, as one number: its mean patch and pixel scores, summed over scales."""
    scores = [output.score for output in outputs]
    scores += [pixels for output in outputs if (pixels := pixel_scores_for(output, mode=mode)) is not None]
    return torch.stack([each.flatten(1).mean(1) for each in scores]).sum(0)
