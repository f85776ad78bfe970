"""From a config to the network that it describes: every model and discriminator that there is."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from prioritycut.models.discriminators import (
    PatchDiscriminator,
    PatchDiscriminatorConfig,
    UNetDiscriminator,
    UNetDiscriminatorConfig,
)
from prioritycut.models.fomm import Fomm, FommConfig
from prioritycut.models.monkeynet import (
    MonkeyNet,
    MonkeyNetConfig,
    MonkeyNetDiscriminator,
    MonkeyNetDiscriminatorConfig,
)
from prioritycut.models.x2face import X2Face, X2FaceConfig

ModelConfig: TypeAlias = Annotated[FommConfig | MonkeyNetConfig | X2FaceConfig, Field(discriminator="kind")]
"""A model, told apart by its `kind`. All say what it gives: `num_keypoints` (0 for none), `estimate_...`."""
Model: TypeAlias = Fomm | MonkeyNet | X2Face

DiscriminatorConfig: TypeAlias = PatchDiscriminatorConfig | UNetDiscriminatorConfig | MonkeyNetDiscriminatorConfig
"""A discriminator. `teaches_keypoints` says whether gradients flow from its judgement into the keypoints that it is
conditioned on."""
DiscriminatorNetwork: TypeAlias = PatchDiscriminator | UNetDiscriminator | MonkeyNetDiscriminator

MODEL_NAMES = {"fomm": "FOMM", "monkey-net": "Monkey-Net", "x2face": "X2Face"}
"""The published name of each kind of model."""


def build_animator(config: ModelConfig) -> Model:
    """The model that a config describes, with random weights."""
    match config:
        case FommConfig():
            return Fomm(config)
        case MonkeyNetConfig():
            return MonkeyNet(config)
        case X2FaceConfig():
            return X2Face(config)


def build_discriminator(config: DiscriminatorConfig) -> DiscriminatorNetwork:
    """The discriminator that a config describes, with random weights."""
    match config:
        case PatchDiscriminatorConfig():
            return PatchDiscriminator(config)
        case UNetDiscriminatorConfig():
            return UNetDiscriminator(config)
        case MonkeyNetDiscriminatorConfig():
            return MonkeyNetDiscriminator(config)


def missing_maps(config: ModelConfig) -> tuple[str, ...]:
    """The maps that PriorityCut needs and this model does not estimate."""
    maps = {"occlusion map": config.estimate_occlusion_map, "background mask": config.estimate_background_mask}
    return tuple(name for name, estimated in maps.items() if not estimated)
