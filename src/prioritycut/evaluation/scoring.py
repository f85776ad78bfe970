"""Clips that any method made, against their targets; and what detectors said of them elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path

from prioritycut.data.clips import open_clip
from prioritycut.data.layout import clips_in
from prioritycut.errors import UserError
from prioritycut.evaluation.measurement import ScoredBatch, ScoredClip
from prioritycut.evaluation.testsets import clip_key, read_batches
from prioritycut.results import Problem

RATE_TOLERANCE = 0.01
"""Rates that differ by a larger share are told."""


def matched_clips(
    predictions: Path, targets: Path, *, batch_size: int, size: int | None = None
) -> tuple[tuple[ScoredClip, ...], tuple[Problem, ...]]:
    """Pairs of clips of the same name (up to the first dot), and what has no partner.

    Args:
        predictions: A folder of clips by some method.
        targets: A folder of the clips that they should equal.
        batch_size: Frames at a time.
        size: Crop both to squares and bring them to this size first; `None` takes them as they are.

    Raises:
        UserError: A folder is missing or holds no clips.
    """
    problems = list[Problem]()
    made, wanted = (_by_key(folder, problems) for folder in (predictions, targets))
    for key in sorted(made.keys() - wanted.keys()):
        problems.append(Problem(clip=made[key].name, fault=f"{made[key]}: no target of this name in {targets}; add it"))
    for key in sorted(wanted.keys() - made.keys()):
        fault = f"{wanted[key]}: no prediction of this name in {predictions}; make it"
        problems.append(Problem(clip=wanted[key].name, fault=fault))
    pairs = tuple(_pair(made[key], wanted[key], batch_size, size) for key in sorted(made.keys() & wanted.keys()))
    return pairs, tuple(problems)


def _by_key(folder: Path, problems: list[Problem]) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give a folder of clips, or a table of records on both sides")
    found = dict[str, Path]()
    for path in clips_in(folder):
        key = clip_key(path.name)
        if key in found:
            fault = f"{path}: has the name of {found[key].name} up to the first dot, by which clips match; rename one"
            problems.append(Problem(clip=path.name, fault=fault))
        else:
            found[key] = path
    if not found:
        raise UserError(f"{folder}: holds no clips; give a folder of videos, gifs, strips or folders of pictures")
    return found


def _pair(made: Path, wanted: Path, batch_size: int, size: int | None) -> ScoredClip:
    """Opened late, so that a broken clip is met when its turn comes."""

    def batches() -> Iterator[ScoredBatch]:
        with ExitStack() as stack:
            prediction, target = (stack.enter_context(open_clip(path)) for path in (made, wanted))
            if size is None and (prediction.height, prediction.width) != (target.height, target.width):
                sizes = f"{prediction.width}x{prediction.height}, its target {target.width}x{target.height}"
                raise UserError(f"{made}: frames of {sizes}; bring both to one size, or add --size")
            source = None
            halves = (read_batches(reader, batch_size, size=size) for reader in (prediction, target))
            for predicted, truth in zip_longest(*halves):
                if predicted is None or truth is None or len(predicted.frames) != len(truth.frames):
                    short = predicted is None or (truth is not None and len(predicted.frames) < len(truth.frames))
                    counts = f"{'fewer' if short else 'more'} frames than its target {wanted.name}"
                    raise UserError(f"{made}: has {counts}; make both of one length")
                source = truth.frames[0] if source is None else source
                yield ScoredBatch(truth, predicted.frames, source, written=True)

    return ScoredClip(wanted.name, batches, reservations=lambda: _reservations(made, wanted))


def _reservations(made: Path, wanted: Path) -> tuple[str, ...]:
    try:
        with open_clip(made) as prediction, open_clip(wanted) as target:
            rates = float(prediction.rate), float(target.rate)
    except UserError:
        return ()  # told when its turn comes
    if abs(rates[0] / rates[1] - 1) <= RATE_TOLERANCE:
        return ()
    return (
        f"{made}: plays at {rates[0]:g} frames a second, its target at {rates[1]:g}; frames were matched by number",
    )
