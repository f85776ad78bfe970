"""Weights and small files: written whole or not at all, read so that nothing in them can run."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from prioritycut.errors import UserError


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        if path.parent.is_dir():
            partial.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written ({error.strerror}); free space or choose another place") from error


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write safetensors whole or not at all.

    Raises:
        UserError: The disk is full or the place cannot be written; what stood under `path` still does.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()},
            partial,
            dict(metadata),
        )
        partial.chmod(0o644)  # safetensors writes for the owner's eyes only; weights are there to be shared
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        _discard(partial)
        raise UserError(f"{path}: cannot be written ({error}); free space or choose another place") from error
    except BaseException:
        _discard(partial)
        raise


def _discard(partial: Path) -> None:
    # Where the parent is itself a file, even removing nothing fails.
    with suppress(OSError):
        partial.unlink()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file.

    Raises:
        UserError: It is missing, truncated, or something else, such as a pickle, which is not opened.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
        return load_file(path), metadata
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; check the path") from error
    except (SafetensorError, OSError) as error:
        if _looks_like_pickle(path):
            raise UserError(
                f"{path}: a PyTorch pickle, which can hold code and is not opened here; "
                "convert it with `prioritycut import-checkpoint`"
            ) from error
        raise UserError(f"{path}: not a whole safetensors file ({error}); copy or make it anew") from error


def _looks_like_pickle(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:  # a folder, or not ours to read
        return False
    return start.startswith((b"PK\x03\x04", b"\x80"))


def load_strictly(module: torch.nn.Module, tensors: Mapping[str, Tensor], *, where: Path) -> None:
    """Load weights, all of them and no others.

    Raises:
        UserError: Names are missing, unexpected, or of another shape; the message lists them.
    """
    wanted = module.state_dict()
    missing = sorted(set(wanted) - set(tensors))
    unexpected = sorted(set(tensors) - set(wanted))
    misshapen = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in sorted(set(wanted) & set(tensors))
        if tensors[name].shape != wanted[name].shape
    ]
    faults = [
        f"{len(names)} {label} ({', '.join(names[:8])}{', ...' if len(names) > 8 else ''})"
        for label, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", misshapen),
        )
        if names
    ]
    if faults:
        raise UserError(f"{where}: the weights do not fit the model: {'; '.join(faults)}; check the config or the file")
    module.load_state_dict(dict(tensors))


def read_pickle(path: Path) -> dict[str, Any]:
    """A PyTorch pickle, such as a published `.pth.tar`, read so that nothing in it can run.

    Raises:
        UserError: Missing, broken, or a pickle that holds more than tensors and plain containers.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it says of a foreign file, the line below says shorter
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: not opened, for it is broken or holds code besides tensors; get the file from its authors"
        ) from error
    except Exception as error:
        # A truncated or foreign file fails in torch in many ways; to the user they are one.
        raise UserError(f"{path}: not a readable PyTorch file ({type(error).__name__}); copy it anew") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a {type(content).__name__}, not a dictionary of weights; is it the right file?")
    return content
