"""Training pairs: two frames of one clip, the same for the same seed whatever the machine or the worker.

Pair number n of a run is a pure function of (seed, n) and of the clips: no random state is kept, so a resumed run goes
on with exactly the pairs that an unbroken one would have seen.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import Dataset

from prioritycut.data.augment import Augmentation, Pair, augment_pair
from prioritycut.data.framing import fit_square
from prioritycut.data.layout import open_split
from prioritycut.data.media import to_float
from prioritycut.data.puppets import generate_puppet
from prioritycut.data.stored import Advance, DamagedClipError, Say, StoredClip, say_nothing_of_progress
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
    """Clips of your own: videos, gifs, folders of frames, strips of frames side by side (SPEC 7.1), or tar shards."""

    kind: Literal["folder"] = "folder"
    root: str = "data"
    """A folder of clips or of shards, or the address of shards. It holds `train/` and `test/`; without them a random
    fifth, drawn with seed 0, is the test set."""
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


class ClipPairs:
    """Pairs from stored clips."""

    def __init__(self, clips: Sequence[StoredClip], size: int, *, repeats: int = 1, id_sampling: bool = False) -> None:
        """`repeats` and `id_sampling` are as in `FolderData`."""
        self.size, self.repeats = size, repeats
        groups = dict[str, list[StoredClip]]()
        for clip in clips:
            groups.setdefault(clip.name.split("#")[0] if id_sampling else clip.name, []).append(clip)
        self._items = list(groups.values())

    def __len__(self) -> int:
        return len(self._items) * self.repeats

    def frames(self, item: int, *, generator: torch.Generator) -> Pair:
        clips = self._items[item % len(self._items)]
        clip = clips[int(torch.randint(len(clips), (), generator=generator))]
        pixels = clip.frames(frame_numbers(clip.frame_count, generator=generator))
        return torch.stack([fit_square(to_float(frame), self.size) for frame in pixels])


@dataclass(frozen=True, slots=True)
class DrawnPair:
    """A pair, and what was wrong with clips that it should have been of."""

    frames: Pair
    damage: tuple[str, ...] = ()


class TrainingPairs(Dataset[Pair]):
    """Item n is the n-th pair of a run: clip by a fresh permutation each epoch, then frames, then augmentation."""

    def __init__(self, source: PairSource, augmentation: Augmentation, *, seed: int) -> None:
        self.source, self.augmentation, self.seed = source, augmentation, seed
        self._order = (-1, np.empty(0, np.int64))

    def __getitem__(self, number: int) -> Pair:
        drawn = self.draw(number)
        for line in drawn.damage:
            warnings.warn(line, stacklevel=2)
        return drawn.frames

    def draw(self, number: int) -> DrawnPair:
        """Pair `number`. Of a damaged clip it cannot be, so the epoch's next item takes its place.

        Raises:
            UserError: `MOST_DAMAGED` items in a row are damaged, or their store cannot be reached.
        """
        epoch, place = divmod(number, len(self.source))
        order = self._order_of(epoch)
        state = np.random.SeedSequence((self.seed, _PAIR, number)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0] >> 1))
        damage = list[str]()
        while True:
            try:
                pair = self.source.frames(int(order[(place + len(damage)) % len(order)]), generator=generator)
                break
            except DamagedClipError as fault:
                damage.append(str(fault))
                if len(damage) == MOST_DAMAGED:
                    raise UserError(f"{len(damage)} clips in a row cannot be read; the last: {fault}") from None
        return DrawnPair(augment_pair(pair, self.augmentation, generator=generator), tuple(damage))

    def _order_of(self, epoch: int) -> npt.NDArray[np.int64]:
        # Kept, since shuffling half a million items takes longer than reading a pair.
        if self._order[0] != epoch:
            items = np.random.default_rng((self.seed, _ORDER, epoch)).permutation(len(self.source))
            self._order = (epoch, items)
        return self._order[1]


MOST_DAMAGED = 10
"""So many damaged items in a row are no accident: the disk is gone, or something rewrites the data set."""

_ORDER, _PAIR = 1, 2  # keep the two kinds of draw apart


def build_pairs(
    config: DataConfig,
    size: int,
    *,
    seed: int,
    say: Say = warnings.warn,
    advance: Advance = say_nothing_of_progress,
) -> TrainingPairs:
    """The pairs that a data config describes, `size` pixels square.

    Args:
        config: Which data.
        size: Height and width of frames.
        seed: Of every draw.
        say: Told in one line each what of the data is missing or cannot be read.
        advance: Told of progress where clips must be looked at first, once.

    Raises:
        UserError: There is no clip that can be read.
    """
    if isinstance(config, PuppetData):
        source = PuppetPairs(config, size)
    else:
        clips = open_split(config.root, "train", say=say, advance=advance)
        source = ClipPairs(clips, size, repeats=config.repeats, id_sampling=config.id_sampling)
    return TrainingPairs(source, config.augmentation, seed=seed)
