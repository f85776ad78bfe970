"""Published files of Monkey-Net and X2Face: what is read, and what is refused by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from prioritycut.errors import UserError
from prioritycut.models.x2face import X2Face, X2FaceConfig
from prioritycut.published import (
    import_monkeynet,
    import_monkeynet_discriminator,
    import_published,
    import_x2face,
)
from prioritycut.published.x2face import published_name

PARITY = Path(__file__).parent / "data" / "parity"
FOMM, MONKEYNET = PARITY / "fomm" / "vox-small-checkpoint.pth.tar", PARITY / "monkeynet"
CHECKPOINT, YAML = MONKEYNET / "vox-small-checkpoint.pth.tar", MONKEYNET / "vox-small-config.yaml"


def changed_checkpoint(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    content = torch.load(CHECKPOINT, weights_only=True)
    change(content)
    torch.save(content, tmp_path / "changed.pth.tar")
    return tmp_path / "changed.pth.tar"


def changed_yaml(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    document = yaml.safe_load(YAML.read_text())
    change(document)
    (tmp_path / "changed.yaml").write_text(yaml.safe_dump(document))
    return tmp_path / "changed.yaml"


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


# Monkey-Net


def test_monkeynets_settings_are_those_of_its_yaml():
    config = import_monkeynet(CHECKPOINT, YAML).config
    assert (config.frame_size, config.num_keypoints, config.num_blocks) == (64, 10, 5)
    assert (config.block_expansion, config.max_features) == (8, 48)
    assert (config.smallest_variance, config.heatmap_norm, config.keypoint_scale) == (0.001, 100, 0.25)
    assert config.align_corners
    assert not import_monkeynet(CHECKPOINT, YAML, align_corners=False).config.align_corners


def test_monkeynets_published_yaml_gives_the_size_among_the_settings_of_its_data(tmp_path):
    def as_published(document: dict[str, Any]) -> None:
        document["dataset_params"] = {"root_dir": "data/vox", "image_shape": document.pop("frame_shape")}

    assert import_monkeynet(CHECKPOINT, changed_yaml(tmp_path, as_published)).config.frame_size == 64


def test_imported_weights_are_ready_to_run_and_a_discriminator_to_be_trained_on():
    animator = import_monkeynet(CHECKPOINT, YAML)
    assert not animator.training
    assert not any(parameter.requires_grad for parameter in animator.parameters())
    discriminator = import_monkeynet_discriminator(CHECKPOINT, YAML)
    assert all(parameter.requires_grad for parameter in discriminator.parameters())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c["generator"].pop("refinement_module.conv-last.bias"), ["1 missing", "module.conv-last.bias"]),
        (
            lambda c: c["kp_detector"].update({"predictor.decoder.convv.weight": torch.zeros(1)}),
            ["1 unexpected", "kp_detector.predictor.decoder.convv.weight"],
        ),
        (
            lambda c: c["generator"].update({"video_decoder.up_blocks.0.conv.weight": torch.zeros(48, 58, 3, 3, 3)}),
            ["of another shape", "generator.video_decoder.up_blocks.0.conv.weight (48, 58, 3, 3, 3)"],
        ),
        (lambda c: c.pop("generator"), ["has no 'generator'", "found: discriminator, kp_detector"]),
        (lambda c: c.update(generator=3), ["generator is a int, not weights"]),
        (lambda c: c["generator"].update(epoch=3), ["epoch in generator is a int, not a tensor"]),
    ],
)
def test_a_file_that_is_not_quite_a_monkeynet_is_refused_by_what_is_wrong(tmp_path, change, named):
    path = changed_checkpoint(tmp_path, change)
    message = refusal(lambda: import_monkeynet(path, YAML))
    for part in (str(path), *named):
        assert part in message


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d["model_params"].pop("common_params"), "lacks the setting model_params.common_params"),
        (lambda d: d["model_params"]["generator_params"].pop("num_blocks"), "model_params.generator_params.num_blocks"),
        (
            lambda d: d["model_params"]["kp_detector_params"].update(colour=3),
            "unknown settings: model_params.kp_detector_params.colour",
        ),
        (lambda d: d["model_params"]["common_params"].update(kp_variance="single"), "kp_variance is 'single'"),
        (lambda d: d["model_params"]["common_params"].update(num_kp="ten"), "num_kp must be a whole number, got 'ten'"),
        (lambda d: d["model_params"]["common_params"].update(num_kp=9.5), "num_kp must be a whole number, got 9.5"),
        (lambda d: d["model_params"]["kp_detector_params"].update(temperature=True), "must be a number, got True"),
        (lambda d: d.update(frame_shape=[64, 64]), "frame_shape must be height, width, 3, got [64, 64]"),
        (lambda d: d.pop("frame_shape"), "lacks the setting dataset_params"),
        (lambda d: d.update(dataset_params={}, frame_size=d.pop("frame_shape")), "setting dataset_params.image_shape"),
        (
            lambda d: d["model_params"]["generator_params"].pop("interpolation_mode"),
            "interpolation_mode is 'nearest', but only 'trilinear' is known",
        ),
        (lambda d: d["model_params"]["kp_detector_params"].update(num_blocks=9), "take fewer blocks"),
        (lambda d: d.update(model_params=[]), "model_params holds no settings"),
    ],
)
def test_a_yaml_that_is_not_quite_monkeynets_is_refused_by_the_setting(tmp_path, change, named):
    path = changed_yaml(tmp_path, change)
    message = refusal(lambda: import_monkeynet(CHECKPOINT, path))
    assert str(path) in message
    assert named in message


def test_a_yaml_that_cannot_be_read_is_refused(tmp_path):
    assert "no such file" in refusal(lambda: import_monkeynet(CHECKPOINT, tmp_path / "none.yaml"))
    (tmp_path / "broken.yaml").write_text("a: [")
    assert "not readable as YAML" in refusal(lambda: import_monkeynet(CHECKPOINT, tmp_path / "broken.yaml"))
    (tmp_path / "text.yaml").write_text("hello")
    assert "the file holds no settings" in refusal(lambda: import_monkeynet(CHECKPOINT, tmp_path / "text.yaml"))


def test_counters_that_old_files_lack_are_not_missed(tmp_path):
    def without_counters(content: dict[str, Any]) -> None:
        for network in content.values():
            for name in [name for name in network if name.endswith("num_batches_tracked")]:
                del network[name]

    old = import_monkeynet(changed_checkpoint(tmp_path, without_counters), YAML)
    new = import_monkeynet(CHECKPOINT, YAML)
    for name, tensor in old.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, new.state_dict()[name]), name


# X2Face

TINY = X2FaceConfig(frame_size=16, block_expansion=4, max_features=8, num_levels=4, bottleneck=6)


def published_x2face() -> tuple[X2Face, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    animator = X2Face(TINY).eval()
    return animator, {published_name(name): tensor for name, tensor in animator.state_dict().items()}


@pytest.mark.parametrize("wrapped", [True, False])
def test_x2faces_sizes_are_those_of_its_tensors(tmp_path, wrapped):
    animator, tensors = published_x2face()
    path = tmp_path / "x2face.pth"
    torch.save({"state_dict": tensors, "epoch": 3} if wrapped else tensors, path)
    imported = import_x2face(path)
    assert imported.config == TINY
    source, driving = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(imported(source, driving).prediction, animator(source, driving).prediction)


def test_x2faces_conventions_are_kept(tmp_path):
    torch.save(published_x2face()[1], tmp_path / "x2face.pth")
    config = import_x2face(tmp_path / "x2face.pth", align_corners=False, upsampling_align_corners=False).config
    assert not config.align_corners
    assert not config.upsampling_align_corners


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda t: t.pop("pix2pixSampler.netG.model.up.2.weight"),
            ["1 missing", "pix2pixSampler.netG.model.up.2.weight"],
        ),
        (
            lambda t: t.update({"pix2pixUnwrapped.netG.model.submodule.up.2.wieght": torch.zeros(1)}),
            ["1 unexpected", "pix2pixUnwrapped.netG.model.submodule.up.2.wieght"],
        ),
        (
            lambda t: t.update({"pix2pixUnwrapped.netG.model.up.2.weight": torch.zeros(4, 8, 3, 3)}),
            ["pix2pixUnwrapped.netG.model.up.2.weight (4, 8, 3, 3) instead of (3, 8, 3, 3)"],
        ),
        (lambda t: t.update(extra="text"), ["extra in the file is a str, not a tensor"]),
    ],
)
def test_a_file_that_is_not_quite_an_x2face_is_refused_by_what_is_wrong(tmp_path, change, named):
    tensors: dict[str, Any] = dict(published_x2face()[1])
    change(tensors)
    path = tmp_path / "x2face.pth"
    torch.save(tensors, path)
    message = refusal(lambda: import_x2face(path))
    for part in (str(path), *named):
        assert part in message


def test_weights_that_no_model_is_known_of_are_no_x2face(tmp_path):
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    assert "has no tensors under 'pix2pixUnwrapped" in refusal(lambda: import_x2face(tmp_path / "other.pth"))


# Files of other models


@pytest.mark.parametrize("part", [None, "generator"], ids=["the whole file", "its bare generator"])
def test_a_file_of_monkeynet_is_no_x2face_and_no_fomm(tmp_path, part):
    path = CHECKPOINT
    if part is not None:
        path = tmp_path / "bare.pth"
        torch.save(torch.load(CHECKPOINT, weights_only=True)[part], path)
    for wanted, named in (("x2face", "X2Face"), ("fomm", "FOMM")):
        config = YAML if wanted == "fomm" else None
        message = refusal(lambda wanted=wanted, config=config: import_published(wanted, path, config))
        assert message == f"{path}: weights of Monkey-Net, not of {named}; import them by --model monkeynet"


def test_a_file_of_fomm_is_no_monkeynet_and_one_of_x2face_no_fomm(tmp_path):
    message = refusal(lambda: import_published("monkeynet", FOMM, YAML))
    assert message.endswith("weights of FOMM, not of Monkey-Net; import them by --model fomm")
    torch.save({"state_dict": published_x2face()[1]}, tmp_path / "x2face.pth")
    message = refusal(lambda: import_published("fomm", tmp_path / "x2face.pth", YAML))
    assert message.endswith("weights of X2Face, not of FOMM; import them by --model x2face")


def test_a_model_is_asked_for_the_settings_that_it_has(tmp_path):
    for model in ("fomm", "monkeynet"):
        assert "give the YAML published beside them by --config" in refusal(
            lambda model=model: import_published(model, CHECKPOINT, None)
        )
        assert "only X2Face upsamples" in refusal(
            lambda model=model: import_published(model, CHECKPOINT, YAML, upsampling_align_corners=False)
        )
    assert "leave --config out" in refusal(lambda: import_published("x2face", CHECKPOINT, YAML))
