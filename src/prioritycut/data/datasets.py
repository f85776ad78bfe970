"""Training pairs: two frames of one clip, the same for the same seed whatever the machine or the worker.

Pair number n of a run is a pure function of (seed, n): no random state is kept, so a resumed run goes on with
exactly the pairs that an unbroken one would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import Dataset

from prioritycut.data.augment import Augmentation, Pair, augment_pair
from prioritycut.data.clips import fit_square, open_clip
from prioritycut.data.puppets import generate_puppet
from prioritycut.errors import UserError


@dataclass(frozen=True, kw_only=True)
class PuppetData:
    """Puppets drawn on the fly (see `data/puppets`)."""

    kind: Literal["puppets"] = "puppets"
    clips: int = 2000
    """Different characters. Each is drawn at its first visit and kept: 2,000 of 32 frames are 0.8 GB at 64 pixels and
    3.1 GB at 128, in every worker."""
    frames: int = 32
    """Frames of each character's clip."""
    seed: int = 0
    """Of the characters; held-out ones come from another seed."""
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(time_flip=0.0, horizontal_flip=0.5, jitter=0.0)
    )

    def __post_init__(self) -> None:
        if self.clips < 1 or self.frames < 2:
            raise ValueError(f"clips must be at least 1 and frames at least 2, got {self.clips} and {self.frames}")


@dataclass(frozen=True, kw_only=True)
class FolderData:
    """Clips in a folder: mp4, gif, folders of frames, strips of frames side by side (SPEC 7.1)."""

    kind: Literal["folder"] = "folder"
    root: Path = Path("data")
    """Holds `train/` and `test/`; without them a random fifth, drawn with seed 0, is the test set."""
    repeats: int = 75
    """How often an epoch visits each item."""
    id_sampling: bool = False
    """One item an identity (the name before the first '#'), a random clip of it at each visit."""
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ValueError(f"repeats must be at least 1, got {self.repeats}")


DataConfig = PuppetData | FolderData


@runtime_checkable
class PairSource(Protocol):
    """Something that has clips to draw pairs from."""

    def __len__(self) -> int:
        """Items an epoch visits once each."""
        ...

    def frames(self, item: int, *, generator: torch.Generator) -> Pair:
        """Two frames of the item's clip in the order of time, drawn with replacement."""
        ...


def frame_numbers(count: int, *, generator: torch.Generator) -> list[int]:
    """Two frame numbers with replacement, in the order of time."""
    return sorted(torch.randint(count, (2,), generator=generator).tolist())


class PuppetPairs:
    """Pairs from puppets; a character is drawn when it is first visited and kept as bytes."""

    def __init__(self, config: PuppetData, size: int) -> None:
        self.config, self.size = config, size
        self._drawn = dict[int, UInt8[Tensor, "time 3 height width"]]()

    def __len__(self) -> int:
        return self.config.clips

    def frames(self, item: int, *, generator: torch.Generator) -> Pair:
        if item not in self._drawn:
            clip = generate_puppet(self.config.seed, item, frames=self.config.frames, size=self.size)
            self._drawn[item] = (clip.frames * 255).round().to(torch.uint8)
        numbers = frame_numbers(self.config.frames, generator=generator)
        return self._drawn[item][numbers].float() / 255


class FolderPairs:
    """Pairs from the clips of a folder."""

    def __init__(self, config: FolderData, size: int) -> None:
        self.config, self.size = config, size
        groups = dict[str, list[Path]]()
        for path in split_clips(config.root, "train"):
            identity = path.name.split("#")[0] if config.id_sampling else path.name
            groups.setdefault(identity, []).append(path)
        self._items = list(groups.values())

    def __len__(self) -> int:
        return len(self._items) * self.config.repeats

    def frames(self, item: int, *, generator: torch.Generator) -> Pair:
        paths = self._items[item % len(self._items)]
        path = paths[int(torch.randint(len(paths), (), generator=generator))]
        return two_frames(path, self.size, generator=generator)


def two_frames(path: Path, size: int, *, generator: torch.Generator) -> Pair:
    """Two random frames of a clip in the order of time, cropped and resized, holding no others in memory."""
    with open_clip(path) as reader:
        # A header can be wrong or silent; then one pass counts.
        count = reader.frame_count or sum(1 for _ in reader)
        numbers = frame_numbers(count, generator=generator)
        kept, frame = list[Tensor](), None
        for number, frame in enumerate(reader):
            while len(kept) < 2 and numbers[len(kept)] <= number:
                kept.append(fit_square(frame, size))
            if len(kept) == 2:
                break
        if frame is None:
            raise UserError(f"{path}: a clip without frames; take it out of the data or make it anew")
        # Of fewer frames than the header promised, the last one stands for those that are missing.
        kept += [fit_square(frame, size)] * (2 - len(kept))
    return torch.stack(kept)


def split_clips(root: Path, split: Literal["train", "test"]) -> list[Path]:
    """The clips of one split, sorted: those in `root/split`, or a random 80 to 20 part of `root` (seed 0).

    Raises:
        UserError: The folder is missing or holds no clips.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give a folder of clips by --data.root FOLDER")
    if (root / "train").is_dir() or (root / "test").is_dir():
        # One of the two alone is a mistake: a random split beside it would mix test clips into training.
        if not (root / split).is_dir():
            raise UserError(f"{root / split}: no such folder; a data set has both train/ and test/, or neither")
        paths = clips_in(root / split)
    else:
        everything = clips_in(root)
        order = np.random.RandomState(0).permutation(len(everything))
        held_out = set(order[: round(len(everything) * 0.2)].tolist())
        paths = [path for i, path in enumerate(everything) if (i in held_out) == (split == "test")]
    if not paths:
        raise UserError(f"{root}: no {split} clips found there; give a folder of clips by --data.root FOLDER")
    return paths


CLIP_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif", ".png", ".jpg", ".jpeg"})
"""Files that are taken for clips; a picture is a strip of frames side by side."""


def clips_in(folder: Path) -> list[Path]:
    """Every clip directly in a folder, sorted: media files, strips, and folders of frames."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and (path.is_dir() or path.suffix.lower() in CLIP_SUFFIXES)
    )


class TrainingPairs(Dataset[Pair]):
    """Item n is the n-th pair of a run: clip by a fresh permutation each epoch, then frames, then augmentation."""

    def __init__(self, source: PairSource, augmentation: Augmentation, *, seed: int) -> None:
        self.source, self.augmentation, self.seed = source, augmentation, seed

    def __getitem__(self, number: int) -> Pair:
        epoch, place = divmod(number, len(self.source))
        order = np.random.default_rng((self.seed, _ORDER, epoch)).permutation(len(self.source))
        drawn = np.random.SeedSequence((self.seed, _PAIR, number)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(drawn[0] >> 1))
        pair = self.source.frames(int(order[place]), generator=generator)
        return augment_pair(pair, self.augmentation, generator=generator)


_ORDER, _PAIR = 1, 2  # keep the two kinds of draw apart


def build_pairs(config: DataConfig, size: int, *, seed: int) -> TrainingPairs:
    """The pairs that a data config describes, `size` pixels square."""
    source = PuppetPairs(config, size) if isinstance(config, PuppetData) else FolderPairs(config, size)
    return TrainingPairs(source, config.augmentation, seed=seed)
