"""Weights on disk: safetensors with the config inside. Pickles are read only to convert published files.

An animator's file holds its tensors under the model's own names and, as metadata, the config that builds it
(sampling convention included) and what it was trained on. Nothing in it can run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from torch import Tensor

from prioritycut.configuration import config_from_json, config_to_json
from prioritycut.errors import UserError
from prioritycut.files import load_strictly, read_pickle, read_tensors, save_tensors
from prioritycut.models.fomm import Fomm, FommConfig, HourglassConfig

FORMAT = "prioritycut-animator-1"
MODEL_FILE = "model.safetensors"
"""Name of the animator's file in a run folder."""


@dataclass(frozen=True, kw_only=True)
class CheckpointInfo:
    """What a checkpoint says of itself."""

    model: FommConfig
    trained_on: str
    """The data, as a person would name it: "puppets", "VoxCeleb"."""
    steps: int = 0
    """Training steps behind the weights."""
    source: str = ""
    """How the weights came to be: a preset, or the published file they were imported from."""


def shipped_checkpoints() -> dict[str, Path]:
    """Names that stand for weights inside the package."""
    folder = Path(str(resources.files("prioritycut"))) / "weights"
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


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


def save_animator(path: Path, animator: Fomm, info: CheckpointInfo) -> None:
    """Write an animator's weights with their config inside."""
    save_tensors(path, animator.state_dict(), {"format": FORMAT, "info": config_to_json(info)})


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


def load_animator(path_or_name: str | Path, device: str | torch.device = "cpu") -> Fomm:
    """Build an animator from its checkpoint, ready to run (evaluation mode, no gradients).

    Args:
        path_or_name: A .safetensors file, a run folder, or the name of shipped weights ("puppets").
        device: Where it shall run.

    Returns:
        An object with `detect`, `render` and `config`; see `models/base.py`.

    Raises:
        UserError: No such file, not a checkpoint of ours, or one whose weights do not fit its config.
    """
    path = find_checkpoint(path_or_name)
    tensors, metadata = read_tensors(path)
    animator = Fomm(_info(path, metadata).model)
    load_strictly(animator, tensors, where=path)
    return animator.eval().requires_grad_(False).to(device)


# Published FOMM files


def published_config(path: Path) -> FommConfig:
    """The model that a published FOMM YAML describes.

    Raises:
        UserError: It is missing, no YAML, lacks a setting, or has one that this model does not know.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; give the YAML published beside the checkpoint") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: not readable as YAML; give the YAML published beside the checkpoint") from error
    if not isinstance(document, dict):
        raise UserError(f"{path}: holds no settings; give the YAML of a FOMM checkpoint")
    try:
        # Through JSON, which checks the kind of every value: YAML may say "ten" or 2.5 where a number is due.
        text = json.dumps(asdict(_fomm_config(document)))
    except KeyError as error:
        raise UserError(f"{path}: lacks the setting {error}; give the YAML of a FOMM checkpoint") from error
    except (TypeError, AttributeError, IndexError) as error:
        raise UserError(f"{path}: a setting is of the wrong kind; give the YAML of a FOMM checkpoint") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}; give the YAML of a FOMM checkpoint") from error
    return config_from_json(FommConfig, text, where=path)


_HOURGLASS_FIELDS = {field.name for field in fields(HourglassConfig)}


def _fomm_config(document: dict[str, Any]) -> FommConfig:
    params = document["model_params"]
    common = params["common_params"]
    detector = dict(params["kp_detector_params"])
    generator = dict(params["generator_params"])
    dense_motion = dict(generator.pop("dense_motion_params"))
    shape = document.get("frame_shape") or document["dataset_params"]["frame_shape"]
    if common.get("num_channels", 3) != 3:
        raise ValueError(f"num_channels is {common['num_channels']}, but frames here have 3")
    if dense_motion.get("kp_variance", 0.01) != detector.pop("kp_variance", dense_motion.get("kp_variance", 0.01)):
        raise ValueError("kp_variance differs between the networks")
    config = FommConfig(
        frame_size=min(shape[0], shape[1]),
        num_keypoints=common["num_kp"],
        estimate_jacobian=common.get("estimate_jacobian", False),
        single_jacobian_map=detector.pop("single_jacobian_map", False),
        keypoint_padding=detector.pop("pad", 0),
        temperature=detector.pop("temperature"),
        heatmap_variance=dense_motion.pop("kp_variance", 0.01),
        estimate_occlusion_map=generator.pop("estimate_occlusion_map", False),
        detector=_hourglass(detector),
        dense_motion=_hourglass(dense_motion),
        block_expansion=generator.pop("block_expansion"),
        max_features=generator.pop("max_features"),
        num_down_blocks=generator.pop("num_down_blocks"),
        num_bottleneck_blocks=generator.pop("num_bottleneck_blocks"),
    )
    if generator:
        raise ValueError(f"generator_params has unknown settings: {', '.join(generator)}")
    return config


def _hourglass(settings: dict[str, Any]) -> HourglassConfig:
    unknown = set(settings) - _HOURGLASS_FIELDS
    if unknown:
        raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
    return HourglassConfig(
        block_expansion=settings["block_expansion"],
        num_blocks=settings["num_blocks"],
        max_features=settings["max_features"],
        scale_factor=settings.get("scale_factor", 1.0),
    )


def import_checkpoint(checkpoint: Path, config: Path, *, align_corners: bool = True) -> tuple[Fomm, CheckpointInfo]:
    """Read a published FOMM file strictly.

    Args:
        checkpoint: `.pth.tar` with `generator` and `kp_detector` (others, such as optimizers, are left out).
        config: The YAML published beside it.
        align_corners: The sampling convention that the weights were trained with; it is kept with them. True for
            the authors' files, False for what their released code trained on PyTorch 1.3 or newer.

    Raises:
        UserError: Either file is unreadable, or names are missing or unexpected; the message lists them.
    """
    animator = Fomm(replace(published_config(config), align_corners=align_corners))
    content = read_pickle(checkpoint)
    tensors = dict[str, Tensor]()
    for part in ("kp_detector", "generator"):
        if not isinstance(content.get(part), Mapping):
            found = ", ".join(map(str, content))
            raise UserError(f"{checkpoint}: has no {part!r} (found: {found[:200]}); is it a FOMM file?")
        for name, value in content[part].items():
            if not isinstance(value, Tensor):
                kind = type(value).__name__
                raise UserError(f"{checkpoint}: {part}.{name} is a {kind}, not a tensor; is it a FOMM file?")
        tensors.update({f"{part}.{name}": value for name, value in content[part].items()})
    load_strictly(animator, tensors, where=checkpoint)
    info = CheckpointInfo(
        model=animator.config,
        trained_on="unknown data",
        source=f"imported from {checkpoint.name} with {config.name}",
    )
    return animator.eval().requires_grad_(False), info
