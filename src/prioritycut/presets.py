"""Named configs: a data set and size times a baseline or a row of the paper's ablation.

    puppets-64, puppets-128, vox-256, taichi-256, bair-256
    x x2face | monkey-net | fomm | fomm-plus | unet | cutmix | cutout | mixup | random | prioritycut

Each row of the ablation differs from the one before by one field of the config (`ABLATION`):

    fomm         no discriminator
    fomm-plus    discriminator: patches
    unet         discriminator: a U-Net
    cutmix       regularizer: CutMix
    cutout       regularizer: Cutout
    mixup        regularizer: Mixup
    random       regularizer: as many pixels as PriorityCut cuts, anywhere
    prioritycut  regularizer: PriorityCut

On puppets that is all. The full-size baselines keep the epochs, batch and learning rates of their published configs
too, and from unet on the rows have the paper's batch of 20 (ambiguity A20).
"""

from __future__ import annotations

from dataclasses import replace

from prioritycut.data.augment import Augmentation
from prioritycut.data.datasets import FolderData, PuppetData
from prioritycut.losses import LossWeights, PerceptualConfig
from prioritycut.models.discriminators import PatchDiscriminatorConfig, UNetDiscriminatorConfig
from prioritycut.models.fomm import FommConfig, HourglassConfig
from prioritycut.models.monkeynet import MonkeyNetConfig, MonkeyNetDiscriminatorConfig
from prioritycut.models.x2face import X2FaceConfig
from prioritycut.regularizers import CutMix, Cutout, Mixup, PriorityCut, RandomCut, Regularizer
from prioritycut.train_config import AdamConfig, SgdConfig, TrainConfig

BASELINES = ("x2face", "monkey-net")
REGULARIZERS: dict[str, Regularizer] = {
    "cutmix": CutMix(),
    "cutout": Cutout(),
    "mixup": Mixup(),
    "random": RandomCut(),
    "prioritycut": PriorityCut(),
}
"""The regularized rows of the ablation."""
ABLATION = {
    "fomm-plus": "discriminator",
    "unet": "discriminator",
    **dict.fromkeys(REGULARIZERS, "regularizer"),
}
"""Every row of the ablation after `fomm`, in order, and the field in which it differs from the row before."""

PHOTOMETRIC = LossWeights(perceptual=(0.0,) * 5, pixel=1.0, equivariance_value=0.0, equivariance_jacobian=0.0)
"""X2Face: L1 between frames, nothing else (SPEC 6.4)."""
MONKEY_NET = LossWeights(
    perceptual=(0.0,) * 5,
    pixel=10.0,
    equivariance_value=0.0,
    equivariance_jacobian=0.0,
    feature_matching=(10.0, 10.0, 10.0, 1.0),
)
"""Monkey-Net: L1 between frames and between the discriminator's blocks, least squares (SPEC 6.3)."""

_PUBLISHED = FommConfig()
PAPER_BATCH = 20


def _puppets(size: int) -> list[TrainConfig]:
    """Small networks that two CPU cores train in an hour, and a small random perceptual network beside plain L1."""
    hourglass = HourglassConfig(block_expansion=20, max_features=128, num_blocks=3, scale_factor=32 / size)
    fomm = TrainConfig(
        name=f"puppets-{size}-fomm",
        model=FommConfig(
            frame_size=size,
            detector=replace(hourglass, block_expansion=16),
            dense_motion=hourglass,
            # Features are warped at 32 pixels a side, as the dense motion is.
            block_expansion=40 if size == 64 else 24,
            max_features=128,
            num_down_blocks=1 if size == 64 else 2,
            num_bottleneck_blocks=4,
        ),
        perceptual=PerceptualConfig(weights="random", width=16, scales=(1.0, 0.5, 0.25)),
        losses=LossWeights(pixel=50.0, explained=50.0),
        # In its first steps the occlusion map runs to 1, and its gradient with it. Adam's usual memory of 1,000
        # steps would hold the rate down by what those steps were like for most of so short a run; 100 steps let go.
        optimizer=AdamConfig(learning_rate=3e-4, betas=(0.5, 0.99), milestones=(25,)),
        data=PuppetData(clips=1600, frames=24),
        batch_size=16,
        epochs=30,
        sample_every=250,
        checkpoint_every=50,
    )
    patch = PatchDiscriminatorConfig(block_expansion=8, max_features=128)
    unet = UNetDiscriminatorConfig(block_expansion=8, max_features=128)
    return [*_small_baselines(fomm), *_ablation(fomm, replace(fomm, discriminator=patch), unet)]


def _small_baselines(fomm: TrainConfig) -> list[TrainConfig]:
    """Networks with as many weights as the small FOMM, trained on its data for its steps, by their own losses.

    The optimizer is FOMM's too: in 400 steps Adam brings X2Face to an L1 of 0.046, its published SGD to 0.055.
    """
    size, prefix = fomm.model.frame_size, fomm.name.removesuffix("fomm")
    hourglass = HourglassConfig(block_expansion=16, max_features=128, num_blocks=3, scale_factor=32 / size)
    halvings = 6 if size == 64 else 7
    x2face = replace(
        fomm,
        name=prefix + "x2face",
        model=X2FaceConfig(frame_size=size, num_levels=halvings, block_expansion=24, max_features=72, bottleneck=64),
        losses=PHOTOMETRIC,
    )
    monkey_net = replace(
        fomm,
        name=prefix + "monkey-net",
        model=MonkeyNetConfig(
            frame_size=size,
            detector=hourglass,
            dense_motion=hourglass,
            block_expansion=16,
            max_features=92,
            num_blocks=halvings - 1,
            keypoint_scale=32 / size,
        ),
        discriminator=MonkeyNetDiscriminatorConfig(block_expansion=8, max_features=64),
        losses=MONKEY_NET,
    )
    return [x2face, monkey_net]


