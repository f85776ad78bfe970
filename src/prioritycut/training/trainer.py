"""The networks of a run with their optimizers, and what one step does to them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from prioritycut.losses import DiscriminatorLosses, GeneratorLosses
from prioritycut.models.building import Model
from prioritycut.models.discriminators import PatchDiscriminatorConfig
from prioritycut.outputs import AnimationOutput, Frames, MotionOutput
from prioritycut.stabilizers import ScoreAnchors
from prioritycut.train_config import AdamConfig, OptimizerConfig, SgdConfig, TrainConfig
from prioritycut.training.averaging import averaged_copy, decay_at, update_average
from prioritycut.training.judging import Mixing, discriminator_losses, draw_mixing
from prioritycut.training.maps import load_map_model
from prioritycut.training.networks import Networks, build_networks
from prioritycut.training.samples import sample_sheet
from prioritycut.training.step import generator_losses, step_generator


def learning_rate_factor(config: OptimizerConfig, epoch: int) -> float:
    """A tenth for every milestone that has passed."""
    return 0.1 ** sum(epoch >= milestone for milestone in config.milestones)


def build_optimizer(config: OptimizerConfig, groups: list[dict[str, Any]]) -> Optimizer:
    """The optimizer that a config describes, for groups of parameters that each have their rate."""
    match config:
        case AdamConfig():
            return Adam(groups, betas=config.betas)
        case SgdConfig():
            return SGD(groups, momentum=config.momentum)


def animator_groups(animator: nn.Module, config: OptimizerConfig) -> list[dict[str, Any]]:
    """The keypoint detector, if there is one, with its rate; everything else with the other."""
    detector, others = list[nn.Parameter](), list[nn.Parameter]()
    for name, parameter in animator.named_parameters():
        (detector if name.startswith("kp_detector.") else others).append(parameter)
    rate, keypoint_rate = config.learning_rate, config.keypoint_learning_rate
    groups = [(detector, rate if keypoint_rate is None else keypoint_rate), (others, rate)]
    return [{"params": parameters, "lr": rate} for parameters, rate in groups if parameters]


class Trainer:
    """The networks of a run with their optimizers."""

    def __init__(self, config: TrainConfig, fabric: Fabric) -> None:
        self.config, self.fabric = config, fabric
        fabric.seed_everything(config.seed, verbose=False)
        built = build_networks(config)
        self.animator = _placed(built.animator, fabric.device)
        self.discriminator = None if built.discriminator is None else _placed(built.discriminator, fabric.device)
        perceptual = None if built.perceptual is None else _placed(built.perceptual, fabric.device)
        self.networks = Networks(self.animator, self.discriminator, perceptual)
        self.modules = built.trained()
        if config.freeze_keypoints:
            self._detector().requires_grad_(False).eval()
        self.average = averaged_copy(self.animator) if config.stabilizers.ema_decay else None
        if self.average is not None:
            self.modules["average"] = self.average
        self.anchors: ScoreAnchors | None = None
        if self.discriminator is not None and config.losses.lecam:
            judge = config.discriminator
            scales = len(judge.scales) if isinstance(judge, PatchDiscriminatorConfig) else 1
            self.anchors = ScoreAnchors(scales).to(fabric.device)
            self.modules["lecam"] = self.anchors
        map_model = load_map_model(config)
        self.map_model = None if map_model is None else _placed(map_model, fabric.device)
        self.generator_optimizer = build_optimizer(config.optimizer, animator_groups(self.animator, config.optimizer))
        self.optimizers = {"generator_optimizer": self.generator_optimizer}
        self.discriminator_optimizer: Optimizer | None = None
        if self.discriminator is not None:
            group = {"params": list(self.discriminator.parameters()), "lr": config.optimizer.learning_rate}
            self.discriminator_optimizer = build_optimizer(config.optimizer, [group])
            self.optimizers["discriminator_optimizer"] = self.discriminator_optimizer
        self._base_rates = {
            name: [group["lr"] for group in optimizer.param_groups] for name, optimizer in self.optimizers.items()
        }

    def step(self, pairs: Float[Tensor, "batch 2 3 height width"], *, step: int, epoch: int) -> dict[str, float]:
        """Update both networks on one batch; returns the numbers of the step."""
        config, discriminator = self.config, self.discriminator
        generator = step_generator(config.seed, step)
        source, driving = (pairs[:, i].contiguous(memory_format=torch.channels_last) for i in (0, 1))
        self._set_learning_rates(epoch)

        # Generator: the discriminator only passes gradients on.
        if discriminator is not None:
            discriminator.requires_grad_(False)
        with self.fabric.autocast():
            generated = generator_losses(self.networks, config, source, driving, generator=generator)
        total = generated.losses.total(config.losses)
        self.generator_optimizer.zero_grad()
        total.backward()
        self.generator_optimizer.step()
        if self.average is not None:
            decay = decay_at(step, config.stabilizers.ema_decay)
            update_average(self.average, self.animator, decay=decay)
        numbers = {"loss/generator": total.item()}
        numbers |= {f"generator/{name}": value for name, value in loss_numbers(generated.losses).items()}
        numbers |= motion_numbers(generated.output)

        # Discriminator: the generator's frame is data.
        if discriminator is None or self.discriminator_optimizer is None:
            return numbers
        discriminator.requires_grad_(True)
        fake = generated.output.prediction.detach()
        find_motion = partial(self._motion, generated.output, source, driving)
        mixing = draw_mixing(config, epoch, find_motion, fake, generator=generator)
        with self.fabric.autocast():
            judged = discriminator_losses(
                discriminator,
                config,
                driving,
                fake,
                generated.driving_keypoints,
                mixing,
                step=step,
                recoloring=generated.recoloring,
                anchors=self.anchors,
            )
        total = judged.total(config.losses)
        self.discriminator_optimizer.zero_grad()
        total.backward()
        self.discriminator_optimizer.step()
        numbers["loss/discriminator"] = total.item()
        numbers |= {f"discriminator/{name}": value for name, value in loss_numbers(judged).items()}
        if config.regularizer is not None:
            numbers |= mixing_numbers(mixing)
        return numbers

    @property
    def result(self) -> Model:
        """The animator as a checkpoint holds it: the average, where there is one."""
        return self.animator if self.average is None else self.average

    @torch.no_grad()
    def _motion(self, output: AnimationOutput, source: Frames, driving: Frames) -> MotionOutput:
        """The motion whose maps choose what is cut."""
        return output.motion if self.map_model is None else self.map_model(source, driving).motion

    def _detector(self) -> nn.Module:
        return self.animator.get_submodule("kp_detector")

    def samples(self, pairs: Float[Tensor, "batch 2 3 height width"]) -> Float[Tensor, "3 rows cols"]:
        """What the networks make of a few pairs by now, as a sheet of pictures."""
        with self._evaluating():
            shown = Networks(self.result, self.networks.discriminator)
            return sample_sheet(shown, self.config, pairs).cpu()

    @contextmanager
    def _evaluating(self) -> Generator[None]:
        for module in self.modules.values():
            module.eval()
        yield
        for name, module in self.modules.items():
            module.train(name != "average")
        if self.config.freeze_keypoints:
            self._detector().eval()

    def _set_learning_rates(self, epoch: int) -> None:
        factor = learning_rate_factor(self.config.optimizer, epoch)
        for name, optimizer in self.optimizers.items():
            for group, rate in zip(optimizer.param_groups, self._base_rates[name], strict=True):
                group["lr"] = rate * factor


Network = TypeVar("Network", bound=nn.Module)


def _placed(network: Network, device: torch.device) -> Network:
    # Convolutions run up to three times faster with channels last; the numbers are the same to rounding.
    return network.to(device=device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def loss_numbers(losses: GeneratorLosses | DiscriminatorLosses) -> dict[str, float]:
    """The terms by name; a term that is one number a block is summed, one that a step does not have is left out."""
    terms = {name: getattr(losses, name) for name in losses.__dataclass_fields__}
    return {name: term.sum().item() for name, term in terms.items() if term is not None}


def mixing_numbers(mixing: Mixing | None) -> dict[str, float]:
    """The share of the batch that was mixed, and how much of its frames came from the fake ones."""
    area = 0.0 if mixing is None else mixing.of(mixing.mask).float().mean().item()
    return {"mix/used": 0.0 if mixing is None else mixing.share, "mix/area": area}


@torch.no_grad()
def motion_numbers(output: AnimationOutput) -> dict[str, float]:
    """Means of the maps: near 0 or 1 throughout a run they are dead."""
    numbers = dict[str, float]()
    for name in ("occlusion_map", "background_mask"):
        values = getattr(output.motion, name)
        if values is not None:
            numbers[f"maps/{name}"] = values.mean().item()
    return numbers
