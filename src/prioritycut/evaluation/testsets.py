"""Where test clips come from: puppets, whose truth is known, or a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prioritycut.animation import batches
from prioritycut.data.clips import ClipReader, fit_square
from prioritycut.data.layout import clips_in, data_set_name, is_address, list_split
from prioritycut.data.puppets import generate_puppet
from prioritycut.data.stored import ReadableClip, Split
from prioritycut.errors import UserError
from prioritycut.evaluation import HELD_OUT_SEED
from prioritycut.evaluation.truth import MotionTruth, puppet_truth
from prioritycut.outputs import Frames
from prioritycut.results import Setting


@dataclass(frozen=True, slots=True)
class TestBatch:
    """Frames of a clip in order.

    Attributes:
        frames: RGB in [0, 1], at the size that they are scored at.
        original: Height and width of the frames in their file.
        truth: What is known about them, if anything.
    """

    frames: Frames
    original: tuple[int, int]
    truth: MotionTruth | None = None


@dataclass(frozen=True, slots=True)
class TestClip:
    """One clip of a test set.

    Attributes:
        name: Its name in results.
        open: Gives its frames in batches of a size; raises UserError where the file turns out damaged.
    """

    name: str
    open: Callable[[int], Iterator[TestBatch]]


@dataclass(frozen=True, slots=True)
class TestSet:
    """Clips to reconstruct, and what they are."""

    name: str
    clips: tuple[TestClip, ...]
    settings: dict[str, Setting]


def puppet_set(size: int, *, clips: int = 64, frames: int = 32, seed: int = HELD_OUT_SEED) -> TestSet:
    """Puppets of one cast, drawn when they are opened."""

    def opener(index: int) -> Callable[[int], Iterator[TestBatch]]:
        def draw(batch_size: int) -> Iterator[TestBatch]:
            clip = generate_puppet(seed, index, frames=frames, size=size)
            for start in range(0, frames, batch_size):
                end = min(start + batch_size, frames)
                yield TestBatch(clip.frames[start:end], (size, size), puppet_truth(clip, start, end))

        return draw

    if clips < 1 or frames < 1:
        raise ValueError(f"clips and frames must be at least 1, got {clips} and {frames}")
    members = tuple(TestClip(f"puppet-{seed}-{index:06d}", opener(index)) for index in range(clips))
    return TestSet("puppets", members, {"clips": clips, "frames": frames, "seed": seed})


def folder_set(root: str, size: int, *, split: Split = "test", clips: int | None = None) -> TestSet:
    """The clips of a folder or of shards, cropped to their middle and resized.

    Args:
        root: Holds `test/` (and `train/`) or clips themselves; of the latter, `test` is the random fifth (seed 0) that
            training leaves out. Or the address of shards.
        split: Which clips; `all` takes every clip that is directly in the folder.
        clips: Only the first so many of them; `None` takes all.

    Raises:
        UserError: The folder is missing or holds no clips.
    """
    if clips is not None and clips < 1:
        raise ValueError(f"clips must be at least 1, got {clips}")
    try:
        stored = list_split(root, split)
    except UserError as error:
        if split == "all" or is_address(root) or not Path(root).is_dir() or not clips_in(Path(root)):
            raise
        raise UserError(
            f"{root}: holds no {split} clips, neither in {split}/ nor as a fifth of at least three clips; "
            "give another folder, or take every clip by --split all"
        ) from error
    members = tuple(
        TestClip(clip.name, lambda batch_size, clip=clip: _read(clip, size, batch_size)) for clip in stored[:clips]
    )
    return TestSet(data_set_name(root), members, {"split": split, "fit": "crop"})


def clip_key(name: str) -> str:
    """What clips are matched by: the name up to its first dot, as the public evaluation code has it (SPEC 8.1)."""
    return name.split(".", 1)[0]


def read_batches(reader: ClipReader, batch_size: int, *, size: int | None = None) -> Iterator[TestBatch]:
    """A clip's frames in batches; cropped to their middle and resized where a size is given."""
    original = (reader.height, reader.width)
    for frames in batches(reader if size is None else (fit_square(frame, size) for frame in reader), batch_size):
        yield TestBatch(frames, original)


def _read(clip: ReadableClip, size: int, batch_size: int) -> Iterator[TestBatch]:
    with clip.open() as reader:
        yield from read_batches(reader, batch_size, size=size)
