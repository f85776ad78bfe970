"""How a data set lies on disk or on a server (SPEC 7.1), and its clips."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from prioritycut.data.facts import ClipFacts
from prioritycut.data.index import index_clips
from prioritycut.data.stored import Advance, ReadableClip, Say, Split, StoredClip, say_nothing_of_progress
from prioritycut.data.stored_files import ClipFile, IndexedClipFile
from prioritycut.errors import UserError

CLIP_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif", ".webp", ".png", ".jpg", ".jpeg"})
"""Files that are taken for clips; a picture is animated, or a strip of frames side by side."""

SHARD_INDEX_NAME = "index.jsonl"
"""In a folder of shards that this package made: one `ShardEntry` a line, rewritten after each shard that is whole."""

MANIFEST_NAME = "manifest.jsonl"
"""In the root of a data set that was made from videos: what became of each clip, one JSON object a line."""

Item = TypeVar("Item")


def is_address(root: str) -> bool:
    """Whether a data set lies on a server."""
    return "://" in root


def data_set_name(root: str) -> str:
    """What a data set is called in results: the last part of where it lies."""
    return root.rstrip("/").rsplit("/", 1)[-1] if is_address(root) else Path(root).resolve().name


def clips_in(folder: Path) -> list[Path]:
    """Every clip directly in a folder, sorted: media files, strips, and folders of frames."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and (path.is_dir() or path.suffix.lower() in CLIP_SUFFIXES)
    )


def shards_in(folder: Path) -> list[Path]:
    """Every tar file directly in a folder, sorted."""
    return sorted(path for path in folder.glob("*.tar") if not path.name.startswith("."))


def split_folder(root: Path, split: Split) -> Path:
    """Where the clips of a split lie: in `root/split`, or in `root` itself where it has neither train/ nor test/.

    Raises:
        UserError: There is no such folder.
    """
    if not root.is_dir():
        raise UserError(
            f"{root}: no such folder; name a folder of clips, a folder of tar shards, or the address of shards"
        )
    if split == "all" or not ((root / "train").is_dir() or (root / "test").is_dir()):
        return root
    # One of the two alone is a mistake: a random split beside it would mix test clips into training.
    if not (root / split).is_dir():
        raise UserError(f"{root / split}: no such folder; a data set has both train/ and test/, or neither")
    return root / split


def random_part(items: Sequence[Item], split: Split) -> list[Item]:
    """The part that a split takes of what lies unsplit in one folder: a random fifth (seed 0) is the test set."""
    if split == "all":
        return list(items)
    order = np.random.RandomState(0).permutation(len(items))
    held_out = set(order[: round(len(items) * 0.2)].tolist())
    return [item for place, item in enumerate(items) if (place in held_out) == (split == "test")]


def split_clips(root: Path, split: Split) -> list[Path]:
    """The clip files of one split, sorted.

    Raises:
        UserError: The folder is missing or holds no clips.
    """
    folder = split_folder(root, split)
    everything = clips_in(folder)
    paths = random_part(everything, split) if folder == root else everything
    if not paths:
        raise _no_clips(root, folder, split, len(everything))
    return paths


def _no_clips(root: Path, folder: Path, split: Split, lying_there: int) -> UserError:
    made = made_clips(root, split)
    if lying_there:
        part = "fifth" if split == "test" else "rest"
        return UserError(f"{folder}: 0 {split} clips, the random {part} of {lying_there}; give at least three clips")
    if made:
        return UserError(
            f"0 clips in {folder}, expected {made} by {MANIFEST_NAME}; make the data set anew or name its new place"
        )
    return UserError(
        f"0 clips in {folder}, expected videos (mp4, webm, mov, mkv, avi), gifs, folders of frames, strips of frames "
        "side by side or tar shards; name another folder"
    )


