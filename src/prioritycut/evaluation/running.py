"""Files and names in, one result out: the work of `prioritycut evaluate` and `prioritycut score`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from prioritycut.checkpoint import find_checkpoint, load_animator, read_info
from prioritycut.data.layout import is_address
from prioritycut.data.stored import Split
from prioritycut.errors import UserError
from prioritycut.evaluation import HELD_OUT_SEED
from prioritycut.evaluation.instruments import Instruments
from prioritycut.evaluation.ledger import ledger_path
from prioritycut.evaluation.masks import Baseline, SalientMasks, brought_masks, segmented_masks, true_masks
from prioritycut.evaluation.measurement import ScoredClip, Subject, measure_clips
from prioritycut.evaluation.protocol import Protocol
from prioritycut.evaluation.reconstructing import reconstructor
from prioritycut.evaluation.reconstruction import reconstructed
from prioritycut.evaluation.scoring import matched_clips
from prioritycut.evaluation.testsets import TestClip, TestSet, folder_set, puppet_set
from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.detectors.registry import (
    build_identity_network,
    build_keypoint_detector,
    build_matting,
    build_segmenter,
    parse_choice,
)
from prioritycut.results import Result, check_output
from prioritycut.versions import code_versions

PUPPETS = "puppets"
Say = Callable[[str], None]
Advance = Callable[[int, int], None]
"""Takes the clips done so far and how many there are."""


@dataclass(frozen=True, kw_only=True)
class InstrumentChoice:
    """Which tools measure, by name. "auto" is the puppets' own on puppets, and none on other clips; "none" is none."""

    keypoints: str = "auto"
    """For AKD and MKR: mediapipe-face, mediapipe-pose, dlib-68, puppets, fan=FILE,FILE or part-affinity=FILE."""
    identity: str = "auto"
    """For AED: dlib-identity, puppets, openface=FILE or market-1501=FILE."""
    salient: str = "auto"
    """For salient masks: mediapipe-selfie or deeplabv3plus=FILE; on puppets "auto" is the true foreground."""
    matting: str = "closed-form"
    """How a segmenter's border is refined: closed-form, fba=FILE or none."""
    salient_radius: int | None = None
    """Width in pixels of the border that matting settles; by default 10 at 256, and the same share elsewhere."""
    salient_erode: bool = False
    """Whether the segmenter's mask loses its outermost pixels first."""
    masks: Path | None = None
    """Salient masks of the user's own instead: a folder with a clip for each clip, of the same name."""
    baseline: str = "auto"
    """The checkpoint whose maps choose the most occluded pixels; on puppets "auto" is the shipped weights."""

    def __post_init__(self) -> None:
        if self.salient_radius is not None and self.salient_radius < 0:
            raise ValueError(f"salient_radius must not be negative, got {self.salient_radius}")

    def build(self, device: torch.device, *, puppets: bool) -> Instruments:
        """Load what was chosen.

        Args:
            device: Where networks run.
            puppets: Whether they will look at puppets.

        Raises:
            UserError: A name is unknown, a weights file or a package is missing.
        """
        keypoints, identity = (
            None if choice is None else parse_choice(choice)
            for choice in (_chosen(self.keypoints, puppets), _chosen(self.identity, puppets))
        )
        return Instruments(
            keypoints=None if keypoints is None else build_keypoint_detector(keypoints, device),
            identity=None if identity is None else build_identity_network(identity, device),
            salient=self._salient(device, puppets=puppets),
            baseline=self._baseline(device, puppets=puppets),
        )

    def _salient(self, device: torch.device, *, puppets: bool) -> SalientMasks | None:
        if self.masks is not None:
            if self.salient not in ("auto", "none"):
                raise UserError(f"--salient {self.salient}: masks are brought already (--masks); give one of the two")
            return brought_masks(self.masks)
        if self.salient == "none" or (self.salient == "auto" and not puppets):
            return None
        if self.salient == "auto":
            return true_masks()
        return segmented_masks(
            build_segmenter(parse_choice(self.salient), device),
            build_matting(parse_choice(self.matting), device),
            radius=self.salient_radius,
            erode=self.salient_erode,
        )

    def _baseline(self, device: torch.device, *, puppets: bool) -> Baseline | None:
        checkpoint = _chosen(self.baseline, puppets)
        return None if checkpoint is None else load_baseline(checkpoint, device)


def _chosen(choice: str, puppets: bool) -> str | None:
    if choice == "auto":
        return PUPPETS if puppets else None
    return None if choice == "none" else choice


def load_baseline(checkpoint: str, device: torch.device) -> Baseline:
    """A checkpoint as the one whose maps choose the most occluded pixels.

    Raises:
        UserError: It does not load, or estimates no occlusion map.
    """
    animator = load_animator(checkpoint, device)
    if not animator.config.estimate_occlusion_map:
        raise UserError(f"{checkpoint}: estimates no occlusion map, which --baseline needs; name a FOMM checkpoint")
    tool = Tool(role="top-p", name=Path(checkpoint).name, version=checkpoint_version(checkpoint))
    return Baseline(tool, reconstructor(animator, device), animator.config.frame_size)


