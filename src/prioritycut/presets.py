"""Named configs: a data set and size times a step of the paper's ablation.

    puppets-64, puppets-128, vox-256, taichi-256, bair-256
    x fomm | fomm-plus | unet | cutmix | prioritycut

Each step of the ablation differs from the one before by one field where the paper allows it: fomm-plus adds a
patch discriminator, unet makes it a U-Net, cutmix and prioritycut add a regularizer. The full-size baselines keep
the epochs and batch of their published configs, the paper's own rows its batch of 20 (ambiguity A20).
"""

from __future__ import annotations

from dataclasses import replace

from prioritycut.data.augment import Augmentation
from prioritycut.data.datasets import FolderData, PuppetData
from prioritycut.losses import LossWeights, PerceptualConfig
from prioritycut.models.discriminators import PatchDiscriminatorConfig, UNetDiscriminatorConfig
from prioritycut.models.fomm import FommConfig, HourglassConfig
from prioritycut.regularizers import CutMix, PriorityCut
from prioritycut.train_config import OptimizerConfig, TrainConfig

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
        optimizer=OptimizerConfig(learning_rate=3e-4, betas=(0.5, 0.99), milestones=(25,)),
        data=PuppetData(clips=1600, frames=24),
        batch_size=16,
        epochs=30,
        sample_every=250,
        checkpoint_every=50,
    )
    patch = PatchDiscriminatorConfig(block_expansion=8, max_features=128)
    unet = UNetDiscriminatorConfig(block_expansion=8, max_features=128)
    return _ablation(fomm, replace(fomm, discriminator=patch), unet)


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
) -> list[TrainConfig]:
    """The published settings of one data set (SPEC 6.1) and the paper's rows on top of them."""
    fomm = TrainConfig(
        name=f"{dataset}-256-fomm",
        model=_PUBLISHED,
        optimizer=OptimizerConfig(milestones=milestones),
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
        optimizer=OptimizerConfig(milestones=adversarial_milestones, keypoint_learning_rate=keypoint_learning_rate),
        batch_size=adversarial_batch,
        epochs=adversarial_epochs,
    )
    unet = UNetDiscriminatorConfig(num_keypoints=keypoints, spectral_norm=spectral_norm)
    return _ablation(fomm, plus, unet, paper_batch=PAPER_BATCH)


def _ablation(
    fomm: TrainConfig,
    plus: TrainConfig,
    discriminator: UNetDiscriminatorConfig,
    *,
    paper_batch: int | None = None,
) -> list[TrainConfig]:
    """The five rows of the paper's ablation."""
    prefix = fomm.name.removesuffix("fomm")
    unet = replace(plus, discriminator=discriminator, batch_size=paper_batch or plus.batch_size)
    return [
        fomm,
        replace(plus, name=prefix + "fomm-plus"),
        replace(unet, name=prefix + "unet"),
        replace(unet, name=prefix + "cutmix", regularizer=CutMix()),
        replace(unet, name=prefix + "prioritycut", regularizer=PriorityCut()),
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
        ),
    )
}
"""Every preset by its name."""
