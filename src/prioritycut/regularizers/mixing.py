"""What is done with a mask: mixing, what consistency asks of the mixed frame, and how often."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from prioritycut.regularizers.masks import Map, Mask


def mix(
    real: Float[Tensor, "batch channels height width"],
    fake: Float[Tensor, "batch channels height width"],
    from_fake: Mask,
) -> Float[Tensor, "batch channels height width"]:
    """(1 - M) * real + M * fake: the fake where the mask is True, the real elsewhere; a blend for Mixup.

    Works on frames and on pixel scores alike. Both come from the same driving frame, so there is no seam.

    Source: PriorityCut, equation 3.
    """
    if from_fake.dtype == torch.bool:
        # A choice, not a product: what is not chosen cannot leak in, not even a NaN.
        return torch.where(from_fake, fake, real)
    return (1 - from_fake) * real + from_fake * fake


def consistency_loss(mixed_scores: Map, real_scores: Map, fake_scores: Map, from_fake: Mask) -> Float[Tensor, ""]:
    """Ask the discriminator to score a mixed frame as it scored the two that it was cut from.

    Mean over batch and pixels of (D(mix(real, fake)) - mix(D(real), D(fake)))^2, on the decoder's scores. The
    gradient flows through all three; detach the scores to make a fixed target of them.

    Source: PriorityCut, equation 5; U-Net GAN (Schönfeld et al., CVPR 2020).
    """
    return F.mse_loss(mixed_scores, mix(real_scores, fake_scores, from_fake))


def mix_probability(epoch: float, *, warmup_epochs: float, maximum: float = 0.5) -> float:
    """Chance that a discriminator step is regularized: `maximum` * min(1, epoch / warmup), epochs from 0.

    Source: PriorityCut, section 4.1 (after U-Net GAN); the length of the ramp is ambiguity A6.
    """
    return maximum if warmup_epochs <= 0 else maximum * min(1.0, epoch / warmup_epochs)
