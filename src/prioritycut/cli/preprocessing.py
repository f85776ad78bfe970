"""Commands that make data sets of videos."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import tyro
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from prioritycut.cli.console import out, progress_out, say
from prioritycut.errors import UserError
from prioritycut.preprocessing.folder import find_videos, folder_work
from prioritycut.preprocessing.jobs import Camera, Subject, Work
from prioritycut.preprocessing.lists import ListOptions, listed_work
from prioritycut.preprocessing.manifest import manifest_path, read_manifest
from prioritycut.preprocessing.metadata import ListKind, read_list, row_faults
from prioritycut.preprocessing.plan import (
    Asked,
    FolderRules,
    ListRules,
    Recipe,
    RobotRules,
    asked_of_records,
    make_plan,
)
from prioritycut.preprocessing.robot import enlargement, robot_jobs
from prioritycut.preprocessing.running import RunOptions, Standing, Watch, preprocess
from prioritycut.preprocessing.settings import ClipSettings
from prioritycut.preprocessing.status import (
    outcome_table,
    outcome_words,
    read_status,
    reason_table,
    status_lines,
)

Metadata = Annotated[Path, tyro.conf.arg(metavar="METADATA")]
Videos = Annotated[Path, tyro.conf.arg(metavar="VIDEOS")]
Records = Annotated[Path, tyro.conf.arg(metavar="RECORDS")]
Output = Annotated[Path, tyro.conf.arg(metavar="OUTPUT")]
Clips = Annotated[ClipSettings, tyro.conf.arg(name="")]
WhereFrom = Annotated[ListOptions, tyro.conf.arg(name="")]
Leaving: TypeAlias = Literal["drop", "cut"]
Run = Annotated[RunOptions, tyro.conf.arg(name="")]
DEFAULT_CLIPS, DEFAULT_LIST, DEFAULT_RUN = ClipSettings(), ListOptions(), RunOptions()


def voxceleb_command(
    metadata: Metadata,
    output: Output,
    /,
    *,
    clips: Clips = DEFAULT_CLIPS,
    min_size: int | None = None,
    leaving: Leaving = "drop",
    videos: WhereFrom = DEFAULT_LIST,
    run: Run = DEFAULT_RUN,
) -> None:
    """Download VoxCeleb's videos and cut the clips of its list. Killed and repeated, it goes on.

    Args:
        metadata: The list, vox-metadata.csv.
        output: Folder for the clips and their manifest.
        clips: What clips become.
        min_size: A box whose longer side has fewer pixels is left out; the size of the clips by default.
        leaving: A box that leaves the list's own frame, as 4% of VoxCeleb's do at the bottom: its clip is dropped, or
            the box is cut at the frame's edge, which keeps those clips.
        videos: Where videos come from.
        run: How it is done.
    """
    _preprocess_list("voxceleb", metadata, output, clips, min_size, leaving, videos, run)


def taichi_command(
    metadata: Metadata,
    output: Output,
    /,
    *,
    clips: Clips = DEFAULT_CLIPS,
    min_size: int | None = None,
    leaving: Leaving = "drop",
    videos: WhereFrom = DEFAULT_LIST,
    run: Run = DEFAULT_RUN,
) -> None:
    """Download the videos of Tai-Chi-HD and cut the clips of its list. Killed and repeated, it goes on.

    Args:
        metadata: The list, taichi-metadata.csv.
        output: Folder for the clips and their manifest.
        clips: What clips become.
        min_size: A box whose longer side has fewer pixels is left out; the size of the clips by default.
        leaving: A box that leaves the list's own frame, as 4% of VoxCeleb's do at the bottom: its clip is dropped, or
            the box is cut at the frame's edge, which keeps those clips.
        videos: Where videos come from.
        run: How it is done.
    """
    _preprocess_list("taichi", metadata, output, clips, min_size, leaving, videos, run)


def _preprocess_list(
    kind: ListKind,
    metadata: Path,
    output: Path,
    clips: ClipSettings,
    min_size: int | None,
    leaving: Leaving,
    videos: ListOptions,
    run: RunOptions,
) -> None:
    rules = ListRules(kind=kind, min_size=clips.size if min_size is None else min_size, leaving=leaving)
    _require_folder(output)
    listed = read_list(metadata, kind)
    work = listed_work(listed, videos, rules)
    for line in row_faults(metadata, listed):
        say(line)
    asked = Asked(videos=len(listed.videos), train=listed.clips["train"], test=listed.clips["test"])
    _preprocess(work, metadata, Recipe(rules=rules, clips=clips), asked, output, run)


def bair_command(
    records: Records,
    output: Output,
    /,
    *,
    camera: Camera = "main",
    clips: Clips = DEFAULT_CLIPS,
    run: Run = DEFAULT_RUN,
) -> None:
    """Make clips of BAIR robot pushing from its TFRecord release, without TensorFlow. Killed and repeated, it goes on.

    Args:
        records: Folder with train/ and test/, which hold *.tfrecords files.
        output: Folder for the clips and their manifest.
        camera: Which of the two that watch the robot.
        clips: What clips become.
        run: How it is done.
    """
    _require_folder(output)
    work = robot_jobs(records.resolve(), camera)
    if (warning := enlargement(clips)) is not None:
        say(warning)
    recipe = Recipe(rules=RobotRules(camera=camera), clips=clips)
    _preprocess(work, records, recipe, asked_of_records(work), output, run)


def folder_command(
    videos: Videos,
    output: Output,
    /,
    *,
    subject: Subject,
    clips: Clips = DEFAULT_CLIPS,
    min_size: int | None = None,
    min_frames: int | None = None,
    max_frames: int = 1024,
    leaving: Literal["shift", "drop"] = "shift",
    test_share: float = 0.2,
    seed: int = 0,
    run: Run = DEFAULT_RUN,
) -> None:
    """Find, follow and cut out faces or people in any videos. Killed and repeated, it goes on.

    Args:
        videos: A folder, searched with all folders below it, or one video. A folder with train/ and test/ keeps them.
        output: Folder for the clips and their manifest; `train` reads it.
        subject: What is followed: every face, one person from head to feet, or the middle square of the whole frame.
        clips: What clips become.
        min_size: A face or person of fewer pixels is left out; the size of the clips by default.
        min_frames: Shorter clips are left out; 64 for face and person by default, 2 for whole.
        max_frames: Longer clips are cut in two.
        leaving: A square that leaves the frame is shifted inside, or its clip is dropped as the published lists did.
        test_share: Share of the videos that is held out for tests, if there is no train/ and test/.
        seed: Which videos those are.
        run: How it is done.
    """
    rules = FolderRules(
        subject=subject,
        min_size=clips.size if min_size is None else min_size,
        min_frames=min_frames,
        max_frames=max_frames,
        leaving=leaving,
        test_share=test_share,
        seed=seed,
    )
    _require_folder(output)
    found = find_videos(videos, output)
    work = folder_work(found, read_manifest(manifest_path(output)), rules)
    _preprocess(work, videos, Recipe(rules=rules, clips=clips), Asked(videos=len(work)), output, run)


def status_command(output: Output, /) -> None:
    """Show what became of the clips of a data set, beside the paper's counts. It reads files only.

    Args:
        output: Folder that `preprocess` wrote, or is writing.
    """
    status = read_status(output)
    out.print(outcome_table(status))
    if (reasons := reason_table(status)) is not None:
        out.print(reasons)
    for line in status_lines(status):
        say(line)


PREPROCESS_COMMANDS: dict[str, Callable[..., None]] = {
    "voxceleb": voxceleb_command,
    "taichi": taichi_command,
    "bair": bair_command,
    "folder": folder_command,
    "status": status_command,
}


PREPROCESS_HELP = "Make data sets of clips: from published lists of links, from one's own videos, from BAIR's release."


def preprocess_command() -> None:
    """Make data sets from lists of links or from one's own videos; `prioritycut preprocess --help` lists the ways."""
    raise UserError("preprocess: name what from: voxceleb, taichi, bair or folder; `prioritycut preprocess --help`")


