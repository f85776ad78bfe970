"""Everything that a training run depends on, in one frozen config that refuses nonsense at birth."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from prioritycut.data.datasets import DataConfig, PuppetData
from prioritycut.losses import GanMode, LossWeights, PerceptualConfig
from prioritycut.models.discriminators import DiscriminatorConfig, UNetDiscriminatorConfig
from prioritycut.models.fomm import FommConfig
from prioritycut.regularizers import PriorityCut, RandomCut, Regularizer


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam, as the paper has it."""

    learning_rate: float = 2e-4
    keypoint_learning_rate: float | None = None
    """Of the keypoint detector; `None` is the same rate, 0 leaves it as it is."""
    betas: tuple[float, float] = (0.5, 0.999)
    milestones: tuple[int, ...] = ()
    """Epochs from which on the rates are a tenth."""

    def __post_init__(self) -> None:
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), got {self.betas}")
        if any(milestone < 0 for milestone in self.milestones):
            raise ValueError(f"milestones must not be negative, got {self.milestones}")
        if not self.learning_rate > 0 or (self.keypoint_learning_rate or 0) < 0:
            raise ValueError("learning_rate must be positive and keypoint_learning_rate not negative")


@dataclass(frozen=True, kw_only=True)
class MixSchedule:
    """How often the discriminator's step is regularized (SPEC section 3)."""

    probability: float = 0.5
    """Chance of a step once the ramp is over."""
    warmup_epochs: int | None = None
    """Length of the ramp; `None` is a fifth of the epochs, at least one (ambiguity A6)."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability must lie in [0, 1], got {self.probability}")
        if self.warmup_epochs is not None and self.warmup_epochs < 0:
            raise ValueError(f"warmup_epochs must not be negative, got {self.warmup_epochs}")


@dataclass(frozen=True, kw_only=True)
class EquivarianceConfig:
    """The random transform that keypoints must follow."""

    sigma_affine: float = 0.05
    sigma_bending: float = 0.005
    control_points: int = 5

    def __post_init__(self) -> None:
        if self.sigma_affine < 0 or self.sigma_bending < 0 or self.control_points < 2:
            raise ValueError("sigmas must not be negative and control_points at least 2")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that a run depends on."""

    name: str
    """The preset that it began from."""
    model: FommConfig
    discriminator: DiscriminatorConfig | None = None
    """`None` trains FOMM, a patch discriminator FOMM+, a U-Net the paper's ablation and PriorityCut."""
    regularizer: Regularizer | None = None
    """Which pixels are mixed; needs a U-Net discriminator."""
    mixing: MixSchedule = field(default_factory=MixSchedule)
    gan_mode: GanMode = "lsgan"
    """Form of the adversarial loss (ambiguity A12)."""
    losses: LossWeights = field(default_factory=LossWeights)
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    equivariance: EquivarianceConfig = field(default_factory=EquivarianceConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    data: DataConfig = field(default_factory=PuppetData)
    batch_size: int = 20
    """Pairs a step."""
    epochs: int = 100
    """Times that every item of the data is visited."""
    init_from: Path | None = None
    """A checkpoint of the same model to begin from; `None` begins from random weights (ambiguity A13)."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Float32 throughout, or bfloat16 where it is safe."""
    workers: int = 0
    """Processes that prepare pairs beside the training one."""
    seed: int = 0
    """Of the weights and of every draw; the same seed gives the same run on the same machine."""
    log_every: int = 10
    """Steps between lines of numbers."""
    sample_every: int = 500
    """Steps between sheets of pictures."""
    checkpoint_every: int = 500
    """Steps between saves; what is lost when the power goes."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "log_every", "sample_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("workers", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if isinstance(self.regularizer, PriorityCut | RandomCut) and not self.model.estimate_occlusion_map:
            raise ValueError(
                f"{self.regularizer.kind} needs an occlusion map, which this model does not estimate; CutMix, Cutout "
                "and Mixup work with any model"
            )
        if self.discriminator is not None:
            self.discriminator.check_frame_size(self.model.frame_size)
        smallest = self.model.frame_size * min(self.perceptual.scales)
        if smallest < 16:
            raise ValueError(
                f"the perceptual network halves frames four times, so its smallest scale must leave 16 pixels, got "
                f"{self.model.frame_size} * {min(self.perceptual.scales):g}; take fewer perceptual scales"
            )
        if self.regularizer is not None and not isinstance(self.discriminator, UNetDiscriminatorConfig):
            raise ValueError("a regularizer works on pixel scores, which only the U-Net discriminator gives")
        if self.discriminator is not None and self.discriminator.num_keypoints not in (
            0,
            self.model.num_keypoints,
        ):
            raise ValueError(
                f"the discriminator is conditioned on {self.discriminator.num_keypoints} keypoints, but the model has "
                f"{self.model.num_keypoints}; take that number or 0"
            )

    @property
    def warmup_epochs(self) -> int:
        """Length of the regularizer's ramp."""
        explicit = self.mixing.warmup_epochs
        return max(1, round(0.2 * self.epochs)) if explicit is None else explicit
