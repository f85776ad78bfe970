"""Training: one step for each network, one loop.

A step is: keypoints of source and driving frame -> prediction -> the generator's losses -> update; then the
discriminator judges real, fake and, now and then, a mixed frame -> its losses -> update. Every random draw of a
step comes from (seed, step), so a run that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from lightning.fabric import Fabric
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor
from torch.optim import Adam
from torch.utils.data import DataLoader

from prioritycut.checkpoint import CheckpointInfo, find_checkpoint, read_info, save_animator
from prioritycut.configuration import config_from_json, config_to_json
from prioritycut.data.augment import Pair
from prioritycut.data.datasets import PuppetData, TrainingPairs, build_pairs
from prioritycut.drawing import draw_keypoints, paint_deformation, paint_map, paint_scores, sheet
from prioritycut.errors import UserError
from prioritycut.files import load_strictly, read_tensors, write_text
from prioritycut.geometry import random_transform, resize_deformation, resize_map, warp
from prioritycut.losses import (
    DiscriminatorLosses,
    GeneratorLosses,
    PerceptualConfig,
    PerceptualLoss,
    discriminator_adversarial_loss,
    equivariance_jacobian_loss,
    equivariance_value_loss,
    explained_loss,
    feature_matching_loss,
    generator_adversarial_loss,
    pixel_scores_for,
)
from prioritycut.models.discriminators import Discriminator, build_discriminator
from prioritycut.models.fomm import Fomm
from prioritycut.outputs import AnimationOutput, Frames, Keypoints
from prioritycut.regularizers import (
    Mask,
    PriorityCut,
    consistency_loss,
    draw_mask,
    mix,
    mix_probability,
    partner,
)
from prioritycut.runs import (
    RunWriter,
    load_state,
    model_path,
    note_code,
    save_state,
    state_path,
)
from prioritycut.train_config import OptimizerConfig, TrainConfig


@dataclass(frozen=True, slots=True)
class Networks:
    """What a run trains, and the fixed network that frames are compared by."""

    animator: Fomm
    discriminator: Discriminator | None
    perceptual: PerceptualLoss


@dataclass(frozen=True, slots=True)
class GeneratorPass:
    """What the generator's step leaves for the discriminator's."""

    losses: GeneratorLosses
    output: AnimationOutput
    driving_keypoints: Keypoints


def generator_losses(
    networks: Networks, config: TrainConfig, source: Frames, driving: Frames, *, generator: torch.Generator
) -> GeneratorPass:
    """The terms of equation 6 for one batch."""
    animator, weights = networks.animator, config.losses
    # Three separate calls: batch norm's statistics of each are part of the method.
    start, end = animator.detect(source), animator.detect(driving)
    output = animator.render(source, start, end)
    zero = output.prediction.new_zeros(())

    perceptual = zero
    if any(weights.perceptual):
        perceptual = networks.perceptual(output.prediction, driving, weights.perceptual)
    pixel = (output.prediction - driving).abs().mean() if weights.pixel else zero
    explained = zero
    if weights.explained and output.motion.occlusion_map is not None:
        height, width = driving.shape[-2:]
        deformation = resize_deformation(output.motion.deformation, height, width)
        deformed = warp(source, deformation, align_corners=animator.config.align_corners)
        explained = explained_loss(deformed, driving, resize_map(output.motion.occlusion_map, height, width))

    value = jacobian = zero
    if weights.equivariance_value or weights.equivariance_jacobian:
        settings = config.equivariance
        transform = random_transform(
            driving.shape[0],
            sigma_affine=settings.sigma_affine,
            sigma_bending=settings.sigma_bending,
            control_points=settings.control_points,
            generator=generator,
            device=driving.device,
        )
        seen = animator.detect(transform.frames(driving, align_corners=animator.config.align_corners))
        value = equivariance_value_loss(end, seen, transform)
        if end.jacobian is not None and weights.equivariance_jacobian:
            jacobian = equivariance_jacobian_loss(end, seen, transform)

    adversarial = matching = zero
    if networks.discriminator is not None:
        fake = networks.discriminator(output.prediction, end)
        with torch.no_grad():
            real = networks.discriminator(driving, end)
        for scale in fake:
            adversarial = adversarial + generator_adversarial_loss(scale.score, mode=config.gan_mode)
            pixels = pixel_scores_for(scale, mode=config.gan_mode)
            if pixels is not None:
                adversarial = adversarial + generator_adversarial_loss(pixels, mode=config.gan_mode)
        matching = feature_matching_loss(real, fake)

    return GeneratorPass(
        GeneratorLosses(perceptual, pixel, explained, value, jacobian, adversarial, matching), output, end
    )


def discriminator_losses(
    discriminator: Discriminator,
    config: TrainConfig,
    real_frames: Frames,
    fake_frames: Frames,
    keypoints: Keypoints,
    mask: Mask | None,
) -> DiscriminatorLosses:
    """The terms of equation 4 for one batch; without a mask the consistency term is 0."""
    fake = discriminator(fake_frames, keypoints)
    real = discriminator(real_frames, keypoints)
    encoder = decoder = consistency = fake_frames.new_zeros(())
    for real_scale, fake_scale in zip(real, fake, strict=True):
        encoder = encoder + discriminator_adversarial_loss(real_scale.score, fake_scale.score, mode=config.gan_mode)
        real_pixels = pixel_scores_for(real_scale, mode=config.gan_mode)
        fake_pixels = pixel_scores_for(fake_scale, mode=config.gan_mode)
        if real_pixels is not None and fake_pixels is not None:
            decoder = decoder + discriminator_adversarial_loss(real_pixels, fake_pixels, mode=config.gan_mode)
    if mask is not None and config.regularizer is not None:
        mixed_frames = mix(real_frames, partner(config.regularizer, fake_frames), mask)
        mixed = discriminator(mixed_frames, keypoints)[0].pixel_score
        real_score, fake_score = real[0].pixel_score, fake[0].pixel_score
        if mixed is None or real_score is None or fake_score is None:
            raise ValueError("a regularizer works on pixel scores, which only the U-Net discriminator gives")
        consistency = consistency_loss(mixed, real_score, partner(config.regularizer, fake_score), mask)
    return DiscriminatorLosses(encoder, decoder, consistency)


def step_mask(config: TrainConfig, epoch: int, output: AnimationOutput, *, generator: torch.Generator) -> Mask | None:
    """The mask of this step if its coin falls so, else `None` (SPEC section 3)."""
    if config.regularizer is None:
        return None
    chance = mix_probability(epoch, warmup_epochs=config.warmup_epochs, maximum=config.mixing.probability)
    if float(torch.rand((), generator=generator)) >= chance:
        return None
    return draw_mask(config.regularizer, output.motion, output.prediction, generator=generator)


def build_networks(config: TrainConfig, *, with_perceptual: bool = True) -> Networks:
    """The networks of a config, initialized from torch's global seed."""
    discriminator = None if config.discriminator is None else build_discriminator(config.discriminator)
    perceptual = config.perceptual if with_perceptual else PerceptualConfig(weights="random", width=1)
    return Networks(Fomm(config.model), discriminator, PerceptualLoss(perceptual))