def made_clips(root: Path, split: Split) -> int | None:
    """How many clips the manifest in `root` says were made; `None` where there is no manifest."""
    try:
        lines = (root / MANIFEST_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    made = dict[str, bool]()
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the last line of a run that was killed
        if isinstance(record, dict) and "clip" in record and split in ("all", record.get("partition")):
            made[str(record["clip"])] = record.get("outcome") == "made"  # the last word on a clip counts
    return sum(made.values())


def list_split(root: str, split: Split) -> list[ReadableClip]:
    """The clips of one split, for reading from their start; files are not looked into.

    Raises:
        UserError: There are none, or they cannot be reached.
    """
    if _lies_in_shards(root, split):
        return [*_open_shards(root, split, warnings.warn, say_nothing_of_progress)]
    return [ClipFile(path) for path in split_clips(Path(root), split)]


def open_split(
    root: str,
    split: Split,
    *,
    say: Say = warnings.warn,
    advance: Advance = say_nothing_of_progress,
) -> list[StoredClip]:
    """The clips of one split that can be read, by name, ready for random access.

    Args:
        root: A folder of clips or of tar shards, with or without `train/` and `test/`, or an address of shards.
        split: Which of them.
        say: Told in one line each what is missing, cannot be read and is left out, or is odd.
        advance: Told of progress where clips must be looked at first.

    Raises:
        UserError: There are none, none can be read, or they cannot be reached.
    """
    if _lies_in_shards(root, split):
        clips = _open_shards(root, split, say, advance)
        _say_missing(root, root, split, len(clips), say)
        _say_loose(root, split, say)
        return clips
    paths = split_clips(Path(root), split)
    folder = paths[0].parent
    _say_missing(root, str(folder), split, len(paths), say)
    facts = index_clips(folder, paths, advance=advance)
    readable = [each for each in facts if each.fault is None]
    _say_unreadable(folder, facts, say)
    if not readable:
        raise UserError(f"{folder}: 0 of {_clips(len(facts))} can be read ({_first(facts)}); make them anew")
    _say_single_frames(folder, readable, say)
    return [IndexedClipFile(folder / each.name, each) for each in readable]


def _lies_in_shards(root: str, split: Split) -> bool:
    # A name that ends in .tar is one shard, or a pattern of several.
    if is_address(root) or (root.endswith(".tar") and not Path(root).is_dir()):
        return True
    folder = split_folder(Path(root), split)
    # Beside clips, a tar without an index of ours is what they came out of.
    return bool(shards_in(folder)) and ((folder / SHARD_INDEX_NAME).is_file() or not clips_in(folder))


def _say_loose(root: str, split: Split, say: Say) -> None:
    loose = clips_in(split_folder(Path(root), split)) if Path(root).is_dir() else []
    if loose:
        way_out = "repeat `prioritycut preprocess` to pack what it made"
        say(f"{_clips(len(loose))} beside the shards in {loose[0].parent}, left out; {way_out}")


def _open_shards(root: str, split: Split, say: Say, advance: Advance) -> list[StoredClip]:
    from prioritycut.data.shards import open_shards  # needs packages that come with an extra

    return open_shards(root, split, say=say, advance=advance)


def _clips(count: int) -> str:
    return "1 clip" if count == 1 else f"{count} clips"


def _first(facts: Iterable[ClipFacts]) -> str:
    """The first that cannot be read and why, and the names of a few others."""
    first, *others = (each for each in facts if each.fault is not None)
    also = ", ".join(each.name for each in others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    return f"first: {first.name}: {first.fault}" + (f"; also {also}" if others else "")


def _say_missing(root: str, place: str, split: Split, found: int, say: Say) -> None:
    made = None if is_address(root) else made_clips(Path(root), split)
    if made is not None and found < made:
        say(f"{_clips(found)} in {place}, expected {made} by {MANIFEST_NAME}")


def _say_unreadable(folder: Path, facts: Sequence[ClipFacts], say: Say) -> None:
    faulty = sum(each.fault is not None for each in facts)
    if 0 < faulty < len(facts):
        say(f"{faulty} of {_clips(len(facts))} in {folder} cannot be read and are left out ({_first(facts)})")


def _say_single_frames(folder: Path, facts: Sequence[ClipFacts], say: Say) -> None:
    single = [each.name for each in facts if each.frames == 1]
    if single:
        say(
            f"{_clips(len(single))} in {folder} with a single frame, which is source and driving at once "
            f"(first: {single[0]})"
        )
