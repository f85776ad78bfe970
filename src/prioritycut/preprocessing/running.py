"""All videos, in as many runs as it takes: what is done is left alone, the rest is done, counted and put in order."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from prioritycut.data.stored import Say
from prioritycut.errors import UserError
from prioritycut.preprocessing.claims import at_work, claim, locked
from prioritycut.preprocessing.engine import Engine, run
from prioritycut.preprocessing.jobs import Job, Work
from prioritycut.preprocessing.manifest import manifest_path, read_manifest, records_of, settle
from prioritycut.preprocessing.packing import pack_shards
from prioritycut.preprocessing.plan import Plan, write_plan
from prioritycut.preprocessing.records import PARTITIONS, PASSING, ClipRecord, Outcome, Partition
from prioritycut.preprocessing.settings import Store
from prioritycut.preprocessing.work import Do, Report, Task, do, remaining_job, tries

LOOK_AGAIN = 0.5
"""Seconds from one look at a video that another run has to the next."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How the work is done; none of it changes what is made."""

    workers: int = 1
    """Processes; 0 does everything in this one, and with Ray takes all cores."""
    engine: Engine = "local"
    """local is this machine; ray a cluster, the one of RAY_ADDRESS or else this machine."""
    retry: tuple[Outcome, ...] = ()
    """Outcomes that are tried again, beside blocked and network; made means clips whose files are gone."""
    limit: int | None = None
    """Do the first so many videos only, to try it out."""

    def __post_init__(self) -> None:
        if not 0 <= self.workers <= 1024:
            raise ValueError(f"workers must lie in 0 to 1024, got {self.workers}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be at least 1, got {self.limit}")


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the work is.

    Attributes:
        done: Videos that are accounted for, by this run or before.
        of: Videos in all.
        outcomes: Their clips by outcome.
    """

    done: int
    of: int
    outcomes: Mapping[Outcome, int]


Watch: TypeAlias = Callable[[Standing], object]
"""Told how far the work is, at its start and after each video."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a data set holds after a run.

    Attributes:
        outcomes: Clips by outcome.
        bytes: Of all clips that were made.
        manifest: Where the records are.
        tried: Videos that this run did.
    """

    outcomes: Mapping[Outcome, int]
    bytes: int
    manifest: Path
    tried: int


def preprocess(
    work: Sequence[Work],
    plan: Plan,
    output: Path,
    options: RunOptions | None = None,
    *,
    say: Say,
    watch: Watch = lambda _: None,
    doing: Do = do,
) -> Summary:
    """Do all videos that are not done yet.

    It may be killed at any time: repeated, it goes on. Two runs at once on one output share the work.

    Args:
        work: The videos.
        plan: What they are and by which rules they are done.
        output: The data set's folder, which all machines at work see under the same name.
        options: How.
        say: Told in one line what there is to wait for.
        watch: Told how far the work is.
        doing: Does one job.

    Raises:
        UserError: The output was begun by other rules, cannot be written to or is full; a package is missing; or not
            one clip could be made.
        KeyboardInterrupt: By Ctrl-C, with a line that says how far it got. Nothing that was made is lost.
    """
    options = options or RunOptions()
    output = output.absolute()
    manifest = manifest_path(output)
    with at_work(output):
        write_plan(output, plan)
        known = by_video(read_manifest(manifest))
        jobs = [
            Job(work=each, clips=plan.recipe.clips, output=output, settings=plan.digest)
            for each in work[: options.limit]
        ]
        retry, name = PASSING | frozenset(options.retry), secrets.token_hex(8)
        tasks = [task for job in jobs if (task := _task(job, known.get(job.work.video, ()), retry, name)) is not None]
        outcomes = Counter[Outcome](record.outcome for job in jobs for record in known.get(job.work.video, ()))
        done = len(jobs) - len(tasks)
        try:
            watch(Standing(done, len(jobs), dict(outcomes)))
            with closing(_reports(tasks, options, say, doing)) as reports:
                for report in reports:
                    before = known.get(report.task.job.work.video, ())
                    outcomes.subtract(record.outcome for record in before)
                    outcomes.update(record.outcome for record in report.records)
                    done += 1
                    watch(Standing(done, len(jobs), dict(+outcomes)))
            records = _put_in_order(output, plan.recipe.clips.store, say)
        except KeyboardInterrupt as interruption:
            line = f"stopped after {done} of {len(jobs)} videos; repeat the command to go on"
            raise KeyboardInterrupt(line) from interruption
    summary = summarize(records, manifest, len(tasks))
    if not summary.outcomes.get("made"):
        raise UserError(_nothing_made(output, records))
    return summary


def by_video(records: Sequence[ClipRecord]) -> dict[str, list[ClipRecord]]:
    """Records of each video."""
    videos = dict[str, list[ClipRecord]]()
    for record in records:
        videos.setdefault(record.video, []).append(record)
    return videos


def summarize(records: Sequence[ClipRecord], manifest: Path, tried: int) -> Summary:
    """The counts of all records."""
    return Summary(
        outcomes=Counter(record.outcome for record in records),
        bytes=sum(record.bytes for record in records),
        manifest=manifest,
        tried=tried,
    )


def _task(job: Job, known: Sequence[ClipRecord], retry: frozenset[Outcome], run: str) -> Task | None:
    task = Task(job=job, retry=retry, tried=tries(known), run=run)
    return None if remaining_job(task, known) is None else task


def _reports(tasks: Sequence[Task], options: RunOptions, say: Say, doing: Do) -> Generator[Report]:
    """One for each task, as each is done, here or by another run."""
    told = False
    while tasks:
        held = list[Task]()
        with closing(run(tasks, engine=options.engine, workers=options.workers, doing=doing)) as reports:
            for report in reports:
                if report.fault is not None:
                    raise UserError(report.fault)
                if report.held:
                    held.append(report.task)
                else:
                    yield report
        if held and not told:
            say(f"another run is at work on {len(held)} of these videos; waiting for it")
            told = True
        tasks = yield from _left_by_others(held)


def _left_by_others(held: Sequence[Task]) -> Generator[Report, None, list[Task]]:
    """Wait until others are through with these videos; returns what they left undone."""
    left = list[Task]()
    while held:
        waiting = list[Task]()
        for task in held:
            video, output = task.job.work.video, task.job.output
            with claim(output, video) as free:
                if not free:
                    waiting.append(task)
                    continue
                known = records_of(manifest_path(output), video)
            if remaining_job(task, known) is None:
                yield Report(task=task, records=tuple(known))
            else:
                left.append(task)
        held = waiting
        if held:
            time.sleep(LOOK_AGAIN)
    return left


def _put_in_order(output: Path, store: Store, say: Say) -> list[ClipRecord]:
    """Sort the manifest, and pack what is to lie in shards."""
    with locked(output, "order"):
        records = settle(manifest_path(output))
        if store != "shards":
            return records
        places = dict[tuple[Partition, str], str]()
        for part in PARTITIONS:
            packed = pack_shards(output, [record for record in records if record.partition == part], say=say)
            places |= {(part, clip): file for clip, file in packed.items()}
        return settle(
            manifest_path(output),
            lambda record: replace(record, file=places.get((record.partition, record.clip), record.file)),
        )


def _nothing_made(output: Path, records: Sequence[ClipRecord]) -> str:
    reasons = Counter(f"{record.outcome}: {record.reason}" for record in records)
    (commonest, count), *_ = reasons.most_common(1)
    return (
        f"{output}: not one clip could be made; {count} of {len(records)} for the same reason ({commonest}); "
        f"{manifest_path(output)} tells all"
    )
