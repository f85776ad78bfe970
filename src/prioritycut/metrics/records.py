"""Detections that were computed elsewhere: read, and brought together frame by frame. What has no partner is named."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from prioritycut.errors import UserError
from prioritycut.metrics.record_reading import Kind, Record, read_records

__all__ = ["MatchedClip", "MatchedRecords", "Record", "RecordProblem", "match_records", "read_records"]

Stack: TypeAlias = Float[Tensor, "frames points 2"] | Float[Tensor, "frames features"]
Frame: TypeAlias = tuple[str, int]
"""Clip and number."""


@dataclass(frozen=True, slots=True, eq=False)
class MatchedClip:
    """The frames of one clip that both tables have, in order.

    Attributes:
        name: The file names up to their first dot.
        frame_numbers: Of the frames, ascending.
        predicted, target: One value a frame; NaN where nothing was found.
    """

    name: str
    frame_numbers: tuple[int, ...]
    predicted: Stack
    target: Stack


@dataclass(frozen=True, slots=True)
class RecordProblem:
    """Frames of one clip that were left out, or counted with a reservation."""

    clip: str
    fault: str
    frames: int


@dataclass(frozen=True, slots=True, eq=False)
class MatchedRecords:
    """Two tables brought together.

    Attributes:
        kind: What the values are: for AKD and MKR, or for AED.
        clips: Sorted by name.
        problems: Sorted by clip.
    """

    kind: Kind
    clips: tuple[MatchedClip, ...]
    problems: tuple[RecordProblem, ...]


def match_records(predicted: Sequence[Record], target: Sequence[Record]) -> MatchedRecords:
    """Align two tables by clip and frame number, in whatever order they are.

    Clips are compared by their file names up to the first dot. Left out and counted as problems are frames that only
    one of the tables has, and frames whose value has another shape than most of the target's. Of several records of one
    frame the last counts, as in a table that was written on after a break; that is counted too. A record that says that
    nothing was found is no problem: it is a value, NaN.

    Raises:
        UserError: The tables have no frame in common, or none has a value.
    """
    shape = _usual_shape(target) or _usual_shape(predicted)
    if shape is None:
        raise UserError("nothing was found in any frame of the records; check the detector that made them")
    problems = list[RecordProblem]()
    predictions, misfits = _by_frame(predicted, shape, "prediction", problems)
    targets, more_misfits = _by_frame(target, shape, "target", problems)
    # A frame that was left out for its shape is named for that alone.
    known = misfits | more_misfits
    problems += _problems(predictions.keys() - targets.keys() - known, "no target; left out")
    problems += _problems(targets.keys() - predictions.keys() - known, "no prediction; left out")
    common = sorted(predictions.keys() & targets.keys())
    if not common:
        raise UserError(f"no frame of the predictions can be compared with the targets' ({_first_fault(problems)})")
    numbers = defaultdict[str, list[int]](list)
    for clip, number in common:
        numbers[clip].append(number)
    return MatchedRecords(
        kind="keypoints" if len(shape) == 2 else "identity",
        clips=tuple(
            MatchedClip(
                name=clip,
                frame_numbers=tuple(own),
                predicted=torch.stack([_filled(predictions[clip, number], shape) for number in own]),
                target=torch.stack([_filled(targets[clip, number], shape) for number in own]),
            )
            for clip, own in numbers.items()
        ),
        problems=tuple(sorted(problems, key=lambda problem: (problem.clip, problem.fault))),
    )


def _usual_shape(records: Sequence[Record]) -> tuple[int, ...] | None:
    shapes = Counter(tuple(record.value.shape) for record in records if record.value is not None)
    return shapes.most_common(1)[0][0] if shapes else None


def _by_frame(
    records: Sequence[Record], shape: tuple[int, ...], side: str, problems: list[RecordProblem]
) -> tuple[dict[Frame, Record], set[Frame]]:
    """Records by frame, and the frames whose value has another shape."""
    table = dict[Frame, Record]()
    repeated = list[Frame]()
    for record in records:
        frame = (record.clip, record.frame_number)
        if frame in table:
            repeated.append(frame)
        table[frame] = record
    misfits = {
        frame for frame, record in table.items() if record.value is not None and tuple(record.value.shape) != shape
    }
    problems += _problems(set(repeated), f"several {side}s of one name up to the first dot; the last counts")
    problems += _problems(misfits, f"a {side} that is not {' x '.join(map(str, shape))} numbers; left out")
    return {frame: record for frame, record in table.items() if frame not in misfits}, misfits


def _problems(frames: Iterable[Frame], fault: str) -> list[RecordProblem]:
    """One problem a clip."""
    numbers = defaultdict[str, list[int]](list)
    for clip, number in sorted(frames):
        numbers[clip].append(number)
    return [
        RecordProblem(clip, f"frame{'s' * (len(own) > 1)} {_listed(own)}: {fault}", len(own))
        for clip, own in numbers.items()
    ]


def _listed(numbers: Sequence[int]) -> str:
    text = ", ".join(map(str, numbers[:5]))
    return text if len(numbers) <= 5 else f"{text} and {len(numbers) - 5} more"


def _first_fault(problems: Sequence[RecordProblem]) -> str:
    if not problems:
        return "one of the tables is empty"
    return f"{problems[0].clip}, {problems[0].fault}; names count up to their first dot"


def _filled(record: Record, shape: tuple[int, ...]) -> Tensor:
    return torch.full(shape, math.nan, dtype=torch.float64) if record.value is None else record.value
