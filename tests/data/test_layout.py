"""How data sets lie, which clips a split has, and what is said when some are missing or cannot be read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from numbered_clips import number_shown, numbered_frame, write_numbered_video
from prioritycut.data.index import index_clip
from prioritycut.data.layout import clips_in, data_set_name, list_split, made_clips, open_split, split_clips
from prioritycut.data.media import to_bytes
from prioritycut.data.stored_files import IndexedClipFile
from prioritycut.errors import UserError
from prioritycut.evaluation.testsets import folder_set


def write_folder_clip(path: Path, frames: int = 2) -> None:
    path.mkdir(parents=True)
    for number in range(frames):
        Image.fromarray(numbered_frame(number)).save(path / f"{number}.png")


def write_manifest(root: Path, *records: dict[str, str]) -> None:
    (root / "manifest.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def made(clip: str, partition: str = "train", outcome: str = "made") -> dict[str, str]:
    return {"clip": clip, "partition": partition, "outcome": outcome, "file": f"{partition}/{clip}.mp4"}


def refusal(root: Path, split: str = "train", *words: str) -> str:
    with pytest.raises(UserError) as error:
        open_split(str(root), split)
    line = str(error.value)
    assert "\n" not in line
    assert ";" in line
    assert "--" not in line
    for word in words:
        assert word in line
    return line


@pytest.fixture
def said() -> list[str]:
    return []


# Which clips


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
        (tmp_path / f"{number}.mp4").mkdir()
    everything = split_clips(tmp_path, "all")
    train, test = split_clips(tmp_path, "train"), split_clips(tmp_path, "test")
    assert len(test) == held_out
    assert not set(train) & set(test)
    assert sorted({*train, *test}) == sorted(tmp_path.iterdir()) == everything
    assert (train, test) == (split_clips(tmp_path, "train"), split_clips(tmp_path, "test"))


def test_the_held_out_fifth_is_that_of_numpys_shuffle_with_seed_0(tmp_path):
    for number in range(10):
        (tmp_path / f"{number}.mp4").touch()
    chosen = sorted(np.random.RandomState(0).permutation(10)[:2].tolist())
    assert [path.stem for path in split_clips(tmp_path, "test")] == [str(number) for number in chosen]


@pytest.mark.parametrize("only", ["train", "test"])
def test_a_layout_with_one_half_never_serves_its_clips_for_the_other(tmp_path, only):
    (tmp_path / only).mkdir()
    for number in range(5):
        write_folder_clip(tmp_path / only / str(number), frames=1)
    refusal(tmp_path, "test" if only == "train" else "train", "neither")


def test_clips_are_media_and_folders_but_nothing_hidden(tmp_path):
    for name in ("a.mp4", "b.GIF", "c.png", "e.webp", "notes.txt", ".hidden.mp4", "list.csv", "old.tar"):
        (tmp_path / name).touch()
    (tmp_path / "d").mkdir()
    (tmp_path / ".git").mkdir()
    assert [path.name for path in clips_in(tmp_path)] == ["a.mp4", "b.GIF", "c.png", "d", "e.webp"]


@pytest.mark.parametrize(
    ("root", "name"),
    [("https://host.example/sets/vox/", "vox"), ("s3://bucket/taichi", "taichi"), ("some/where/bair", "bair")],
)
def test_a_data_set_is_called_by_the_last_part_of_where_it_lies(root, name):
    assert data_set_name(root) == name


# Every layout


def test_every_layout_is_read_at_random_and_from_the_start(tmp_path):
    train = tmp_path / "train"
    train.mkdir()
    pictures = [Image.fromarray(numbered_frame(number)) for number in range(6)]
    for suffix in ("gif", "webp"):
        pictures[0].save(train / f"moving.{suffix}", save_all=True, append_images=pictures[1:], duration=40)
    strip = np.concatenate([numbered_frame(number) for number in range(6)], axis=1)
    Image.fromarray(strip).convert("L").save(train / "strip.png")
    write_folder_clip(train / "folder.mp4", 6)
    codecs = {"mp4": "libx264", "mov": "libx264", "mkv": "libx264", "webm": "libvpx-vp9", "avi": "mpeg4"}
    for suffix, codec in codecs.items():
        write_numbered_video(train / f"video.{suffix}", 6, codec=codec)
    clips = open_split(str(tmp_path), "train")
    assert [clip.name for clip in clips] == sorted(path.name for path in train.iterdir() if path.name[0] != ".")
    for clip in clips:
        assert clip.frame_count == 6
        assert [number_shown(pixels) for pixels in clip.frames([4, 1])] == [4, 1]
    for clip in list_split(str(tmp_path), "train"):
        with clip.open() as reader:
            assert [number_shown(to_bytes(frame)) for frame in reader] == list(range(6))


def test_a_folder_of_tar_files_alone_is_read_as_shards(tmp_path, monkeypatch):
    asked = list[tuple[str, str]]()

    def open_shards(root: str, split: str, **watchers: object) -> list[object]:
        asked.append((root, split))
        return []

    shards = ModuleType("prioritycut.data.shards")
    shards.open_shards = open_shards
    monkeypatch.setitem(sys.modules, "prioritycut.data.shards", shards)
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "000000.tar").touch()
    assert open_split(str(tmp_path), "train") == []
    assert list_split("https://host.example/vox", "test") == []
    assert asked == [(str(tmp_path), "train"), ("https://host.example/vox", "test")]
    # A tar beside clips is what they came out of.
    write_numbered_video(tmp_path / "test" / "a.mp4", 3)
    assert [clip.name for clip in open_split(str(tmp_path), "test")] == ["a.mp4"]


def test_test_clips_may_come_from_shards(tmp_path, monkeypatch):
    shards = ModuleType("prioritycut.data.shards")
    path = write_numbered_video(tmp_path / "a.mp4", 5)
    shards.open_shards = lambda root, split, **watchers: [IndexedClipFile(path, index_clip(path))]
    monkeypatch.setitem(sys.modules, "prioritycut.data.shards", shards)
    tests = folder_set("https://host.example/sets/vox", 64)
    assert (tests.name, [clip.name for clip in tests.clips]) == ("vox", ["a.mp4"])
    shown = [number_shown(to_bytes(frame)) for batch in tests.clips[0].open(2) for frame in batch.frames]
    assert shown == [0, 1, 2, 3, 4]


# What is missing or bad


def test_clips_that_cannot_be_read_are_counted_named_and_left_out(tmp_path, said):
    (tmp_path / "train").mkdir()
    for name in ("c.mp4", "e.mp4"):
        write_numbered_video(tmp_path / "train" / name, 3)
    (tmp_path / "train" / "a.mp4").write_text("404 not found\n" * 50)
    (tmp_path / "train" / "b.mp4").touch()
    (tmp_path / "train" / "d").mkdir()
    clips = open_split(str(tmp_path), "train", say=said.append)
    assert [clip.name for clip in clips] == ["c.mp4", "e.mp4"]
    assert len(said) == 1
    assert said[0].startswith(f"3 of 5 clips in {tmp_path / 'train'} cannot be read and are left out (first: a.mp4: ")
    assert said[0].endswith("; also b.mp4, d)")


def test_a_library_user_is_warned(tmp_path):
    write_numbered_video(tmp_path / "a.mp4", 3)
    (tmp_path / "b.mp4").touch()
    with pytest.warns(UserWarning, match=r"1 of 2 clips .* \(first: b\.mp4: the file is empty"):
        open_split(str(tmp_path), "all")


def test_where_no_clip_can_be_read_the_first_fault_is_told(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    refusal(tmp_path, "train", "0 of 2 clips can be read", "a.mp4: the file is empty")


def test_clips_of_a_single_frame_serve_but_are_told(tmp_path, said):
    write_numbered_video(tmp_path / "one.mp4", 1)
    write_numbered_video(tmp_path / "two.mp4", 2)
    clips = open_split(str(tmp_path), "all", say=said.append)
    assert [clip.frame_count for clip in clips] == [1, 2]
    assert [number_shown(pixels) for pixels in clips[0].frames([0, 0])] == [0, 0]
    assert len(said) == 1
    assert "1 clip " in said[0]
    assert "first: one.mp4" in said[0]


def test_an_empty_data_set_tells_what_was_expected(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "notes.txt").touch()
    line = refusal(tmp_path, "train", f"0 clips in {tmp_path / 'train'}, expected ")
    for layout in ("mp4", "gif", "folders of frames", "strips", "tar"):
        assert layout in line


def test_an_emptied_data_set_tells_how_many_clips_its_manifest_promised(tmp_path):
    (tmp_path / "train").mkdir()
    write_manifest(tmp_path, made("a"), made("b"), made("c", outcome="removed"), made("d", "test"))
    refusal(tmp_path, "train", f"0 clips in {tmp_path / 'train'}, expected 2 by manifest.jsonl")


def test_a_half_empty_data_set_is_told_and_the_rest_goes_on(tmp_path, said):
    (tmp_path / "train").mkdir()
    write_numbered_video(tmp_path / "train" / "a.mp4", 3)
    write_manifest(tmp_path, made("a"), made("b"), made("c"))
    assert len(open_split(str(tmp_path), "train", say=said.append)) == 1
    assert said == [f"1 clip in {tmp_path / 'train'}, expected 3 by manifest.jsonl"]


def test_a_whole_data_set_with_its_manifest_is_not_worth_a_word(tmp_path, said):
    (tmp_path / "train").mkdir()
    write_numbered_video(tmp_path / "train" / "a.mp4", 3)
    write_manifest(tmp_path, made("a"), made("b", outcome="too small"), made("c", "test"))
    open_split(str(tmp_path), "train", say=said.append)
    assert said == []


def test_of_a_manifest_the_last_word_on_a_clip_counts_and_a_torn_line_does_not(tmp_path):
    write_manifest(
        tmp_path, made("a", outcome="network"), made("b"), made("a"), made("b", outcome="corrupt"), made("c")
    )
    with (tmp_path / "manifest.jsonl").open("a") as file:
        file.write('{"clip": "d", "partition": "train", "outco')
    assert made_clips(tmp_path, "train") == 2
    assert made_clips(tmp_path / "elsewhere", "train") is None


def test_too_few_clips_for_a_random_fifth_are_told(tmp_path):
    write_numbered_video(tmp_path / "a.mp4", 3)
    refusal(tmp_path, "test", "at least three clips")


def test_a_missing_folder_is_told(tmp_path):
    refusal(tmp_path / "nowhere", "train", str(tmp_path / "nowhere"), "no such folder")


def test_the_shown_frames_keep_their_colours(tmp_path):
    """Random access gives bytes; as floats they are what `open_clip` gives."""
    write_numbered_video(tmp_path / "a.mp4", 3)
    (clip,) = open_split(str(tmp_path), "all")
    with clip.open() as reader:
        frames = list(reader)
    found = torch.from_numpy(np.stack(clip.frames([0, 1, 2]))).permute(0, 3, 1, 2) / 255
    assert torch.equal(found, torch.stack(frames))
