"""From clips to a result: every clip is measured, kept in the ledger, and summed up. Faults are named and counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

import torch

from prioritycut.errors import UserError
from prioritycut.evaluation.instruments import Instruments, tool_labels
from prioritycut.evaluation.ledger import Entry, Ledger
from prioritycut.evaluation.masks import ClipMasks, top_masks
from prioritycut.evaluation.meter import ClipMeter, Mask
from prioritycut.evaluation.protocol import Protocol
from prioritycut.evaluation.reconstructing import Frame
from prioritycut.evaluation.testsets import TestBatch
from prioritycut.evaluation.truth import truth_metrics
from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.pixel import WINDOW_SIDES
from prioritycut.outputs import Frames, MotionOutput
from prioritycut.results import ClipResult, Problem, Result, Setting, printable, save_result, summarize


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """Target frames and what a method made of them.

    Attributes:
        target: With the truth about it, if any.
        prediction: The method's frames.
        source: The frame that the method began from: the clip's first.
        motion: How the method moved it; `None` if all there is are pictures.
        written: Whether the prediction comes from a file, which has cut it off to 8 bit levels already.
    """

    target: TestBatch
    prediction: Frames
    source: Frame
    motion: MotionOutput | None = None
    written: bool = False


CPU = torch.device("cpu")
Batches: TypeAlias = Callable[[], Iterator[ScoredBatch]]


@dataclass(frozen=True, slots=True)
class ScoredClip:
    """A clip to measure; its batches are made when they are asked for, and may raise UserError."""

    name: str
    batches: Batches
    reservations: Callable[[], tuple[str, ...]] = tuple
    """Tells what a reader must know of it although it is scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose numbers these are.

    Attributes:
        kind, method, dataset: As in `Result`.
        version: Of the model's weights, or of whatever else made the clips; part of what a ledger belongs to.
        settings: The protocol and whatever else of the data would change a number.
        versions: Of the code.
        place: Where the clips are, for a ledger: one of other data of the same name is not gone on with.
    """

    kind: Literal["reconstruction", "score"]
    method: str
    dataset: str
    version: str
    settings: dict[str, Setting]
    versions: dict[str, str]
    place: str = ""


def measure_clips(
    clips: Sequence[ScoredClip],
    subject: Subject,
    instruments: Instruments,
    protocol: Protocol,
    *,
    output: Path | None = None,
    problems: Sequence[Problem] = (),
    device: torch.device = CPU,
    advance: Callable[[int], None] = lambda done: None,
) -> Result:
    """Measure every clip and sum up.

    Args:
        clips: In the order that they shall have in the result.
        subject: Whose they are.
        instruments: What measures.
        protocol: How.
        output: Where the result goes as JSON; what is done stands beside it until then, so that the same command goes
            on after a kill and no clip is computed twice. `None` keeps nothing.
        problems: Clips that could not even be begun.
        device: Where metrics are computed.
        advance: Told the clips done so far.

    Raises:
        UserError: Nothing could be scored, or the output cannot be written.
    """
    with nullcontext() if output is None else Ledger(output, _identity(subject, instruments, protocol)) as ledger:
        entries = list[Entry]()
        for done, clip in enumerate((replace(clip, name=printable(clip.name)) for clip in clips), start=1):
            entry = None if ledger is None else ledger.entries.get(clip.name)
            if entry is None or not _stands(entry, clip):
                entry = measure_clip(clip, instruments, protocol, device)
                if ledger is not None:
                    ledger.add(entry)
            entries.append(entry)
            advance(done)
        unbegun = (replace(it, clip=printable(it.clip), fault=printable(it.fault)) for it in problems)
        faults = (*unbegun, *(problem for entry in entries for problem in entry.problems))
        results = tuple(entry.result for entry in entries if entry.result is not None)
        if not results:
            first = f"; the first of {len(faults)} faults: {faults[0].fault}" if faults else ""
            if ledger is not None:
                ledger.remove()
            raise UserError(f"{subject.dataset}: not one clip could be scored{first}")
        result = sum_up(results, faults, subject, instruments.tools, protocol.settings())
        if output is not None and ledger is not None:
            save_result(output, result)
            ledger.remove()
    return result


def _stands(entry: Entry, clip: ScoredClip) -> bool:
    """Whether a clip need not be measured again: it has numbers, and no fault that may have been mended since."""
    told = [problem.fault for problem in entry.problems]
    return entry.result is not None and (not told or told == list(map(printable, clip.reservations())))


def _identity(subject: Subject, instruments: Instruments, protocol: Protocol) -> str:
    """Everything that would change a number, as one text. Another machine may go on: only last digits differ there."""
    versions = {name: version for name, version in subject.versions.items() if name != "machine"}
    subject = replace(subject, versions=versions)
    tools = [asdict(tool) for tool in instruments.tools]
    return json.dumps({"subject": asdict(subject), "tools": tools, "protocol": asdict(protocol)}, sort_keys=True)


def _common_size(results: Sequence[ClipResult]) -> tuple[int, int] | None:
    sizes = {result.size for result in results}
    return sizes.pop() if len(sizes) == 1 else None


def _undetected(results: Sequence[ClipResult], tools: Sequence[Tool]) -> tuple[Problem, ...]:
    """Clips that a detector is silent on: they have no share in its mean, which a reader must know."""
    labels = tool_labels(tools, ("AKD", "AED"))
    return tuple(
        Problem(
            clip=result.name,
            fault=f"{result.name}: no {key}, for {labels[key]} found nothing in {tally.skipped} target and "
            f"{tally.failures} predicted frames of {result.frames}",
            scored=True,
        )
        for result in results
        for key, tally in result.metrics.items()
        if key in labels and tally.mean is None
    )


def sum_up(
    results: Sequence[ClipResult],
    faults: Sequence[Problem],
    subject: Subject,
    tools: Sequence[Tool],
    settings: Mapping[str, Setting],
) -> Result:
    """One result out of clips'."""
    keys = dict.fromkeys(key for result in results for key in result.metrics)
    return Result(
        kind=subject.kind,
        method=printable(subject.method),
        dataset=printable(subject.dataset),
        size=_common_size(results),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        settings={**settings, **subject.settings},
        versions={**subject.versions, subject.kind: subject.version},
        tools=tuple(tools),
        summaries=summarize(results, tool_labels(tools, keys)),
        clips=tuple(results),
        problems=(*faults, *_undetected(results, tools)),
    )


