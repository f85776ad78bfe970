"""The networks of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from torch import nn

from prioritycut.checkpoint import find_checkpoint, read_info
from prioritycut.errors import UserError
from prioritycut.files import load_strictly, read_tensors
from prioritycut.losses import PerceptualLoss
from prioritycut.models.base import Animator, Discriminator
from prioritycut.models.building import MODEL_NAMES, DiscriminatorNetwork, Model, build_animator, build_discriminator
from prioritycut.train_config import TrainConfig


@dataclass(frozen=True, slots=True)
class Networks:
    """What a step's losses look at.

    Attributes:
        animator: Any model; what it gives decides which losses there are.
        discriminator: `None` where nothing judges.
        perceptual: The fixed network that frames are compared by; `None` where no loss asks for it.
    """

    animator: Animator
    discriminator: Discriminator | None = None
    perceptual: PerceptualLoss | None = None


@dataclass(frozen=True, slots=True)
class BuiltNetworks:
    """The networks of a config, as modules."""

    animator: Model
    discriminator: DiscriminatorNetwork | None
    perceptual: PerceptualLoss | None

    def trained(self) -> dict[str, nn.Module]:
        """Those that learn, by the names under which a run keeps them."""
        modules: dict[str, nn.Module] = {"animator": self.animator}
        return modules if self.discriminator is None else modules | {"discriminator": self.discriminator}


def build_networks(config: TrainConfig) -> BuiltNetworks:
    """The networks of a config, initialized from torch's global seed or from its checkpoint.

    Raises:
        UserError: The checkpoint does not load or is of another model, or the perceptual network's weights are missing.
    """
    discriminator = None if config.discriminator is None else build_discriminator(config.discriminator)
    animator = build_animator(config.model)
    perceptual = PerceptualLoss(config.perceptual) if any(config.losses.perceptual) else None
    if config.init_from is not None:
        _load_initial(animator, config)
    return BuiltNetworks(animator, discriminator, perceptual)


def _load_initial(animator: Model, config: TrainConfig) -> None:
    assert config.init_from is not None
    path = find_checkpoint(config.init_from)
    stored = read_info(path).model
    if stored.kind != config.model.kind:
        names = MODEL_NAMES[stored.kind], MODEL_NAMES[config.model.kind]
        raise UserError(f"{path}: weights of {names[0]}, and this run trains {names[1]}; begin from one of the same")
    # The size of the frames may change; what the weights mean may not.
    different = config_differences(asdict(replace(stored, frame_size=config.model.frame_size)), asdict(config.model))
    if different:
        raise UserError(f"{path}: weights of another model ({different[0]}); begin from one of the same")
    load_strictly(animator, read_tensors(path)[0], where=path)


def config_differences(stored: object, given: object, name: str = "") -> list[str]:
    """Settings that two configs, as dictionaries, have otherwise, each told in a few words."""
    if isinstance(stored, dict) and isinstance(given, dict) and stored.get("kind") != given.get("kind"):
        return config_differences(stored.get("kind"), given.get("kind"), f"{name}.kind")
    if isinstance(stored, dict) and isinstance(given, dict) and stored.keys() == given.keys():
        return [
            line for key in stored for line in config_differences(stored[key], given[key], f"{name}.{key}".lstrip("."))
        ]
    return [] if stored == given else [f"{name} was {stored!r}, now {given!r}"]


_READABLE = {"kp_detector": "keypoint detector", "embedding": "embedding network", "driving": "driving network"}


def parameter_counts(config: TrainConfig) -> dict[str, int]:
    """Trained numbers by network."""
    counts = {_READABLE.get(name, name): _count(part) for name, part in build_animator(config.model).named_children()}
    if config.discriminator is not None:
        counts["discriminator"] = _count(build_discriminator(config.discriminator))
    return counts


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
