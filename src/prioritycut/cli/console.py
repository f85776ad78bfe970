"""What commands share: where they write, how they show progress, which device they mean."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal, Protocol, TypeAlias

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from prioritycut.errors import UserError

Device: TypeAlias = Literal["auto", "cpu", "cuda"]

out = Console(soft_wrap=True, highlight=False)
progress_out = Console(stderr=True)


def say(line: str) -> None:
    """A line as it is: names may hold what looks like markup, line ends, or orders to the terminal."""
    out.print("".join(sign if sign.isprintable() else "\ufffd" for sign in line), markup=False)


def find_device(wanted: Device) -> str:
    """The device that is meant; auto takes a GPU if there is one."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch sees no GPU here; use --device cpu")
    return wanted


class Advance(Protocol):
    """Takes how many are done, and of how many where that is known only once the work has begun."""

    def __call__(self, done: int, of: int | None = None, /) -> None: ...


@contextmanager
def progress(doing: str, total: int | None = None) -> Generator[Advance]:
    """A bar on a terminal, nothing elsewhere."""
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=progress_out, transient=True, disable=not progress_out.is_terminal) as bar:
        task = bar.add_task(doing, total=total)

        def advance(done: int, of: int | None = None, /) -> None:
            bar.update(task, completed=done, total=total if of is None else of)

        yield advance
