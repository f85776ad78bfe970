"""What Monkey-Net is asked for: to look like the driving frame to its discriminator, and to warp to it.

The least-squares game itself is that of `losses`.

Source: Siarohin et al., "Animating Arbitrary Objects via Deep Motion Transfer", CVPR 2019, section 3.4; SPEC 6.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from prioritycut.losses import generator_adversarial_loss
from prioritycut.outputs import DiscriminatorOutput, Frames

Scalar = Float[Tensor, ""]


@dataclass(frozen=True, kw_only=True)
class MonkeyNetLossWeights:
    """How much each loss counts. The defaults are the published ones for VoxCeleb and Tai-Chi."""

    reconstruction: tuple[float, ...] = (10.0, 10.0, 10.0, 10.0, 1.0)
    """Of the frame, then of each block of the discriminator."""
    deformed: float = 0.0
    """Of the warped source; 10 for BAIR."""
    adversarial: float = 1.0
    discriminator: float = 1.0
    """Of the discriminator's own loss."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if any(not w >= 0 for w in (value if isinstance(value, tuple) else (value,))):
                raise ValueError(f"{name} must not be negative, got {value}")


@dataclass(frozen=True, slots=True)
class MonkeyNetLosses:
    """The terms of Monkey-Net's generator, unweighted."""

    reconstruction: Float[Tensor, " layers"]
    deformed: Scalar
    adversarial: Scalar

    def total(self, weights: MonkeyNetLossWeights) -> Scalar:
        """Their weighted sum.

        Raises:
            ValueError: There is not one weight a layer.
        """
        if len(weights.reconstruction) != len(self.reconstruction):
            raise ValueError(
                f"reconstruction must have {len(self.reconstruction)} weights, one for the frame and one a block of "
                f"the discriminator, got {len(weights.reconstruction)}"
            )
        layers = self.reconstruction.new_tensor(weights.reconstruction)
        return (
            (layers * self.reconstruction).sum()
            + weights.deformed * self.deformed
            + weights.adversarial * self.adversarial
        )


def reconstruction_losses(
    prediction: Frames, driving: Frames, fake: DiscriminatorOutput, real: DiscriminatorOutput
) -> Float[Tensor, " layers"]:
    """Mean absolute difference of the frames, then of each block of the discriminator that saw them.

    As published, gradients flow through both sides: the real frame's features depend on the keypoints too.
    """
    pairs = [(prediction, driving), *zip(fake.features, real.features, strict=True)]
    return torch.stack([F.l1_loss(made, wanted) for made, wanted in pairs])


def monkeynet_losses(
    prediction: Frames,
    deformed: Frames,
    driving: Frames,
    fake: DiscriminatorOutput,
    real: DiscriminatorOutput,
) -> MonkeyNetLosses:
    """The generator's terms for one batch.

    Args:
        prediction: The generated frames.
        deformed: The source, warped at the frame's size.
        driving: What both should look like.
        fake: The discriminator on `prediction`.
        real: The discriminator on `driving`.
    """
    return MonkeyNetLosses(
        reconstruction=reconstruction_losses(prediction, driving, fake, real),
        deformed=F.l1_loss(deformed, driving),
        adversarial=generator_adversarial_loss(fake.score),
    )
