"""Commands that measure, and show what was measured."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import tyro

from prioritycut.cli.console import Device, find_device, out, progress
from prioritycut.data.stored import Split
from prioritycut.errors import UserError
from prioritycut.evaluation.ledger import ledger_path
from prioritycut.evaluation.protocol import Protocol
from prioritycut.evaluation.record_scoring import RecordKind, RecordOptions, run_record_scoring
from prioritycut.evaluation.running import (
    EvaluateOptions,
    InstrumentChoice,
    ScoreOptions,
    run_evaluation,
    run_scoring,
)
from prioritycut.figures import FigureNumber
from prioritycut.report import PaperDataset
from prioritycut.results import Result, summary_lines

DEFAULT_TOOLS, DEFAULT_PROTOCOL = InstrumentChoice(), Protocol()


def evaluate_command(
    checkpoint: str,
    dataset: str = "puppets",
    output: Path | None = None,
    /,
    *,
    method: str | None = None,
    clips: int | None = None,
    frames: int | None = None,
    seed: int | None = None,
    split: Split | None = None,
    tools: Annotated[InstrumentChoice, tyro.conf.arg(name="")] = DEFAULT_TOOLS,
    protocol: Annotated[Protocol, tyro.conf.arg(name="")] = DEFAULT_PROTOCOL,
    device: Device = "auto",
    strict: bool = False,
) -> None:
    """Measure a model: reconstruct test clips from their first frames. Killed and repeated, it goes on.

    Args:
        checkpoint: A .safetensors file, a run folder, or the name of shipped weights.
        dataset: puppets (held-out ones, whose truth is known), or a folder of clips.
        output: Where the result goes as JSON, for `report`.
        method: Name of the row in reports; the checkpoint's by default.
        clips: How many: of puppets 64 by default, of a folder all.
        frames: Of puppets: length of each clip, 32 by default.
        seed: Of puppets: which cast, 1 by default; presets train on 0.
        split: Of a folder: test (the default) is its test/ or a random fifth, all is every clip in it.
        tools: What measures.
        protocol: How.
        device: Where networks run; auto takes a GPU if there is one.
        strict: Exit with code 2 if anything was wrong with any clip.
    """
    options = EvaluateOptions(
        checkpoint=checkpoint,
        dataset=dataset,
        output=output,
        method=method,
        clips=clips,
        frames=frames,
        seed=seed,
        split=split,
        instruments=tools,
        protocol=protocol,
        device=find_device(device),
    )
    with _kept(output), progress("evaluating") as advance:
        result = run_evaluation(options, say=_say, advance=advance)
    _show_result(result, output, strict=strict)


def score_command(
    predictions: Path,
    targets: Path,
    output: Path,
    /,
    *,
    method: str | None = None,
    dataset: str | None = None,
    size: int | None = None,
    detector: str | None = None,
    value: RecordKind = "auto",
    tools: Annotated[InstrumentChoice, tyro.conf.arg(name="")] = DEFAULT_TOOLS,
    protocol: Annotated[Protocol, tyro.conf.arg(name="")] = DEFAULT_PROTOCOL,
    device: Device = "auto",
    strict: bool = False,
) -> None:
    """Measure clips that any method made, or what a detector said of them elsewhere. Killed and repeated, it goes on.

    Args:
        predictions: A folder of clips by the method; or a table of records (json, jsonl, csv).
        targets: The clips, or records, that they should equal, of the same names up to the first dot.
        output: Where the result goes as JSON, for `report`.
        method: Name of the row in reports; that of the predictions by default.
        dataset: Name of the data; that of the targets by default.
        size: Crop and resize all frames to this first.
        detector: Of records: which detector they came from, with its version.
        value: Of records: what they hold; auto tells keypoints from embeddings by their shape.
        tools: What measures.
        protocol: How.
        device: Where networks run; auto takes a GPU if there is one.
        strict: Exit with code 2 if anything was wrong with any clip.
    """
    if predictions.is_file() or targets.is_file():
        if predictions.is_dir() or targets.is_dir():
            raise UserError(
                f"{predictions}, {targets}: a folder and a file; give folders of clips or two tables of records"
            )
        if size is not None or tools != DEFAULT_TOOLS or protocol != DEFAULT_PROTOCOL:
            raise UserError(
                f"{predictions}: records hold what was found in frames already; leave out --size and what chooses "
                "tools and protocol, both protocols of AKD, MKR and AED are in every result"
            )
        records = RecordOptions(
            predictions=predictions,
            targets=targets,
            output=output,
            method=method,
            dataset=dataset,
            detector=detector,
            value=value,
        )
        result = run_record_scoring(records)
    else:
        if detector is not None or value != "auto":
            raise UserError(f"{predictions}: --detector and --value are about records; for clips, name --keypoints")
        options = ScoreOptions(
            predictions=predictions,
            targets=targets,
            output=output,
            method=method,
            dataset=dataset,
            size=size,
            instruments=tools,
            protocol=protocol,
            device=find_device(device),
        )
        with _kept(output), progress("scoring") as advance:
            result = run_scoring(options, say=_say, advance=advance)
    _show_result(result, output, strict=strict)


def _say(line: str) -> None:
    """A line on the terminal as it is: names may hold what looks like markup, line ends, or orders to the terminal."""
    out.print("".join(sign if sign.isprintable() else "\ufffd" for sign in line), markup=False)


@contextmanager
def _kept(output: Path | None) -> Generator[None]:
    """Says at Ctrl-C what becomes of the clips that are done."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        begun = output is not None and ledger_path(output).exists()
        kept = f"the same command goes on from {ledger_path(output)}" if output and begun else "no clip was kept"
        raise KeyboardInterrupt(f"interrupted; {kept}") from interruption


