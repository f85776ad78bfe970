"""Presets: the published numbers, and an ablation whose steps differ by one thing."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from prioritycut.models.building import build_animator, build_discriminator
from prioritycut.models.discriminators import PatchDiscriminatorConfig, UNetDiscriminatorConfig
from prioritycut.models.monkeynet import MonkeyNetConfig, MonkeyNetDiscriminatorConfig
from prioritycut.models.x2face import X2FaceConfig
from prioritycut.presets import ABLATION, PRESETS
from prioritycut.regularizers import CutMix, Cutout, Mixup, PriorityCut, RandomCut
from prioritycut.train_config import SgdConfig, TrainConfig

FULL_SIZE = ("vox-256", "taichi-256", "bair-256")
DATA = ("puppets-64", "puppets-128", *FULL_SIZE)
METHODS = ("fomm", "fomm-plus", "unet", "cutmix", "cutout", "mixup", "random", "prioritycut")
REGULARIZERS = {"cutmix": CutMix, "cutout": Cutout, "mixup": Mixup, "random": RandomCut, "prioritycut": PriorityCut}
# What differs between neighbours, row by row.
ROW = {
    ("fomm", "fomm-plus"): "discriminator",
    ("fomm-plus", "unet"): "discriminator",
    ("unet", "cutmix"): "regularizer",
    ("cutmix", "cutout"): "regularizer",
    ("cutout", "mixup"): "regularizer",
    ("mixup", "random"): "regularizer",
    ("random", "prioritycut"): "regularizer",
}


def differences(one: TrainConfig, other: TrainConfig) -> set[str]:
    """Fields that two configs have otherwise, beside their names."""
    return {f.name for f in fields(one) if getattr(one, f.name) != getattr(other, f.name)} - {"name"}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_there_is_a_preset_for_every_data_set_and_method():
    methods = ("x2face", "monkey-net", *METHODS)
    assert list(PRESETS) == [f"{data}-{method}" for data in DATA for method in methods]
    for name, config in PRESETS.items():
        assert config.name == name
        assert config.model.frame_size == int(name.split("-")[1])


@pytest.mark.parametrize("data", DATA)
def test_methods_differ_by_discriminator_and_regularizer(data):
    fomm, plus, unet = (PRESETS[f"{data}-{method}"] for method in METHODS[:3])
    assert fomm.discriminator is None
    assert isinstance(plus.discriminator, PatchDiscriminatorConfig)
    assert [config.regularizer for config in (fomm, plus, unet)] == [None] * 3
    for method, kind in REGULARIZERS.items():
        config = PRESETS[f"{data}-{method}"]
        assert isinstance(config.discriminator, UNetDiscriminatorConfig)
        assert config.regularizer == kind()


def test_the_table_of_the_ablation_names_each_rows_one_field():
    assert list(ABLATION.items()) == [(row, field) for (_, row), field in ROW.items()]


@pytest.mark.parametrize("data", ["puppets-64", "puppets-128"])
@pytest.mark.parametrize(("neighbours", "field"), ROW.items())
def test_neighbours_of_the_puppets_ablation_differ_by_one_field(data, neighbours, field):
    first, second = (PRESETS[f"{data}-{method}"] for method in neighbours)
    assert differences(first, second) == {field}


@pytest.mark.parametrize("data", FULL_SIZE)
@pytest.mark.parametrize(("neighbours", "field"), ROW.items())
def test_full_size_neighbours_differ_by_one_field_and_by_what_their_published_configs_say(data, neighbours, field):
    published = {
        ("vox-256", "fomm-plus"): {"batch_size", "epochs", "optimizer"},
        ("taichi-256", "fomm-plus"): {"batch_size", "epochs", "optimizer"},
        ("bair-256", "fomm-plus"): set(),
        **{(each, "unet"): {"batch_size"} for each in FULL_SIZE},  # the paper's 20 from here on (A20)
    }
    first, second = (PRESETS[f"{data}-{method}"] for method in neighbours)
    assert differences(first, second) == {field} | published.get((data, neighbours[1]), set())
    if field == "regularizer":
        assert second.batch_size == 20


@pytest.mark.parametrize("data", DATA)
def test_x2face_is_trained_by_the_difference_of_frames_alone(data):
    config = PRESETS[f"{data}-x2face"]
    assert isinstance(config.model, X2FaceConfig)
    assert config.discriminator is config.regularizer is None
    assert config.losses.pixel == 1
    others = ("explained", "deformed", "equivariance_value", "equivariance_jacobian")
    assert not any((*config.losses.perceptual, *(getattr(config.losses, name) for name in others)))


@pytest.mark.parametrize("data", FULL_SIZE)
def test_x2face_is_optimized_as_published_at_full_size(data):
    config = PRESETS[f"{data}-x2face"]
    assert isinstance(config.optimizer, SgdConfig)
    assert (config.optimizer.learning_rate, config.optimizer.momentum, config.batch_size) == (1e-3, 0.9, 16)


@pytest.mark.parametrize(("data", "deformed"), [("puppets-64", 0), ("vox-256", 0), ("taichi-256", 0), ("bair-256", 10)])
def test_monkeynet_is_trained_as_published(data, deformed):
    config = PRESETS[f"{data}-monkey-net"]
    assert isinstance(config.discriminator, MonkeyNetDiscriminatorConfig)
    assert (config.losses.pixel, config.losses.feature_matching) == (10, (10, 10, 10, 1))
    assert (config.losses.adversarial, config.losses.deformed) == (1, deformed)
    assert not any(config.losses.perceptual)


@pytest.mark.parametrize(("data", "epochs"), [("vox-256", 20), ("taichi-256", 750), ("bair-256", 15)])
def test_monkeynet_has_its_voxceleb_networks_everywhere_and_the_epochs_of_the_data_set(data, epochs):
    config = PRESETS[f"{data}-monkey-net"]
    assert config.model == MonkeyNetConfig()
    assert (config.model.num_blocks, config.model.detector.scale_factor, config.model.heatmap_norm) == (7, 0.25, 100)
    assert (config.epochs, config.batch_size, config.optimizer.learning_rate) == (epochs, 20, 2e-4)
    assert (config.data.repeats, config.data.id_sampling, config.data.augmentation.jitter) == (1, False, 0.0)


@pytest.mark.parametrize("size", [64, 128])
def test_the_small_models_have_about_as_many_weights_and_see_the_same_pairs(size):
    configs = [PRESETS[f"puppets-{size}-{method}"] for method in ("fomm", "x2face", "monkey-net")]
    with torch.device("meta"):
        counts = [count(build_animator(config.model)) for config in configs]
    assert max(counts) < 1.05 * counts[0]
    assert min(counts) > 0.95 * counts[0]
    for config in configs[1:]:
        kept = {"data", "batch_size", "epochs", "optimizer", "seed", "precision"}
        assert not differences(configs[0], config) & kept


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
            fomm = build_animator(config.model)
            if config.discriminator is not None:
                assert count(build_discriminator(config.discriminator)) > 0
        if config.model.frame_size == 256:
            assert round(count(fomm.generator) / 1e6, 1) == 45.6
            assert round(count(fomm.kp_detector) / 1e6, 1) == 14.2


@pytest.mark.parametrize(
    "name", [f"puppets-{size}-{method}" for size in (64, 128) for method in ("x2face", "monkey-net")]
)
def test_small_baselines_run_at_their_size(name):
    config = PRESETS[name]
    side = config.model.frame_size
    torch.manual_seed(0)
    with torch.no_grad():
        output = build_animator(config.model).eval()(*torch.rand(2, 1, 3, side, side))
    assert output.prediction.shape == (1, 3, side, side)
    assert output.motion.occlusion_map is None


@pytest.mark.parametrize("name", [f"puppets-{size}-prioritycut" for size in (64, 128)])
def test_puppet_networks_run_at_their_size(name):
    config = PRESETS[name]
    side = config.model.frame_size
    torch.manual_seed(0)
    with torch.no_grad():
        output = build_animator(config.model).eval()(*torch.rand(2, 1, 3, side, side))
        (judged,) = build_discriminator(config.discriminator)(output.prediction)
    assert output.prediction.shape == (1, 3, side, side)
    assert output.motion.occlusion_map.shape == (1, 1, 32, 32)
    assert judged.pixel_score.shape == (1, 1, side, side)