def _require_folder(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: is a file; name a folder for the clips")


def _preprocess(
    work: Sequence[Work], source: Path, recipe: Recipe, asked: Asked, output: Path, options: RunOptions
) -> None:
    with _progress() as watch:
        made = preprocess(work, make_plan(source, recipe, asked), output, options, say=say, watch=watch)
    say(f"{outcome_words(made.outcomes, made.bytes)}; {made.manifest} tells of each")


LINE_EVERY = 30.0
"""Seconds from one line of progress to the next, where there is no terminal for a bar."""


@contextmanager
def _progress() -> Generator[Watch]:
    """A bar of videos with the counts of their clips; elsewhere a line now and then."""
    columns = (
        TextColumn("videos"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[counts]}"),
    )
    told = time.monotonic()
    with Progress(*columns, console=progress_out, transient=True, disable=not progress_out.is_terminal) as bar:
        task = bar.add_task("videos", total=None, counts="")

        def watch(standing: Standing) -> None:
            nonlocal told
            counts = outcome_words(standing.outcomes)
            bar.update(task, completed=standing.done, total=standing.of, counts=counts)
            if bar.disable and time.monotonic() - told >= LINE_EVERY:
                told = time.monotonic()
                progress_out.print(f"{standing.done:,} of {standing.of:,} videos: {counts}", markup=False)

        yield watch
