"""Training pairs: the same for the same number, every clip once an epoch, folders as people keep them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from prioritycut.data.augment import Augmentation
from prioritycut.data.datasets import (
    FolderData,
    FolderPairs,
    PuppetData,
    PuppetPairs,
    TrainingPairs,
    build_pairs,
    clips_in,
    frame_numbers,
    split_clips,
)
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
    pairs = FolderPairs(FolderData(root=tmp_path, repeats=1), 8)
    rng, seen = generator(0), set[int]()
    for _ in range(60):
        source, driving = (shade(frame) for frame in pairs.frames(0, generator=rng))
        assert source <= driving
        seen |= {source, driving}
    assert seen == {0, 10, 20, 30, 40}


def test_frames_come_at_the_asked_size(tmp_path):
    (tmp_path / "train").mkdir()
    write_strip(tmp_path / "train" / "a.png", side=32)
    assert build_pairs(FolderData(root=tmp_path), 16, seed=0)[0].shape == (2, 3, 16, 16)


def test_a_layout_of_train_and_test_is_kept(tmp_path):
    for split, names in (("train", ("b.png", "a.png", "c.mp4")), ("test", ("d.gif",))):
        (tmp_path / split).mkdir()
        for name in names:
            (tmp_path / split / name).touch()
    assert [path.name for path in split_clips(tmp_path, "train")] == ["a.png", "b.png", "c.mp4"]
    assert [path.name for path in split_clips(tmp_path, "test")] == ["d.gif"]


@pytest.mark.parametrize(("clips", "held_out"), [(10, 2), (25, 5), (7, 1)])
def test_without_a_layout_a_fifth_is_held_out(tmp_path, clips, held_out):
    for number in range(clips):
        write_folder_clip(tmp_path / f"{number}.mp4", frames=1)
    train, test = split_clips(tmp_path, "train"), split_clips(tmp_path, "test")
    assert len(test) == held_out
    assert not set(train) & set(test)
    assert sorted({*train, *test}) == sorted(tmp_path.iterdir())
    assert (train, test) == (split_clips(tmp_path, "train"), split_clips(tmp_path, "test"))


@pytest.mark.parametrize("only", ["train", "test"])
def test_a_layout_with_one_half_never_serves_its_clips_for_the_other(tmp_path, only):
    (tmp_path / only).mkdir()
    for number in range(5):
        write_folder_clip(tmp_path / only / str(number), frames=1)
    other = "test" if only == "train" else "train"
    with pytest.raises(UserError):
        split_clips(tmp_path, other)


def test_clips_are_media_and_folders_but_nothing_hidden(tmp_path):
    for name in ("a.mp4", "b.GIF", "c.png", "notes.txt", ".hidden.mp4", "list.csv"):
        (tmp_path / name).touch()
    (tmp_path / "d").mkdir()
    (tmp_path / ".git").mkdir()
    assert [path.name for path in clips_in(tmp_path)] == ["a.mp4", "b.GIF", "c.png", "d"]


def test_identity_sampling_makes_one_item_an_identity(tmp_path):
    (tmp_path / "train").mkdir()
    shades = {"ann#1#0.png": 0, "ann#2#0.png": 50, "bob#1#0.png": 100}
    for name, first in shades.items():
        write_strip(tmp_path / "train" / name, frames=2, first=first)
    by_clip = FolderPairs(FolderData(root=tmp_path, repeats=3), 8)
    by_person = FolderPairs(FolderData(root=tmp_path, repeats=3, id_sampling=True), 8)
    assert len(by_clip) == 9
    assert len(by_person) == 6
    rng = generator(2)
    seen = [{shade(by_person.frames(item, generator=rng)[0]) // 50 for _ in range(30)} for item in range(2)]
    assert seen == [{0, 1}, {2}]


def test_repeats_visit_each_clip_that_often(tmp_path):
    (tmp_path / "train").mkdir()
    for number in range(3):
        write_strip(tmp_path / "train" / f"{number}.png", frames=2, first=50 * number)
    pairs = TrainingPairs(FolderPairs(FolderData(root=tmp_path, repeats=4), 8), PLAIN, seed=0)
    visited = Counter(shade(pairs[number][0]) // 50 for number in range(12))
    assert visited == {0: 4, 1: 4, 2: 4}


@pytest.mark.parametrize("prepare", ["missing", "empty", "file"])
def test_a_folder_without_clips_is_the_users_error(tmp_path, prepare):
    root = tmp_path / "clips"
    if prepare == "empty":
        root.mkdir()
    elif prepare == "file":
        root.touch()
    with pytest.raises(UserError, match=r"--data\.root FOLDER") as error:
        build_pairs(FolderData(root=root), 8, seed=0)
    assert str(root) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "settings"), [(PuppetData, {"clips": 0}), (PuppetData, {"frames": 1}), (FolderData, {"repeats": 0})]
)
def test_data_that_has_no_pairs_is_refused(kind, settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        kind(**settings)
