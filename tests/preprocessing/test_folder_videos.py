"""Which files of a folder are videos, and which of those are held out for tests."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

import pytest

from prioritycut.errors import UserError
from prioritycut.preprocessing.folder import find_videos, folder_work, partitions
from prioritycut.preprocessing.plan import FolderRules
from prioritycut.preprocessing.records import ClipRecord


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names(videos: Path, output: Path | None = None) -> list[str]:
    return [video.name for video in find_videos(videos, output or videos.parent / "out")]


def test_videos_are_found_in_all_folders_in_order_and_nothing_else_is(tmp_path: Path) -> None:
    videos = touch(tmp_path / "videos", "b.mp4", "a/c.MOV", "a/b/d.gif", "notes.txt", "a.jpg", "x.mp4.part")
    touch(videos, ".hidden.mp4", ".cache/e.mp4", "a/.f.mp4")
    assert names(videos) == ["a/b/d.gif", "a/c.MOV", "b.mp4"]
    assert names(videos / "b.mp4") == ["b.mp4"]


def test_the_output_among_the_videos_is_left_out_but_videos_in_the_output_are_refused(tmp_path: Path) -> None:
    videos = touch(tmp_path / "videos", "a.mp4", "out/train/a#1.mp4")
    assert names(videos, videos / "out") == ["a.mp4"]
    for inside in (videos / "out", videos / "out" / "train"):
        with pytest.raises(UserError, match=r"lies in the output .*; choose an output outside"):
            names(inside, videos / "out")


def test_links_are_followed_once_however_they_turn(tmp_path: Path) -> None:
    videos = touch(tmp_path / "videos", "a.mp4")
    elsewhere = touch(tmp_path / "elsewhere", "b.mp4", "c.mp4")
    (videos / "more").symlink_to(elsewhere)
    (videos / "again").symlink_to(elsewhere)
    (videos / "round").symlink_to(videos)
    (videos / "z.mp4").symlink_to(videos / "a.mp4")
    (videos / "broken.mp4").symlink_to(videos / "nothing.mp4")
    assert names(videos) == ["a.mp4", "again/b.mp4", "again/c.mp4"]
    assert find_videos(videos, tmp_path / "out")[1].path == elsewhere / "b.mp4"


@pytest.mark.parametrize("name", ["empty", "notes.txt"])
def test_a_place_without_videos_says_what_was_expected(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "notes.txt", "empty/a.jpg")
    with pytest.raises(UserError, match=rf"0 videos in .*{name}, expected mp4, mov, .*; name another folder"):
        names(tmp_path / name)


def test_a_missing_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: no such file or folder"):
        names(tmp_path / "nowhere")


def test_a_name_that_is_no_text_becomes_one(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.mp4"
    Path(os.fsdecode(path)).touch()
    (video,) = find_videos(tmp_path, tmp_path / "out")
    assert video.name == "caf\\xe9.mp4"
    assert os.fsencode(video.path) == path


def lowest(names: list[str], seed: int, count: int) -> set[str]:
    """Those whose hashes rank lowest, as the rule has it."""
    return set(sorted(names, key=lambda name: blake2b(f"{seed}/{name}".encode(), digest_size=16).hexdigest())[:count])


@pytest.mark.parametrize(
    ("videos", "share", "held_out"), [(1, 0.2, 0), (2, 0.2, 1), (10, 0.2, 2), (13, 0.2, 3), (3, 0.9, 2), (10, 0.0, 0)]
)
def test_a_share_of_the_videos_is_held_out_by_their_names_alone(videos: int, share: float, held_out: int) -> None:
    everyone = [f"person{number}.mp4" for number in range(videos)]
    for seed in range(3):
        parts = partitions(everyone, {}, test_share=share, seed=seed)
        assert {name for name, part in parts.items() if part == "test"} == lowest(everyone, seed, held_out)
        assert parts == partitions(everyone[::-1], {}, test_share=share, seed=seed)


def test_a_half_done_run_divides_as_a_whole_one_would(tmp_path: Path) -> None:
    everyone = [f"person{number}.mp4" for number in range(20)]
    whole = partitions(everyone, {}, test_share=0.3, seed=5)
    for done in range(0, 20, 3):
        known = {name: whole[name] for name in everyone[:done]}
        assert partitions(everyone, known, test_share=0.3, seed=5) == whole


def test_what_is_added_later_moves_nobody() -> None:
    everyone = [f"person{number}.mp4" for number in range(30)]
    before = partitions(everyone[:10], {}, test_share=0.2, seed=0)
    after = partitions(everyone, before, test_share=0.2, seed=0)
    assert before.items() <= after.items()
    assert sum(part == "test" for part in after.values()) == 6


def test_folders_named_train_and_test_decide_themselves() -> None:
    parts = partitions(["train/a.mp4", "test/b.mp4", "test/c/d.mp4", "e.mp4"], {}, test_share=0.2, seed=0)
    assert parts == {"train/a.mp4": "train", "test/b.mp4": "test", "test/c/d.mp4": "test", "e.mp4": "train"}


def test_the_work_carries_the_rules_and_the_known_parts(tmp_path: Path) -> None:
    found = find_videos(touch(tmp_path / "videos", "a.mp4", "b.mp4"), tmp_path / "out")
    rules = FolderRules(subject="face", min_size=99, min_frames=5, max_frames=50, leaving="drop", test_share=0.5)
    first, *_ = (video.name for video in found if video.name in lowest(["a.mp4", "b.mp4"], 0, 1))
    known = [ClipRecord(clip=first, video=first, partition="train", outcome="made")]
    work = {each.video: each for each in folder_work(found, known, rules)}
    other = ({"a.mp4", "b.mp4"} - {first}).pop()
    assert (work[first].partition, work[other].partition) == ("train", "test")
    assert {
        (each.subject, each.min_size, each.min_frames, each.max_frames, each.leaving) for each in work.values()
    } == {("face", 99, 5, 50, "drop")}
    assert work["a.mp4"].path == tmp_path / "videos" / "a.mp4"


@pytest.mark.parametrize(
    ("field", "value"),
    [("test_share", 1.0), ("test_share", -0.1), ("min_size", 0), ("min_frames", 0), ("max_frames", 1)],
)
def test_rules_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field.replace("_", "-")):
        FolderRules(**{"subject": "face", "min_size": 64, field: value})  # type: ignore[arg-type]
