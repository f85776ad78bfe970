"""Where test clips come from: puppets, whose truth is known, or a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from prioritycut.animation import batches
from prioritycut.data.clips import ClipReader, fit_square, open_clip
from prioritycut.data.datasets import clips_in, split_clips
from prioritycut.data.puppets import generate_puppet
from prioritycut.errors import UserError
from prioritycut.evaluation import HELD_OUT_SEED
from prioritycut.evaluation.truth import MotionTruth, puppet_truth
from prioritycut.outputs import Frames
from prioritycut.results import Setting

Split: TypeAlias = Literal["test", "train", "all"]


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


def folder_set(root: Path, size: int, *, split: Split = "test", clips: int | None = None) -> TestSet:
    """The clips of a folder, cropped to their middle and resized.

    Args:
        root: Holds `test/` (and `train/`) or clips themselves; of the latter, `test` is the random fifth (seed 0) that
            training leaves out.
        size: Side of the frames.
        split: Which clips; `all` takes every clip that is directly in the folder.
        clips: Only the first so many of them; `None` takes all.

    Raises:
        UserError: The folder is missing or holds no clips.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give a folder of clips, or `puppets`")
    paths = clips_in(root)
    if split != "all" and paths:
        try:
            paths = split_clips(root, split)
        except UserError as error:  # whose way out is an option of training
            raise UserError(
                f"{root}: holds no {split} clips, neither in {split}/ nor as a fifth of at least three clips; "
                "give another folder, or take every clip by --split all"
            ) from error
    if not paths:
        raise UserError(f"{root}: holds no clips; give a folder of clips, or `puppets`")
    if clips is not None and clips < 1:
        raise ValueError(f"clips must be at least 1, got {clips}")
    members = tuple(
        TestClip(path.name, lambda batch_size, path=path: _read(path, size, batch_size)) for path in paths[:clips]
    )
    return TestSet(root.resolve().name, members, {"split": split, "fit": "crop"})


def clip_key(name: str) -> str:
    """What clips are matched by: the name up to its first dot, as the public evaluation code has it (SPEC 8.1)."""
    return name.split(".", 1)[0]


def read_batches(reader: ClipReader, batch_size: int, *, size: int | None = None) -> Iterator[TestBatch]:
    """A clip's frames in batches; cropped to their middle and resized where a size is given."""
    original = (reader.height, reader.width)
    for frames in batches(reader if size is None else (fit_square(frame, size) for frame in reader), batch_size):
        yield TestBatch(frames, original)


def _read(path: Path, size: int, batch_size: int) -> Iterator[TestBatch]:
    with open_clip(path) as reader:
        yield from read_batches(reader, batch_size, size=size)
