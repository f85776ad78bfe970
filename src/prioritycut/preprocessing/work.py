"""One video: claimed, done, and accounted for in the manifest before anybody else may have it."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from prioritycut.errors import UserError
from prioritycut.preprocessing.claims import at_work, claim, work_folder
from prioritycut.preprocessing.jobs import Job, ListedVideo, RobotRecords, TrackedVideo, Work
from prioritycut.preprocessing.manifest import append, manifest_path, not_written, records_of
from prioritycut.preprocessing.names import video_name
from prioritycut.preprocessing.packing import shard_of
from prioritycut.preprocessing.records import PASSING, ClipRecord, Outcome, Partition
from prioritycut.preprocessing.settings import Store
from prioritycut.preprocessing.stores import stored_name

Do: TypeAlias = Callable[[Job], list[ClipRecord]]
"""Does a job, as `do`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A job that is to be done unless another process does it first.

    Attributes:
        job: What to do.
        retry: Outcomes that are tried again.
        tried: Tries that there had been at the video when the task was planned.
        run: Which run planned it: a word that no other run has.
    """

    job: Job
    retry: frozenset[Outcome] = PASSING
    tried: int = 0
    run: str = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a task.

    Attributes:
        task: Which.
        records: All records of its video that now hold, whoever made them.
        held: Whether another process is at work on the video, and nothing was done here.
        fault: Why nobody can go on, in one line: the disk is full, or a package is missing.
    """

    task: Task
    records: tuple[ClipRecord, ...] = ()
    held: bool = False
    fault: str | None = None


def do(job: Job) -> list[ClipRecord]:
    """Make the clips of a video in a private folder of its own, and say what became of each.

    A fault of the video, foreseen or not, is told in its records.

    Raises:
        UserError: No video can be done here: the disk is full or refuses, or a package is missing.
    """
    workdir = work_folder(job.output, job.work.video)
    begun = time.monotonic()
    try:
        shutil.rmtree(workdir, ignore_errors=True)
        workdir.mkdir(parents=True)
        records = _make(job, workdir) or failed(job.work, "no clip came of it")
    except UserError as error:
        if _concerns_every_video(error):
            raise
        records = failed(job.work, str(error))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"disk full while working on {job.work.video}; free space and repeat the command, which goes on"
            ) from error
        records = failed(job.work, f"{type(error).__name__}: {error}")
    finally:
        shutil.rmtree(workdir, ignore_errors=True)
    seconds = round(time.monotonic() - begun, 3)
    finished = datetime.now(UTC).isoformat(timespec="milliseconds")
    return [
        replace(
            record,
            reason=_one_line(record.reason.replace(f"{job.output}{os.sep}", "")),
            settings=job.settings,
            seconds=seconds,
            finished=finished,
        )
        for record in records
    ]


def _make(job: Job, workdir: Path) -> list[ClipRecord]:
    # Imported here: each stands on packages that only it needs.
    match job.work:
        case ListedVideo():
            from prioritycut.preprocessing.listed import make_listed

            return make_listed(job.work, job.clips, output=job.output, workdir=workdir)
        case TrackedVideo():
            from prioritycut.preprocessing.tracked import make_tracked

            return make_tracked(job.work, job.clips, output=job.output, workdir=workdir)
        case RobotRecords():
            from prioritycut.preprocessing.robot import make_robot

            return make_robot(job.work, job.clips, output=job.output, workdir=workdir)


def attend(task: Task, doing: Do = do) -> Report:
    """Do a task and put its records into the manifest.

    A video at which processes of this run were killed `MOST_DEATHS` times is put down as corrupt.

    Args:
        task: What to do.
        doing: Does the job.
    """
    video, output = task.job.work.video, task.job.output
    manifest = manifest_path(output)
    try:
        with at_work(output), claim(output, video) as free:
            if not free:
                return Report(task=task, held=True)
            known = records_of(manifest, video)
            job = remaining_job(task, known)
            if job is None:
                return Report(task=task, records=tuple(known))
            with _survived(task) as may_be_survived:
                made = doing(job) if may_be_survived else _killed(job)
            attempt = tries(known) + 1
            records = [replace(record, attempt=attempt) for record in _still_valid(job, known) + made]
            append(manifest, records)
            _remove_unmade([*known, *records], records, output, job.clips.store)
            return Report(task=task, records=tuple(records))
    except UserError as error:
        return Report(task=task, fault=str(error))


