"""The puppets' own detectors: networks trained on their ground truth, shipped with the package.

They know puppets and nothing else; `docs/model-card-detectors.md` says how well.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from prioritycut.configuration import config_from_json, config_to_json
from prioritycut.errors import UserError
from prioritycut.files import load_strictly, read_tensors, save_tensors
from prioritycut.metrics.detectors.base import Role, Tool
from prioritycut.metrics.detectors.puppet_networks import (
    EmbeddingNetworkConfig,
    KeypointNetworkConfig,
    PuppetEmbeddingNetwork,
    PuppetKeypointNetwork,
    fit_input,
    original_pixels,
)
from prioritycut.outputs import Frames

KEYPOINTS_FORMAT = "prioritycut-puppet-keypoints-1"
IDENTITY_FORMAT = "prioritycut-puppet-identity-1"

_DETECTORS = Path(str(resources.files("prioritycut"))) / "weights" / "detectors"
KEYPOINTS_WEIGHTS = _DETECTORS / "puppet-keypoints.safetensors"
"""The shipped weights of `PuppetKeypointDetector`."""
IDENTITY_WEIGHTS = _DETECTORS / "puppet-identity.safetensors"
"""The shipped weights of `PuppetIdentityNetwork`."""


class PuppetKeypointDetector:
    """Finds the 19 landmarks of a puppet; a `KeypointDetector`."""

    def __init__(self, weights: Path = KEYPOINTS_WEIGHTS, *, device: str | torch.device = "cpu") -> None:
        """Read the weights.

        Args:
            weights: A file of `prioritycut train-detectors`, by default the shipped one.
            device: Where to run.

        Raises:
            UserError: The file is missing, broken, or holds something else.
        """
        tensors, config = _read(weights, KEYPOINTS_FORMAT)
        network = PuppetKeypointNetwork(config_from_json(KeypointNetworkConfig, config, where=weights))
        _load(network, tensors, weights)
        self.network = network.to(device)
        self.tool = _tool("keypoints", weights)

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Names of the points, in the order of the result."""
        return self.network.config.landmarks

    @torch.inference_mode()
    def __call__(self, frames: Frames) -> Float[Tensor, "batch points 2"]:
        """xy in pixels of the frame, from the centre of its first pixel; NaN for points that seem hidden."""
        position, visible = self.locate(frames)
        return position.masked_fill((visible < 0.5)[..., None], torch.nan)

    @torch.inference_mode()
    def locate(self, frames: Frames) -> tuple[Float[Tensor, "batch points 2"], Float[Tensor, "batch points"]]:
        """Where each landmark is, hidden or not, in pixels of the frame, and how likely in [0, 1] it can be seen."""
        size = self.network.config.size
        seen = self.network(fit_input(frames.to(self.network.visible_bias.device), size))
        position = original_pixels(seen.position, size, *frames.shape[-2:])
        return position.to(frames.device), seen.visibility.sigmoid().to(frames.device)


class PuppetIdentityNetwork:
    """Says which puppet is in a frame; an `IdentityNetwork`."""

    def __init__(self, weights: Path = IDENTITY_WEIGHTS, *, device: str | torch.device = "cpu") -> None:
        """Read the weights; see `PuppetKeypointDetector`."""
        tensors, config = _read(weights, IDENTITY_FORMAT)
        network = PuppetEmbeddingNetwork(config_from_json(EmbeddingNetworkConfig, config, where=weights))
        _load(network, tensors, weights)
        self.network = network.to(device)
        self.tool = _tool("identity", weights)

    @torch.inference_mode()
    def __call__(self, frames: Frames) -> Float[Tensor, "batch features"]:
        """Vectors of length 1: two of the same puppet are nearer to each other than two of different ones."""
        embedding = self.network(fit_input(frames.to(self.network.embedding.weight.device), self.network.config.size))
        return embedding.to(frames.device)


def save_network(path: Path, network: PuppetKeypointNetwork | PuppetEmbeddingNetwork, training: str) -> Path:
    """Write a network's weights, rounded to float16, with its config inside.

    Args:
        path: The .safetensors to write.
        network: Of either kind.
        training: How it was trained, as JSON.
    """
    kind = KEYPOINTS_FORMAT if isinstance(network, PuppetKeypointNetwork) else IDENTITY_FORMAT
    tensors = {name: value.half() for name, value in network.state_dict().items() if value.is_floating_point()}
    info = {"network": json.loads(config_to_json(network.config)), "training": json.loads(training)}
    # One entry alone: several are written in any order, and the same weights would get another version.
    save_tensors(path, tensors, {kind: json.dumps(info)})
    return path


def _read(path: Path, kind: str) -> tuple[dict[str, Tensor], str]:
    """The weights in float32 and the config of their network."""
    tensors, metadata = read_tensors(path)
    try:
        config = json.dumps(json.loads(metadata[kind])["network"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: no {kind} inside; make one with `prioritycut train-detectors`") from error
    return {name: value.float() for name, value in tensors.items()}, config


def _load(network: torch.nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    # Batch norm's counts of batches, the only whole numbers, matter to training alone and are not kept.
    counts = {name: value for name, value in network.state_dict().items() if not value.is_floating_point()}
    load_strictly(network, tensors | counts, where=path)
    network.eval().requires_grad_(False)


def _tool(role: Role, path: Path) -> Tool:
    version = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return Tool(role=role, name="puppets", version=version, note="knows drawn puppets alone")