@torch.inference_mode()
def measure_clip(clip: ScoredClip, instruments: Instruments, protocol: Protocol, device: torch.device = CPU) -> Entry:
    """One clip's numbers, computed on `device`; a fault of the clip becomes a problem, not an error."""
    meter = ClipMeter(protocol, instruments.keypoints, instruments.identity)
    problems = [Problem(clip=clip.name, fault=printable(fault), scored=True) for fault in clip.reservations()]
    looks = _Looks(clip.name, instruments, protocol)
    try:
        start = 0
        for batch in clip.batches():
            _check_frames(clip.name, batch, start, protocol)
            masks = looks.at(batch)
            prediction, target = batch.prediction.to(device), batch.target.frames.to(device)
            extra = dict[str, list[float]]()
            if batch.target.truth is not None:
                source = batch.source.cpu().expand(len(target), -1, -1, -1)
                extra = truth_metrics(prediction.cpu(), target.cpu(), source, batch.motion, batch.target.truth)
            first = 1 if protocol.skip_first and start == 0 else 0
            start += len(target)
            if first < len(target):
                meter.add(
                    prediction[first:],
                    target[first:],
                    {name: mask[first:] for name, mask in masks.items()},
                    {key: values[first:] for key, values in extra.items()},
                    written=batch.written,
                )
        looks.end()
    except UserError as error:
        return Entry(name=clip.name, result=None, problems=(Problem(clip=clip.name, fault=printable(str(error))),))
    if looks.salient_fault is not None:
        meter.forget_masked("salient")
        problems.append(Problem(clip=clip.name, fault=printable(looks.salient_fault), scored=True))
    if meter.frames == 0:
        fault = f"{clip.name}: holds no frame to score; make it anew"
        return Entry(name=clip.name, result=None, problems=(Problem(clip=clip.name, fault=fault),))
    return Entry(name=clip.name, result=meter.result(clip.name), problems=tuple(problems))


def _check_frames(clip: str, batch: ScoredBatch, start: int, protocol: Protocol) -> None:
    """Refuse what has no score. `start` is the number of the batch's first frame."""
    height, width = batch.target.frames.shape[-2:]
    side = WINDOW_SIDES[protocol.ssim]
    if min(height, width) < side:
        raise UserError(f"{clip}: frames of {width}x{height}; SSIM with {protocol.ssim} needs at least {side}x{side}")
    # A frame of nan has nan for a score, which would drop out of the mean and flatter the method.
    broken = (~batch.prediction.isfinite().flatten(1).all(1)).nonzero()
    if len(broken):
        raise UserError(
            f"{clip}: frame {start + int(broken[0])} of the prediction holds what is no number; make it anew"
        )


class _Looks:
    """The masks of one clip, batch by batch."""

    def __init__(self, name: str, instruments: Instruments, protocol: Protocol) -> None:
        self.protocol, self.baseline = protocol, instruments.baseline
        self.salient_fault: str | None = None
        self._motion: Callable[[Frames], MotionOutput] | None = None
        self._salient: ClipMasks | None = None
        if instruments.salient is not None:
            try:
                self._salient = instruments.salient.begin(name)
            except UserError as error:
                self.salient_fault = str(error)

    def at(self, batch: ScoredBatch) -> dict[str, Mask]:
        """Masks by name. A salient mask that does not fit is a fault of its own; the rest is measured on."""
        found = dict[str, Mask]()
        if self._salient is not None:
            try:
                found["salient"] = self._salient.find(batch.target)
            except UserError as error:
                self.salient_fault, self._salient = str(error), None
        if self.baseline is not None:
            if self._motion is None:
                self._motion = self.baseline.begin(batch.source)
            height, width = batch.target.frames.shape[-2:]
            tops = top_masks(self._motion(batch.target.frames), height, width, self.protocol)
            found |= {f"top_{share}": mask for share, mask in tops.items()}
        return found

    def end(self) -> None:
        """The clip is over: whether the masks are, too."""
        if self._salient is not None:
            try:
                self._salient.end()
            except UserError as error:
                self.salient_fault = str(error)
