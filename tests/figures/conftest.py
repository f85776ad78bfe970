"""Tiny checkpoints and runs that the tests of figures share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from figure_material import MAPLESS, SMALL, TINY, saved

from prioritycut.data.datasets import PuppetData
from prioritycut.losses import PerceptualConfig
from prioritycut.models.discriminators import UNetDiscriminatorConfig
from prioritycut.regularizers import PriorityCut
from prioritycut.train_config import MixSchedule, TrainConfig
from prioritycut.training import train


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Paths of tiny checkpoints by name."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {
        "tiny": saved(folder / "tiny.safetensors"),
        "other": saved(folder / "other.safetensors", seed=1),
        "small": saved(folder / "small.safetensors", SMALL),
        "mapless": saved(folder / "mapless.safetensors", MAPLESS),
    }
    return paths.__getitem__


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two short runs with U-Net discriminators, one of which looks at keypoints."""
    folder = tmp_path_factory.mktemp("runs")
    for name, keypoints in (("plain", 0), ("keypoints", 3)):
        config = TrainConfig(
            name=name,
            model=TINY,
            discriminator=UNetDiscriminatorConfig(block_expansion=2, max_features=8, num_keypoints=keypoints),
            regularizer=PriorityCut(),
            mixing=MixSchedule(probability=1.0, warmup_epochs=0),
            perceptual=PerceptualConfig(weights="random", width=2, scales=(1.0, 0.5)),
            data=PuppetData(clips=4, frames=4),
            batch_size=2,
            epochs=1,
        )
        train(config, folder / name, steps=2)
    return folder / "plain", folder / "keypoints"
