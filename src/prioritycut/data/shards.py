"""The clips of data sets that lie in tar shards, in folders or on servers (SPEC 7.1)."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from prioritycut.data.layout import SHARD_INDEX_NAME, is_address, random_part, shards_in, split_folder
from prioritycut.data.remote import (
    MissingFileError,
    cache_folder,
    cached_name,
    forget_files,
    look_at,
    passing_copy,
    read_remote,
    shown,
)
from prioritycut.data.shard_clips import Shard, ShardClip
from prioritycut.data.stored import Advance, DamagedClipError, Say, Split, StoredClip
from prioritycut.data.tar_index import (
    Member,
    ShardEntry,
    entry_from_json,
    entry_to_json,
    file_name,
    index_tar,
)
from prioritycut.errors import UserError

# In the first line of what is kept about a foreign shard, raised when its facts are found otherwise than before.
_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Listing:
    """What is known of a split before it is looked at closely.

    Attributes:
        place: For messages.
        base: Where the shards lie, with the slash at its end.
        entries: Of clips, readable or not.
        faults: Of whole shards and of lines of an index.
    """

    place: str
    base: str
    entries: list[ShardEntry]
    faults: list[str]


def is_pattern(root: str) -> bool:
    """Whether a root names shards themselves rather than where they lie, such as `vox-{000000..000009}.tar`."""
    return root.split("?")[0].endswith(".tar") and not Path(root).is_dir()


def open_shards(root: str, split: Split, *, say: Say, advance: Advance) -> list[StoredClip]:
    """The clips of one split that can be read, by name.

    Shards with an index are not looked into. Of others each is read once, and what was found kept in the user's cache.

    Args:
        root: A folder of shards, or the address of one with indexes; with or without `train/` and `test/`. Or shards by
            name, as a path or an address, with `{000..009}` for numbers and `{a,b}` for words. What is not split holds
            out a random fifth.
        split: Which clips.
        say: Told in one line each what is left out or is odd.
        advance: Told how many are done of the shards that must be looked at.

    Raises:
        UserError: There are none, none can be read, or they cannot be reached.
    """
    forget_files()
    listing = _listing(root, split, advance)
    if listing.faults:
        say(f"{listing.place}: {_some(listing.faults, 'fault in shards', 'faults in shards')}")
    if not listing.entries:
        what = "clips" if split == "all" else f"{split} clips"
        raise UserError(
            f"0 {what} in {listing.place}, "
            "expected tar shards of videos (KEY.mp4) or frames (KEY.000000.jpg), and three clips at least where they "
            "must be split; name other shards"
        )
    clips, faults = _opened(listing)
    if not clips:
        raise UserError(f"{listing.place}: no clip can be read: {_some(faults, 'fault', 'faults')}; make them anew")
    if faults:
        left_out = f"of {len(listing.entries)} clips cannot be read and are left out"
        say(f"{listing.place}: {_some(faults, left_out, left_out)}")
    single = [clip.name for clip in clips if clip.frame_count == 1]
    if single:
        say(f"{listing.place}: {_some(single, 'clip has a single frame', 'clips have a single frame')}")
    return clips


def _some(items: Sequence[str], one: str, many: str) -> str:
    """How many there are, and the first of them."""
    return f"{len(items)} {one if len(items) == 1 else many} (first: {items[0]})"


def _opened(listing: _Listing) -> tuple[list[StoredClip], list[str]]:
    """The clips by name, and what is wrong with those that cannot be read."""
    shards = dict[tuple[str, int], Shard]()
    clips, faults = list[StoredClip](), list[str]()
    for entry in sorted(listing.entries, key=lambda each: each.name):
        key = (entry.shard, entry.shard_bytes)
        shard = shards.setdefault(key, Shard(listing.base + entry.shard, entry.shard_bytes))
        members = _clip_members(entry)
        fault = entry.facts.fault or (None if members else "its index contradicts itself; make the index anew")
        if fault is None:
            clips.append(ShardClip(shard, entry.name, members, entry.facts))
        else:
            faults.append(f"{entry.name} in {shard.name}: {fault}")
    return clips, faults


def _clip_members(entry: ShardEntry) -> tuple[Member, ...]:
    """The video, or the pictures in the order of frames; none where the index contradicts itself."""
    inside = [
        (name, start, size)
        for name, start, size in entry.members
        if start >= 0 and size > 0 and start + size <= entry.shard_bytes
    ]
    if entry.facts.kind == "folder":
        by_name = {file_name(member): member for member in inside}
        order = entry.facts.members.split("/")
        whole = len(order) == entry.facts.frames and by_name.keys() >= set(order)
        return tuple(by_name[name] for name in order) if whole else ()
    media = [member for member in inside if not member[0].endswith(".json")]  # a record may lie beside it
    return tuple(media) if len(media) == 1 and entry.facts.frames > 0 else ()


def _listing(root: str, split: Split, advance: Advance) -> _Listing:
    if is_pattern(root):
        return _part(_listing_of_shards(shown(root), "", expand_braces(root), advance), split)
    if is_address(root):
        return _listing_of_address(root.rstrip("/"), split)
    folder = split_folder(Path(root), split)
    names = [path.name for path in shards_in(folder)]
    base, index = f"{folder}{os.sep}", folder / SHARD_INDEX_NAME
    if index.is_file():
        try:
            listing = _parsed(str(folder), base, index.read_bytes())
        except OSError as error:
            raise UserError(f"{index}: cannot be read ({error.strerror}); check its permissions") from None
        listing = _against_files(listing, folder, names)
    else:
        listing = _listing_of_shards(str(folder), base, names, advance)
    return _part(listing, split) if folder == Path(root) else listing


def _part(listing: _Listing, split: Split) -> _Listing:
    return replace(listing, entries=random_part(sorted(listing.entries, key=lambda each: each.name), split))


def _listing_of_address(address: str, split: Split) -> _Listing:
    for base in (address,) if split == "all" else (f"{address}/{split}", address):
        with suppress(MissingFileError):
            listing = _parsed(shown(base), f"{base}/", read_remote(f"{base}/{SHARD_INDEX_NAME}"))
            return _part(listing, split) if base == address else listing
    raise UserError(
        f"{shown(address)}: no {SHARD_INDEX_NAME} there; "
        "name shards of other makers one by one, such as https://host/vox-{000000..000009}.tar"
    )


def _parsed(place: str, base: str, index: bytes) -> _Listing:
    entries, faults = list[ShardEntry](), list[str]()
    for number, line in enumerate(index.splitlines(), start=1):
        entry = entry_from_json(line)
        if entry is None or not (_is_file_name(entry.name) and _is_file_name(entry.shard)):
            faults.append(f"{SHARD_INDEX_NAME}, line {number}: no entry of a clip; make the index anew")
        else:
            entries.append(entry)
    return _Listing(place, base, entries, faults)


def _is_file_name(name: str) -> bool:
    """Whether it stays within its folder."""
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def _against_files(listing: _Listing, folder: Path, names: Sequence[str]) -> _Listing:
    """With the faults that the shards' sizes show."""
    sizes = {name: (folder / name).stat().st_size for name in names}
    strange = sorted(set(names) - {entry.shard for entry in listing.entries})
    faults = [f"{name}: not in {SHARD_INDEX_NAME}; make the index anew" for name in strange]

    def checked(entry: ShardEntry) -> ShardEntry:
        size = sizes.get(entry.shard)
        if size == entry.shard_bytes:
            return entry
        fault = "the shard is missing" if size is None else f"it has {size} bytes, {entry.shard_bytes} by its index"
        return replace(entry, facts=replace(entry.facts, fault=f"{fault}; copy the shard there again"))

    return replace(listing, entries=[checked(entry) for entry in listing.entries], faults=[*listing.faults, *faults])


