"""What the networks are asked for. Losses are pure functions of tensors; the weights stand in one place.

Sources: FOMM (perceptual, equivariance, least squares, feature matching); PriorityCut, equations 4 to 7; for plain L1
of frames and of the deformed source X2Face and Monkey-Net.
"""

from prioritycut.losses.adversarial import (
    GanMode,
    discriminator_adversarial_loss,
    fakeness_losses,
    feature_matching_loss,
    generator_adversarial_loss,
    mixed_adversarial_loss,
    pixel_scores_for,
)
from prioritycut.losses.motion import equivariance_jacobian_loss, equivariance_value_loss, explained_loss
from prioritycut.losses.perceptual import (
    PerceptualConfig,
    PerceptualLoss,
    Vgg19,
    load_vgg19,
    seeded_weights,
)
from prioritycut.losses.weights import DiscriminatorLosses, GeneratorLosses, LossWeights, Scalar

__all__ = [
    "DiscriminatorLosses",
    "GanMode",
    "GeneratorLosses",
    "LossWeights",
    "PerceptualConfig",
    "PerceptualLoss",
    "Scalar",
    "Vgg19",
    "discriminator_adversarial_loss",
    "equivariance_jacobian_loss",
    "equivariance_value_loss",
    "explained_loss",
    "fakeness_losses",
    "feature_matching_loss",
    "generator_adversarial_loss",
    "load_vgg19",
    "mixed_adversarial_loss",
    "pixel_scores_for",
    "seeded_weights",
]