MOST_DEATHS = 2
"""Processes of one run that a video may take with it before it is left alone."""


def deaths(task: Task) -> int:
    """How many processes of the task's run were killed at it."""
    try:
        run, count = _survival_file(task).read_text().split()
    except (OSError, ValueError):
        return 0
    return int(count) if run == task.run else 0


@contextmanager
def _survived(task: Task) -> Generator[bool]:
    """Leave a mark for as long as the context lasts; a process that is killed in it does not take its mark away."""
    before = deaths(task)
    mark = _survival_file(task)
    try:
        mark.write_text(f"{task.run} {before + 1}")
    except OSError as error:
        raise not_written(mark, error) from error
    try:
        yield before < MOST_DEATHS
    finally:
        mark.unlink(missing_ok=True)


def _survival_file(task: Task) -> Path:
    return work_folder(task.job.output, task.job.work.video).with_suffix(".begun")


def _killed(job: Job) -> list[ClipRecord]:
    reason = f"{MOST_DEATHS} processes in a row were killed at it; it may need too much memory"
    finished = datetime.now(UTC).isoformat(timespec="milliseconds")
    return [replace(record, settings=job.settings, finished=finished) for record in failed(job.work, reason)]


def remaining_job(task: Task, known: Sequence[ClipRecord]) -> Job | None:
    """What of a task is left to do, by the records of its video; `None` where nothing is.

    Of a listed video that is those clips that were never tried or failed for a reason that is tried again; any other
    video is done as a whole.
    """
    retry = task.retry if tries(known) <= task.tried else frozenset[Outcome]()  # somebody has just tried again
    again = {record.clip for record in known if record.outcome in retry and not _lies_there(record, task.job.output)}
    work = task.job.work
    if isinstance(work, ListedVideo):
        settled = {record.clip for record in known} - again
        requests = tuple(request for request in work.requests if request.clip not in settled)
        return replace(task.job, work=replace(work, requests=requests)) if requests else None
    return task.job if again or not known else None


def tries(known: Sequence[ClipRecord]) -> int:
    """How often a video was tried."""
    return max((record.attempt for record in known), default=0)


def _still_valid(job: Job, known: Iterable[ClipRecord]) -> list[ClipRecord]:
    """Records of clips that a job leaves as they are."""
    if not isinstance(job.work, ListedVideo):
        return []
    asked = {request.clip for request in job.work.requests}
    return [record for record in known if record.clip not in asked]


def _lies_there(record: ClipRecord, output: Path) -> bool:
    return record.file is not None and (output / (shard_of(record.file) or record.file)).exists()


def _remove_unmade(tried: Iterable[ClipRecord], now: Iterable[ClipRecord], output: Path, store: Store) -> None:
    """Remove the files of clips that no longer count as made, by this try or by one that was killed."""
    made = {record.clip for record in now if record.outcome == "made"}
    for record in tried:
        if record.clip in made:
            continue
        try:
            path = output / record.partition / stored_name(record.clip, store)
        except ValueError:
            continue  # no file can have that name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.exists():
            path.unlink(missing_ok=True)


def failed(work: Work, reason: str) -> list[ClipRecord]:
    """The records of a video of which nothing could be made."""
    clips: list[tuple[str, Partition]]
    match work:
        case ListedVideo():
            clips = [(request.clip, request.partition) for request in work.requests]
        case TrackedVideo():
            clips = [(video_name(work.video), work.partition)]
        case RobotRecords():
            clips = [(f"{work.first:06d}", work.partition)]
    return [
        ClipRecord(clip=clip, video=work.video, partition=partition, outcome="corrupt", reason=_one_line(reason))
        for clip, partition in clips
    ]


def _concerns_every_video(error: UserError) -> bool:
    """Whether it is about the disk or about what is installed; faults of a video go to its records."""
    return any(sign in str(error) for sign in ("disk", "cannot be written", "pip install"))


def _one_line(reason: str) -> str:
    """Without line ends, and as text that any JSON reader takes: a file's name may be none."""
    return " ".join(reason.encode(errors="backslashreplace").decode().split())