def _listing_of_shards(place: str, base: str, names: Sequence[str], advance: Advance) -> _Listing:
    """Of shards without an index: what the cache knows of them, or they themselves."""
    entries, faults = list[ShardEntry](), list[str]()
    for done, name in enumerate(names, start=1):
        try:
            found, fault, fresh = _look_into(base + name, name)
        except DamagedClipError as error:
            faults.append(str(error))
            continue
        entries += found
        if fault is not None or not found:
            faults.append(f"{shown(name)}: {fault or 'it holds no clip'}")
        if fresh:
            advance(done, len(names))
    return _Listing(place, base, _with_unique_names(entries), faults)


def _look_into(place: str, name: str) -> tuple[list[ShardEntry], str | None, bool]:
    """The clips of a shard, why not all of them can be read, if so, and whether it had to be read for that."""
    if is_address(place):
        file = look_at(place)
        stamp = (place, file.bytes, file.version)
    else:
        try:
            status = Path(place).stat()
        except OSError as error:
            return [], f"cannot be read ({error.strerror}); check the path", False
        stamp = (str(Path(place).absolute()), status.st_size, status.st_mtime_ns)
    kept = cache_folder() / f"{cached_name(*stamp)}.jsonl"
    known = _kept_entries(kept)
    if known is not None:
        return [replace(entry, shard=name) for entry in known[0]], known[1], False
    try:
        if is_address(place):
            with passing_copy(place) as copy:
                entries, fault = index_tar(copy, name)
        else:
            entries, fault = index_tar(Path(place), name)
    except OSError as error:
        return [], f"cannot be read ({error.strerror}); check its permissions", True
    # Faults too: a shard that was mended is another one by its stamp, and fetching it each time would cost too much.
    _keep_entries(kept, entries, fault)
    return entries, fault, True


