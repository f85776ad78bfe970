"""Adversarial losses: what the discriminator asks of scores, and what the generator asks of the discriminator.

The form is ambiguity A12, least squares by default.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from prioritycut.losses.weights import Scalar
from prioritycut.outputs import DiscriminatorOutput

GanMode: TypeAlias = Literal["lsgan", "logistic", "hinge"]


def realness_losses(scores: Tensor, *, mode: GanMode) -> Tensor:
    """For each score, how far the discriminator is from calling it real."""
    match mode:
        case "lsgan":
            return (1 - scores) ** 2
        case "logistic":
            return F.softplus(-scores)
        case "hinge":
            return F.relu(1 - scores)


def fakeness_losses(scores: Tensor, *, mode: GanMode) -> Tensor:
    """For each score, how far the discriminator is from calling it fake."""
    match mode:
        case "lsgan":
            return scores**2
        case "logistic":
            return F.softplus(scores)
        case "hinge":
            return F.relu(1 + scores)


def discriminator_adversarial_loss(real: Tensor, fake: Tensor, *, mode: GanMode = "lsgan") -> Scalar:
    """Ask for realness of real scores and fakeness of fake ones.

    Least squares wants 1 and 0; logistic and hinge take logits.

    Source: LSGAN (Mao et al., ICCV 2017); GAN (Goodfellow et al., 2014); geometric GAN (Lim & Ye, 2017).
    """
    return realness_losses(real, mode=mode).mean() + fakeness_losses(fake, mode=mode).mean()


def mixed_adversarial_loss(
    scores: Float[Tensor, "batch 1 height width"], from_fake: Tensor, *, mode: GanMode = "lsgan"
) -> Scalar:
    """Ask of a mixed frame's pixel scores what the mask says: fakeness where it is True, realness elsewhere.

    Args:
        scores: Of the mixed frame, as `pixel_scores_for` gives them.
        from_fake: The mask that it was mixed by, batch 1 height width; between 0 and 1 both are asked in that share.
        mode: Form of the loss.

    Source: U-Net GAN (Schönfeld et al., CVPR 2020), section 3.2; ambiguity A8.
    """
    share = from_fake.to(scores.dtype)
    real, fake = realness_losses(scores, mode=mode), fakeness_losses(scores, mode=mode)
    return ((1 - share) * real + share * fake).mean()


def generator_adversarial_loss(fake: Tensor, *, mode: GanMode = "lsgan") -> Scalar:
    """Ask that fake scores look real; sources as above (the non-saturating form for logistic)."""
    match mode:
        case "lsgan":
            return ((1 - fake) ** 2).mean()
        case "logistic":
            return F.softplus(-fake).mean()
        case "hinge":
            return -fake.mean()


def pixel_scores_for(output: DiscriminatorOutput, *, mode: GanMode) -> Tensor | None:
    """The decoder's answer as the loss wants it: `pixel_score` for least squares, `pixel_logit` otherwise."""
    return output.pixel_score if mode == "lsgan" else output.pixel_logit


def feature_matching_loss(
    real: tuple[DiscriminatorOutput, ...], fake: tuple[DiscriminatorOutput, ...], *, through_real: bool = False
) -> Float[Tensor, " blocks"]:
    """Mean absolute difference of each encoder block's output, summed over scales. The decoder takes no part.

    Args:
        real: The discriminator on driving frames.
        fake: The discriminator on generated ones.
        through_real: Whether gradients flow into the real features too, as they do in Monkey-Net, where these depend on
            the keypoints. Otherwise they are a target.

    Source: pix2pixHD (Wang et al., CVPR 2018) as FOMM uses it; Monkey-Net, section 3.4.
    """
    scales = [
        torch.stack(
            [
                F.l1_loss(fake_map, real_map if through_real else real_map.detach())
                for real_map, fake_map in zip(real_scale.features, fake_scale.features, strict=True)
            ]
        )
        for real_scale, fake_scale in zip(real, fake, strict=True)
    ]
    return torch.stack(scales).sum(0)
