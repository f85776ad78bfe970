"""Training pairs: the same for the same number, every clip once an epoch, folders as people keep them."""

from __future__ import annotations

import os
import pickle
import re
import signal
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from prioritycut.data.augment import Augmentation
from prioritycut.data.clips import write_clip
from prioritycut.data.datasets import (
    ClipPairs,
    FolderData,
    PuppetData,
    PuppetPairs,
    TrainingPairs,
    build_pairs,
    frame_numbers,
)
from prioritycut.data.layout import open_split
from prioritycut.data.loading import pair_batches
from prioritycut.data.stored import DamagedClipError
from prioritycut.errors import UserError

PLAIN = Augmentation(time_flip=0.0, horizontal_flip=0.0, jitter=0.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Spy:
    """A source of clips that remembers who was asked for."""

    def __init__(self, clips: int) -> None:
        self.clips, self.visits = clips, list[int]()

    def __len__(self) -> int:
        return self.clips

    def frames(self, item: int, *, generator: torch.Generator) -> torch.Tensor:
        self.visits.append(item)
        numbers = torch.tensor(frame_numbers(100, generator=generator)) / 100
        return (numbers[:, None, None, None] + torch.full((2, 3, 4, 4), float(item))).contiguous()


def write_strip(path: Path, *, frames: int = 4, side: int = 8, first: int = 0) -> None:
    """Squares side by side, each a shade brighter than the one before."""
    shades = np.repeat(np.arange(first, first + 10 * frames, 10, dtype=np.uint8), side)
    Image.fromarray(np.broadcast_to(shades[None, :, None], (side, side * frames, 3)).copy()).save(path)


def write_folder_clip(path: Path, *, frames: int = 3, side: int = 8) -> None:
    path.mkdir(parents=True)
    for number in range(frames):
        Image.new("RGB", (side, side), (10 * number,) * 3).save(path / f"{number}.png")


def shade(frame: torch.Tensor) -> int:
    assert frame.max() == frame.min()
    return round(frame.max().item() * 255)


# Pairs by number


def test_a_pair_is_a_function_of_seed_and_number():
    first, again, other = (TrainingPairs(Spy(7), Augmentation(), seed=seed) for seed in (1, 1, 2))
    for number in (0, 3, 20, 8, 100_000):
        assert torch.equal(first[number], again[number])
    assert torch.equal(first[3], again[3])
    assert not all(torch.equal(first[number], other[number]) for number in range(10))


@pytest.mark.parametrize("workers", [0, 1])
def test_workers_bring_the_same_pairs(workers):
    pairs = build_pairs(PuppetData(clips=3, frames=2), 64, seed=5)
    loader = DataLoader(pairs, batch_size=2, sampler=range(4, 10), num_workers=workers)
    loaded = torch.cat(list(loader))
    fresh = build_pairs(PuppetData(clips=3, frames=2), 64, seed=5)
    assert torch.equal(loaded, torch.stack([fresh[number] for number in range(4, 10)]))


def test_each_epoch_visits_every_clip_exactly_once_in_another_order():
    spy = Spy(9)
    pairs = TrainingPairs(spy, PLAIN, seed=0)
    for number in range(27):
        pairs[number]
    epochs = [spy.visits[start : start + 9] for start in (0, 9, 18)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(9))
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_other_frames_are_drawn_at_each_visit():
    pairs = TrainingPairs(Spy(1), PLAIN, seed=0)
    assert len({tuple(pairs[number][:, 0, 0, 0].tolist()) for number in range(20)}) > 15


def test_two_frames_are_drawn_with_replacement_in_the_order_of_time():
    rng = generator(1)
    drawn = Counter(tuple(frame_numbers(3, generator=rng)) for _ in range(9000))
    # Of nine equally likely pairs the three equal ones stay, and the others fold onto three.
    assert set(drawn) == {(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)}
    for pair, count in drawn.items():
        assert count / 9000 == pytest.approx(1 / 9 if pair[0] == pair[1] else 2 / 9, abs=0.02)


def test_puppets_are_kept_as_drawn():
    pairs = PuppetPairs(PuppetData(clips=2, frames=3), 64)
    first = pairs.frames(1, generator=generator(0))
    assert first.shape == (2, 3, 64, 64)
    assert torch.equal(first, pairs.frames(1, generator=generator(0)))
    assert len(pairs) == 2
    levels = first * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)


