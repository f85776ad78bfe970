"""Runs over many videos: interrupted, repeated, two at once, on a full disk; what each video gives is a stand-in's."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prioritycut.errors import UserError
from prioritycut.preprocessing.claims import at_work, claim
from prioritycut.preprocessing.jobs import Job
from prioritycut.preprocessing.manifest import manifest_path, read_manifest
from prioritycut.preprocessing.plan import Plan, read_plan
from prioritycut.preprocessing.records import ClipRecord
from prioritycut.preprocessing.running import RunOptions, Standing, Summary, preprocess
from stand_in_jobs import plan, stand_in, videos, without_times

NAMES = [f"video{number}" for number in range(8)]
HERE = RunOptions(workers=0)


class Counting:
    """Does jobs and counts how often each was begun, and how many were at work on the same one."""

    def __init__(self, doing: Callable[[Job], list[ClipRecord]] = stand_in, *, pause: float = 0.0) -> None:
        self.begun, self.at_work, self.most = Counter[str](), Counter[str](), 0
        self._doing, self._pause, self._lock = doing, pause, threading.Lock()

    def __call__(self, job: Job) -> list[ClipRecord]:
        video = job.work.video
        with self._lock:
            self.begun[video] += 1
            self.at_work[video] += 1
            self.most = max(self.most, self.at_work[video])
        time.sleep(self._pause)
        try:
            return self._doing(job)
        finally:
            with self._lock:
                self.at_work[video] -= 1


def go(
    output: Path,
    *names: str,
    doing: Callable[[Job], list[ClipRecord]] = stand_in,
    options: RunOptions = HERE,
    what: Plan | None = None,
    said: list[str] | None = None,
) -> Summary:
    say = (lambda line: None) if said is None else said.append
    return preprocess(videos(*names), what or plan(len(names)), output, options, say=say, doing=doing)


def files(output: Path) -> dict[str, bytes]:
    """Everything but the manifest."""
    return {
        path.relative_to(output).as_posix(): path.read_bytes()
        for path in output.rglob("*")
        if path.is_file() and path.name != "manifest.jsonl"
    }


def test_a_run_accounts_for_every_video_and_leaves_nothing_behind(tmp_path: Path) -> None:
    made = go(tmp_path / "out", *NAMES, "corrupt-a", "corrupt-b", "network-c")
    assert made.outcomes == {"made": 16, "corrupt": 2, "network": 1}
    assert made.bytes == sum(path.stat().st_size for path in (tmp_path / "out" / "train").iterdir())
    assert made.tried == 11
    assert made.manifest == tmp_path / "out" / "manifest.jsonl"
    lines = [json.loads(line)["clip"] for line in made.manifest.read_text().splitlines()]
    assert lines == sorted(lines)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.jsonl", "preprocess.json", "train"]


def test_repeated_it_does_nothing_again_but_what_failed_for_a_passing_reason(tmp_path: Path) -> None:
    go(tmp_path / "out", *NAMES, "corrupt-a", "network-b")
    counting = Counting()
    made = go(tmp_path / "out", *NAMES, "corrupt-a", "network-b", "new", doing=counting)
    assert counting.begun == {"network-b": 1, "new": 1}
    assert made.outcomes == {"made": 20, "corrupt": 1}


def test_other_outcomes_are_tried_again_if_asked(tmp_path: Path) -> None:
    go(tmp_path / "out", "a", "corrupt-b", "network-c")
    counting = Counting()
    go(tmp_path / "out", "a", "corrupt-b", "network-c", doing=counting, options=replace(HERE, retry=("corrupt",)))
    assert counting.begun == {"corrupt-b": 1, "network-c": 1}


def test_clips_that_are_gone_are_made_again_if_asked(tmp_path: Path) -> None:
    go(tmp_path / "out", "a", "b")
    before = files(tmp_path / "out")
    (tmp_path / "out" / "train" / "a#1.mp4").unlink()
    counting = Counting()
    go(tmp_path / "out", "a", "b", doing=counting)
    assert counting.begun == {}
    go(tmp_path / "out", "a", "b", doing=counting, options=replace(HERE, retry=("made",)))
    assert counting.begun == {"a": 1}
    assert files(tmp_path / "out") == before


def test_a_limited_run_does_the_first_videos_only_and_a_whole_one_goes_on(tmp_path: Path) -> None:
    made = go(tmp_path / "out", *NAMES, options=replace(HERE, limit=3))
    assert made.outcomes == {"made": 6}
    assert read_plan(tmp_path / "out").asked.videos == 8
    counting = Counting()
    go(tmp_path / "out", *NAMES, doing=counting)
    assert sorted(counting.begun) == NAMES[3:]


def test_other_settings_are_refused_by_the_first_that_differs(tmp_path: Path) -> None:
    go(tmp_path / "out", "a")
    before = files(tmp_path / "out")
    for what, said in (
        (plan(size=128), "was begun with --size 64, now it is 128"),
        (plan(seed=3), "was begun with --seed 0, now it is 3"),
    ):
        with pytest.raises(UserError, match=f"out: {said}; repeat it as before or choose another output"):
            go(tmp_path / "out", "a", "b", what=what)
    assert files(tmp_path / "out") == before
    options = RunOptions(workers=0, retry=("corrupt",), limit=1)  # how it is done does not matter
    go(tmp_path / "out", "a", "b", what=replace(plan(), source="moved"), options=options)


def test_where_no_clip_can_be_made_the_commonest_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not one clip could be made; 2 of 2 for the same reason \(corrupt: it is dam"):
        go(tmp_path / "out", "corrupt-a", "corrupt-b")
    assert len(read_manifest(manifest_path(tmp_path / "out"))) == 2


def test_ctrl_c_says_how_far_it_got_and_the_next_run_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="stopped after 2 of 4 videos; repeat the command to go on"):
        go(tmp_path / "out", "a", "b", "ctrlc", "d")
    assert len(read_manifest(manifest_path(tmp_path / "out"))) == 4
    assert not (tmp_path / "out" / ".work").exists()
    with pytest.raises(KeyboardInterrupt, match="stopped after 2 of 3 videos"):
        go(tmp_path / "out", "a", "b", "ctrlc")
    counting = Counting()
    go(tmp_path / "out", "a", "b", "d", doing=counting)
    assert counting.begun == {"d": 1}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_full_disk_ends_the_run_in_one_line_and_loses_nothing(tmp_path: Path, workers: int) -> None:
    names = ["a", "b", "full-c", "d"]
    with pytest.raises(UserError, match="disk full while writing it; free space") as caught:
        go(tmp_path / "out", *names, options=RunOptions(workers=workers))
    assert "\n" not in str(caught.value)
    done = {record.video for record in read_manifest(manifest_path(tmp_path / "out"))}
    assert {"a", "b"} <= done <= {"a", "b", "d"}
    assert not (tmp_path / "out" / ".work").exists()


def test_a_watcher_sees_the_videos_and_their_clips_add_up(tmp_path: Path) -> None:
    go(tmp_path / "out", "a", "corrupt-b", "network-c")
    seen = list[Standing]()
    preprocess(
        videos("a", "corrupt-b", "network-c", "d"),
        plan(),
        tmp_path / "out",
        HERE,
        say=lambda line: None,
        watch=seen.append,
        doing=stand_in,
    )
    assert [(each.done, each.of) for each in seen] == [(2, 4), (3, 4), (4, 4)]
    assert [dict(each.outcomes) for each in seen] == [
        {"made": 2, "corrupt": 1, "network": 1},
        {"made": 4, "corrupt": 1},
        {"made": 6, "corrupt": 1},
    ]


def test_two_runs_at_once_share_the_work_and_end_as_one_run(tmp_path: Path) -> None:
    go(tmp_path / "alone", *NAMES, "corrupt-a")
    counting, summaries = Counting(pause=0.02), list[Summary]()
    threads = [
        threading.Thread(target=lambda: summaries.append(go(tmp_path / "both", *NAMES, "corrupt-a", doing=counting)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counting.begun == dict.fromkeys([*NAMES, "corrupt-a"], 1)
    assert [dict(summary.outcomes) for summary in summaries] == [{"made": 16, "corrupt": 1}] * 3
    assert files(tmp_path / "both") == files(tmp_path / "alone")
    alone, both = (read_manifest(manifest_path(tmp_path / name)) for name in ("alone", "both"))
    assert without_times(both) == without_times(alone)
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["manifest.jsonl", "preprocess.json", "train"]


def test_a_video_that_another_run_leaves_undone_is_done_after_all(tmp_path: Path) -> None:
    held, said, counting = threading.Event(), list[str](), Counting()

    def hold() -> None:
        with at_work(tmp_path / "out"), claim(tmp_path / "out", "video0"):
            held.set()
            while len(counting.begun) < 7:
                time.sleep(0.01)
            time.sleep(0.1)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    made = go(tmp_path / "out", *NAMES, doing=counting, said=said)
    thread.join()
    assert list(counting.begun)[-1] == "video0"
    assert made.outcomes == {"made": 16}
    assert said == ["another run is at work on 1 of these videos; waiting for it"]


def test_an_output_that_is_in_the_way_says_so(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for output in (tmp_path / "out", tmp_path / "link"):
        with pytest.raises(UserError, match=rf"{output}: cannot be written .*choose a folder"):
            go(output, "a")


def test_a_damaged_plan_or_one_of_another_kind_is_refused(tmp_path: Path) -> None:
    go(tmp_path / "out", "a")
    path = tmp_path / "out" / "preprocess.json"
    said = json.loads(path.read_text())
    assert (said["source"], said["recipe"]["clips"]["size"], said["asked"]["videos"]) == ("videos", 64, 1)
    assert said["digest"] == read_plan(tmp_path / "out").recipe.digest()
    said["recipe"]["rules"] = {"kind": "taichi", "min_size": 64}
    path.write_text(json.dumps(said))
    with pytest.raises(UserError, match="holds clips of `preprocess taichi`, not of `preprocess folder`"):
        go(tmp_path / "out", "a")
    path.write_text("{")
    with pytest.raises(UserError, match=r"preprocess.json: .*make the file anew"):
        go(tmp_path / "out", "a")


@pytest.mark.parametrize(("field", "value"), [("workers", -1), ("workers", 5000), ("limit", 0)])
def test_options_out_of_range_are_refused(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field} must .* got {value}"):
        RunOptions(**{field: value})  # type: ignore[arg-type]


def test_an_unwritable_output_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UserError, match=r"out: cannot be written \(Permission denied\)"):
        go(tmp_path / "out", "a")
