"""Published X2Face files: weights alone; widths and levels are those of the tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from prioritycut.errors import UserError
from prioritycut.files import read_pickle
from prioritycut.models.x2face import X2Face, X2FaceConfig
from prioritycut.published.tensors import check_layout, load_published, only_tensors


def import_x2face(checkpoint: Path, *, align_corners: bool = True, upsampling_align_corners: bool = True) -> X2Face:
    """Read a published X2Face, ready to run (evaluation mode, no gradients).

    Args:
        checkpoint: The weights, bare or under `state_dict`.
        align_corners: The sampling convention that the weights were trained with; the config keeps it. True for the
            authors' files, False for what their released code trained on PyTorch 1.3 or newer.
        upsampling_align_corners: The convention of the upsampling inside both networks. True for the authors' files,
            False for what their released code trained on PyTorch 0.4 or newer.

    Raises:
        UserError: The file is unreadable, or names are missing or unexpected; the message lists them.
    """
    content = read_pickle(checkpoint)
    check_layout(content, "x2face", where=checkpoint)
    tensors = only_tensors(content.get("state_dict", content), "the file", where=checkpoint)
    try:
        config = x2face_config(tensors)
    except ValueError as error:
        raise UserError(f"{checkpoint}: {error}; is it an X2Face file?") from error
    conventions = replace(config, align_corners=align_corners, upsampling_align_corners=upsampling_align_corners)
    animator = X2Face(conventions)
    load_published(animator, tensors, published_name, where=checkpoint)
    return animator.eval().requires_grad_(False)


_NETWORKS = {"embedding": "pix2pixUnwrapped.netG.model.", "driving": "pix2pixSampler.netG.model."}


def x2face_config(tensors: Mapping[str, Tensor]) -> X2FaceConfig:
    """The networks that published weights are of; a width whose tensor is missing is the published one.

    Raises:
        ValueError: They are of no X2Face, or of one that cannot be built.
    """
    depths = [name.count("submodule.") for name in tensors if name.startswith(_NETWORKS["embedding"])]
    if not depths:
        raise ValueError(f"has no tensors under {_NETWORKS['embedding']!r}")
    deepest = max(depths)

    def width(network: str, level: int, otherwise: int) -> int:
        tensor = tensors.get(published_name(f"{network}.down.{level}.conv.weight"))
        return tensor.shape[0] if tensor is not None and tensor.ndim == 4 else otherwise

    published = X2FaceConfig()
    return X2FaceConfig(
        frame_size=2 ** (deepest + 1),
        num_levels=deepest + 1,
        block_expansion=width("embedding", 0, published.block_expansion),
        max_features=width("embedding", deepest, published.max_features),
        bottleneck=width("driving", deepest, published.bottleneck),
    )


def published_name(name: str) -> str:
    """The published name of one of our parameters: `driving.up.2.norm.bias` lies two `submodule.` deep."""
    network, way, level, layer, parameter = name.split(".")
    # Places in published lists, which number activations and upsampling too; the first layer has nothing before it.
    places = {"down": {"conv": 0 if level == "0" else 1, "norm": 2}, "up": {"conv": 2, "norm": 3}}
    return f"{_NETWORKS[network]}{'submodule.' * int(level)}{way}.{places[way][layer]}.{parameter}"
