"""What a detector said elsewhere, as tables of records, to AKD and MKR, or AED."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from torch import Tensor

from prioritycut.evaluation.measurement import Subject, sum_up
from prioritycut.evaluation.meter import identity_tallies, keypoint_tallies
from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.record_reading import Kind, Record, read_records
from prioritycut.metrics.records import MatchedRecords, match_records
from prioritycut.results import ClipResult, Problem, Result, Tally, check_output, save_result
from prioritycut.versions import code_versions

RecordKind: TypeAlias = Literal["auto"] | Kind


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """What `score` does with records."""

    predictions: Path
    targets: Path
    """Tables of `file_name, frame_number, value`: json, jsonl or csv."""
    output: Path | None = None
    method: str | None = None
    """Name of the row in reports; `None` is the predictions file's."""
    dataset: str | None = None
    """Name of the data; `None` is the targets file's."""
    detector: str | None = None
    """Which detector the records came from, with its version."""
    value: RecordKind = "auto"
    """What the values are; "auto" tells by their shape."""


def run_record_scoring(options: RecordOptions) -> Result:
    """Measure records.

    Raises:
        UserError: A table cannot be read, or the two have nothing in common.
    """
    if options.output is not None:
        check_output(options.output)
    faults = list[Problem]()

    def read(path: Path) -> tuple[Record, ...]:
        return read_records(
            path, kind=options.value, on_problem=lambda fault: faults.append(Problem(clip=path.name, fault=fault))
        )

    matched = match_records(read(options.predictions), read(options.targets))
    faults += [Problem(clip=part.clip, fault=f"{part.clip}, {part.fault}", scored=True) for part in matched.problems]
    subject = Subject(
        kind="score",
        method=options.method or options.predictions.stem,
        dataset=options.dataset or options.targets.stem,
        version=str(options.predictions),
        settings={},
        versions=code_versions(),
    )
    result = sum_up(clip_results(matched), faults, subject, [record_tool(matched.kind, options)], {})
    if options.output is not None:
        save_result(options.output, result)
    return result


def record_tool(kind: Kind, options: RecordOptions) -> Tool:
    """The detector as its user names it; unnamed ones are taken for different ones, table by table."""
    name = options.detector or f"records of {options.predictions.name}"
    return Tool(role=kind, name=name, version="")


def clip_results(matched: MatchedRecords) -> list[ClipResult]:
    """Each clip's metrics in both protocols."""
    tallies: Callable[[Tensor, Tensor], dict[str, Tally]]
    tallies = keypoint_tallies if matched.kind == "keypoints" else identity_tallies
    return [
        ClipResult(name=clip.name, frames=len(clip.frame_numbers), metrics=tallies(clip.predicted, clip.target))
        for clip in matched.clips
    ]
