"""Batches of pairs, prepared by processes beside the one that trains."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from prioritycut.data.datasets import DrawnPair, TrainingPairs
from prioritycut.data.stored import Say
from prioritycut.errors import UserError

PairBatch: TypeAlias = Float[Tensor, "batch 2 3 height width"]
"""Pairs as in `Pair`."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """What a worker has to say instead of a pair: torch would wrap an exception into its whole traceback."""

    line: str


@dataclass(frozen=True, slots=True)
class _Batch:
    frames: PairBatch
    damage: tuple[str, ...]


class _Draws(Dataset[DrawnPair | _Fault]):
    def __init__(self, pairs: TrainingPairs) -> None:
        self.pairs = pairs

    def __getitem__(self, number: int) -> DrawnPair | _Fault:
        try:
            return self.pairs.draw(number)
        except UserError as error:
            return _Fault(str(error))


@contextmanager
def pair_batches(
    pairs: TrainingPairs, numbers: range, *, batch_size: int, workers: int, say: Say
) -> Generator[Iterator[PairBatch]]:
    """Batches of pairs in the order of their numbers, the same with any number of workers.

    Args:
        pairs: Where they come from.
        numbers: Which; those that fill no batch are left out.
        batch_size: Pairs a batch.
        workers: Processes that prepare them until the context is left; 0 prepares each when it is asked for.
        say: Told once of each damaged clip whose place another took.

    Raises:
        UserError: Pairs cannot be read, or a worker was killed.
    """
    loader = DataLoader(
        _Draws(pairs),
        batch_size=batch_size,
        sampler=numbers,
        num_workers=workers,
        drop_last=True,
        collate_fn=_collate,
        worker_init_fn=_begin_worker,
        prefetch_factor=4 if workers else None,
    )
    with closing(_frames(loader, say)) as batches:
        try:
            yield batches
        except RuntimeError as error:  # torch raises it wherever the training process happens to be
            if not str(error).startswith("DataLoader worker"):
                raise
            raise UserError(
                f"a process that reads data was killed ({str(error).splitlines()[0]}); "
                "it may have run out of memory or of shared memory: take fewer workers"
            ) from error


def _frames(loader: DataLoader[DrawnPair | _Fault], say: Say) -> Generator[PairBatch]:
    told = set[str]()
    for batch in loader:
        if isinstance(batch, _Fault):
            raise UserError(batch.line)
        for line in batch.damage:
            if line not in told:
                say(f"{line} (until then other clips take its place)")
                told.add(line)
        yield batch.frames


def _collate(drawn: Sequence[DrawnPair | _Fault]) -> _Batch | _Fault:
    pairs, damage = list[Tensor](), list[str]()
    for each in drawn:
        if isinstance(each, _Fault):
            return each
        pairs.append(each.frames)
        damage += each.damage
    return _Batch(torch.utils.data.default_collate(pairs), tuple(damage))


def _begin_worker(worker: int) -> None:
    """Ctrl-C is for the process that trains, which then ends its workers; torch gives each of them one thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