def _kept_entries(path: Path) -> tuple[list[ShardEntry], str | None] | None:
    """What was found in a shard: its clips, and why not all of them could be read, if so."""
    try:
        first, *lines = path.read_bytes().splitlines()
        version, fault = json.loads(first)
    except (OSError, ValueError):
        return None
    entries = [entry for line in lines if (entry := entry_from_json(line)) is not None]
    return (entries, fault) if version == _VERSION and len(entries) == len(lines) else None


def _keep_entries(path: Path, entries: Sequence[ShardEntry], fault: str | None) -> None:
    """Write it whole or not at all; without it, the shard is looked at again."""
    partial = path.with_name(f".{uuid.uuid4().hex}.partial")
    lines = [json.dumps([_VERSION, fault]).encode(), *map(entry_to_json, entries)]
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(b"".join(line + b"\n" for line in lines))
        partial.replace(path)


def _with_unique_names(entries: Sequence[ShardEntry]) -> list[ShardEntry]:
    """Shards that number their clips each from 0 on share names; those get the shard's before them."""
    often = Counter(entry.name for entry in entries)
    return [entry if often[entry.name] == 1 else replace(entry, name=_with_shard(entry)) for entry in entries]


def _with_shard(entry: ShardEntry) -> str:
    stem = entry.shard.split("?")[0].rsplit("/", 1)[-1].removesuffix(".tar")
    return f"{stem}#{entry.name}"


def expand_braces(pattern: str) -> list[str]:
    """Every name that a pattern stands for: `{000..011}` counts with leading zeros, `{a,b}` lists words."""
    parts = re.split(r"\{([^{}]+)\}", pattern)
    choices = [[part] if place % 2 == 0 else _choices(part) for place, part in enumerate(parts)]
    return ["".join(chosen) for chosen in product(*choices)]


def _choices(inner: str) -> Iterable[str]:
    counted = re.fullmatch(r"(\d+)\.\.(\d+)", inner)
    if counted is None:
        return inner.split(",")
    first, last = counted.groups()
    return [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
