"""How far a data set is, by its files alone: what became of its clips, beside what the paper's authors had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from rich.table import Table
from rich.text import Text

from prioritycut.preprocessing.manifest import manifest_path, read_manifest
from prioritycut.preprocessing.packing import shard_of
from prioritycut.preprocessing.plan import Kind, Plan, read_plan
from prioritycut.preprocessing.records import PARTITIONS, PASSING, ClipRecord, Outcome, Partition

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Counts of a published data set (SPEC 7.2 to 7.4).

    Attributes:
        paper: Clips that the paper trained and tested on.
        test_frames: Frames of the list's test clips.
    """

    paper: Mapping[Partition, int]
    test_frames: int


PUBLISHED: Mapping[Kind, Published] = {
    "voxceleb": Published(paper={"train": 18_398, "test": 512}, test_frames=132_606),
    "taichi": Published(paper={"train": 2_994, "test": 285}, test_frames=75_273),
    "bair": Published(paper={"train": 42_880, "test": 128}, test_frames=128 * 30),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the files of a data set say.

    Attributes:
        plan: What was asked for.
        outcomes: Clips by outcome, of each part.
        reasons: Clips by reason, of each outcome but made.
        test_frames: Frames of the test clips that were made.
        videos: Videos that are accounted for.
        bytes: Of all clips that were made and lie there.
        missing: Clips that were made and are gone, or have another size than they had.
    """

    plan: Plan
    outcomes: Mapping[Partition, Counter[Outcome]]
    reasons: Mapping[Outcome, Counter[str]]
    test_frames: int
    videos: int
    bytes: int
    missing: int


def read_status(output: Path) -> Status:
    """Read it; nothing is changed, and a run may be at work.

    Raises:
        UserError: The folder is no data set of ours, or its files are damaged.
    """
    plan, records = read_plan(output), read_manifest(manifest_path(output))
    made = [record for record in records if record.outcome == "made"]
    shards = Counter[str]()
    for record in made:
        if (shard := shard_of(record.file or "")) is not None:
            shards[shard] += record.bytes
    whole_shards = {shard for shard, least in shards.items() if _size(output / shard) > least}
    there = [record for record in made if _is_whole(record, output, whole_shards)]
    return Status(
        plan=plan,
        outcomes={
            part: Counter(record.outcome for record in records if record.partition == part) for part in PARTITIONS
        },
        reasons={
            outcome: Counter(record.reason for record in records if record.outcome == outcome)
            for outcome in OUTCOMES
            if outcome != "made"
        },
        test_frames=sum(record.frames for record in made if record.partition == "test"),
        videos=len({record.video for record in records}),
        bytes=sum(record.bytes for record in there),
        missing=len(made) - len(there),
    )


def _is_whole(record: ClipRecord, output: Path, whole_shards: Collection[str]) -> bool:
    """Whether a clip lies where it should, as far as the size of a file or the number of frames tells."""
    file = record.file or ""
    if (shard := shard_of(file)) is not None:
        return shard in whole_shards
    path = output / file
    try:
        return path.stat().st_size == record.bytes if path.is_file() else len(list(path.iterdir())) == record.frames
    except OSError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def outcome_table(status: Status) -> Table:
    """Clips by outcome and part, each with its share of what was asked for, and the paper's beside them."""
    recipe = status.plan.recipe
    table = Table(
        title=_plain(
            f"{recipe.rules.kind}: {status.plan.source}, {recipe.clips.size}x{recipe.clips.size} {recipe.clips.store}"
        )
    )
    table.add_column("outcome")
    for part in PARTITIONS:
        table.add_column(part, justify="right")
        table.add_column("share", justify="right")
    totals: dict[Partition, int] = {part: _asked(status, part) or status.outcomes[part].total() for part in PARTITIONS}
    for outcome in OUTCOMES:
        counts: dict[Partition, int] = {part: status.outcomes[part][outcome] for part in PARTITIONS}
        if outcome == "made" or any(counts.values()):
            table.add_row(outcome, *_cells(counts, totals))
    left: dict[Partition, int] = {part: max(0, totals[part] - status.outcomes[part].total()) for part in PARTITIONS}
    if any(left.values()):
        table.add_row("not tried yet", *_cells(left, totals))
    table.add_section()
    table.add_row("in all", *_cells(totals, totals))
    published = PUBLISHED.get(recipe.rules.kind)
    if published is not None:
        table.add_row("the paper's", *_cells(published.paper, totals))
    return table


def _plain(words: str) -> Text:
    """Words as they are: they may hold what looks like markup, or orders to the terminal."""
    return Text("".join(sign if sign.isprintable() else "\ufffd" for sign in words))


def _asked(status: Status, part: Partition) -> int | None:
    asked = status.plan.asked
    return asked.train if part == "train" else asked.test


def _cells(counts: Mapping[Partition, int], totals: Mapping[Partition, int]) -> list[str]:
    return [
        cell
        for part in PARTITIONS
        for cell in (f"{counts[part]:,}", f"{counts[part] / totals[part]:.1%}" if totals[part] else "")
    ]


def reason_table(status: Status, most: int = 3) -> Table | None:
    """The commonest reasons of each outcome; `None` where nothing failed."""
    table = Table("outcome", "clips", "reason", title="why clips are missing")
    table.columns[1].justify = "right"
    for outcome, reasons in status.reasons.items():
        common = reasons.most_common(most)
        for place, (reason, count) in enumerate(common):
            table.add_row("" if place else outcome, f"{count:,}", _plain(reason))
        others = reasons.total() - sum(count for _, count in common)
        if others:
            table.add_row("", f"{others:,}", "other reasons")
    return table if table.row_count else None


def status_lines(status: Status) -> list[str]:
    """What stands in no table, a line each."""
    lines = [_videos_line(status)]
    published = PUBLISHED.get(status.plan.recipe.rules.kind)
    if published is not None:
        lines.append(f"test frames: {status.test_frames:,}, in the published list {published.test_frames:,}")
    passing = _count(status.outcomes, PASSING)
    if passing:
        lines.append(f"{_clips(passing)} failed for a passing reason; repeat the command to try them again")
    if status.missing:
        lines.append(
            f"{_clips(status.missing)} made before and now gone or of another size; remove what is left of them and "
            "repeat the command with --retry made"
        )
    lines.append(f"disk: {readable_bytes(status.bytes)}")
    return lines


def _videos_line(status: Status) -> str:
    asked = status.plan.asked.videos
    left = max(0, asked - status.videos)
    return f"videos: {status.videos:,} of {asked:,} done" + (f", {left:,} left; repeat the command" if left else "")


def _count(outcomes: Mapping[Partition, Counter[Outcome]], wanted: Iterable[Outcome]) -> int:
    return sum(outcomes[part][outcome] for part in PARTITIONS for outcome in wanted)


def _clips(count: int) -> str:
    return "1 clip" if count == 1 else f"{count:,} clips"


def readable_bytes(count: int) -> str:
    """In the unit that leaves one to three digits before the point, such as "3.1 GB"."""
    size, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{count} bytes" if units[0] == "bytes" else f"{size:.1f} {units[0]}"


def outcome_words(outcomes: Mapping[Outcome, int], made_bytes: int | None = None) -> str:
    """Counts in a line, what was made first: "310 made (25.0 MB), 12 removed"."""
    size = "" if made_bytes is None else f" ({readable_bytes(made_bytes)})"
    failed = [f"{outcomes[outcome]:,} {outcome}" for outcome in OUTCOMES[1:] if outcomes.get(outcome)]
    return ", ".join([f"{outcomes.get('made', 0):,} made{size}", *failed])
