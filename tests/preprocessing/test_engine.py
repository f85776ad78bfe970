"""Tasks in one process, in several and on Ray: each is done once, and what a killed process had is not lost."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from prioritycut.errors import UserError
from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.claims import claim
from prioritycut.preprocessing.engine import run
from prioritycut.preprocessing.jobs import ClipRequest, Job, ListedVideo, RobotRecords
from prioritycut.preprocessing.manifest import append, manifest_path, read_manifest
from prioritycut.preprocessing.records import PASSING, ClipRecord
from prioritycut.preprocessing.work import Task, attend, do, failed, remaining_job
from stand_in_jobs import CLIPS, jobs, stand_in, without_times

NAMES = [f"video{number}" for number in range(6)]


def tasks(output: Path, *names: str) -> list[Task]:
    return [Task(job=job) for job in jobs(output, *names)]


def test_no_process_and_two_give_the_same_files_and_manifest_lines(tmp_path: Path) -> None:
    for workers in (0, 2):
        output = tmp_path / str(workers)
        reports = list(run(tasks(output, *NAMES, "corrupt"), engine="local", workers=workers, doing=stand_in))
        assert sorted(report.task.job.work.video for report in reports) == sorted([*NAMES, "corrupt"])
    serial, parallel = (read_manifest(manifest_path(tmp_path / workers)) for workers in ("0", "2"))
    assert len(serial) == 13
    assert without_times(serial) == without_times(parallel)
    for path in (tmp_path / "0" / "train").iterdir():
        assert path.read_bytes() == (tmp_path / "2" / "train" / path.name).read_bytes()


@pytest.mark.slow
def test_a_killed_process_takes_nothing_with_it_and_a_video_that_kills_each_is_put_down_as_corrupt(
    tmp_path: Path,
) -> None:
    names = ["killer-a", *NAMES]
    reports = list(run(tasks(tmp_path / "out", *names), engine="local", workers=1, doing=stand_in))
    fates = {report.task.job.work.video: {record.outcome for record in report.records} for report in reports}
    assert fates == {name: {"corrupt"} if name == "killer-a" else {"made"} for name in names}
    assert len(reports) == len(names)
    (killer,) = (record for record in read_manifest(manifest_path(tmp_path / "out")) if record.outcome == "corrupt")
    assert killer.reason == "2 processes in a row were killed at it; it may need too much memory"
    assert not (tmp_path / "out" / ".work").exists()


def end_at_once(job: Job) -> list[ClipRecord]:
    raise AssertionError("never reached")


def test_processes_that_cannot_even_begin_are_no_fault_of_the_videos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prioritycut.preprocessing.engine._begin_worker", sys.exit)
    with pytest.raises(UserError, match="processes end before they begin to work; try --workers 0"):
        list(run(tasks(tmp_path / "out", "a"), engine="local", workers=1, doing=end_at_once))
    assert not manifest_path(tmp_path / "out").exists()


class Counted(list[Task]):
    """Tasks that are counted as they are handed out."""

    handed = 0

    def __iter__(self) -> Iterator[Task]:
        for task in super().__iter__():
            self.handed += 1
            yield task


@pytest.mark.parametrize(("workers", "most"), [(0, 2), (1, 5)])
def test_tasks_are_handed_out_a_few_at_a_time_and_who_stops_leaves_no_process(
    tmp_path: Path, workers: int, most: int
) -> None:
    counted = Counted(tasks(tmp_path / "out", *(f"slow-{number}" for number in range(1000))))
    with closing(run(counted, engine="local", workers=workers, doing=stand_in)) as reports:
        assert len(list(islice(reports, 2))) == 2
    assert 2 <= counted.handed <= most
    assert multiprocessing.active_children() == []


# What a worker does with one task.


def test_a_video_that_another_has_is_left_to_it(tmp_path: Path) -> None:
    (task,) = tasks(tmp_path / "out", "a")
    with claim(tmp_path / "out", "a"):
        report = attend(task, stand_in)
    assert report.held
    assert report.records == ()
    assert not manifest_path(tmp_path / "out").exists()


def test_what_another_has_just_done_is_not_done_again(tmp_path: Path) -> None:
    (task,) = tasks(tmp_path / "out", "network")
    first = attend(task, stand_in)
    assert [record.outcome for record in first.records] == ["network"]
    assert attend(task, stand_in).records == first.records  # planned before the first try was over
    again = attend(Task(job=task.job, tried=1), stand_in)
    assert [(record.outcome, record.attempt) for record in again.records] == [("made", 2)] * 2
    assert read_manifest(manifest_path(tmp_path / "out")) == list(again.records)


def test_an_unforeseen_fault_is_the_videos_own_in_one_line_without_places_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = jobs(tmp_path / "out", "a.mp4")

    def crash(job: Job, workdir: Path) -> list[ClipRecord]:
        assert workdir.is_dir()
        (workdir / "half").touch()
        raise ZeroDivisionError(f"frame 3 of\n{workdir}/caf\udce9.mp4 has no height")

    monkeypatch.setattr("prioritycut.preprocessing.work._make", crash)
    (record,) = do(job)
    assert (record.outcome, record.settings, record.clip) == ("corrupt", "digest", "a")
    assert record.reason == "ZeroDivisionError: frame 3 of .work/a/caf\\udce9.mp4 has no height"
    assert record.finished.startswith("20")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == [".work"]


@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        (UserError("disk full while writing out/a.mp4; free space"), True),
        (UserError("out: cannot be written (Read-only file system); choose another"), True),
        (UserError("--subject face: the package mediapipe cannot be imported; pip install 'prioritycut[eval]'"), True),
        (OSError(28, "No space left on device"), True),
        (OSError(5, "Input/output error"), False),
        (UserError("a.mp4: breaks off after 3 frames; copy it again"), False),
        (MemoryError(), False),
    ],
)
def test_only_a_fault_that_every_video_would_meet_ends_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, ends: bool
) -> None:
    def crash(job: Job, workdir: Path) -> list[ClipRecord]:
        raise fault

    monkeypatch.setattr("prioritycut.preprocessing.work._make", crash)
    (task,) = tasks(tmp_path / "out", "a")
    report = attend(task)
    assert (report.fault is not None) == ends
    assert [record.outcome for record in report.records] == ([] if ends else ["corrupt"])
    assert manifest_path(tmp_path / "out").exists() != ends


def test_a_full_disk_at_the_manifest_ends_the_work_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fill)
    (task,) = tasks(tmp_path / "out", "a")
    assert "disk full while writing" in str(attend(task, stand_in).fault)


def request(clip: str) -> ClipRequest:
    return ClipRequest(
        clip=clip, partition="test", start=0, end=9, box=Box(0, 0, 9, 9), rate="25", width=9, height=9, line=2
    )


def listed(output: Path, *clips: str) -> Job:
    work = ListedVideo(video="v", requests=tuple(map(request, clips)), min_size=64)
    return Job(work=work, clips=CLIPS, output=output, settings="digest")


def record(clip: str, outcome: str, file: str | None = None) -> ClipRecord:
    return ClipRecord(clip=clip, video="v", partition="test", outcome=outcome, file=file)  # type: ignore[arg-type]


def test_of_a_listed_video_only_new_clips_and_those_that_are_to_be_tried_again_are_left(tmp_path: Path) -> None:
    known = [record("a", "made", "test/a.mp4"), record("b", "network"), record("c", "corrupt"), record("d", "blocked")]
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "a.mp4").touch()
    job = listed(tmp_path, "a", "b", "c", "d", "e")

    def left(*retry: str, tried: int = 1) -> list[str]:
        task = Task(job=job, retry=PASSING | frozenset(retry), tried=tried)  # type: ignore[arg-type]
        remaining = remaining_job(task, known)
        return [] if remaining is None else [each.clip for each in remaining.work.requests]  # type: ignore[union-attr]

    assert left() == ["b", "d", "e"]
    assert left("corrupt") == ["b", "c", "d", "e"]
    assert left("made") == ["b", "d", "e"]
    (tmp_path / "test" / "a.mp4").unlink()
    assert left("made") == ["a", "b", "d", "e"]
    assert left(tried=0) == ["e"]  # another run has just tried


def test_a_second_try_leaves_the_records_of_other_clips_as_they_are(tmp_path: Path) -> None:
    append(manifest_path(tmp_path), [record("a", "made", "test/a.mp4"), record("b", "network")])
    report = attend(Task(job=listed(tmp_path, "a", "b"), tried=1), lambda job: failed(job.work, "gone for good"))
    assert [(each.clip, each.outcome, each.attempt) for each in report.records] == [
        ("a", "made", 2),
        ("b", "corrupt", 2),
    ]
    assert read_manifest(manifest_path(tmp_path)) == list(report.records)


def test_a_clip_that_a_killed_run_made_and_this_one_cannot_make_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    for name in ("a.mp4", "other.mp4"):
        (tmp_path / "test" / name).touch()
    attend(Task(job=listed(tmp_path, "a", "a/../../b")), lambda job: failed(job.work, "gone"))
    assert [path.name for path in (tmp_path / "test").iterdir()] == ["other.mp4"]


def test_each_kind_of_work_that_fails_has_records_under_its_clips_names(tmp_path: Path) -> None:
    robot = RobotRecords(video="train/x.tfrecords", path=tmp_path, partition="train", first=7)
    assert [record.clip for record in failed(robot, "gone")] == ["000007"]
    assert [record.clip for record in failed(listed(tmp_path, "a", "b").work, "gone")] == ["a", "b"]


# On Ray, in a process of its own: it changes what a process does with signals and warnings.

ON_RAY = """
import sys
from pathlib import Path
import stand_in_jobs
from ray import cloudpickle
from prioritycut.preprocessing.engine import run
from prioritycut.preprocessing.work import Task
cloudpickle.register_pickle_by_value(stand_in_jobs)
output, names = Path(sys.argv[1]), sys.argv[2:]
tasks = [Task(job=job) for job in stand_in_jobs.jobs(output, *names)]
for report in run(tasks, engine="ray", workers=2, doing=stand_in_jobs.stand_in):
    print("report", report.task.job.work.video, *[record.outcome for record in report.records])