def checkpoint_version(checkpoint: str | Path) -> str:
    """The first 12 digits of the SHA-256 of its file."""
    with find_checkpoint(checkpoint).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What `evaluate` does."""

    checkpoint: str
    """A .safetensors file, a run folder, or the name of shipped weights."""
    dataset: str = PUPPETS
    """`puppets`, a folder of clips or of tar shards, or the address of shards."""
    output: Path | None = None
    """The result's JSON; `None` writes none."""
    method: str | None = None
    """Name of the row in reports; `None` is the checkpoint's."""
    clips: int | None = None
    """How many clips: of puppets 64 by default, of a folder all."""
    frames: int | None = None
    """Of puppets: length of each clip, 32 by default."""
    seed: int | None = None
    """Of puppets: which cast, by default the one that nothing is trained on."""
    split: Split | None = None
    """Of a folder: which clips, by default its test set."""
    instruments: InstrumentChoice = field(default_factory=InstrumentChoice)
    protocol: Protocol = field(default_factory=Protocol)
    device: str = "cpu"

    def test_set(self, size: int) -> TestSet:
        """The clips, at the model's size.

        Raises:
            UserError: The folder is missing or empty, or an option has no meaning for this kind of data.
        """
        if self.dataset == PUPPETS and not Path(self.dataset).is_dir():
            _refuse(self.dataset, "of a folder", {"--split": self.split})
            return puppet_set(
                size,
                clips=64 if self.clips is None else self.clips,
                frames=32 if self.frames is None else self.frames,
                seed=HELD_OUT_SEED if self.seed is None else self.seed,
            )
        _refuse(self.dataset, "of puppets", {"--frames": self.frames, "--seed": self.seed})
        return folder_set(self.dataset, size, split=self.split or "test", clips=self.clips)


def _refuse(dataset: str, meant_for: str, options: dict[str, object]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise UserError(f"{dataset}: {given[0]} is an option {meant_for}; leave it out")


def run_evaluation(
    options: EvaluateOptions, *, say: Say = lambda line: None, advance: Advance = lambda done, total: None
) -> Result:
    """Reconstruct test clips with a model and measure them.

    Raises:
        UserError: The checkpoint, the data or a tool does not load, or no clip could be scored.
    """
    if options.output is not None:
        check_output(options.output)
    info = read_info(options.checkpoint)
    size = info.model.frame_size
    tests = options.test_set(size)
    puppets = tests.name == PUPPETS
    device = torch.device(options.device)
    instruments = options.instruments.build(device, puppets=puppets)
    say(f"model: {options.checkpoint}, trained on {info.trained_on}; {len(tests.clips)} clips at {size}x{size}")
    _say_tools(instruments, say)
    _say_kept(options.output, say)
    reconstruct = reconstructor(load_animator(options.checkpoint, device), device)
    batch_size = options.protocol.batch_size

    def scored(clip: TestClip) -> ScoredClip:
        return ScoredClip(clip.name, lambda: reconstructed(clip, reconstruct, batch_size))

    subject = Subject(
        kind="reconstruction",
        method=options.method or Path(options.checkpoint).name.removesuffix(".safetensors"),
        dataset=tests.name,
        version=checkpoint_version(options.checkpoint),
        settings=tests.settings,
        versions=code_versions(),
        place="" if puppets else _place(options.dataset),
    )
    total = len(tests.clips)
    return measure_clips(
        [scored(clip) for clip in tests.clips],
        subject,
        instruments,
        options.protocol,
        output=options.output,
        device=device,
        advance=lambda done: advance(done, total),
    )


def _place(dataset: str) -> str:
    return dataset if is_address(dataset) else str(Path(dataset).resolve())


def _say_kept(output: Path | None, say: Say) -> None:
    if output is not None and ledger_path(output).is_file():
        say(f"going on: {ledger_path(output)} keeps the clips that are done already")


def _say_tools(instruments: Instruments, say: Say) -> None:
    for metrics, option, instrument in (
        ("AKD and MKR", "--keypoints", instruments.keypoints),
        ("AED", "--identity", instruments.identity),
        ("salient masks", "--salient", instruments.salient),
        ("masks of the most occluded pixels", "--baseline", instruments.baseline),
    ):
        if instrument is None:
            say(f"{metrics}: left out; name a tool with {option} to have them")
        else:
            note = f" ({instrument.tool.note})" if instrument.tool.note else ""
            say(f"{metrics}: {instrument.tool.label}{note}")


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """What `score` does."""

    predictions: Path
    targets: Path
    """Folders of clips, matched by name."""
    output: Path
    method: str | None = None
    """Name of the row in reports; `None` is the predictions folder's."""
    dataset: str | None = None
    """Name of the data; `None` is the targets folder's."""
    size: int | None = None
    """Crop and resize both sides to this; `None` takes frames as they are."""
    instruments: InstrumentChoice = field(default_factory=InstrumentChoice)
    protocol: Protocol = field(default_factory=Protocol)
    device: str = "cpu"


def run_scoring(
    options: ScoreOptions, *, say: Say = lambda line: None, advance: Advance = lambda done, total: None
) -> Result:
    """Measure clips that any method made.

    Raises:
        UserError: A folder or a tool does not load, or no clip could be scored.
    """
    check_output(options.output)
    if options.size is not None and options.size < 1:
        raise UserError(f"--size {options.size}: frames cannot be brought to it; give at least 1")
    pairs, problems = matched_clips(
        options.predictions, options.targets, batch_size=options.protocol.batch_size, size=options.size
    )
    instruments = options.instruments.build(torch.device(options.device), puppets=False)
    say(f"{len(pairs)} pairs of clips of the same name")
    _say_tools(instruments, say)
    _say_kept(options.output, say)
    subject = Subject(
        kind="score",
        method=options.method or options.predictions.resolve().name,
        dataset=options.dataset or options.targets.resolve().name,
        version=str(options.predictions),
        settings={"size": options.size, "fit": None if options.size is None else "crop"},
        versions=code_versions(),
        place=f"{options.predictions.resolve()} {options.targets.resolve()}",
    )
    return measure_clips(
        pairs,
        subject,
        instruments,
        options.protocol,
        output=options.output,
        problems=problems,
        device=torch.device(options.device),
        advance=lambda done: advance(done, len(pairs)),
    )
