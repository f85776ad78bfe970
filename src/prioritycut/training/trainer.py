"""The networks of a run with their optimizers, and what one step does to them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from prioritycut.losses import DiscriminatorLosses, GeneratorLosses
from prioritycut.outputs import AnimationOutput
from prioritycut.train_config import AdamConfig, OptimizerConfig, SgdConfig, TrainConfig
from prioritycut.training.networks import Networks, build_networks
from prioritycut.training.samples import sample_sheet
from prioritycut.training.step import discriminator_losses, generator_losses, step_generator, step_mask


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
        numbers = {"loss/generator": total.item()}
        numbers |= {f"generator/{name}": value for name, value in loss_numbers(generated.losses).items()}
        numbers |= motion_numbers(generated.output)

        # Discriminator: the generator's frame is data.
        if discriminator is None or self.discriminator_optimizer is None:
            return numbers
        discriminator.requires_grad_(True)
        fake = generated.output.prediction.detach()
        mask = step_mask(config, epoch, generated.output, generator=generator)
        with self.fabric.autocast():
            judged = discriminator_losses(discriminator, config, driving, fake, generated.driving_keypoints, mask)
        total = judged.total(config.losses)
        self.discriminator_optimizer.zero_grad()
        total.backward()
        self.discriminator_optimizer.step()
        numbers["loss/discriminator"] = total.item()
        numbers |= {f"discriminator/{name}": value for name, value in loss_numbers(judged).items()}
        if config.regularizer is not None:
            numbers["mix/used"] = float(mask is not None)
            numbers["mix/area"] = 0.0 if mask is None else mask.float().mean().item()
        return numbers

    def samples(self, pairs: Float[Tensor, "batch 2 3 height width"]) -> Float[Tensor, "3 rows cols"]:
        """What the networks make of a few pairs by now, as a sheet of pictures."""
        with self._evaluating():
            return sample_sheet(self.networks, self.config, pairs).cpu()

    @contextmanager
    def _evaluating(self) -> Generator[None]:
        for module in self.modules.values():
            module.eval()
        yield
        for module in self.modules.values():
            module.train()

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
    """The terms by name; a term that is one number a block is summed."""
    return {name: getattr(losses, name).sum().item() for name in losses.__dataclass_fields__}


@torch.no_grad()
def motion_numbers(output: AnimationOutput) -> dict[str, float]:
    """Means of the maps: near 0 or 1 throughout a run they are dead."""
    numbers = dict[str, float]()
    for name in ("occlusion_map", "background_mask"):
        values = getattr(output.motion, name)
        if values is not None:
            numbers[f"maps/{name}"] = values.mean().item()
    return numbers