def _show_result(result: Result, output: Path | None, *, strict: bool) -> None:
    """The summary as a table, what went wrong, and where the numbers are."""
    for line in summary_lines(result):
        _say(line)
    for problem in result.problems:
        _say(f"{'scored with a reservation' if problem.scored else 'not scored'}: {problem.fault}")
    lost = sum(not problem.scored for problem in result.problems)
    _say(f"{result.method} on {result.dataset}: clips scored: {len(result.clips)}, not scored: {lost}")
    if output is not None:
        _say(f"wrote {output}; `prioritycut report {shlex.quote(str(output))} --output FOLDER` makes tables of it")
    if strict and result.problems:
        raise UserError(f"{result.problems[0].fault} ({len(result.problems)} faults in all, and --strict was asked)")


def report_command(
    results: tuple[Path, ...], /, *, output: Path, baseline: str | None = None, paper: PaperDataset | None = None
) -> None:
    """Compare results in tables and plots: a page, Markdown and LaTeX. It reads JSON only.

    Args:
        results: What `evaluate` and `score` wrote, in the order in which methods are to stand.
        output: Folder for report.html, report.md and report.tex.
        baseline: Method that the others are compared with; the first by default.
        paper: Data set whose published numbers stand beside ours.
    """
    from prioritycut.report import write_report

    made = write_report(results, output, paper=paper, baseline=baseline)
    out.print(f"wrote {made.html}, {made.markdown.name} and {made.latex.name}: {len(results)} results", markup=False)


def figure_command(
    number: FigureNumber,
    /,
    *,
    checkpoints: tuple[str, ...],
    output: Path,
    clips: tuple[str, ...] = (),
    frames: tuple[int, ...] = (),
    source: Path | None = None,
    fraction: float = 0.3,
    judged: Literal["generated", "driving"] = "generated",
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """Make one of the paper's figures, as a picture or as a video.

    1: how PriorityCut augments a frame. 2: Cutout, Mixup, CutMix, PriorityCut. 3: every map. 4: pixel realness by the
    discriminators of two runs. 5: a row a model. 6: a column a model. A1 to A3: two clips, a row a model.

    Args:
        number: Which figure.
        checkpoints: LABEL=CHECKPOINT or CHECKPOINT, one or more; two run folders for figure 4.
        output: .png, or .mp4, .webm, .gif.
        clips: Media files, or puppets:INDEX for held-out puppets, which are taken where none is named.
        frames: Numbers of the driving frames in a picture; evenly spread by default.
        source: A picture to animate; by default each clip is reconstructed from its first frame.
        fraction: Share of the foreground that PriorityCut cuts.
        judged: Figure 4: what the discriminators look at.
        seed: Of figure 2's masks.
        device: Where the models run; auto takes a GPU if there is one.
    """
    from prioritycut.figures import make_figure

    with progress("drawing") as advance:
        made = make_figure(
            number,
            checkpoints=checkpoints,
            output=output,
            clips=clips,
            frames=frames,
            source=source,
            fraction=fraction,
            judged=judged,
            seed=seed,
            device=find_device(device),
            advance=advance,
        )
    length = "" if made.rate is None else f", {made.frames} frames at {float(made.rate):g} a second"
    out.print(f"wrote {made.output}: {made.width}x{made.height}{length}", markup=False)
