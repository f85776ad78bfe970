"""The index of a folder: true facts, looked up once, again only after a change; bad clips are named and left out."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from numbered_clips import numbered_frame, write_numbered_video
from prioritycut.data import index
from prioritycut.data.facts import ClipFacts, facts_from_json, facts_to_json, from_runs, to_runs
from prioritycut.data.index import INDEX_NAME, index_clip, index_clips
from prioritycut.data.layout import clips_in
from prioritycut.data.stored import DamagedClipError
from prioritycut.data.stored_files import IndexedClipFile


def write_frames(folder: Path, count: int = 3, size: tuple[int, int] = (64, 64)) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(numbered_frame(number)).resize(size).save(folder / f"{number}.png")
    return folder


def write_strip(path: Path, count: int = 4) -> Path:
    Image.fromarray(np.concatenate([numbered_frame(number) for number in range(count)], axis=1)).save(path)
    return path


def write_gif(path: Path, count: int = 5) -> Path:
    first, *others = (Image.fromarray(numbered_frame(number)) for number in range(count))
    first.save(path, save_all=True, append_images=others, duration=50)
    return path


def indexed(folder: Path) -> dict[str, ClipFacts]:
    return {facts.name: facts for facts in index_clips(folder, clips_in(folder))}


# Runs of numbers


@pytest.mark.parametrize(
    ("numbers", "runs"),
    [
        ([], ()),
        ([7], (7,)),
        ([0, 2, 4, 6, 9], (0, 2, 3, 3, 1)),
        ([5, 5, 5], (5, 0, 2)),
        ([0, 33, 67], (0, 33, 1, 34, 1)),
    ],
)
def test_runs_are_a_first_number_and_steps_with_how_often_each_comes(numbers, runs):
    assert to_runs(numbers) == runs
    assert from_runs(runs) == numbers


def test_any_numbers_come_back_from_their_runs():
    draws = np.random.default_rng(0)
    for _ in range(50):
        numbers = np.cumsum(draws.integers(-2, 3, draws.integers(0, 40))).tolist()
        assert from_runs(to_runs(numbers)) == numbers


def test_a_constant_rate_is_one_run_however_long():
    assert to_runs(range(0, 512 * 100_000, 512)) == (0, 512, 99_999)


# Facts


def test_a_videos_facts_are_those_of_its_encoding(tmp_path):
    options = {"g": "10", "bf": "2", "sc_threshold": "0"}
    path = write_numbered_video(tmp_path / "a.mp4", 45, width=96, rate=30, options=options)
    facts = index_clip(path)
    assert (facts.name, facts.kind, facts.frames, facts.width, facts.height) == ("a.mp4", "video", 45, 96, 64)
    assert facts.frame_rate == 30
    assert from_runs(facts.keyframes) == [0, 10, 20, 30, 40]
    steps = np.diff(from_runs(facts.times))
    assert (steps == steps[0]).all()
    assert len(facts.times) == 3
    assert facts.bytes == path.stat().st_size
    assert facts.hash == hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def test_times_of_a_varying_rate_are_kept_in_the_order_of_display(tmp_path):
    times = [0, 40, 80, 280, 320, 700, 740, 1000, 1040, 1500]
    facts = index_clip(write_numbered_video(tmp_path / "a.mkv", 10, times=times, options={"bf": "2"}))
    shown = from_runs(facts.times)
    assert [time - shown[0] for time in shown] == times
    assert 5 < facts.frame_rate <= 25


def test_pictures_have_facts_too(tmp_path):
    write_frames(tmp_path / "folder.mp4", 12, (8, 6))
    write_strip(tmp_path / "strip.png", 4)
    write_gif(tmp_path / "moving.gif", 5)
    facts = indexed(tmp_path)
    told = {name: (each.kind, each.frames, each.width, each.height, each.frame_rate) for name, each in facts.items()}
    assert told == {
        "folder.mp4": ("folder", 12, 8, 6, 25),
        "moving.gif": ("animation", 5, 64, 64, 20),
        "strip.png": ("strip", 4, 64, 64, 25),
    }
    members = sorted((tmp_path / "folder.mp4").iterdir())
    assert facts["folder.mp4"].members.split("/") == [f"{number}.png" for number in range(12)]
    content = b"".join(path.read_bytes() for path in members)
    assert (facts["folder.mp4"].bytes, facts["folder.mp4"].hash) == (
        len(content),
        hashlib.blake2b(content, digest_size=16).hexdigest(),
    )


def test_facts_survive_their_line():
    facts = ClipFacts(name='a "ä"\n.mp4', frames=3, rate=str(Fraction(30000, 1001)), times=(0, 1, 2), fault="x; y")
    line = facts_to_json(facts)
    assert b"\n" not in line
    assert facts_from_json(line) == facts
    for broken in (line[:-5], b"", b"[]", b"\xff\xfe", b'{"name": 3}'):
        assert facts_from_json(broken) is None


# Looked up once


@pytest.fixture
def looked_at(monkeypatch) -> list[str]:
    """Names of the clips that were looked at, not looked up."""
    names = list[str]()

    def look(path: Path) -> ClipFacts:
        names.append(path.name)
        return index_clip(path)

    monkeypatch.setattr(index, "index_clip", look)
    return names


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    write_frames(folder / "a")
    write_strip(folder / "b.png")
    write_gif(folder / "c.gif")
    write_numbered_video(folder / "d.mp4", 8)
    return folder


def test_clips_are_looked_at_once(clips, looked_at):
    first = indexed(clips)
    assert sorted(looked_at) == ["a", "b.png", "c.gif", "d.mp4"]
    looked_at.clear()
    assert indexed(clips) == first
    assert looked_at == []


def test_what_changed_is_looked_at_again_and_what_went_leaves(clips, looked_at):
    indexed(clips)
    looked_at.clear()
    write_strip(clips / "b.png", 7)
    Image.new("RGB", (64, 64)).save(clips / "a" / "3.png")
    os.utime(clips / "c.gif", ns=(1, 1))
    (clips / "d.mp4").unlink()
    facts = indexed(clips)
    assert sorted(looked_at) == ["a", "b.png", "c.gif"]
    assert (facts["b.png"].frames, facts["a"].frames) == (7, 4)
    lines = (clips / INDEX_NAME).read_text().splitlines()[1:]
    assert [json.loads(line)["name"] for line in lines] == ["a", "b.png", "c.gif"]


def test_some_clips_of_a_folder_leave_the_facts_of_the_others(clips, looked_at):
    indexed(clips)
    looked_at.clear()
    (facts,) = index_clips(clips, [clips / "d.mp4"])
    assert facts.frames == 8
    assert len(indexed(clips)) == 4
    assert looked_at == []


def test_an_index_that_is_damaged_or_of_another_version_is_made_anew(clips, looked_at):
    good = indexed(clips)
    lines = (clips / INDEX_NAME).read_bytes()
    for content in (lines[: len(lines) // 2], b"", b"\x00\xff", lines.replace(b'index":1', b'index":0', 1)):
        (clips / INDEX_NAME).write_bytes(content)
        assert indexed(clips) == good
        assert (clips / INDEX_NAME).read_bytes() == lines


def test_where_the_folder_takes_no_index_it_lies_in_the_users_cache(clips, tmp_path, looked_at, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (clips / INDEX_NAME).mkdir()  # nothing can be written there, even by root
    first = indexed(clips)
    looked_at.clear()
    assert indexed(clips) == first
    assert looked_at == []
    assert len(list((tmp_path / "cache" / "prioritycut").rglob("*.jsonl"))) == 1
    assert not list(clips.glob(".*.partial"))


def test_where_nothing_can_be_written_clips_are_looked_at_each_time(clips, tmp_path, looked_at, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (clips / INDEX_NAME).mkdir()
    assert indexed(clips) == indexed(clips)
    assert len(looked_at) == 8


def test_progress_is_told_of_what_is_looked_at(clips):
    told = list[tuple[int, int]]()
    index_clips(clips, clips_in(clips), advance=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    index_clips(clips, clips_in(clips), advance=lambda done, total: told.append((done, total)))
    assert len(told) == 4


def test_what_was_found_before_an_interruption_is_kept(clips, looked_at):
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_clips(clips, clips_in(clips), advance=stop)
    looked_at.clear()
    indexed(clips)
    assert len(looked_at) == 1


def test_two_processes_that_index_at_once_do_no_harm(clips):
    for number in range(20):
        write_strip(clips / f"more{number}.png", 2 + number)
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=index_clips, args=(clips, clips_in(clips))) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
        assert process.exitcode == 0
    lines = (clips / INDEX_NAME).read_bytes().splitlines()[1:]
    assert [facts_from_json(line) for line in lines] == sorted(indexed(clips).values(), key=lambda facts: facts.name)
    assert not list(clips.glob(".*.partial"))


# Bad clips


def cut_off(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def spoil(kind: str, folder: Path) -> str:
    """Make a bad clip of a kind; its name."""
    match kind:
        case "truncated mp4":
            cut_off(write_numbered_video(folder / "x.mp4"), 0.5)
        case "truncated mp4, index in front":
            cut_off(write_numbered_video(folder / "x.mp4", container_options={"movflags": "+faststart"}), 0.8)
        case "truncated mkv":
            cut_off(write_numbered_video(folder / "x.mkv"), 0.6)
        case "truncated gif":
            cut_off(write_gif(folder / "x.gif"), 0.6)
        case "truncated strip":
            cut_off(write_strip(folder / "x.png"), 0.6)
        case "empty file":
            (folder / "x.mp4").touch()
        case "text":
            (folder / "x.mp4").write_text("404 not found\n" * 50)
        case "no frames":
            with av.open(str(folder / "x.mkv"), "w") as container:
                stream = container.add_stream("libx264", rate=25)
                stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
                container.start_encoding()
        case "sound alone":
            with av.open(str(folder / "x.mp4"), "w") as container:
                stream = container.add_stream("aac", rate=48000)
                frame = av.AudioFrame.from_ndarray(np.zeros((2, 4800), np.float32), format="fltp", layout="stereo")
                frame.sample_rate = 48000
                container.mux(stream.encode(frame))
                container.mux(stream.encode())
        case "single picture":
            Image.new("RGB", (50, 40)).save(folder / "x.jpg")
        case "empty folder":
            (folder / "x").mkdir()
        case "folder of mixed sizes":
            Image.new("RGB", (50, 40)).save(write_frames(folder / "x") / "9.png")
        case "folder with a broken picture":
            (write_frames(folder / "x") / "1.png").write_text("no picture")
        case "dangling link":
            (folder / "x.mp4").symlink_to(folder / "nowhere.mp4")
        case _:
            raise AssertionError(kind)
    return next(path.name for path in clips_in(folder) if path.stem == "x")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("truncated mp4", "lost its index"),
        ("truncated mp4, index in front", "breaks off"),
        ("truncated mkv", "breaks off"),
        ("truncated gif", "damaged"),
        ("truncated strip", "damaged"),
        ("empty file", "empty"),
        ("text", "no video that can be read"),
        ("no frames", "no"),
        ("sound alone", "no video"),
        ("single picture", "50x40"),
        ("empty folder", "holds no image"),
        ("folder of mixed sizes", "9.png: the image is 50x40"),
        ("folder with a broken picture", "1.png"),
        ("dangling link", "no such file"),
    ],
)
def test_a_bad_clip_is_named_with_its_fault_and_the_rest_goes_on(tmp_path, kind, words):
    name = spoil(kind, tmp_path)
    write_numbered_video(tmp_path / "good.mp4", 6)
    facts = indexed(tmp_path)
    assert words in facts[name].fault
    assert "\n" not in facts[name].fault
    assert str(tmp_path) not in facts[name].fault
    assert facts[name].frames == 0
    assert (facts["good.mp4"].fault, facts["good.mp4"].frames) == (None, 6)


def test_a_mended_clip_is_taken_back(tmp_path):
    content = write_numbered_video(tmp_path / "a.mp4", 6).read_bytes()
    cut_off(tmp_path / "a.mp4", 0.5)
    assert indexed(tmp_path)["a.mp4"].fault is not None
    (tmp_path / "a.mp4").write_bytes(content)
    assert indexed(tmp_path)["a.mp4"].frames == 6


def test_a_file_that_grows_while_it_is_looked_at_is_still_being_written(tmp_path, monkeypatch):
    path = write_numbered_video(tmp_path / "a.mp4", 6)
    look = index.index_video

    def growing(path: Path):
        found = look(path)
        with path.open("ab") as file:
            file.write(b"more")
        return found

    monkeypatch.setattr(index, "index_video", growing)
    assert "still writes to it" in index_clip(path).fault


@pytest.mark.parametrize("change", ["grown", "replaced", "gone"])
def test_a_clip_that_changed_after_it_was_looked_at_is_refused_by_name(tmp_path, change):
    path = write_numbered_video(tmp_path / "a.mp4", 6)
    clip = IndexedClipFile(path, index_clip(path))
    assert len(clip.frames([0, 5])) == 2
    if change == "grown":
        with path.open("ab") as file:
            file.write(b"more")
    elif change == "replaced":
        write_numbered_video(path, 6, width=96)
    else:
        path.unlink()
    with pytest.raises(DamagedClipError, match=r"a\.mp4: it changed since it was indexed") as error:
        clip.frames([0, 5])
    assert "\n" not in str(error.value)


def test_threads_may_read_one_clip_at_once(tmp_path):
    path = write_numbered_video(tmp_path / "a.mp4", 60, options={"g": "10"})
    clip = IndexedClipFile(path, index_clip(path))
    truth, wrong = clip.frames(range(60)), list[int]()

    def read(seed: int) -> None:
        for number in np.random.default_rng(seed).integers(60, size=30).tolist():
            if not np.array_equal(clip.frames([number])[0], truth[number]):
                wrong.append(number)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
