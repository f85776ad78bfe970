"""The loop: step after step until the epochs are over, kept so that any kill can be gone on from."""

from __future__ import annotations

import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
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

from prioritycut.checkpoint import CheckpointInfo, save_animator
from prioritycut.configuration import config_from_json, config_to_json
from prioritycut.data.datasets import PuppetData, TrainingPairs, build_pairs
from prioritycut.data.loading import pair_batches
from prioritycut.errors import UserError
from prioritycut.files import write_text
from prioritycut.runs import (
    RunWriter,
    load_state,
    model_path,
    note_code,
    save_state,
    state_path,
)
from prioritycut.train_config import TrainConfig
from prioritycut.training.networks import config_differences
from prioritycut.training.trainer import Trainer


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
            "a trained model by --init-from, or --optimizer.keypoint-learning-rate 2e-4"
        )
    _check_run(config, output, resume=resume)
    say = warnings.warn if console is None else partial(_say, console)
    with _indexing(console) as indexed:
        pairs = build_pairs(config.data, config.model.frame_size, seed=config.seed, say=say, advance=indexed)
    steps_per_epoch = max(1, len(pairs.source) // config.batch_size)
    total_steps = steps or config.epochs * steps_per_epoch

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
        trained_on = "puppets" if isinstance(config.data, PuppetData) else config.data.root
        info = CheckpointInfo(model=config.model, trained_on=trained_on, steps=step, source=config.name)
        # The state last: it is what says that this step was reached.
        save_animator(model_path(output), trainer.result, info)
        save_state(output, step, trainer.modules, trainer.optimizers)

    samples = TrainingPairs(pairs.source, pairs.augmentation, seed=config.seed + 1)
    shown = torch.stack([samples.draw(number).frames for number in range(4)]).to(fabric.device)
    remaining = range(first * config.batch_size, total_steps * config.batch_size)
    with (
        pair_batches(pairs, remaining, batch_size=config.batch_size, workers=config.workers, say=say) as batches,
        RunWriter(output, first_step=first) as writer,
        _progress(console, total_steps, first) as advance,
        stop_on_signal() as stop,
    ):
        step, started = first, time.perf_counter()
        for batch in batches:
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
                writer.picture(step, trainer.samples(shown))
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
    different = config_differences(fixed[0], fixed[1])
    if different:
        raise UserError(
            f"{output}: this run was begun with another config ({different[0]}); "
            "resume it with the settings it has, or choose another --output"
        )


LINE_EVERY = 100
"""Steps between lines where there is no terminal to draw a bar on, such as in a log file."""


def _say(console: Console, line: str) -> None:
    """One line, which may hold the name of any file."""
    shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in line)
    console.print(shown, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _indexing(console: Console | None) -> Generator[Callable[[int, int], None]]:
    """A bar while clips are looked at for the first time; where there is no terminal, a line when it is over."""
    shown_on = console or Console(quiet=True)
    columns = (TextColumn("looking at clips"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=shown_on, transient=True, disable=not shown_on.is_terminal) as progress:
        task = progress.add_task("indexing", total=None, visible=False)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, visible=True)
            if not shown_on.is_terminal and done == total:
                shown_on.print(f"looked at {total} clips")

        yield advance


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
