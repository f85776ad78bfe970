"""Checkpoints: what comes back, what is refused, and what the refusal says."""

from __future__ import annotations

import copy
import errno
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

from prioritycut import checkpoint, files
from prioritycut.checkpoint import (
    MODEL_FILE,
    CheckpointInfo,
    find_checkpoint,
    import_checkpoint,
    load_animator,
    read_info,
    save_animator,
)
from prioritycut.configuration import config_to_json
from prioritycut.errors import UserError
from prioritycut.files import read_tensors
from prioritycut.models.building import build_animator
from prioritycut.models.fomm import Fomm, FommConfig, HourglassConfig
from prioritycut.models.monkeynet import MonkeyNetConfig
from prioritycut.models.x2face import X2FaceConfig

HOURGLASS = HourglassConfig(block_expansion=4, num_blocks=2, max_features=8, scale_factor=0.5)
TINY = FommConfig(
    frame_size=32,
    num_keypoints=3,
    detector=HOURGLASS,
    dense_motion=HOURGLASS,
    block_expansion=4,
    max_features=8,
    num_down_blocks=1,
    num_bottleneck_blocks=1,
)
SETTINGS = {"block_expansion": 4, "num_blocks": 2, "max_features": 8, "scale_factor": 0.5}
PUBLISHED: dict[str, Any] = {
    "model_params": {
        "common_params": {"num_kp": 3, "num_channels": 3, "estimate_jacobian": True},
        "kp_detector_params": {"temperature": 0.1, **SETTINGS},
        "generator_params": {
            "block_expansion": 4,
            "max_features": 8,
            "num_down_blocks": 1,
            "num_bottleneck_blocks": 1,
            "estimate_occlusion_map": True,
            "dense_motion_params": dict(SETTINGS),
        },
    },
    "dataset_params": {"frame_shape": [32, 32, 3]},
}


def tiny_animator(config: FommConfig = TINY) -> Fomm:
    torch.manual_seed(0)
    return Fomm(config).eval()


def saved(path: Path, config: FommConfig = TINY) -> Path:
    save_animator(path, tiny_animator(config), CheckpointInfo(model=config, trained_on="puppets", steps=7))
    return path


def published(folder: Path, change: Callable[[dict[str, Any]], object] = lambda document: None) -> Path:
    """The YAML of the tiny model, with a change."""
    document = copy.deepcopy(PUBLISHED)
    change(document)
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def pickled(folder: Path, change: Callable[[dict[str, Any]], object] = lambda content: None) -> Path:
    """The tiny model in the published layout, with a change."""
    state = tiny_animator().state_dict()
    content: dict[str, Any] = {"epoch": 3, "optimizer_generator": {}}
    for part in ("generator", "kp_detector"):
        content[part] = {k.removeprefix(f"{part}."): v for k, v in state.items() if k.startswith(f"{part}.")}
    change(content)
    path = folder / "tiny.pth.tar"
    torch.save(content, path)
    return path