def parameter_counts(config: TrainConfig) -> dict[str, int]:
    """Trained numbers by network."""
    networks = build_networks(config, with_perceptual=False)
    counts = {
        "keypoint detector": sum(p.numel() for p in networks.animator.kp_detector.parameters()),
        "generator": sum(p.numel() for p in networks.animator.generator.parameters()),
    }
    if networks.discriminator is not None:
        counts["discriminator"] = sum(p.numel() for p in networks.discriminator.parameters())
    return counts


def learning_rate_factor(config: OptimizerConfig, epoch: int) -> float:
    """A tenth for every milestone that has passed."""
    return 0.1 ** sum(epoch >= milestone for milestone in config.milestones)


class Trainer:
    """The networks of a run with their optimizers, and what one step does to them."""

    def __init__(self, config: TrainConfig, fabric: Fabric) -> None:
        self.config, self.fabric = config, fabric
        fabric.seed_everything(config.seed, verbose=False)
        built = build_networks(config)
        if config.init_from is not None:
            path = find_checkpoint(config.init_from)
            # The size of the frames may change; what the weights mean may not.
            stored = replace(read_info(path).model, frame_size=config.model.frame_size)
            different = _differences(asdict(stored), asdict(config.model))
            if different:
                raise UserError(f"{path}: weights of another model ({different[0]}); begin from one of the same")
            load_strictly(built.animator, read_tensors(path)[0], where=path)
        self.networks = Networks(
            _placed(built.animator, fabric.device),
            None if built.discriminator is None else _placed(built.discriminator, fabric.device),
            _placed(built.perceptual, fabric.device),
        )
        rates, animator = config.optimizer, self.networks.animator
        keypoint_rate = rates.learning_rate if rates.keypoint_learning_rate is None else rates.keypoint_learning_rate
        groups = [
            {"params": list(animator.kp_detector.parameters()), "lr": keypoint_rate},
            {"params": list(animator.generator.parameters()), "lr": rates.learning_rate},
        ]
        self.generator_optimizer = Adam(groups, betas=rates.betas)
        self.optimizers = {"generator_optimizer": self.generator_optimizer}
        self.modules: dict[str, torch.nn.Module] = {"animator": animator}
        self.discriminator_optimizer: Adam | None = None
        if self.networks.discriminator is not None:
            self.modules["discriminator"] = self.networks.discriminator
            self.discriminator_optimizer = Adam(
                self.networks.discriminator.parameters(), lr=rates.learning_rate, betas=rates.betas
            )
            self.optimizers["discriminator_optimizer"] = self.discriminator_optimizer
        self._base_rates = {
            name: [group["lr"] for group in optimizer.param_groups] for name, optimizer in self.optimizers.items()
        }

    def step(self, pairs: Float[Tensor, "batch 2 3 height width"], *, step: int, epoch: int) -> dict[str, float]:
        """Update both networks on one batch; returns the numbers of the step."""
        config, discriminator = self.config, self.networks.discriminator
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
        numbers |= {f"generator/{name}": value.item() for name, value in asdict_tensors(generated.losses).items()}
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
        numbers |= {f"discriminator/{name}": value.item() for name, value in asdict_tensors(judged).items()}
        if config.regularizer is not None:
            numbers["mix/used"] = float(mask is not None)
            numbers["mix/area"] = 0.0 if mask is None else mask.float().mean().item()
        return numbers

    def _set_learning_rates(self, epoch: int) -> None:
        factor = learning_rate_factor(self.config.optimizer, epoch)
        for name, optimizer in self.optimizers.items():
            for group, rate in zip(optimizer.param_groups, self._base_rates[name], strict=True):
                group["lr"] = rate * factor


