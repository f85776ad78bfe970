"""Read keypoints and embeddings that were computed elsewhere: tables of `file_name, frame_number, value`.

`value` is a list of xy for each point, with -1 for a point that was not found; or an embedding; or nothing (null, an
empty cell) for a frame in which nothing was found. Instead of `value` a row may have `detected`: the xy of each body
joint that was found, by its number from 0 to 17. A file holds such rows as a JSON list of objects (`.json`), as one
object a line (`.jsonl`), or as CSV with JSON in the `value` column (`.csv`).
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from prioritycut.errors import UserError

BODY_JOINTS = 18
"""Joints of a row that has `detected`."""

Kind: TypeAlias = Literal["keypoints", "identity"]
Value: TypeAlias = Float[Tensor, "points 2"] | Float[Tensor, " features"]

_PICKLES = (".pkl", ".pickle", ".p", ".pt", ".pth", ".npy", ".npz", ".joblib")


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """What was found in one frame.

    Attributes:
        file_name: Of the clip or of its frames' folder; `clip` is what counts.
        frame_number: Within the clip.
        value: `points 2` xy with NaN for points that were not found, or an embedding; `None` where nothing was found.
    """

    file_name: str
    frame_number: int
    value: Value | None

    @property
    def clip(self) -> str:
        """The file name up to its first dot: `a.mp4` and `a.mp4.png` are one clip."""
        return self.file_name.split(".")[0]


class _MalformedError(ValueError):
    """What is wrong with one row."""


def read_records(
    path: Path,
    *,
    kind: Literal["auto"] | Kind = "auto",
    on_problem: Callable[[str], None] | None = None,
) -> tuple[Record, ...]:
    """Read a table.

    Args:
        path: `.json`, `.jsonl` or `.csv`; see the head of this module.
        kind: What the values are. `auto` goes by each value's shape: `points x 2` are keypoints, `n` or `1 x n` an
            embedding; say it for embeddings `1 x 2`.
        on_problem: Told of each row that cannot be read, which is then left out; without it the first such row is an
            error.

    Returns:
        The rows in the file's order. Of a keypoint with x = -1 both coordinates are NaN.

    Raises:
        UserError: The file is missing, a pickle, or of another format; nothing in it can be read; or a row cannot be
            read and `on_problem` is absent.
    """
    records, problems = list[Record](), list[str]()
    for place, row in _rows(path):
        try:
            records.append(_record(row, kind))
        except _MalformedError as error:
            problems.append(f"{path}: {place}: {error}")
    if not records:
        fault = f"; {problems[0]}" if problems else "; it has no rows"
        raise UserError(f"{path}: no record can be read{fault}; a row needs file_name, frame_number and value")
    for problem in problems:
        if on_problem is None:
            total = len(records) + len(problems)
            raise UserError(f"{problem}; mend or remove it ({len(problems)} of {total} rows cannot be read)")
        on_problem(problem)
    return tuple(records)


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Each row with its place in the file; a row that is no object is given as it is."""
    readers = {".json": _json_rows, ".jsonl": _json_lines, ".csv": _csv_rows}
    suffix = path.suffix.lower()
    if suffix in _PICKLES:
        raise UserError(
            f"{path}: a pickle, which can hold code and is not opened; where it was made, write it as JSON: "
            'pandas.read_pickle(PATH).to_json("records.json", orient="records")'
        )
    if suffix not in readers:
        raise UserError(f"{path}: records are read from .json, .jsonl and .csv; convert it, or give folders of clips")
    try:
        # Spreadsheets begin their files with a byte order mark; "-sig" takes it off.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text; write the records anew") from error
    return readers[suffix](path, text)


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    try:
        rows = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not whole JSON ({error}); copy or write it anew") from error
    if not isinstance(rows, list):
        raise UserError(f'{path}: must be a list of objects, one a frame; pandas writes it with orient="records"')
    for number, row in enumerate(rows, start=1):
        yield f"record {number}", row


