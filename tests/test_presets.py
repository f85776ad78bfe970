"""Presets: the published numbers, and an ablation whose steps differ by one thing."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from prioritycut.models.discriminators import PatchDiscriminatorConfig, UNetDiscriminatorConfig, build_discriminator
from prioritycut.models.fomm import Fomm
from prioritycut.presets import PRESETS
from prioritycut.regularizers import CutMix, PriorityCut

DATA = ("puppets-64", "puppets-128", "vox-256", "taichi-256", "bair-256")
METHODS = ("fomm", "fomm-plus", "unet", "cutmix", "prioritycut")


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_there_is_a_preset_for_every_data_set_and_method():
    assert sorted(PRESETS) == sorted(f"{data}-{method}" for data in DATA for method in METHODS)
    for name, config in PRESETS.items():
        assert config.name == name
        assert config.model.frame_size == int(name.split("-")[1])


@pytest.mark.parametrize("data", DATA)
def test_methods_differ_by_discriminator_and_regularizer(data):
    fomm, plus, unet, cutmix, prioritycut = (PRESETS[f"{data}-{method}"] for method in METHODS)
    assert fomm.discriminator is None
    assert isinstance(plus.discriminator, PatchDiscriminatorConfig)
    assert [config.regularizer for config in (fomm, plus, unet)] == [None] * 3
    for config in (unet, cutmix, prioritycut):
        assert isinstance(config.discriminator, UNetDiscriminatorConfig)
    assert cutmix.regularizer == CutMix()
    assert prioritycut.regularizer == PriorityCut()


@pytest.mark.parametrize("data", ["puppets-64", "puppets-128"])
@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        ("fomm", "fomm-plus", "discriminator"),
        ("fomm-plus", "unet", "discriminator"),
        ("unet", "cutmix", "regularizer"),
        ("unet", "prioritycut", "regularizer"),
        ("cutmix", "prioritycut", "regularizer"),
    ],
)
def test_neighbours_of_the_puppets_ablation_differ_by_one_field(data, one, other, what):
    first, second = PRESETS[f"{data}-{one}"], PRESETS[f"{data}-{other}"]
    differing = {f.name for f in fields(first) if getattr(first, f.name) != getattr(second, f.name)}
    assert differing == {"name", what}


@pytest.mark.parametrize("data", ["vox-256", "taichi-256", "bair-256"])
def test_the_papers_own_rows_differ_by_the_regularizer_alone(data):
    unet = PRESETS[f"{data}-unet"]
    for method in ("cutmix", "prioritycut"):
        config = PRESETS[f"{data}-{method}"]
        differing = {f.name for f in fields(config) if getattr(config, f.name) != getattr(unet, f.name)}
        assert differing == {"name", "regularizer"}
        assert config.batch_size == 20


@pytest.mark.parametrize(
    ("name", "epochs", "repeats", "milestones", "batch", "id_sampling"),
    [
        ("vox-256-fomm", 100, 75, (60, 90), 40, True),
        ("vox-256-fomm-plus", 150, 75, (), 36, True),
        ("taichi-256-fomm", 100, 150, (60, 90), 30, True),
        ("taichi-256-fomm-plus", 150, 150, (), 27, True),
        ("bair-256-fomm", 20, 1, (12, 18), 36, False),
    ],
)
def test_full_size_baselines_have_the_published_numbers(name, epochs, repeats, milestones, batch, id_sampling):
    config = PRESETS[name]
    assert (config.epochs, config.batch_size, config.optimizer.milestones) == (epochs, batch, milestones)
    assert (config.data.repeats, config.data.id_sampling) == (repeats, id_sampling)
    jitter = config.data.augmentation
    assert (jitter.time_flip, jitter.horizontal_flip, jitter.jitter) == (0.5, 0.5, 0.1)
    assert (config.optimizer.learning_rate, config.optimizer.betas) == (2e-4, (0.5, 0.999))


def test_taichi_starts_from_a_trained_detector_and_leaves_it_alone():
    assert PRESETS["taichi-256-fomm-plus"].optimizer.keypoint_learning_rate == 0
    assert PRESETS["taichi-256-fomm"].optimizer.keypoint_learning_rate is None
    assert PRESETS["vox-256-fomm-plus"].optimizer.keypoint_learning_rate is None


@pytest.mark.parametrize(
    ("data", "keypoints", "spectral"), [("vox", 10, False), ("taichi", 10, False), ("bair", 0, True)]
)
@pytest.mark.parametrize("method", METHODS[1:])
def test_discriminators_are_conditioned_as_published(data, keypoints, spectral, method):
    judge = PRESETS[f"{data}-256-{method}"].discriminator
    assert (judge.num_keypoints, judge.spectral_norm) == (keypoints, spectral)
    assert (judge.block_expansion, judge.max_features, judge.num_blocks) == (32, 512, 4)


def test_the_regularizer_ramps_up_over_a_fifth_of_the_epochs():
    for name, epochs in (("vox-256-prioritycut", 30), ("bair-256-prioritycut", 4), ("puppets-64-prioritycut", 6)):
        assert PRESETS[name].warmup_epochs == epochs


@pytest.mark.parametrize("data", DATA)
def test_full_size_networks_have_the_published_number_of_weights(data):
    for method in METHODS:
        config = PRESETS[f"{data}-{method}"]
        with torch.device("meta"):
            fomm = Fomm(config.model)
            if config.discriminator is not None:
                assert count(build_discriminator(config.discriminator)) > 0
        if config.model.frame_size == 256:
            assert round(count(fomm.generator) / 1e6, 1) == 45.6
            assert round(count(fomm.kp_detector) / 1e6, 1) == 14.2


@pytest.mark.parametrize("name", [f"puppets-{size}-prioritycut" for size in (64, 128)])
def test_puppet_networks_run_at_their_size(name):
    config = PRESETS[name]
    side = config.model.frame_size
    torch.manual_seed(0)
    with torch.no_grad():
        output = Fomm(config.model).eval()(*torch.rand(2, 1, 3, side, side))
        (judged,) = build_discriminator(config.discriminator)(output.prediction)
    assert output.prediction.shape == (1, 3, side, side)
    assert output.motion.occlusion_map.shape == (1, 1, 32, 32)
    assert judged.pixel_score.shape == (1, 1, side, side)
