"""Configs as files: what was written is read, and what is misspelt is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prioritycut.configuration import config_from_json, config_to_json
from prioritycut.errors import UserError
from prioritycut.losses import PerceptualConfig
from prioritycut.models.fomm import FommConfig
from prioritycut.presets import PRESETS
from prioritycut.regularizers import CutMix, PriorityCut
from prioritycut.train_config import TrainConfig

WHERE = Path("run/config.json")


def changed(preset: str, path: str, value: object) -> str:
    """A preset's JSON with one field set."""
    config = json.loads(config_to_json(PRESETS[preset]))
    *outer, last = path.split(".")
    place = config
    for name in outer:
        place = place[name]
    place[last] = value
    return json.dumps(config)


def refusal(text: str) -> str:
    with pytest.raises(UserError) as error:
        config_from_json(TrainConfig, text, where=WHERE)
    message = str(error.value)
    assert message.startswith(f"{WHERE}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_its_file(name):
    text = config_to_json(PRESETS[name])
    read = config_from_json(TrainConfig, text, where=WHERE)
    assert read == PRESETS[name]
    assert type(read.discriminator) is type(PRESETS[name].discriminator)
    assert type(read.regularizer) is type(PRESETS[name].regularizer)
    assert type(read.data) is type(PRESETS[name].data)
    assert hash(read) == hash(PRESETS[name])


def test_a_file_holds_the_defaults_too():
    config = json.loads(config_to_json(PRESETS["vox-256-prioritycut"]))
    assert config["regularizer"] == {
        "kind": "priority-cut",
        "fraction": [0.0, 1.0],
        "fraction_per": "sample",
        "threshold": 0.9,
        "denominator": "foreground",
        "selection": "exact",
        "mask_resolution": "image",
    }
    assert config["model"]["detector"]["scale_factor"] == 0.25


def test_a_field_that_is_absent_takes_its_default():
    assert config_from_json(FommConfig, "{}", where=WHERE) == FommConfig()


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("bath_size", "bath_size"),
        ("losses.pixle", "losses.pixle"),
        ("model.detector.blocks", "model.detector.blocks"),
        ("discriminator.colour", "discriminator.colour"),
        ("regularizer.treshold", "regularizer.treshold"),
        ("data.augmentation.blur", "data.augmentation.blur"),
    ],
)
def test_an_unknown_field_is_named_with_its_file(path, named):
    message = refusal(changed("puppets-64-prioritycut", path, 3))
    assert f"unknown field {named};" in message


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("batch_size", 0, ["batch_size must be at least 1"]),
        ("batch_size", "many", ["batch_size"]),
        ("epochs", None, ["epochs"]),
        ("model.temperature", -1.0, ["model", "temperature must be positive"]),
        ("model.detector.num_blocks", 9, ["model", "take fewer blocks"]),
        ("regularizer.threshold", 2.0, ["regularizer", "threshold must lie in [0, 1]"]),
        ("regularizer.fraction", [0.5, 0.1], ["regularizer", "fraction must be a range"]),
        ("regularizer.kind", "cut-it-all", ["regularizer"]),
        ("gan_mode", "wasserstein", ["gan_mode"]),
        ("discriminator", None, ["only the U-Net discriminator"]),
        ("discriminator.num_keypoints", 3, ["3 keypoints, but the model has 10"]),
    ],
)
def test_a_bad_value_is_named_with_its_file_and_fault(path, value, parts):
    message = refusal(changed("puppets-64-prioritycut", path, value))
    for part in parts:
        assert part in message


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "\x00\xff", '"config"'])
def test_what_is_no_config_is_refused(text):
    assert "mend" in refusal(text)


def test_a_path_survives_its_file():
    config = PerceptualConfig(weights=Path("weights/vgg19.pth"))
    assert config_from_json(PerceptualConfig, config_to_json(config), where=WHERE) == config
    for word in ("imagenet", "random"):
        read = config_from_json(PerceptualConfig, config_to_json(PerceptualConfig(weights=word)), where=WHERE)
        assert read.weights == word


def test_kinds_are_told_apart_by_their_word():
    read = config_from_json(TrainConfig, changed("puppets-64-cutmix", "regularizer", {"kind": "cutmix"}), where=WHERE)
    assert read.regularizer == CutMix()
    swapped = {"kind": "priority-cut"}
    read = config_from_json(TrainConfig, changed("puppets-64-cutmix", "regularizer", swapped), where=WHERE)
    assert read.regularizer == PriorityCut()