def _json_lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    # Not splitlines(), which also breaks at separators that JSON allows inside a string.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"line {number}", _parsed(line)


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    reader = csv.DictReader(StringIO(text, newline=""), restkey="surplus")
    missing = {"file_name", "frame_number", "value"} - set(reader.fieldnames or ())
    if missing:
        raise UserError(f"{path}: no column {', '.join(sorted(missing))}; name the columns in the first line")
    while True:
        try:
            row: dict[str, Any] = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"line {reader.line_num}", str(error)
            continue
        place, value = f"line {reader.line_num}", row["value"]
        # A line cut short or split at the commas of its value must not pass for a frame where nothing was found.
        if value is None or "surplus" in row:
            yield place, f"not as many cells as the first line; quote the value: {_shortened(list(row.values()))}"
        else:
            yield place, {**row, "value": _parsed(value) if value.strip() else None}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return text  # which is neither an object nor a list of numbers, and is refused as such


def _record(row: Any, kind: Literal["auto"] | Kind) -> Record:
    if not isinstance(row, Mapping):
        raise _MalformedError(f"not an object with file_name, frame_number and value, got {_shortened(row)}")
    name = row.get("file_name")
    if not isinstance(name, str) or not name.split(".")[0]:
        raise _MalformedError(f"file_name must have a text before its first dot, got {_shortened(name)}")
    if "detected" in row:
        value = _joints(row["detected"])
    elif "value" in row:
        value = _value(row["value"])
    else:
        raise _MalformedError("neither value nor detected; write null where nothing was found")
    return Record(name, _frame_number(row.get("frame_number")), None if value is None else _settled(value, kind))


def _frame_number(given: Any) -> int:
    try:
        number = float(given)
        if isinstance(given, bool) or not number.is_integer():
            raise ValueError
        return int(number)
    except (TypeError, ValueError, OverflowError) as error:
        raise _MalformedError(f"frame_number must be a whole number, got {_shortened(given)}") from error


def _joints(detected: Any) -> Tensor:
    joints = torch.full((BODY_JOINTS, 2), math.nan, dtype=torch.float64)
    if not isinstance(detected, Mapping):
        raise _MalformedError(f'detected must be an object such as {{"0": [x, y]}}, got {_shortened(detected)}')
    for index, place in detected.items():
        position = _value(place)
        if not (str(index).isdecimal() and int(index) < BODY_JOINTS):
            raise _MalformedError(f"joint {_shortened(index)} is not one of 0 to {BODY_JOINTS - 1}")
        if position is None or position.shape != (2,):
            raise _MalformedError(f"joint {index} must be [x, y], got {_shortened(place)}")
        joints[int(index)] = position
    return joints


def _value(given: Any) -> Tensor | None:
    if given is None:
        return None
    try:
        if not isinstance(given, list):
            raise TypeError
        numbers = np.asarray(given, np.float64)  # null becomes NaN
    except (TypeError, ValueError, OverflowError) as error:
        raise _MalformedError(f"value must be a list of numbers, or null, got {_shortened(given)}") from error
    if np.isinf(numbers).any():
        raise _MalformedError("value holds an infinite number")
    return torch.from_numpy(numbers)


def _settled(value: Tensor, kind: Literal["auto"] | Kind) -> Tensor:
    """Keypoints `points 2` with NaN for what is missing, or an embedding `features`."""
    points = value.ndim == 2 and value.shape[1] == 2
    embedding = value.ndim == 1 or (value.ndim == 2 and value.shape[0] == 1)
    if value.numel() and points and kind != "identity":
        return value.masked_fill((value[:, :1] == -1).expand_as(value), math.nan)
    if value.numel() and embedding and kind != "keypoints":
        return value.flatten()
    wanted = {"auto": "points x 2, n or 1 x n", "keypoints": "points x 2", "identity": "n or 1 x n"}[kind]
    raise _MalformedError(f"value must be {wanted} numbers, got {' x '.join(map(str, value.shape))}")


def _shortened(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:57]}..."
