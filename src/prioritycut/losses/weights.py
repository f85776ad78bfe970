"""How much each loss counts, and the sums of equations 4 and 6."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

from prioritycut.losses.perceptual import TAPS

Scalar: TypeAlias = Float[Tensor, ""]


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """How much each loss counts. The defaults are the paper's (SPEC section 5)."""

    perceptual: tuple[float, ...] = (10.0, 10.0, 10.0, 10.0, 10.0)
    """One weight a tap of the perceptual network, shallow to deep; the same at every scale."""
    pixel: float = 0.0
    """Plain L1 between frames. X2Face has no other loss, and in Monkey-Net it is the first layer of feature matching.
    Beside the perceptual loss it is not in the paper, but useful where that network is small or random."""
    deformed: float = 0.0
    """Plain L1 between the deformed source and the driving frame (Monkey-Net)."""
    explained: float = 0.0
    """The occlusion map shall be high where the deformed source explains the driving frame and low where it does
    not (`explained_loss`). Not in the paper; it gives the map a meaning early, which short runs need."""
    equivariance_value: float = 10.0
    equivariance_jacobian: float = 10.0
    adversarial: float = 1.0
    feature_matching: float | tuple[float, ...] = 10.0
    """The same for every encoder block, or one weight a block, shallow to deep."""
    discriminator_encoder: float = 1.0
    """w_enc of equation 4."""
    discriminator_decoder: float = 1.0
    """w_dec of equation 4."""
    consistency: float = 1.0
    """w_cons of equation 4."""
    lecam: float = 0.0
    """Ties the discriminator's scores to their slow means (`stabilizers.lecam_loss`). Not in the paper."""
    r1: float = 0.0
    """gamma of R1: how flat the discriminator shall be at real frames (`stabilizers.r1_loss`). Not in the paper."""

    def __post_init__(self) -> None:
        if len(self.perceptual) != len(TAPS):
            raise ValueError(f"perceptual must have {len(TAPS)} weights, one a tap, got {len(self.perceptual)}")
        for name, value in vars(self).items():
            if any(not w >= 0 for w in (value if isinstance(value, tuple) else (value,))):
                raise ValueError(f"{name} must not be negative, got {value}")


@dataclass(frozen=True, slots=True)
class GeneratorLosses:
    """The terms of equation 6, unweighted but for the taps; those that a run does not use are 0."""

    perceptual: Scalar
    pixel: Scalar
    deformed: Scalar
    explained: Scalar
    equivariance_value: Scalar
    equivariance_jacobian: Scalar
    adversarial: Scalar
    feature_matching: Float[Tensor, "*blocks"]
    """One a block."""

    def total(self, weights: LossWeights) -> Scalar:
        """L_G of equation 6."""
        return (
            self.perceptual
            + weights.pixel * self.pixel
            + weights.deformed * self.deformed
            + weights.explained * self.explained
            + weights.equivariance_value * self.equivariance_value
            + weights.equivariance_jacobian * self.equivariance_jacobian
            + weights.adversarial * self.adversarial
            + (self.feature_matching.new_tensor(weights.feature_matching) * self.feature_matching).sum()
        )


@dataclass(frozen=True, slots=True)
class DiscriminatorLosses:
    """The terms of equation 4, unweighted; those that a run does not use are 0.

    Beside them those that are not the paper's, `None` in a step that has none.
    """

    encoder: Scalar
    decoder: Scalar
    consistency: Scalar
    mixed_encoder: Scalar | None = None
    """The mixed frame as one more fake sample, by patch (ambiguity A8)."""
    mixed_decoder: Scalar | None = None
    """The same by pixel: each is real or fake as the mask says."""
    lecam: Scalar | None = None
    r1: Scalar | None = None

    def total(self, weights: LossWeights) -> Scalar:
        """L_D of equation 4, and what stands beside it."""
        total = (
            weights.discriminator_encoder * self.encoder
            + weights.discriminator_decoder * self.decoder
            + weights.consistency * self.consistency
        )
        for weight, term in (
            (weights.discriminator_encoder, self.mixed_encoder),
            (weights.discriminator_decoder, self.mixed_decoder),
            (weights.lecam, self.lecam),
            (weights.r1, self.r1),
        ):
            if term is not None:
                total = total + weight * term
        return total