"""


@pytest.mark.slow
def test_on_ray_the_same_becomes_of_each_and_a_killed_process_takes_nothing_with_it(tmp_path: Path) -> None:
    names = ["killer-a", *NAMES, "once-b", "corrupt"]
    path = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", path + ON_RAY, tmp_path / "ray", *names], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("report")]
    assert {video: outcomes for _, video, *outcomes in lines} == {
        name: ["corrupt"] if name in ("killer-a", "corrupt") else ["made", "made"] for name in names
    }
    assert "Traceback" not in done.stderr
    list(run(tasks(tmp_path / "local", *names), engine="local", workers=2, doing=stand_in))
    ray, local = (read_manifest(manifest_path(tmp_path / engine)) for engine in ("ray", "local"))
    assert without_times(ray) == without_times(local)
    assert not (tmp_path / "ray" / ".work").exists()


@pytest.mark.slow
def test_on_ray_nothing_but_our_own_lines_is_told(tmp_path: Path) -> None:
    path = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
    done = subprocess.run([sys.executable, "-c", path + ON_RAY, tmp_path / "ray", "a"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "report a made made\n", "")


def test_ray_that_is_not_installed_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(UserError, match=r"--engine ray needs Ray Data .*; pip install 'prioritycut\[preprocess\]'"):
        next(run(tasks(tmp_path, "a"), engine="ray", workers=1, doing=stand_in))
