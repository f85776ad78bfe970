"""From a config to the files that ship."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from prioritycut.configuration import config_to_json
from prioritycut.detector_training.cast import draw_cast
from prioritycut.detector_training.config import DetectorTraining, IdentityTraining, KeypointTraining
from prioritycut.detector_training.fitting import fit_identity, fit_keypoints
from prioritycut.errors import UserError
from prioritycut.metrics.detectors.puppets import IDENTITY_WEIGHTS, KEYPOINTS_WEIGHTS, save_network

Which: TypeAlias = Literal["keypoints", "identity", "both"]
"""Which of the two networks."""


def train_detectors(
    config: DetectorTraining, folder: Path, *, which: Which = "both", console: Console | None = None
) -> list[Path]:
    """Train the puppets' detectors and write their weights, under the names of the shipped ones.

    Args:
        config: On whom and how.
        folder: Where the files go; those of the same name are replaced once their successor is whole.
        which: Which of the two.
        console: Where progress is shown; `None` shows none.

    Returns:
        The files, each as soon as it could be written.

    Raises:
        UserError: The folder cannot be written.
    """
    _make_folder(folder)
    size = config.keypoints.network.size
    with _progress(console, "drawing puppets", config.cast.characters) as drawn:
        cast = draw_cast(config.cast, size, advance=lambda done: drawn(done, None))
    written = list[Path]()
    if which != "identity":
        with _progress(console, "training keypoints", config.keypoints.optimizer.steps) as advance:
            keypoints = fit_keypoints(cast, config, advance=advance)
        written.append(save_network(folder / KEYPOINTS_WEIGHTS.name, keypoints, _note(config, config.keypoints)))
    if which != "keypoints":
        with _progress(console, "training identity", config.identity.optimizer.steps) as advance:
            identity = fit_identity(cast, config, advance=advance)
        written.append(save_network(folder / IDENTITY_WEIGHTS.name, identity, _note(config, config.identity)))
    return written


def _note(config: DetectorTraining, training: KeypointTraining | IdentityTraining) -> str:
    """What the weights of one of the two depend on, as JSON."""
    return config_to_json(
        {"cast": config.cast, "training": training, "precision": config.precision, "seed": config.seed}
    )


def _make_folder(folder: Path) -> None:
    """Before anything is drawn: a place that cannot be written shall not cost half an hour."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}); choose another place") from error


LINE_EVERY = 100
"""Steps between lines where there is no terminal to draw a bar on, such as in a log file."""


@contextmanager
def _progress(console: Console | None, doing: str, total: int) -> Generator[Callable[[int, float | None], None]]:
    """A progress bar with the loss; without a console nothing is shown."""
    columns = (
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    shown_on = console or Console(quiet=True)
    with Progress(*columns, console=shown_on, disable=not shown_on.is_terminal) as progress:
        task = progress.add_task(doing, total=total, loss="")

        def advance(done: int, loss: float | None) -> None:
            shown = "" if loss is None else f"loss {loss:.3f}"
            progress.update(task, completed=done, loss=shown)
            if not shown_on.is_terminal and (done % LINE_EVERY == 0 or done == total):
                shown_on.print(f"{doing}: {done} of {total}  {shown}")

        yield advance
