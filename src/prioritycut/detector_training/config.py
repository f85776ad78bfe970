"""What the training of the puppets' detectors depends on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from prioritycut.data.puppets import LANDMARKS
from prioritycut.metrics.detectors.puppet_networks import EmbeddingNetworkConfig, KeypointNetworkConfig

TRAINING_CAST = 2
"""The cast that detectors learn from: animators are trained on cast 0 and judged, as detectors are, on cast 1."""


@dataclass(frozen=True, kw_only=True)
class CastConfig:
    """Which puppets are drawn to learn from."""

    seed: int = TRAINING_CAST
    """The cast; two casts share nobody."""
    characters: int = 1600
    """How many of its members."""
    takes: int = 8
    """Frames of each character, each from a take of its own, so that no two are neighbours in time."""

    def __post_init__(self) -> None:
        if self.characters < 2 or self.takes < 1:
            raise ValueError(
                f"characters must be at least 2 and takes at least 1, got {self.characters} and {self.takes}"
            )


@dataclass(frozen=True, kw_only=True)
class DegradationConfig:
    """How frames are altered, so that the networks also know blurred, noisy, generated and recoded ones.

    A probability is that of one frame; what is drawn is uniform from 0 (or 1, for a factor) to the strength.
    """

    shift: float = 5.0
    """Pixels, either way, in x and y."""
    scale: float = 0.1
    """Share by which the frame grows or shrinks."""
    rotation: float = 8.0
    """Degrees, either way."""
    background_probability: float = 0.5
    """That the puppet is put before another one's background."""
    coarse_probability: float = 0.15
    """That the frame has only half of its resolution."""
    blur_probability: float = 0.5
    blur: float = 1.6
    """Standard deviation, in pixels."""
    block_probability: float = 0.3
    block: float = 0.3
    """Step to which the coefficients of 8x8 blocks are rounded, the finest ones four times as coarsely."""
    noise: float = 0.04
    """Standard deviation of independent noise."""
    light: float = 0.15
    """Change of brightness, and share by which contrast changes."""
    tint: float = 0.15
    """Share by which each colour grows or shrinks on its own."""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How the weights are fitted: AdamW, the learning rate rising over the first steps and falling as a cosine."""

    steps: int
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup_share: float = 0.05
    """Share of the steps over which the learning rate rises from 0."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 2:
            raise ValueError(
                f"steps must be at least 1 and batch_size at least 2, got {self.steps} and {self.batch_size}"
            )


@dataclass(frozen=True, kw_only=True)
class KeypointTraining:
    """How the keypoint network is trained."""

    network: KeypointNetworkConfig = field(default_factory=lambda: KeypointNetworkConfig(landmarks=LANDMARKS))
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(steps=2400))
    spread: float = 2.0
    """Standard deviation of the heatmap that is asked for, in pixels."""
    heatmap_weight: float = 0.3
    """Of the cross-entropy with that heatmap, beside the distance in pixels."""
    visibility_weight: float = 1.0
    """Of the cross-entropy of visible or not."""
    hidden_weight: float = 0.2
    """Of a landmark's position while it is hidden, where a visible one's is 1."""


@dataclass(frozen=True, kw_only=True)
class IdentityTraining:
    """How the identity network is trained: to tell the characters of the cast apart, with a margin.

    Every frame is put before a background drawn by lot, so that only the puppet can tell who it is; and colours stay,
    for the colour of hair is who one is.
    """

    network: EmbeddingNetworkConfig = field(default_factory=EmbeddingNetworkConfig)
    degradation: DegradationConfig = field(
        default_factory=lambda: DegradationConfig(background_probability=1.0, tint=0.02)
    )
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(steps=2400))
    sharpness: float = 20.0
    """What cosines are multiplied by before the softmax."""
    margin: float = 0.25
    """By how much the cosine of the right character must win."""


@dataclass(frozen=True, kw_only=True)
class DetectorTraining:
    """All that a run of `train-detectors` depends on."""

    cast: CastConfig = field(default_factory=CastConfig)
    keypoints: KeypointTraining = field(default_factory=KeypointTraining)
    identity: IdentityTraining = field(default_factory=IdentityTraining)
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed"
    """Of the convolutions; losses and positions are always computed in float32."""
    seed: int = 0
    """Of first weights and of every draw."""

    def __post_init__(self) -> None:
        if self.keypoints.network.size != self.identity.network.size:
            raise ValueError(
                "both networks learn from the same frames and must see the same size, "
                f"got {self.keypoints.network.size} and {self.identity.network.size}"
            )
