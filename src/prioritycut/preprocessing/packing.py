"""`--store shards`: clips that lie one by one are packed into tar files, beside an index of what lies where in them."""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BufferedIOBase, BufferedWriter, BytesIO
from pathlib import Path
from typing import get_args

from prioritycut.data.index import index_clip
from prioritycut.data.layout import SHARD_INDEX_NAME
from prioritycut.data.stored import Advance, Say, say_nothing_of_progress
from prioritycut.data.tar_index import (
    Member,
    ShardEntry,
    entry_from_json,
    entry_to_json,
    scan_tar,
)
from prioritycut.errors import UserError
from prioritycut.preprocessing import manifest
from prioritycut.preprocessing.records import TIMES, ClipRecord, Partition
from prioritycut.preprocessing.stores import content_hash, stored_name

SHARD_BYTES = 256 << 20
"""Of the clips in one shard: few files for a whole data set, each still quick to copy again."""

# Looking at a clip waits for the disk as much as for a core.
_THREADS = 8
_SHARD = re.compile(r"(\d{6,})\.tar")
_PACKED = re.compile(rf"(?P<shard>(?:{'|'.join(get_args(Partition))})/{_SHARD.pattern})#")


def packed_file(partition: Partition, shard: str, name: str) -> str:
    """What a record says of where a clip lies that is in a shard, such as `train/000000.tar#NAME.mp4`."""
    return f"{partition}/{shard}#{name}"


def shard_of(file: str) -> str | None:
    """The shard that holds a record's file, below the output folder; `None` where the file lies by itself."""
    packed = _PACKED.match(file)
    return packed["shard"] if packed else None


@dataclass(frozen=True, slots=True)
class _Part:
    """One partition.

    Attributes:
        partition: Which.
        folder: Where its clips and shards lie.
        made: The records of its clips by file name, in the order of names.
        entries: What its index says, by file name; grows as shards are added.
        whole: Names of those clips that lie in a shard as their records say.
        waiting: Names of those that lie by themselves and go into further shards.
        missing: Names of those that lie nowhere.
    """

    partition: Partition
    folder: Path
    made: dict[str, ClipRecord]
    entries: dict[str, ShardEntry]
    whole: list[str]
    waiting: list[str]
    missing: list[str]


def pack_shards(
    output: Path,
    records: Sequence[ClipRecord],
    *,
    say: Say,
    shard_bytes: int = SHARD_BYTES,
    advance: Advance = say_nothing_of_progress,
) -> dict[str, str]:
    """Move clips that lie by themselves into tar shards: `PARTITION/000000.tar`, `000001.tar` and so on.

    A shard holds NAME.mp4 and NAME.json, its record without times, of one clip after another, in the order of names.
    It depends on nothing but the clips. Shards that are there stay as they are, and more clips go into further ones.
    Each shard is put in its place whole, then named in `PARTITION/index.jsonl`, and only then are its clips removed:
    killed at any time and repeated, this ends with the same bytes, and it never takes more space than one shard beyond
    that of the clips. Nobody else may do so at the same time.

    Args:
        output: The data set's folder.
        records: Of all its clips, or of all clips of one partition.
        say: Told in one line what is left out.
        shard_bytes: Of the clips in one shard, at most, unless a single one is larger.
        advance: Told how many are done of the clips to be packed.

    Returns:
        Where each clip lies that is in a shard, for its record: `packed_file`.

    Raises:
        UserError: The disk is full or refuses, an index is damaged, or a shard is not in it. What has its place stays.
    """
    parts = [_look_at(output, partition, records) for partition in get_args(Partition)]
    _say_missing(parts, say)
    done, of = 0, sum(len(part.waiting) for part in parts)
    for part in parts:
        _remove(part, part.whole)
        for names in _groups(part, shard_bytes):
            _add_shard(part, names)
            done += len(names)
            advance(done, of)
    return {
        record.clip: packed_file(part.partition, part.entries[name].shard, name)
        for part in parts
        for name, record in part.made.items()
        if name in part.entries
    }


def _look_at(output: Path, partition: Partition, records: Sequence[ClipRecord]) -> _Part:
    folder = output / partition
    made = {
        stored_name(record.clip, "shards"): record
        for record in records
        if record.partition == partition and record.outcome == "made"
    }
    made = {name: made[name] for name in sorted(made)}
    entries = _read_index(folder / SHARD_INDEX_NAME)
    sizes = {shard: _size(folder / shard) for shard in {entry.shard for entry in entries.values()}}
    # A clip that was made anew, since its shard was lost, goes into another one.
    whole = [
        name
        for name, record in made.items()
        if (entry := entries.get(name)) is not None
        and entry.facts.hash == record.hash
        and sizes[entry.shard] == entry.shard_bytes
    ]
    left = [name for name in made if name not in set(whole)]
    with ThreadPoolExecutor(_THREADS) as pool:
        lies_there = list(pool.map(_is_what_was_made, [folder / name for name in left], [made[name] for name in left]))
    waiting = [name for name, there in zip(left, lies_there, strict=True) if there]
    missing = sorted(set(left) - set(waiting) - entries.keys())
    return _Part(partition, folder, made, entries, whole, waiting, missing)