# Folders


def test_strips_are_read_and_sorted_in_time(tmp_path):
    (tmp_path / "train").mkdir()
    write_strip(tmp_path / "train" / "a.png", frames=5)
    pairs = ClipPairs(open_split(str(tmp_path), "train"), 8)
    rng, seen = generator(0), set[int]()
    for _ in range(60):
        source, driving = (shade(frame) for frame in pairs.frames(0, generator=rng))
        assert source <= driving
        seen |= {source, driving}
    assert seen == {0, 10, 20, 30, 40}


def test_frames_come_at_the_asked_size(tmp_path):
    (tmp_path / "train").mkdir()
    write_strip(tmp_path / "train" / "a.png", side=32)
    assert build_pairs(FolderData(root=str(tmp_path)), 16, seed=0)[0].shape == (2, 3, 16, 16)


def test_identity_sampling_makes_one_item_an_identity(tmp_path):
    (tmp_path / "train").mkdir()
    shades = {"ann#1#0.png": 0, "ann#2#0.png": 50, "bob#1#0.png": 100}
    for name, first in shades.items():
        write_strip(tmp_path / "train" / name, frames=2, first=first)
    clips = open_split(str(tmp_path), "train")
    by_clip, by_person = ClipPairs(clips, 8, repeats=3), ClipPairs(clips, 8, repeats=3, id_sampling=True)
    assert len(by_clip) == 9
    assert len(by_person) == 6
    rng = generator(2)
    seen = [{shade(by_person.frames(item, generator=rng)[0]) // 50 for _ in range(30)} for item in range(2)]
    assert seen == [{0, 1}, {2}]


def test_repeats_visit_each_clip_that_often(tmp_path):
    (tmp_path / "train").mkdir()
    for number in range(3):
        write_strip(tmp_path / "train" / f"{number}.png", frames=2, first=50 * number)
    pairs = build_pairs(FolderData(root=str(tmp_path), repeats=4, augmentation=PLAIN), 8, seed=0)
    visited = Counter(shade(pairs[number][0]) // 50 for number in range(12))
    assert visited == {0: 4, 1: 4, 2: 4}


@pytest.mark.parametrize("prepare", ["missing", "empty", "file"])
def test_a_folder_without_clips_is_the_users_error(tmp_path, prepare):
    root = tmp_path / "clips"
    if prepare == "empty":
        root.mkdir()
    elif prepare == "file":
        root.touch()
    with pytest.raises(UserError, match=re.escape(str(root))) as error:
        build_pairs(FolderData(root=str(root)), 8, seed=0)
    assert ";" in str(error.value)
    assert "\n" not in str(error.value)
    assert "--" not in str(error.value)  # a library knows nothing of options


# Damage that only reading finds


class Damaged:
    """A source whose odd items cannot be read."""

    def __len__(self) -> int:
        return 20

    def frames(self, item: int, *, generator: torch.Generator) -> torch.Tensor:
        numbers = frame_numbers(100, generator=generator)
        if item % 2:
            raise DamagedClipError(f"clip{item}.mp4: damaged; copy it again")
        return torch.full((2, 3, 4, 4), item / 20) + torch.tensor(numbers)[:, None, None, None] / 1e4


def test_the_place_of_a_damaged_clip_is_taken_by_the_epochs_next_that_is_whole():
    pairs = TrainingPairs(Damaged(), PLAIN, seed=3)
    order = np.random.default_rng((3, 1, 0)).permutation(20).tolist()
    for number in range(12):
        drawn = pairs.draw(number)
        following = order[number:] + order[:number]
        skipped = next(place for place, item in enumerate(following) if item % 2 == 0)
        assert int(drawn.frames[0, 0, 0, 0] * 20 + 0.01) == following[skipped]
        assert [line.split(".")[0] for line in drawn.damage] == [f"clip{item}" for item in following[:skipped]]


def test_damage_is_told_to_whoever_asks_for_a_pair_alone():
    pairs = TrainingPairs(Damaged(), PLAIN, seed=3)
    number = next(number for number in range(20) if pairs.draw(number).damage)
    with pytest.warns(UserWarning, match=r"clip\d+\.mp4: damaged"):
        pairs[number]


class Gone(Damaged):
    """A source on a disk that is no longer there."""

    def frames(self, item: int, *, generator: torch.Generator) -> torch.Tensor:
        raise DamagedClipError(f"clip{item}.mp4: there is no such file; check the path")


@pytest.mark.parametrize("workers", [0, 2])
def test_when_nothing_can_be_read_any_more_training_ends_in_one_line(workers):
    pairs = TrainingPairs(Gone(), PLAIN, seed=0)
    with pytest.raises(UserError) as error, loading(pairs, range(8), workers=workers) as (batches, _):
        list(batches)
    line = r"10 clips in a row cannot be read; the last: clip\d+\.mp4: there is no such file; check the path"
    assert re.fullmatch(line, str(error.value))


# Workers


@contextmanager
def loading(pairs: TrainingPairs, numbers: range, *, workers: int):
    said = list[str]()
    with pair_batches(pairs, numbers, batch_size=2, workers=workers, say=said.append) as batches:
        yield batches, said


@pytest.fixture
def mixed_folder(tmp_path: Path) -> str:
    """A strip, a folder of frames, an mp4 and a gif of one identity each, and a second strip of the first one."""
    train = tmp_path / "train"
    train.mkdir()
    write_strip(train / "a#1.png", frames=6, side=16)
    write_strip(train / "a#2.png", frames=4, side=16, first=100)
    write_folder_clip(train / "b#1.mp4", frames=5, side=16)
    shades = torch.linspace(0.1, 0.9, 12)[:, None, None, None].expand(-1, 3, 16, 16)
    write_clip(train / "c#1.mp4", shades)
    write_clip(train / "d#1.gif", shades)
    return str(tmp_path)


@pytest.mark.parametrize("id_sampling", [False, True])
def test_no_worker_one_and_two_give_the_same_pairs(mixed_folder, id_sampling):
    config = FolderData(root=mixed_folder, repeats=3, id_sampling=id_sampling)
    expected = None
    for workers in (0, 1, 2):
        pairs = build_pairs(config, 16, seed=7)  # anew, as another run would
        with loading(pairs, range(14), workers=workers) as (batches, said):
            loaded = torch.stack([batch.clone() for batch in batches])
        assert loaded.shape == (7, 2, 2, 3, 16, 16)
        assert not said
        expected = loaded if expected is None else expected
        assert torch.equal(loaded, expected)


def test_a_resumed_run_goes_on_with_the_pairs_of_an_unbroken_one(mixed_folder):
    config = FolderData(root=mixed_folder, repeats=3)
    with loading(build_pairs(config, 16, seed=7), range(20), workers=0) as (batches, _):
        unbroken = list(batches)
    with loading(build_pairs(config, 16, seed=7), range(8, 20), workers=2) as (batches, _):
        resumed = [batch.clone() for batch in batches]
    assert torch.equal(torch.stack(resumed), torch.stack(unbroken[4:]))


def test_workers_that_start_from_nothing_give_the_same_pairs(mixed_folder):
    pairs = build_pairs(FolderData(root=mixed_folder), 16, seed=7)
    again = pickle.loads(pickle.dumps(pairs))  # as a spawned process gets them
    assert torch.equal(again[3], pairs[3])


def test_each_damaged_clip_is_told_once(mixed_folder):
    pairs = build_pairs(FolderData(root=mixed_folder, repeats=4), 16, seed=0)
    content = bytearray((Path(mixed_folder) / "train" / "d#1.gif").read_bytes())
    (Path(mixed_folder) / "train" / "d#1.gif").write_bytes(content[: len(content) // 2])
    with loading(pairs, range(20), workers=2) as (batches, said):
        count = sum(len(batch) for batch in batches)
    assert count == 20
    assert len(said) == 1
    assert "d#1.gif: it changed since it was indexed" in said[0]


def test_a_killed_worker_ends_in_one_line(mixed_folder):
    class Deadly(Damaged):
        def frames(self, item: int, *, generator: torch.Generator) -> torch.Tensor:
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError

    pairs = TrainingPairs(Deadly(), PLAIN, seed=0)
    with pytest.raises(UserError, match=r"was killed .*; .*fewer workers"), loading(pairs, range(8), workers=1) as it:
        list(it[0])


@pytest.mark.parametrize(
    ("kind", "settings"), [(PuppetData, {"clips": 0}), (PuppetData, {"frames": 1}), (FolderData, {"repeats": 0})]
)
def test_data_that_has_no_pairs_is_refused(kind, settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        kind(**settings)