def refusal(action: Callable[[], object], path: Path) -> str:
    """What a refused action tells the user: one line that names the file."""
    with pytest.raises(UserError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


class CreatesAFile:
    """Unpickled without care, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


# Round trip


@pytest.mark.parametrize("align_corners", [True, False])
def test_an_animator_comes_back_with_its_config_and_renders_the_same(tmp_path, align_corners):
    config = replace(TINY, align_corners=align_corners, temperature=0.2)
    source, driving = torch.rand(2, 1, 3, 32, 32).unbind()
    path = saved(tmp_path / "deep" / "er" / MODEL_FILE, config)
    animator = load_animator(path)
    assert animator.config == config
    assert not animator.training
    assert not any(parameter.requires_grad for parameter in animator.parameters())
    with torch.no_grad():
        expected = tiny_animator(config)(source, driving)
        actual = animator(source, driving)
    assert torch.equal(actual.prediction, expected.prediction)
    assert torch.equal(actual.motion.deformation, expected.motion.deformation)


def test_a_checkpoint_tells_what_it_was_trained_on_and_is_found_by_its_run_folder(tmp_path):
    saved(tmp_path / MODEL_FILE)
    assert read_info(tmp_path) == CheckpointInfo(model=TINY, trained_on="puppets", steps=7)
    assert find_checkpoint(tmp_path) == tmp_path / MODEL_FILE


@pytest.mark.parametrize(
    "config",
    [
        X2FaceConfig(frame_size=16, block_expansion=4, max_features=8, num_levels=4, bottleneck=6),
        MonkeyNetConfig(
            frame_size=32,
            num_keypoints=3,
            detector=HOURGLASS,
            dense_motion=HOURGLASS,
            block_expansion=4,
            max_features=8,
            num_blocks=2,
        ),
    ],
    ids=["X2Face", "Monkey-Net"],
)
def test_a_file_says_which_model_it_is_of(tmp_path, config):
    torch.manual_seed(0)
    built = build_animator(config).eval()
    save_animator(tmp_path / MODEL_FILE, built, CheckpointInfo(model=config, trained_on="puppets"))
    loaded = load_animator(tmp_path)
    assert type(loaded) is type(built)
    assert loaded.config == read_info(tmp_path).model == config
    source, driving = torch.rand(2, 1, 3, config.frame_size, config.frame_size).unbind()
    with torch.no_grad():
        assert torch.equal(loaded(source, driving).prediction, built(source, driving).prediction)


def test_half_precision_hardly_changes_the_pictures(tmp_path):
    source, driving = torch.rand(2, 1, 3, 32, 32).unbind()
    info = CheckpointInfo(model=TINY, trained_on="puppets")
    with torch.no_grad():
        expected = tiny_animator()(source, driving).prediction
        for kind in ("float32", "float16"):
            save_animator(tmp_path / f"{kind}.safetensors", tiny_animator(), info, stored_as=kind)
        loaded = load_animator(tmp_path / "float16.safetensors")
        assert (loaded(source, driving).prediction - expected).abs().max() < 1 / 255
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    (full, _), (half, _) = (read_tensors(tmp_path / f"{kind}.safetensors") for kind in ("float32", "float16"))
    for name, tensor in half.items():
        rounded = tensor.ndim > 1 and not name.startswith("kp_detector.")
        assert (tensor.dtype == torch.float16) == rounded, name
        assert rounded or torch.equal(tensor, full[name])


def test_weights_too_large_for_half_precision_are_named(tmp_path):
    animator = tiny_animator()
    with torch.no_grad():
        animator.generator.final.weight[0, 0, 0, 0] = 1e5
    info = CheckpointInfo(model=TINY, trained_on="puppets")
    path = tmp_path / MODEL_FILE
    assert "generator.final.weight" in refusal(lambda: save_animator(path, animator, info, stored_as="float16"), path)
    assert not path.exists()


def test_an_imported_checkpoint_renders_as_the_published_weights(tmp_path):
    source, driving = torch.rand(2, 1, 3, 32, 32).unbind()
    animator, info = import_checkpoint(pickled(tmp_path), published(tmp_path))
    assert info.model == animator.config == TINY
    with torch.no_grad():
        assert torch.equal(animator(source, driving).prediction, tiny_animator()(source, driving).prediction)


# Importing is strict


FOREIGN_WEIGHTS = {
    "missing name": (lambda c: c["generator"].pop("final.bias"), "1 missing (generator.final.bias)"),
    "unexpected name": (
        lambda c: c["kp_detector"].update(extra=torch.zeros(1)),
        "1 unexpected (kp_detector.extra)",
    ),
    "another shape": (
        lambda c: c["generator"].update({"final.bias": torch.zeros(4)}),
        "1 of another shape (generator.final.bias (4,) instead of (3,))",
    ),
    "no keypoint detector": (lambda c: c.pop("kp_detector"), "has no 'kp_detector'"),
    "a network that is no dictionary": (lambda c: c.update(generator=3), "generator is a int, not weights"),
    "a number among the tensors": (
        lambda c: c["generator"].update({"final.bias": 3}),
        "final.bias in generator is a int, not a tensor",
    ),
}


@pytest.mark.parametrize(("change", "told"), FOREIGN_WEIGHTS.values(), ids=FOREIGN_WEIGHTS.keys())
def test_weights_that_do_not_fit_are_refused_by_name(tmp_path, change, told):
    weights, config = pickled(tmp_path, change), published(tmp_path)
    assert told in refusal(lambda: import_checkpoint(weights, config), weights)


def test_every_fault_of_the_weights_is_told_at_once(tmp_path):
    def spoil(content: dict[str, Any]) -> None:
        content["generator"].pop("final.weight")
        content["generator"].update({"final.bias": torch.zeros(4), "other": torch.zeros(1)})

    weights, config = pickled(tmp_path, spoil), published(tmp_path)
    message = refusal(lambda: import_checkpoint(weights, config), weights)
    for told in (
        "1 missing (generator.final.weight)",
        "1 unexpected (generator.other)",
        "1 of another shape",
    ):
        assert told in message


def test_the_yaml_of_another_model_is_refused(tmp_path):
    other = published(tmp_path, lambda d: d["model_params"]["common_params"].update(num_kp=5))
    weights = pickled(tmp_path)
    assert "of another shape" in refusal(lambda: import_checkpoint(weights, other), weights)


def test_a_bare_state_dict_is_refused_without_listing_all_of_it(tmp_path):
    path = tmp_path / "state.pth"
    torch.save(tiny_animator().state_dict(), path)
    message = refusal(lambda: import_checkpoint(path, published(tmp_path)), path)
    assert len(message) < 700


FOREIGN_SETTINGS = {
    "missing section": (lambda d: d.pop("model_params"), "model_params"),
    "missing number of keypoints": (lambda d: d["model_params"]["common_params"].pop("num_kp"), "num_kp"),
    "missing temperature": (
        lambda d: d["model_params"]["kp_detector_params"].pop("temperature"),
        "temperature",
    ),
    "missing width": (
        lambda d: d["model_params"]["kp_detector_params"].pop("block_expansion"),
        "block_expansion",
    ),
    "missing frame size": (lambda d: d.pop("dataset_params"), "dataset_params"),
    "empty frame size": (lambda d: d.update(dataset_params={"frame_shape": [32]}), "tiny.yaml"),
    "unknown setting of the generator": (
        lambda d: d["model_params"]["generator_params"].update(attention=True),
        "attention",
    ),
    "unknown setting of an hourglass": (
        lambda d: d["model_params"]["kp_detector_params"].update(attention=True),
        "attention",
    ),
    "impossible setting": (lambda d: d["model_params"]["common_params"].update(num_kp=0), "num_keypoints"),
    "grey frames": (lambda d: d["model_params"]["common_params"].update(num_channels=1), "num_channels"),
    "a fraction of a keypoint": (lambda d: d["model_params"]["common_params"].update(num_kp=2.5), "tiny.yaml"),
    "a section that is a word": (lambda d: d.update(model_params="none"), "tiny.yaml"),
}


@pytest.mark.parametrize(("change", "told"), FOREIGN_SETTINGS.values(), ids=FOREIGN_SETTINGS.keys())
def test_a_yaml_that_is_not_this_models_is_refused_by_its_setting(tmp_path, change, told):
    weights, config = pickled(tmp_path), published(tmp_path, change)
    message = refusal(lambda: import_checkpoint(weights, config), config)
    assert told in message
    assert "__init__" not in message


@pytest.mark.parametrize("text", [b"a: [1, 2", b"\xff\xfe\x00", b"", b"only a sentence"])
def test_a_file_that_is_not_yaml_is_refused_as_config(tmp_path, text):
    config = tmp_path / "not.yaml"
    config.write_bytes(text)
    refusal(lambda: import_checkpoint(pickled(tmp_path), config), config)


def test_a_missing_yaml_or_checkpoint_is_told(tmp_path):
    nowhere = tmp_path / "nowhere"
    assert "no such file" in refusal(lambda: import_checkpoint(pickled(tmp_path), nowhere), nowhere)
    assert "no such file" in refusal(lambda: import_checkpoint(nowhere, published(tmp_path)), nowhere)


# Nothing in a file can run


@pytest.mark.parametrize("by_torch", [True, False], ids=["torch.save", "pickle.dump"])
def test_a_hostile_pickle_is_refused_and_does_not_run(tmp_path, by_torch):
    harm, path = tmp_path / "harm", tmp_path / "hostile.pth.tar"
    content = {"generator": CreatesAFile(harm), "kp_detector": {}}
    if by_torch:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    assert "import-checkpoint" in refusal(lambda: load_animator(path), path)
    refusal(lambda: import_checkpoint(path, published(tmp_path)), path)
    refusal(lambda: read_tensors(path), path)
    assert not harm.exists()
    # The pickle is harmful indeed: opened without care, it does what it is made for.
    torch.load(path, weights_only=False) if by_torch else pickle.loads(path.read_bytes())
    assert harm.exists()


# Files that are no checkpoint


BROKEN = {
    "truncated header": lambda whole: whole[:50],
    "truncated weights": lambda whole: whole[:-100],
    "one byte too many": lambda whole: whole + b"\0",
    "empty": lambda whole: b"",
    "text": lambda whole: b"These are not the weights that you are looking for.\n" * 20,
    "zeros": lambda whole: bytes(1000),
}


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused(tmp_path, spoil):
    path = saved(tmp_path / MODEL_FILE)
    path.write_bytes(spoil(path.read_bytes()))
    for action in (load_animator, read_info, read_tensors):
        assert "not a whole safetensors file" in refusal(lambda action=action: action(path), path)


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_published_file_is_refused(tmp_path, spoil):
    path = pickled(tmp_path)
    if spoil is not BROKEN["one byte too many"]:
        path.write_bytes(spoil(path.read_bytes()))
        refusal(lambda: import_checkpoint(path, published(tmp_path)), path)


def test_a_published_file_that_holds_a_list_is_refused(tmp_path):
    path = tmp_path / "list.pth"
    torch.save([torch.zeros(1)], path)
    assert "holds a list" in refusal(lambda: import_checkpoint(path, published(tmp_path)), path)


def test_someone_elses_safetensors_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    assert "no config inside" in refusal(lambda: load_animator(path), path)
    assert "no config inside" in refusal(lambda: read_info(path), path)


INFO = config_to_json(CheckpointInfo(model=TINY, trained_on="puppets"))
FOREIGN_INFO = {
    "unknown field": (INFO.replace('"steps"', '"steeps"'), "steeps"),
    "unknown field of the model": (INFO.replace('"align_corners"', '"align_corner"'), "align_corner"),
    "impossible value": (INFO.replace('"num_keypoints": 3', '"num_keypoints": 0'), "num_keypoints"),
    "wrong kind of value": (INFO.replace('"num_keypoints": 3', '"num_keypoints": "three"'), "num_keypoints"),
    "a model that is not known": (INFO.replace('"kind": "fomm"', '"kind": "lia"'), "model"),
    "no JSON": ("{", "JSON"),
}


@pytest.mark.parametrize(("info", "told"), FOREIGN_INFO.values(), ids=FOREIGN_INFO.keys())
def test_metadata_that_does_not_describe_a_model_is_refused(tmp_path, info, told):
    path = tmp_path / "odd.safetensors"
    save_file(tiny_animator().state_dict(), path, {"format": checkpoint.FORMAT, "info": info})
    assert told in refusal(lambda: load_animator(path), path)
    assert told in refusal(lambda: read_info(path), path)


def test_weights_of_another_model_than_their_config_are_refused(tmp_path):
    path = tmp_path / "odd.safetensors"
    info = INFO.replace('"num_keypoints": 3', '"num_keypoints": 4')
    save_file(tiny_animator().state_dict(), path, {"format": checkpoint.FORMAT, "info": info})
    assert "of another shape" in refusal(lambda: load_animator(path), path)


def test_weights_of_one_model_under_the_config_of_another_are_refused_by_their_names(tmp_path):
    path = tmp_path / "odd.safetensors"
    config = X2FaceConfig(frame_size=16, block_expansion=4, max_features=8, num_levels=4, bottleneck=6)
    info = config_to_json(CheckpointInfo(model=config, trained_on="puppets"))
    save_file(tiny_animator().state_dict(), path, {"format": checkpoint.FORMAT, "info": info})
    message = refusal(lambda: load_animator(path), path)
    for named in ("missing (driving.down.0.conv.weight", "unexpected (generator.bottleneck.r0.conv1.bias"):
        assert named in message


def test_a_missing_checkpoint_is_told_with_the_names_of_the_shipped_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "shipped_checkpoints", lambda: {"puppets": tmp_path, "others": tmp_path})
    nowhere = tmp_path / "nowhere.safetensors"
    assert "puppets, others" in refusal(lambda: load_animator(nowhere), nowhere)


def test_a_shipped_name_stands_for_its_file_unless_such_a_path_exists(tmp_path, monkeypatch):
    shipped = saved(tmp_path / "weights" / "puppets.safetensors")
    monkeypatch.setattr(checkpoint, "shipped_checkpoints", lambda: {"puppets": shipped})
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint("puppets") == shipped
    own = saved(tmp_path / "puppets" / MODEL_FILE)
    assert find_checkpoint("puppets").resolve() == own


def test_a_folder_without_a_checkpoint_is_told(tmp_path):
    assert MODEL_FILE in refusal(lambda: load_animator(tmp_path), tmp_path)
    refusal(lambda: read_tensors(tmp_path), tmp_path)


# Saving


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / MODEL_FILE
    assert "cannot be written" in refusal(lambda: saved(path), path)
    (tmp_path / MODEL_FILE).mkdir()
    refusal(lambda: saved(tmp_path / MODEL_FILE), tmp_path / MODEL_FILE)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", MODEL_FILE]


@pytest.mark.parametrize("stop", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
def test_a_save_that_fails_midway_leaves_the_former_file_and_no_part(tmp_path, monkeypatch, stop):
    path = saved(tmp_path / MODEL_FILE)
    former = path.read_bytes()

    def fails_midway(tensors: object, partial: Path, metadata: object) -> None:
        partial.write_bytes(b"half")
        raise stop

    monkeypatch.setattr(files, "save_file", fails_midway)
    if isinstance(stop, OSError):
        assert "No space left" in refusal(lambda: saved(path), path)
    else:
        with pytest.raises(KeyboardInterrupt):
            saved(path)
    assert path.read_bytes() == former
    assert [entry.name for entry in tmp_path.iterdir()] == [MODEL_FILE]


def test_the_package_lists_the_weights_that_it_ships():
    for name, path in checkpoint.shipped_checkpoints().items():
        assert find_checkpoint(name) == path
        assert isinstance(read_info(name), CheckpointInfo)


def test_the_sampling_convention_named_at_import_stays_with_the_weights(tmp_path: Path) -> None:
    for align_corners in (True, False):
        animator, info = import_checkpoint(pickled(tmp_path), published(tmp_path), align_corners=align_corners)
        save_animator(tmp_path / "out.safetensors", animator, info)
        assert load_animator(tmp_path / "out.safetensors").config.align_corners is align_corners