def _full_size(
    dataset: str,
    *,
    epochs: int,
    milestones: tuple[int, ...],
    batch: int,
    repeats: int,
    id_sampling: bool,
    adversarial_epochs: int,
    adversarial_batch: int,
    adversarial_milestones: tuple[int, ...] = (),
    keypoint_learning_rate: float | None = None,
    conditioned: bool = True,
    spectral_norm: bool = False,
    monkey_net_epochs: int,
    monkey_net_milestones: tuple[int, ...] = (),
    monkey_net_deformed: float = 0.0,
) -> list[TrainConfig]:
    """The published settings of one data set (SPEC 6.1, 6.3) and the paper's rows on top of them."""
    fomm = TrainConfig(
        name=f"{dataset}-256-fomm",
        model=_PUBLISHED,
        optimizer=AdamConfig(milestones=milestones),
        data=FolderData(repeats=repeats, id_sampling=id_sampling, augmentation=Augmentation()),
        batch_size=batch,
        epochs=epochs,
        workers=8,
        sample_every=1000,
        checkpoint_every=1000,
    )
    keypoints = _PUBLISHED.num_keypoints if conditioned else 0
    plus = replace(
        fomm,
        discriminator=PatchDiscriminatorConfig(num_keypoints=keypoints, spectral_norm=spectral_norm),
        optimizer=AdamConfig(milestones=adversarial_milestones, keypoint_learning_rate=keypoint_learning_rate),
        batch_size=adversarial_batch,
        epochs=adversarial_epochs,
    )
    unet = UNetDiscriminatorConfig(num_keypoints=keypoints, spectral_norm=spectral_norm)
    # Its public code says no number of epochs; those of the data set's FOMM are taken.
    x2face = replace(
        fomm,
        name=f"{dataset}-256-x2face",
        model=X2FaceConfig(),
        losses=PHOTOMETRIC,
        optimizer=SgdConfig(milestones=milestones),
        batch_size=16,
    )
    # The networks and the batch of its VoxCeleb config, the epochs of the data set's own, each an item once (A14).
    monkey_net = replace(
        fomm,
        name=f"{dataset}-256-monkey-net",
        model=MonkeyNetConfig(),
        discriminator=MonkeyNetDiscriminatorConfig(),
        losses=replace(MONKEY_NET, deformed=monkey_net_deformed),
        optimizer=AdamConfig(milestones=monkey_net_milestones),
        data=FolderData(repeats=1, augmentation=Augmentation(jitter=0.0)),
        batch_size=20,
        epochs=monkey_net_epochs,
    )
    return [x2face, monkey_net, *_ablation(fomm, plus, unet, paper_batch=PAPER_BATCH)]


def _ablation(
    fomm: TrainConfig,
    plus: TrainConfig,
    discriminator: UNetDiscriminatorConfig,
    *,
    paper_batch: int | None = None,
) -> list[TrainConfig]:
    """The rows of the paper's ablation, and those that its figures alone show."""
    prefix = fomm.name.removesuffix("fomm")
    unet = replace(plus, discriminator=discriminator, batch_size=paper_batch or plus.batch_size)
    return [
        fomm,
        replace(plus, name=prefix + "fomm-plus"),
        replace(unet, name=prefix + "unet"),
        *(replace(unet, name=prefix + row, regularizer=each) for row, each in REGULARIZERS.items()),
    ]


PRESETS: dict[str, TrainConfig] = {
    config.name: config
    for config in (
        *_puppets(64),
        *_puppets(128),
        *_full_size(
            "vox",
            epochs=100,
            milestones=(60, 90),
            batch=40,
            repeats=75,
            id_sampling=True,
            adversarial_epochs=150,
            adversarial_batch=36,
            monkey_net_epochs=20,
        ),
        *_full_size(
            "taichi",
            epochs=100,
            milestones=(60, 90),
            batch=30,
            repeats=150,
            id_sampling=True,
            adversarial_epochs=150,
            adversarial_batch=27,
            # The published config starts from a trained detector and leaves it alone.
            keypoint_learning_rate=0.0,
            monkey_net_epochs=750,
            monkey_net_milestones=(500,),
        ),
        *_full_size(
            "bair",
            epochs=20,
            milestones=(12, 18),
            batch=36,
            repeats=1,
            id_sampling=False,
            adversarial_epochs=20,
            adversarial_batch=36,
            adversarial_milestones=(12, 18),
            conditioned=False,
            spectral_norm=True,
            monkey_net_epochs=15,
            monkey_net_deformed=10.0,
        ),
    )
}
"""Every preset by its name."""
