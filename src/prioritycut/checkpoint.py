"""Weights on disk: safetensors with the config inside. Pickles are read only to convert published files.

An animator's file holds its tensors under the model's own names and, as metadata, the config that builds it
(sampling convention included) and what it was trained on. Nothing in it can run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from prioritycut.configuration import config_from_json, config_to_json
from prioritycut.errors import UserError
from prioritycut.files import load_strictly, read_tensors, save_tensors
from prioritycut.models.building import Model, ModelConfig, build_animator
from prioritycut.published import PublishedModel, import_published

FORMAT = "prioritycut-animator-1"
MODEL_FILE = "model.safetensors"
"""Name of the animator's file in a run folder."""


@dataclass(frozen=True, kw_only=True)
class CheckpointInfo:
    """What a checkpoint says of itself."""

    model: ModelConfig
    trained_on: str
    """The data, as a person would name it: "puppets", "VoxCeleb"."""
    steps: int = 0
    """Training steps behind the weights."""
    source: str = ""
    """How the weights came to be: a preset, or the published file they were imported from."""


def shipped_checkpoints() -> dict[str, Path]:
    """Names that stand for weights in the package: `puppets`, and in a checkout `five/NAME`, the models compared."""
    folder = Path(str(resources.files("prioritycut"))) / "weights"
    paths = [*sorted(folder.glob("*.safetensors")), *sorted(folder.glob("five/*.safetensors"))]
    return {str(path.relative_to(folder).with_suffix("").as_posix()): path for path in paths}


def find_checkpoint(path_or_name: str | Path) -> Path:
    """The animator's file that a path, a run folder, or the name of shipped weights stands for.

    Raises:
        UserError: There is no such file; the message lists the shipped names.
    """
    path = Path(path_or_name)
    shipped = shipped_checkpoints()
    if path.is_dir() and not (path / MODEL_FILE).is_file() and str(path_or_name) in shipped:
        return shipped[str(path_or_name)]  # a folder of that name, such as `synthesize puppets` makes
    if path.is_dir():
        if not (path / MODEL_FILE).is_file():
            raise UserError(f"{path}: no {MODEL_FILE} in this folder; give a run folder that has saved a checkpoint")
        return path / MODEL_FILE
    if path.is_file():
        return path
    if str(path_or_name) in shipped:
        return shipped[str(path_or_name)]
    raise UserError(
        f"{path}: no such checkpoint; give a .safetensors file, a run folder, or one of: {', '.join(shipped) or 'none'}"
    )


def save_animator(
    path: Path,
    animator: torch.nn.Module,
    info: CheckpointInfo,
    *,
    stored_as: Literal["float32", "float16"] = "float32",
) -> None:
    """Write an animator's weights with their config inside.

    Args:
        path: The .safetensors to write.
        animator: That of `info.model`.
        info: What the file says of itself.
        stored_as: `float16` nearly halves the file; loading gives float32. Kernels are rounded to a relative 5e-4, but
            not those of a keypoint detector: its softmax would make shifts of them that the eye may see.

    Raises:
        UserError: The place cannot be written, or a weight is too large for float16.
    """
    tensors = animator.state_dict()
    if stored_as == "float16":
        tensors = {name: _halved(name, tensor, path) for name, tensor in tensors.items()}
    save_tensors(path, tensors, {"format": FORMAT, "info": config_to_json(info)})


def _halved(name: str, tensor: Tensor, path: Path) -> Tensor:
    # Biases and statistics are few, and statistics may be tiny.
    if tensor.ndim < 2 or name.startswith("kp_detector."):
        return tensor
    half = tensor.half()
    if not bool(half.isfinite().all()):
        raise UserError(f"{path}: {name} has weights beyond float16; store it as float32")
    return half


def read_info(path_or_name: str | Path) -> CheckpointInfo:
    """What a checkpoint says of itself, without reading its weights."""
    path = find_checkpoint(path_or_name)
    return _info(path, _metadata(path))


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="pt") as opened:
            return opened.metadata() or {}
    except (SafetensorError, OSError):
        return read_tensors(path)[1]  # says what is wrong


def _info(path: Path, metadata: Mapping[str, str]) -> CheckpointInfo:
    if metadata.get("format") != FORMAT or "info" not in metadata:
        raise UserError(
            f"{path}: safetensors, but not an animator of this toolkit (no config inside); "
            "train one, or convert published weights with `prioritycut import-checkpoint`"
        )
    return config_from_json(CheckpointInfo, metadata["info"], where=path)


def load_animator(path_or_name: str | Path, device: str | torch.device = "cpu") -> Model:
    """Build an animator from its checkpoint, ready to run (evaluation mode, no gradients).

    Args:
        path_or_name: A .safetensors file, a run folder, or the name of shipped weights ("puppets").
        device: Where it shall run.

    Returns:
        The model that the file says it is; `config` tells its sizes, `models/base.py` what it can do.

    Raises:
        UserError: No such file, not a checkpoint of ours, or one whose weights do not fit its config.
    """
    path = find_checkpoint(path_or_name)
    tensors, metadata = read_tensors(path)
    animator = build_animator(_info(path, metadata).model)
    load_strictly(animator, tensors, where=path)
    return animator.eval().requires_grad_(False).to(device)


def import_checkpoint(
    checkpoint: Path,
    config: Path | None = None,
    *,
    model: PublishedModel = "fomm",
    align_corners: bool = True,
    upsampling_align_corners: bool = True,
) -> tuple[Model, CheckpointInfo]:
    """Read a published file strictly; see `published.import_published`."""
    animator = import_published(
        model,
        checkpoint,
        config,
        align_corners=align_corners,
        upsampling_align_corners=upsampling_align_corners,
    )
    settings = "" if config is None else f" with {config.name}"
    source = f"imported from {checkpoint.name}{settings}"
    return animator, CheckpointInfo(model=animator.config, trained_on="unknown data", source=source)
