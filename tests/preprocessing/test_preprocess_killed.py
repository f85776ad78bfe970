"""The command as a shell runs it: killed at any moment, twice at once, on Ray; what it leaves is always the same."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prioritycut.preprocessing.records import TIMES
from stand_in_jobs import write_brightening_video

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "faces"
SHORTEST = ("d0", "d3", "d10", "s20")
WORKERS = ("--workers", "2")
KILLS = 10

WHOLE, FACES = ("--subject", "whole", "--size", "64"), ("--subject", "face", "--size", "128")
needs_real_clips = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real clips are not at {REAL}")
MATERIAL = [
    pytest.param("drawn", WHOLE, id="drawn videos"),
    pytest.param("drawn", (*WHOLE, "--store", "shards"), id="drawn videos into shards"),
    pytest.param("real", FACES, id="real faces", marks=needs_real_clips),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Videos to work at for some seconds, by what they are."""
    drawn, real = (tmp_path_factory.mktemp(name) for name in ("drawn", "real"))
    for number in range(12):
        write_brightening_video(drawn / f"video{number:02d}.mp4", 60 + 8 * number, width=256, height=192)
    (drawn / "broken.mp4").write_bytes(b"no video")
    for name in SHORTEST if REAL.is_dir() else ():
        (real / f"{name}.mp4").symlink_to(REAL / f"{name}.mp4")
    return {"drawn": drawn, "real": real}


def command(videos: Path, output: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "prioritycut", "preprocess", "folder", str(videos), str(output), *options]


def run(videos: Path, output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(videos, output, *options), capture_output=True, text=True, check=True)


def manifest(output: Path) -> list[dict[str, object]]:
    """The manifest's lines but for their times, in the order in which they stand."""
    lines = [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def files(output: Path) -> dict[str, bytes]:
    """Everything but the manifest."""
    return {
        path.relative_to(output).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in output.rglob("*")
        if path.name != "manifest.jsonl"
    }


def assert_same(output: Path, unbroken: Path) -> None:
    found, wanted = files(output), files(unbroken)
    assert sorted(found) == sorted(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []
    assert manifest(output) == manifest(unbroken)


def kill_after(process: subprocess.Popen[bytes], output: Path, seconds: float, *, with_children: bool) -> bool:
    """SIGKILL it some time after its work began; whether it was still at work."""
    while not (output / ".work").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(seconds)
    if process.poll() is None:
        if with_children:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    return process.wait() == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options"), MATERIAL)
def test_killed_at_ten_random_moments_and_repeated_it_ends_as_an_unbroken_run(
    folders: dict[str, Path], tmp_path: Path, kind: str, options: tuple[str, ...]
) -> None:
    moments = random.Random(0)
    unbroken, output = tmp_path / "unbroken", tmp_path / "killed"
    begun = time.monotonic()
    run(folders[kind], unbroken, *options, *WORKERS)
    span = time.monotonic() - begun
    kills, done_between = 0, set[int]()
    while kills < KILLS:
        with subprocess.Popen(
            command(folders[kind], output, *options, *WORKERS),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            # Its processes die with it, or find themselves alone.
            seconds, with_children = moments.uniform(0, span), moments.random() < 0.5
            if kill_after(process, output, seconds, with_children=with_children):
                kills += 1
                done_between.add(len(manifest_lines(output)))
            else:
                assert_same(output, unbroken)
                shutil.rmtree(output)  # it was done before the moment came
    assert len(done_between) > 2, "it was always killed at the same point"
    run(folders[kind], output, *options, *WORKERS)
    assert_same(output, unbroken)


def manifest_lines(output: Path) -> list[bytes]:
    path = output / "manifest.jsonl"
    return path.read_bytes().splitlines() if path.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options"), MATERIAL[::2])
def test_ray_and_two_workers_give_the_same(
    folders: dict[str, Path], tmp_path: Path, kind: str, options: tuple[str, ...]
) -> None:
    run(folders[kind], tmp_path / "local", *options, *WORKERS)
    said = run(folders[kind], tmp_path / "ray", *options, *WORKERS, "--engine", "ray")
    assert_same(tmp_path / "ray", tmp_path / "local")
    assert len(manifest(tmp_path / "ray")) > 3
    assert said.stdout.count("\n") == 1
    assert said.stderr == ""


@pytest.mark.slow
def test_two_commands_at_once_share_the_work_and_end_as_one(folders: dict[str, Path], tmp_path: Path) -> None:
    run(folders["drawn"], tmp_path / "alone", *WHOLE, *WORKERS)
    both = [
        subprocess.Popen(
            command(folders["drawn"], tmp_path / "both", *WHOLE, *WORKERS),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for process in both:
        _, complaint = process.communicate()
        assert (process.returncode, complaint) == (0, b"")
    assert_same(tmp_path / "both", tmp_path / "alone")


def no_process_left(group: int) -> bool:
    """Whether a group of processes is empty, or soon is: Python's keeper of shared names ends a moment after all."""
    for _ in range(40):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_ctrl_c_ends_it_at_once_with_all_its_processes_and_says_how_far_it_got(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    with subprocess.Popen(
        command(folders["drawn"], output, *WHOLE, *WORKERS),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while len(manifest_lines(output)) < 3:
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        begun = time.monotonic()
        said, complaint = process.communicate()
        assert time.monotonic() - begun < 5
    assert process.returncode == 130
    assert said == ""
    assert complaint.startswith("prioritycut: stopped after ")
    assert complaint.endswith(" of 13 videos; repeat the command to go on\n")
    assert complaint.count("\n") == 1
    assert not (output / ".work").exists()
    assert no_process_left(process.pid)
    run(folders["drawn"], output, *WHOLE, *WORKERS)
    run(folders["drawn"], tmp_path / "unbroken", *WHOLE, *WORKERS)
    assert_same(output, tmp_path / "unbroken")
