"""Weights files as their authors publish them: plain, wrapped, prefixed, old, or not weights at all."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from prioritycut.errors import UserError
from prioritycut.files import save_tensors
from prioritycut.metrics.detectors.weights import load_weights, read_weights, weights_version


def tensors() -> dict[str, torch.Tensor]:
    return {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.tensor([1.0, -1.0])}


def same(found: dict[str, torch.Tensor]) -> bool:
    wanted = tensors()
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_wrappers_and_the_prefix_of_several_gpus_are_taken_off(tmp_path: Path, wrapper: str | None, prefix: str):
    named = {prefix + name: tensor for name, tensor in tensors().items()}
    torch.save(named if wrapper is None else {"epoch": 3, wrapper: named}, tmp_path / "net.pth.tar")
    assert same(read_weights(tmp_path / "net.pth.tar"))


def test_safetensors_and_files_of_old_pytorch_are_read(tmp_path: Path):
    save_tensors(tmp_path / "net.safetensors", tensors(), {})
    torch.save(tensors(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert same(read_weights(tmp_path / "net.safetensors"))
    assert same(read_weights(tmp_path / "old.pth"))


def test_a_prefix_that_only_some_names_have_belongs_to_them(tmp_path: Path):
    torch.save({"module.a": torch.zeros(1), "b": torch.zeros(1)}, tmp_path / "net.pth")
    assert set(read_weights(tmp_path / "net.pth")) == {"module.a", "b"}


def test_a_missing_file_is_named_with_the_place_to_get_it(tmp_path: Path):
    with pytest.raises(UserError, match=r"nowhere.pth: no such file; published by Somebody$"):
        read_weights(tmp_path / "nowhere.pth", advice="published by Somebody")


def test_a_torchscript_program_is_refused_with_the_way_to_its_weights(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "2DFAN4.zip", "w") as archive:
        archive.writestr("2DFAN4/constants.pkl", b"")
        archive.writestr("2DFAN4/data.pkl", b"")
    with pytest.raises(UserError, match=r"TorchScript.*state_dict") as refusal:
        read_weights(tmp_path / "2DFAN4.zip")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, {"a": torch.zeros(1), "loss": 0.5}])
def test_what_is_no_dictionary_of_weights_is_refused(tmp_path: Path, content: dict[str, object]):
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(UserError, match="no plain dictionary of weights"):
        read_weights(tmp_path / "net.pth")


def test_files_that_do_not_count_batches_fit_batch_norm(tmp_path: Path):
    norm = nn.BatchNorm2d(2)
    old = {name: torch.full((2,), 7.0) for name in ("weight", "bias", "running_mean", "running_var")}
    load_weights(norm, old, where=tmp_path)
    assert norm.running_mean is not None
    assert norm.running_mean.tolist() == [7.0, 7.0]
    with pytest.raises(UserError, match=r"1 missing \(bias\)"):
        load_weights(norm, {name: tensor for name, tensor in old.items() if name != "bias"}, where=tmp_path)


def test_the_version_is_the_digest_of_all_files_in_order(tmp_path: Path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"face")
    second.write_bytes(b"alignment")
    assert weights_version([first, second]) == hashlib.sha256(b"facealignment").hexdigest()[:12]
    assert weights_version([second, first]) != weights_version([first, second])
