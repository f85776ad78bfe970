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
    """How often the discriminator's step is regularized (SPEC section 3), and what the mixed frames are used for."""

    probability: float = 0.5
    """Chance of a step once the ramp is over."""
    warmup_epochs: int | None = None
    """Length of the ramp; `None` is a fifth of the epochs, at least one (ambiguity A6)."""
    coin: Literal["step", "sample", "none"] = "step"
    """Whether the coin falls once a step, for the whole batch, or once an image; without one every step is regularized
    and the ramp scales what mixed frames are asked for instead (ambiguity A7)."""
    skip_ordinary: bool = False
    """Whether the ordinary real and fake terms are left out where frames are mixed, as U-Net GAN's code does
    (ambiguity A7)."""
    as_sample: bool = False
    """Whether the mixed frame is one more fake sample for the encoder, and for the decoder one that is real or fake
    pixel by pixel, as in U-Net GAN (ambiguity A8). With --losses.consistency 0 it is that alone."""
    detach_target: bool = False
    """Whether the scores that a mixed frame's are compared with are a fixed target (equation 5: gradients flow through
    all three)."""
    maps_from: Path | None = None
    """A checkpoint that stays as it is and whose maps choose the pixels; `None` takes the maps of the model that is
    being trained, as it is by then (ambiguity A21)."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability must lie in [0, 1], got {self.probability}")
        if self.warmup_epochs is not None and self.warmup_epochs < 0:
            raise ValueError(f"warmup_epochs must not be negative, got {self.warmup_epochs}")
        if self.coin == "none" and self.probability != MixSchedule.probability:
            raise ValueError("probability is that of a coin, and coin none has none; leave one of the two")
        if self.skip_ordinary and (self.coin == "none" or self.probability == 1.0):
            raise ValueError(
                "skip_ordinary would leave nothing that is trained on real and fake frames, since all are mixed; "
                "take a coin with a probability below 1"
            )

    @property
    def uses(self) -> tuple[str, ...]:
        """The settings that say what mixed frames are used for and are not the paper's."""
        names = ("coin", "skip_ordinary", "as_sample", "detach_target", "maps_from")
        return tuple(name for name in names if getattr(self, name) != getattr(MixSchedule, name))


@dataclass(frozen=True, kw_only=True)
class Stabilizers:
    """What steadies adversarial training: none of it is in the paper, and all of it is off by default.

    LeCam and R1 have their weights among the losses.
    """

    ema_decay: float = 0.0
    """Of the average of the animator's weights over the steps, which is then what the run's checkpoint holds: 0 keeps
    the latest weights, 0.999 reaches back some thousand steps (`training.averaging`; Karras et al., ICLR 2018)."""
    color_augmentation: bool = False
    """Whether the discriminator sees all frames in randomly changed colours, the same for a real frame and those that
    imitate it (DiffAugment's policy "color"; Zhao et al., NeurIPS 2020)."""
    lecam_decay: float = 0.99
    """Of the mean scores that LeCam ties to (--losses.lecam): 0 takes those of the step, towards 1 they reach back."""
    r1_every: int = 1
    """Steps between gradient penalties (--losses.r1), each then weighing as many times as much (lazy regularization;
    Karras et al., CVPR 2020)."""

    def __post_init__(self) -> None:
        for name in ("ema_decay", "lecam_decay"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        if self.r1_every < 1:
            raise ValueError(f"r1_every must be at least 1, got {self.r1_every}")


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
    stabilizers: Stabilizers = field(default_factory=Stabilizers)
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
    freeze_keypoints: bool = False
    """Whether the keypoint detector stays as it came, batch norm's statistics included; it must come trained
    (ambiguity A13). A keypoint_learning_rate of 0 lets those statistics follow the data."""
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
        self._check_mixing()
        self._check_stabilizers()
        self._check_frozen()
        if self.optimizer.keypoint_learning_rate is not None and self.model.num_keypoints == 0:
            raise ValueError(f"keypoint_learning_rate is of a keypoint detector, which {model} does not have; leave it")
        self._check_discriminator()
        smallest = self.model.frame_size * min(self.perceptual.scales)
        if any(self.losses.perceptual) and smallest < 16:
            raise ValueError(
                f"the perceptual network halves frames four times, so its smallest scale must leave 16 pixels, got "
                f"{self.model.frame_size} * {min(self.perceptual.scales):g}; take fewer perceptual scales"
            )

    def _check_mixing(self) -> None:
        mixing, regularizer = self.mixing, self.regularizer
        if regularizer is None:
            if mixing.uses:
                raise ValueError(f"mixing.{mixing.uses[0]} is of mixed frames, and no regularizer mixes any; leave it")
            return
        missing, looks_at_maps = missing_maps(self.model), isinstance(regularizer, PriorityCut | RandomCut)
        if looks_at_maps and missing and mixing.maps_from is None:
            raise ValueError(
                f"{type(regularizer).__name__} needs an {' and a '.join(missing)}, which this "
                f"{MODEL_NAMES[self.model.kind]} does not estimate; CutMix, Cutout and Mixup work with any model"
            )
        if mixing.maps_from is not None and not looks_at_maps:
            raise ValueError(f"mixing.maps_from is for PriorityCut, and {type(regularizer).__name__} looks at no maps")
        if not isinstance(self.discriminator, UNetDiscriminatorConfig):
            raise ValueError("a regularizer works on pixel scores, which only the U-Net discriminator gives")

    def _check_stabilizers(self) -> None:
        losses, stabilizers = self.losses, self.stabilizers
        of_discriminator = {
            "losses.lecam": losses.lecam,
            "losses.r1": losses.r1,
            "stabilizers.color_augmentation": stabilizers.color_augmentation,
        }
        for name, wanted in of_discriminator.items():
            if wanted and self.discriminator is None:
                raise ValueError(f"{name} is of a discriminator, which this run does not have; leave it")
        for name, weight in (("lecam_decay", "lecam"), ("r1_every", "r1")):
            if getattr(stabilizers, name) != getattr(Stabilizers, name) and not getattr(losses, weight):
                raise ValueError(f"stabilizers.{name} says how losses.{weight} works, which is 0; give it a weight")

    def _check_frozen(self) -> None:
        if not self.freeze_keypoints:
            return
        if self.model.num_keypoints == 0:
            raise ValueError(
                f"freeze_keypoints is of a keypoint detector, which {MODEL_NAMES[self.model.kind]} does not have"
            )
        if self.init_from is None:
            raise ValueError("freeze_keypoints needs a trained detector; give a checkpoint by --init-from")
        if self.optimizer.keypoint_learning_rate is not None:
            raise ValueError("freeze_keypoints leaves nothing for keypoint_learning_rate to do; leave one of the two")

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