def _is_what_was_made(path: Path, record: ClipRecord) -> bool:
    try:
        return content_hash(path) == (record.bytes, record.hash)
    except OSError:
        return False


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _read_index(path: Path) -> dict[str, ShardEntry]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    entries = dict[str, ShardEntry]()
    for number, line in enumerate(lines, start=1):
        entry = entry_from_json(line)
        if entry is None:
            raise UserError(f"{path}: line {number}: no entry of a clip; put a whole copy back, or remove the line")
        entries[entry.name] = entry
    return entries


def _say_missing(parts: Sequence[_Part], say: Say) -> None:
    missing = [f"{part.partition}/{name}" for part in parts for name in part.missing]
    if missing:
        clips = "1 clip that was made is" if len(missing) == 1 else f"{len(missing)} clips that were made are"
        say(f"{clips} gone, or not what was made, and left out of the shards (first: {missing[0]})")


def _groups(part: _Part, shard_bytes: int) -> Generator[list[str]]:
    """The names for one shard after another. Where it goes on after a kill, the rest is the same."""
    group, size = list[str](), 0
    for name in part.waiting:
        more = part.made[name].bytes
        if group and size + more > shard_bytes:
            yield group
            group, size = [], 0
        group.append(name)
        size += more
    if group:
        yield group


def _add_shard(part: _Part, names: Sequence[str]) -> None:
    path = part.folder / _next_shard(part)
    partial = path.with_name(f".{path.name}.partial")
    try:
        _require_replaceable(path)
        with partial.open("wb") as file:
            contents = _write_tar(file, part, path.name, names)
            file.flush()
            os.fsync(file.fileno())
        size = partial.stat().st_size
        with ThreadPoolExecutor(_THREADS) as pool:
            facts = list(pool.map(index_clip, [part.folder / name for name in names]))
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise manifest.not_written(path, error) from error
    for name, members, known in zip(names, contents, facts, strict=True):
        record = part.made[name]
        # When a file was changed differs from run to run; readers compare the shard's size.
        known = replace(known, bytes=record.bytes, hash=record.hash or "", modified=0)
        part.entries[name] = ShardEntry(name, path.name, size, members, known)
    lines = [entry_to_json(part.entries[name]).decode() for name in sorted(part.entries)]
    manifest.replace(part.folder / SHARD_INDEX_NAME, "".join(f"{line}\n" for line in lines))
    _remove(part, names)


def _next_shard(part: _Part) -> str:
    numbers = [int(name[1]) for entry in part.entries.values() if (name := _SHARD.fullmatch(entry.shard))]
    return f"{max(numbers, default=-1) + 1:06d}.tar"


def _require_replaceable(path: Path) -> None:
    """Refuse to replace a shard that a killed run has not left behind: the clips of such a one still lie beside it."""
    if not path.exists():
        return
    clips, fault = scan_tar(path)
    if fault is not None or not all((path.parent / name).is_file() for name in clips):
        raise UserError(
            f"{path}: it holds clips that {SHARD_INDEX_NAME} beside it does not name; "
            "put the index back that belongs to it, or move the shard elsewhere"
        )


def _write_tar(file: BufferedWriter, part: _Part, shard: str, names: Sequence[str]) -> list[tuple[Member, Member]]:
    """Write clips and their records; where each pair lies in the tar."""
    places = list[tuple[Member, Member]]()
    # Of the two formats that tell any name apart, this is the plain one for names up to 100 characters of ASCII.
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in names:
            record = replace(part.made[name], file=packed_file(part.partition, shard, name))
            with (part.folder / name).open("rb") as clip:
                video = _add_member(tar, name, clip, record.bytes)
            text = _record_without_times(record)
            places.append((video, _add_member(tar, f"{record.clip}.json", BytesIO(text), len(text))))
    return places


def _record_without_times(record: ClipRecord) -> bytes:
    fields = json.loads(manifest.record_to_json(record))
    return json.dumps({name: value for name, value in fields.items() if name not in TIMES}).encode()


def _add_member(tar: tarfile.TarFile, name: str, content: BufferedIOBase, size: int) -> Member:
    member = tarfile.TarInfo(name)  # of no time and no owner, and readable by all
    member.size = size
    tar.addfile(member, content)
    blocks = -(-size // tarfile.BLOCKSIZE)
    return (name, tar.offset - blocks * tarfile.BLOCKSIZE, size)


def _remove(part: _Part, names: Sequence[str]) -> None:
    """Remove clips that now lie in a shard, once that and the index will outlast a power cut."""
    loose = [part.folder / name for name in names if (part.folder / name).exists()]
    if not loose:
        return
    with suppress(OSError):  # some network disks do not know this of folders
        _sync_folder(part.folder)
    for path in loose:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise manifest.not_written(path, error) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