Network = TypeVar("Network", bound=torch.nn.Module)


def _placed(network: Network, device: torch.device) -> Network:
    # Convolutions run up to three times faster with channels last; the numbers are the same to rounding.
    return network.to(device=device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def asdict_tensors(losses: GeneratorLosses | DiscriminatorLosses) -> dict[str, Tensor]:
    """The terms by name (`dataclasses.asdict` would copy the tensors)."""
    return {name: getattr(losses, name) for name in losses.__dataclass_fields__}


@torch.no_grad()
def motion_numbers(output: AnimationOutput) -> dict[str, float]:
    """Means of the maps: near 0 or 1 throughout a run they are dead."""
    numbers = dict[str, float]()
    for name in ("occlusion_map", "background_mask"):
        values = getattr(output.motion, name)
        if values is not None:
            numbers[f"maps/{name}"] = values.mean().item()
    return numbers


def step_generator(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step."""
    state = np.random.SeedSequence((seed, _STEP, step)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> 1))


_STEP = 3  # apart from the draws of the pairs


@torch.no_grad()
def sample_sheet(networks: Networks, config: TrainConfig, pairs: Float[Tensor, "batch 2 3 height width"]) -> Tensor:
    """What the networks make of a few pairs, every map beside every other, labelled."""
    animator = networks.animator.eval()
    source, driving = pairs[:, 0], pairs[:, 1]
    height, width = source.shape[-2:]
    start, end = animator.detect(source), animator.detect(driving)
    output = animator.render(source, start, end)
    motion = output.motion
    deformation = resize_deformation(motion.deformation, height, width)
    panels = [
        ("source", draw_keypoints(source, start)),
        ("driving", draw_keypoints(driving, end)),
        ("deformation", paint_deformation(motion.deformation, height, width)),
        ("deformed", warp(source, deformation, align_corners=config.model.align_corners)),
    ]
    if motion.occlusion_map is not None and motion.background_mask is not None:
        panels += [
            ("occlusion", paint_map(motion.occlusion_map, height, width)),
            ("background", paint_map(motion.background_mask, height, width)),
        ]
        regularizer = config.regularizer or PriorityCut(fraction=(0.3, 0.3))
        mask = draw_mask(regularizer, motion, driving, generator=step_generator(config.seed, 0))
        mixed = mix(driving, partner(regularizer, output.prediction), mask)
        panels += [("cut mask", paint_map(mask.float(), height, width)), ("mixed", mixed)]
        if networks.discriminator is not None:
            networks.discriminator.eval()
            scores = networks.discriminator(mixed, end)[0].pixel_score
            networks.discriminator.train()
            if scores is not None:
                panels.append(("pixel scores", paint_scores(scores, height, width)))
    panels.append(("prediction", output.prediction))
    animator.train()
    return sheet(panels)


@dataclass
class StopRequest:
    """Set by Ctrl-C or a termination signal; the loop looks at it after each step."""

    by: int | None = None


@contextmanager
def stop_on_signal() -> Generator[StopRequest]:
    """Turn SIGINT and SIGTERM into a request, so that a step is never torn. A second Ctrl-C stops at once."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number: int, _frame: object) -> None:
        if request.by is not None:
            raise KeyboardInterrupt
        request.by = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train(
    config: TrainConfig,
    output: Path,
    *,
    steps: int | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> Path:
    """Train until the config's epochs are over.

    Args:
        config: What to train and how.
        output: The run folder.
        steps: Stop after this many steps in all. Nothing else changes, so a longer run may go on from there.
        resume: Go on with the run in `output`, if there is one; its own config is used and must be this one.
        console: Where progress is shown; `None` shows none.

    Returns:
        The file of the trained animator.

    Raises:
        UserError: The folder holds another run, cannot be written, or the data cannot be read.
        KeyboardInterrupt: Interrupted; everything up to the last whole step is saved.
    """
    if steps is not None and steps < 1:
        raise UserError(f"--steps must be at least 1, got {steps}")
    if config.optimizer.keypoint_learning_rate == 0.0 and config.init_from is None:
        raise UserError(
            f"{config.name} leaves the keypoint detector as it is, so it must come trained: give the checkpoint of "
            "a trained FOMM by --init-from, or --optimizer.keypoint-learning-rate 2e-4"
        )
    pairs = build_pairs(config.data, config.model.frame_size, seed=config.seed)
    steps_per_epoch = max(1, len(pairs.source) // config.batch_size)
    total_steps = steps or config.epochs * steps_per_epoch
    _check_run(config, output, resume=resume)

    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    fabric = Fabric(accelerator=accelerator, devices=1, precision=config.precision)
    trainer = Trainer(config, fabric)
    first = load_state(output, trainer.modules, trainer.optimizers) if state_path(output).exists() else 0
    if first >= total_steps:
        return model_path(output)
    # Not before everything could be built: a start that failed leaves no run behind.
    write_text(output / "config.json", config_to_json(config))
    note_code(output, from_step=first)

    def save(step: int) -> None:
        for name, module in trainer.modules.items():
            if not all(bool(value.isfinite().all()) for value in module.parameters()):
                raise _not_finite(output, step, f"the {name}'s weights")
        trained_on = "puppets" if isinstance(config.data, PuppetData) else str(config.data.root)
        info = CheckpointInfo(model=config.model, trained_on=trained_on, steps=step, source=config.name)
        # The state last: it is what says that this step was reached.
        save_animator(model_path(output), trainer.networks.animator, info)
        save_state(output, step, trainer.modules, trainer.optimizers)

    shown = torch.stack([TrainingPairs(pairs.source, pairs.augmentation, seed=config.seed + 1)[i] for i in range(4)])
    shown = shown.to(fabric.device)
    loader = _loader(pairs, config, first, total_steps)
    with (
        RunWriter(output, first_step=first) as writer,
        _progress(console, total_steps, first) as advance,
        stop_on_signal() as stop,
    ):
        step, started = first, time.perf_counter()
        for batch in loader:
            step += 1
            epoch = (step - 1) // steps_per_epoch
            numbers = trainer.step(batch.to(fabric.device), step=step, epoch=epoch)
            if not math.isfinite(numbers["loss/generator"] + numbers.get("loss/discriminator", 0.0)):
                raise _not_finite(output, step, "the loss")
            done = step == total_steps or stop.by is not None
            if step % config.log_every == 0 or step == 1 or done:
                numbers["time/steps_per_second"] = (step - first) / (time.perf_counter() - started)
                writer.numbers(step, {"epoch": epoch, **numbers})
            if step % config.sample_every == 0 or done:
                writer.picture(step, sample_sheet(trainer.networks, config, shown).cpu())
            if step % config.checkpoint_every == 0 or done:
                save(step)
            advance(step, numbers)
            if done:
                break
        if stop.by is not None and step < total_steps:
            raise KeyboardInterrupt(f"stopped after step {step} of {total_steps}; go on with --resume")
    return model_path(output)


def _not_finite(output: Path, step: int, what: str) -> UserError:
    return UserError(
        f"{output}: {what} at step {step} is not finite, so the run stops; its last save is whole. Begin another run "
        f"with a lower --optimizer.learning-rate, from there by --init-from {output}"
    )


FREE_TO_CHANGE = ("workers", "log_every", "sample_every", "checkpoint_every")
"""Settings that a resumed run may have otherwise: they change no number."""


def _check_run(config: TrainConfig, output: Path, *, resume: bool) -> None:
    """Refuse a folder that holds another run, or this one where it was not asked to go on."""
    config_file = output / "config.json"
    if not state_path(output).exists():
        return  # nothing to lose
    if not resume:
        raise UserError(f"{output}: already holds a run; add --resume to go on with it, or choose another --output")
    try:
        stored = config_from_json(TrainConfig, config_file.read_text(), where=config_file)
    except OSError as error:
        raise UserError(f"{config_file}: cannot be read ({error.strerror}); the run cannot go on without it") from error
    fixed = [{k: v for k, v in asdict(each).items() if k not in FREE_TO_CHANGE} for each in (stored, config)]
    different = _differences(fixed[0], fixed[1])
    if different:
        raise UserError(
            f"{output}: this run was begun with another config ({different[0]}); "
            "resume it with the settings it has, or choose another --output"
        )


def _differences(stored: object, given: object, name: str = "") -> list[str]:
    if isinstance(stored, dict) and isinstance(given, dict) and stored.keys() == given.keys():
        return [line for key in stored for line in _differences(stored[key], given[key], f"{name}.{key}".lstrip("."))]
    return [] if stored == given else [f"{name} was {stored!r}, now {given!r}"]


def _loader(pairs: TrainingPairs, config: TrainConfig, first_step: int, last_step: int) -> DataLoader[Pair]:
    """Batches of the pairs that belong to the steps after `first_step`."""
    numbers = range(first_step * config.batch_size, last_step * config.batch_size)
    return DataLoader(
        pairs,
        batch_size=config.batch_size,
        sampler=numbers,
        num_workers=config.workers,
        drop_last=True,  # pyright: ignore
    )


LINE_EVERY = 100
"""Steps between lines where there is no terminal to draw a bar on, such as in a log file."""


@contextmanager
def _progress(console: Console | None, total: int, first: int) -> Generator[Callable[[int, dict[str, float]], None]]:
    """A progress bar with the two losses; without a console nothing is shown."""
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[losses]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    shown_on = console or Console(quiet=True)
    with Progress(*columns, console=shown_on, disable=not shown_on.is_terminal) as progress:
        task = progress.add_task("training", total=total, completed=first, losses="")

        def advance(step: int, numbers: dict[str, float]) -> None:
            shown = "  ".join(
                f"{short} {numbers[name]:.3f}"
                for short, name in (("G", "loss/generator"), ("D", "loss/discriminator"))
                if name in numbers
            )
            progress.update(task, completed=step, losses=shown)
            if not shown_on.is_terminal and (step % LINE_EVERY == 0 or step == total):
                shown_on.print(f"step {step} of {total}  {shown}")

        yield advance
