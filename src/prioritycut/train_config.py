"""Everything that a training run depends on, in one frozen config that refuses nonsense at birth."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from prioritycut.data.datasets import DataConfig, PuppetData
from prioritycut.losses import GanMode, LossWeights, PerceptualConfig
from prioritycut.models.building import MODEL_NAMES, DiscriminatorConfig, ModelConfig, missing_maps
from prioritycut.models.discriminators import UNetDiscriminatorConfig
from prioritycut.models.monkeynet import MonkeyNetDiscriminatorConfig
from prioritycut.regularizers import PriorityCut, RandomCut, Regularizer


@dataclass(frozen=True, kw_only=True)
class AdamConfig:
    """Adam, as the paper has it."""

    kind: Literal["adam"] = "adam"
    learning_rate: float = 2e-4
    keypoint_learning_rate: float | None = None
    """Of the keypoint detector; `None` is the same rate, 0 leaves it as it is."""
    betas: tuple[float, float] = (0.5, 0.999)
    milestones: tuple[int, ...] = ()
    """Epochs from which on the rates are a tenth."""

    def __post_init__(self) -> None:
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), got {self.betas}")
        _check_rates(self.learning_rate, self.keypoint_learning_rate, self.milestones)


@dataclass(frozen=True, kw_only=True)
class SgdConfig:
    """Stochastic gradient descent, as X2Face has it."""

    kind: Literal["sgd"] = "sgd"
    learning_rate: float = 1e-3
    keypoint_learning_rate: float | None = None
    """Of the keypoint detector; `None` is the same rate, 0 leaves it as it is."""
    momentum: float = 0.9
    milestones: tuple[int, ...] = ()
    """Epochs from which on the rates are a tenth."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"momentum must lie in [0, 1), got {self.momentum}")
        _check_rates(self.learning_rate, self.keypoint_learning_rate, self.milestones)


OptimizerConfig: TypeAlias = AdamConfig | SgdConfig


def _check_rates(learning_rate: float, keypoint_learning_rate: float | None, milestones: tuple[int, ...]) -> None:
    if any(milestone < 0 for milestone in milestones):
        raise ValueError(f"milestones must not be negative, got {milestones}")
    if not learning_rate > 0 or (keypoint_learning_rate or 0) < 0:
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
    model: ModelConfig
    discriminator: Annotated[DiscriminatorConfig | None, Field(discriminator="kind")] = None
    """`None` trains X2Face or FOMM, Monkey-Net's own that, a patch discriminator FOMM+, a U-Net the rest of the paper's
    ablation and PriorityCut."""
    regularizer: Regularizer | None = None
    """Which pixels are mixed; needs a U-Net discriminator."""
    mixing: MixSchedule = field(default_factory=MixSchedule)
    gan_mode: GanMode = "lsgan"
    """Form of the adversarial loss (ambiguity A12)."""
    losses: LossWeights = field(default_factory=LossWeights)
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    equivariance: EquivarianceConfig = field(default_factory=EquivarianceConfig)
    optimizer: OptimizerConfig = field(default_factory=AdamConfig)
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
        model = MODEL_NAMES[self.model.kind]
        missing = missing_maps(self.model)
        if isinstance(self.regularizer, PriorityCut | RandomCut) and missing:
            raise ValueError(
                f"{type(self.regularizer).__name__} needs an {' and a '.join(missing)}, which this {model} does not "
                "estimate; CutMix, Cutout and Mixup work with any model"
            )
        if self.optimizer.keypoint_learning_rate is not None and self.model.num_keypoints == 0:
            raise ValueError(f"keypoint_learning_rate is of a keypoint detector, which {model} does not have; leave it")
        self._check_discriminator()
        smallest = self.model.frame_size * min(self.perceptual.scales)
        if any(self.losses.perceptual) and smallest < 16:
            raise ValueError(
                f"the perceptual network halves frames four times, so its smallest scale must leave 16 pixels, got "
                f"{self.model.frame_size} * {min(self.perceptual.scales):g}; take fewer perceptual scales"
            )
        if self.regularizer is not None and not isinstance(self.discriminator, UNetDiscriminatorConfig):
            raise ValueError("a regularizer works on pixel scores, which only the U-Net discriminator gives")

    def _check_discriminator(self) -> None:
        judge, model = self.discriminator, self.model
        if judge is None:
            return
        judge.check_frame_size(model.frame_size)
        if isinstance(judge, MonkeyNetDiscriminatorConfig) and not model.estimate_covariance:
            raise ValueError(
                f"Monkey-Net's discriminator judges frames beside keypoints with a covariance, which "
                f"{MODEL_NAMES[model.kind]} does not give; take a patch or a U-Net discriminator"
            )
        if judge.num_keypoints not in (0, model.num_keypoints):
            raise ValueError(
                f"the discriminator is conditioned on {judge.num_keypoints} keypoints, but the model has "
                f"{model.num_keypoints}; take that number or 0"
            )
        matching = self.losses.feature_matching
        if isinstance(matching, tuple) and len(matching) != judge.num_blocks:
            raise ValueError(
                f"feature_matching has {len(matching)} weights, but the discriminator has {judge.num_blocks} blocks; "
                "give one weight a block, or one for all"
            )

    @property
    def warmup_epochs(self) -> int:
        """Length of the regularizer's ramp."""
        explicit = self.mixing.warmup_epochs
        return max(1, round(0.2 * self.epochs)) if explicit is None else explicit
