"""`manifest.jsonl`: what became of each clip, one record a line, whoever writes it and whenever they are killed."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from collections.abc import Callable, Iterable
from io import FileIO
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from prioritycut.data.layout import MANIFEST_NAME
from prioritycut.errors import UserError
from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.claims import locked
from prioritycut.preprocessing.records import ClipRecord

_RECORD = TypeAdapter(ClipRecord)
_FIELDS = frozenset(field.name for field in dataclasses.fields(ClipRecord))
_BOX = ("left", "top", "right", "bottom")


def manifest_path(output: Path) -> Path:
    """Where the manifest of a data set lies."""
    return output / MANIFEST_NAME


def record_to_json(record: ClipRecord) -> str:
    """One line, without its end: all fields by name, the box as [left, top, right, bottom]."""
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(ClipRecord)}
    if record.box is not None:
        fields["box"] = [getattr(record.box, edge) for edge in _BOX]
    return json.dumps(fields)


def record_from_json(line: str | bytes) -> ClipRecord:
    """Raises ValueError with what is wrong with the line."""
    fields = json.loads(line)
    if not isinstance(fields, dict):
        raise ValueError("it is no object")
    unknown = sorted(map(str, fields.keys() - _FIELDS))
    if unknown:
        raise ValueError(f"unknown field {', '.join(unknown)}; it may come from a newer version")
    if fields.get("box") is not None:
        fields["box"] = _box(fields["box"])
    try:
        return _RECORD.validate_python(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{field}: {first['msg']}") from error


def _box(edges: Any) -> Box:
    if not isinstance(edges, list) or len(edges) != len(_BOX) or not all(type(edge) is int for edge in edges):
        raise ValueError("box: it is no list of four whole numbers")
    return Box(*edges)


def read_manifest(path: Path) -> list[ClipRecord]:
    """The latest records, in the order in which their clips first came up.

    Each try at a video replaces all records of the tries before it, and the last line of a clip counts. A last line
    without its end, which a kill cut off, is not there.

    Raises:
        UserError: It cannot be read, or a line is damaged; the message names the line.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    *lines, _torn = content.split(b"\n")
    records = list[ClipRecord]()
    for number, line in enumerate(lines, start=1):
        try:
            records.append(record_from_json(line))
        except ValueError as error:
            reason = f"no JSON ({error})" if isinstance(error, json.JSONDecodeError) else str(error)
            raise UserError(f"{path}: line {number}: {reason}; mend or remove the line") from error
    return latest(records)


def latest(records: Iterable[ClipRecord]) -> list[ClipRecord]:
    """What of these counts: of each video the last try, of each clip the last record."""
    clips = dict[tuple[str, str], ClipRecord]()  # BAIR's clips have the same names in both parts
    attempts = dict[str, int]()
    for record in records:
        attempts[record.video] = max(record.attempt, attempts.get(record.video, 0))
        clips[record.partition, record.clip] = record
    return [record for record in clips.values() if record.attempt == attempts[record.video]]


def records_of(path: Path, video: str) -> list[ClipRecord]:
    """The latest records of one video, without a look at the others, which may be many.

    Raises:
        UserError: A line of them is damaged.
    """
    mark = f'"video": {json.dumps(video)}'.encode()
    try:
        with path.open("rb") as file:
            lines = [line for line in file if mark in line and line.endswith(b"\n")]
        records = [record_from_json(line) for line in lines]
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise UserError(f"{path}: a line of {video}: {error}; mend or remove the line") from error
    return latest(record for record in records if record.video == video)


def append(path: Path, records: Iterable[ClipRecord]) -> None:
    """Add records in one write that is on the disk when this returns; others that do the same wait.

    Raises:
        UserError: The disk is full or refuses; the manifest is as it was.
    """
    lines = "".join(f"{record_to_json(record)}\n" for record in records).encode()
    with locked(path.parent, "manifest"):
        try:
            with path.open("a+b", buffering=0) as file:
                end = _whole_end(file)
                try:
                    file.truncate(end)
                    _write_all(file, lines)
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(end)
                    raise
        except OSError as error:
            raise not_written(path, error) from error


def _write_all(file: FileIO, content: bytes) -> None:
    while content:
        content = content[file.write(content) :]


def _whole_end(file: FileIO) -> int:
    """Where the last whole line ends."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - (1 << 16))
        file.seek(start)
        last = file.read(end - start).rfind(b"\n")
        if last >= 0:
            return start + last + 1
        end = start
    return 0


def settle(path: Path, change: Callable[[ClipRecord], ClipRecord] = lambda record: record) -> list[ClipRecord]:
    """Write the manifest anew with one line a clip, sorted by part and name, and return its records.

    Args:
        path: The manifest.
        change: What each record becomes.

    Raises:
        UserError: A line is damaged, or the disk is full or refuses; the manifest is as it was.
    """
    with locked(path.parent, "manifest"):
        records = sorted(map(change, read_manifest(path)), key=lambda record: (record.partition, record.clip))
        replace(path, "".join(f"{record_to_json(record)}\n" for record in records))
    return records


def replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, and keep it through a power cut; nobody else may do so at the same time.

    Raises:
        UserError: The disk is full or refuses.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        if path.is_file() and path.read_bytes() == text.encode():
            return
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise not_written(path, error) from error


def not_written(path: Path, error: OSError) -> UserError:
    """What to say where a disk takes no more or refuses."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return UserError(f"disk full while writing {path}; free space and repeat the command, which goes on")
    return UserError(f"{path}: cannot be written ({error.strerror}); choose a folder that you may write to")
