"""Checkpoints and clips in, a figure out: the work of `prioritycut figure`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from prioritycut.data.clips import ClipWriter, read_image
from prioritycut.drawing import save_picture
from prioritycut.errors import UserError
from prioritycut.figures.grid import draw_grids
from prioritycut.figures.layouts import (
    Judged,
    Layout,
    Material,
    augmentations,
    every_map,
    models_by_column,
    models_by_row,
    overview,
    realness,
    two_examples,
)
from prioritycut.figures.lettering import Picture
from prioritycut.figures.subjects import FigureClip, Shot, load_model, open_figure_clip, shoot, spread_frames

FigureNumber = Literal["1", "2", "3", "4", "5", "6", "A1", "A2", "A3"]
VIDEO_SUFFIXES = (".mp4", ".webm", ".gif")


@dataclass(frozen=True, kw_only=True)
class FigureKind:
    """What a figure takes.

    Attributes:
        layout: Where its panels stand.
        checkpoints: How many it compares; `None` is any number from one.
        clips: How many examples it shows; `None` likewise.
        frames: Driving frames of each clip in a picture.
        animates: Whether its source may be another picture. Figures about mixing need the reconstruction of a frame.
        judged: Whether it needs discriminators.
    """

    layout: Layout
    checkpoints: int | None = None
    clips: int | None = None
    frames: int = 1
    animates: bool = False
    judged: bool = False


_TWO_EXAMPLES = FigureKind(layout=two_examples, clips=2, frames=3, animates=True)
FIGURES: dict[FigureNumber, FigureKind] = {
    "1": FigureKind(layout=overview, checkpoints=1),
    "2": FigureKind(layout=augmentations, checkpoints=1),
    "3": FigureKind(layout=every_map, checkpoints=1),
    "4": FigureKind(layout=realness, checkpoints=2, judged=True),
    "5": FigureKind(layout=models_by_row, frames=5, animates=True),
    "6": FigureKind(layout=models_by_column, animates=True),
    "A1": _TWO_EXAMPLES,
    "A2": _TWO_EXAMPLES,
    "A3": _TWO_EXAMPLES,
}
"""The paper's figures (SPEC section 10). A1 to A3 differ in their data only."""

EXAMPLES = ("puppets:5", "puppets:3")
"""Clips that stand in where none is named."""


@dataclass(frozen=True, slots=True)
class MadeFigure:
    """What was made.

    Attributes:
        output: The file.
        width, height: Its size in pixels.
        frames: 1 for a picture.
        rate: Frames per second of a video.
    """

    output: Path
    width: int
    height: int
    frames: int
    rate: Fraction | None


def make_figure(
    number: FigureNumber,
    /,
    *,
    checkpoints: Sequence[str],
    output: Path,
    clips: Sequence[str] = (),
    frames: Sequence[int] = (),
    source: Path | None = None,
    fraction: float = 0.3,
    seed: int = 0,
    judged: Judged = "generated",
    device: str = "cpu",
    advance: Callable[[int], None] = lambda done: None,
) -> MadeFigure:
    """Make one of the paper's figures with any models and clips, as a picture or as a video.

    Figure 1: how PriorityCut augments a frame. 2: Cutout, Mixup, CutMix, PriorityCut. 3: every map. 4: pixel realness
    by the discriminators of two runs. 5: a row a model. 6: a column a model. A1 to A3: two clips, a row a model.

    In a video every driving frame gives one frame of the grid, which then has one driving column; clips that end
    earlier stay at their last frame.

    Args:
        number: Which figure.
        checkpoints: `LABEL=CHECKPOINT` or `CHECKPOINT`; 1 for figures 1 to 3, 2 run folders for figure 4.
        output: `.png`, or `.mp4`, `.webm`, `.gif`.
        clips: Media files, or `puppets:INDEX` for the held-out cast; two for A1 to A3. None gives held-out puppets.
        frames: Numbers of the driving frames in a picture, from 0; none spreads them evenly.
        source: A picture to animate with relative motion. Without it frame 0 of each clip is the source, and the
            clip is reconstructed. For figures 5, 6 and A1 to A3.
        fraction: Share of the foreground that PriorityCut cuts, in [0, 1].
        seed: Of figure 2's random masks.
        judged: Which frame the discriminators of figure 4 judge: each run's own reconstruction, or the real one.
        device: Where the models run.
        advance: Told the frames of a video written so far.

    Raises:
        UserError: Wrong counts, or a file is at fault; nothing half-written is left.
        ValueError: `fraction` lies outside [0, 1].
    """
    kind = FIGURES[number]
    named = tuple(clips) or EXAMPLES[: kind.clips or 1]
    _check_request(number, kind, checkpoints, named, output, frames, source)
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"fraction must lie in [0, 1], got {fraction}")
    opened = [open_figure_clip(name) for name in named]
    models = tuple(load_model(text, judged=kind.judged, device=device) for text in checkpoints)
    shots = partial(shoot, models, picture=None if source is None else read_image(source), device=device)
    material = Material(models, (), fraction, seed, judged)

    def drawn(clips: Sequence[tuple[Shot, ...]]) -> Picture:
        return draw_grids(kind.layout(replace(material, clips=tuple(clips))))

    if output.suffix.lower() in VIDEO_SUFFIXES:
        rate = _common_rate(opened)
        moments = in_step([shots(clip) for clip in opened])
        grids = (drawn([(shot,) for shot in moment]) for moment in moments)
        return _write_video(output, grids, rate=rate, advance=advance)
    numbers = [_numbers(number, clip, kind.frames, frames) for clip in opened]
    shown = [tuple(shots(clip, numbers=wanted)) for clip, wanted in zip(opened, numbers, strict=True)]
    return _write_picture(output, drawn(shown))


def _write_video(
    output: Path, grids: Iterator[Picture], *, rate: Fraction, advance: Callable[[int], None]
) -> MadeFigure:
    height = width = 0
    with ClipWriter(output, rate=rate) as writer:
        for grid in grids:
            height, width = grid.shape[-2:]
            writer.write(grid)
            advance(writer.frame_count)
    return MadeFigure(output, width, height, writer.frame_count, rate)


def _write_picture(output: Path, grid: Picture) -> MadeFigure:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        save_picture(output, grid)
    except OSError as error:
        raise UserError(f"{output}: cannot be written ({error.strerror}); choose another place") from error
    return MadeFigure(output, grid.shape[-1], grid.shape[-2], 1, None)


def _check_request(
    number: FigureNumber,
    kind: FigureKind,
    checkpoints: Sequence[str],
    clips: Sequence[str],
    output: Path,
    frames: Sequence[int],
    source: Path | None,
) -> None:
    for noun, wanted, given in (("checkpoint", kind.checkpoints, checkpoints), ("clip", kind.clips, clips)):
        if not given or (wanted is not None and len(given) != wanted):
            asked = "at least 1" if wanted is None else str(wanted)
            plural = "" if asked.endswith("1") else "s"
            raise UserError(f"figure {number} takes {asked} {noun}{plural}, got {len(given)}; name them by --{noun}s")
    if output.suffix.lower() not in (".png", *VIDEO_SUFFIXES):
        raise UserError(f"{output}: a figure is written as .png, or as .mp4, .webm or .gif; give the output that name")
    if frames and output.suffix.lower() != ".png":
        raise UserError(f"{output}: a video shows every driving frame; leave --frames out, or write a .png")
    if source is not None and not kind.animates:
        raise UserError(
            f"{source}: figure {number} compares a driving frame with its own reconstruction; leave --source out"
        )
    for path in (*map(Path, clips), *((source,) if source else ())):
        if output.exists() and path.exists() and output.samefile(path):
            raise UserError(f"{output}: the figure would replace an input; choose another output")


def _numbers(figure: FigureNumber, clip: FigureClip, wanted: int, asked: Sequence[int]) -> tuple[int, ...]:
    """The driving frames that a picture shows."""
    count = clip.count()
    outside = [number for number in asked if not 0 <= number < count]
    if outside:
        raise UserError(f"{clip.name}: there is no frame {outside[0]}, it has {count}; ask for 0 to {count - 1}")
    if asked:
        return tuple(sorted(set(asked)))
    if wanted > count - 1:
        raise UserError(
            f"{clip.name}: has {count} frames, but figure {figure} shows {wanted} beside the source; "
            "give a longer clip, or name the frames by --frames"
        )
    return spread_frames(count, wanted)


def _common_rate(clips: Sequence[FigureClip]) -> Fraction:
    rates = {clip.rate for clip in clips}
    if len(rates) > 1:
        told = ", ".join(f"{clip.name} {float(clip.rate):g}" for clip in clips)
        raise UserError(f"clips of one video must have one rate, got {told} frames a second; make a video of each")
    return clips[0].rate


def in_step(streams: Sequence[Iterator[Shot]]) -> Iterator[tuple[Shot, ...]]:
    """The next shot of every clip until the last clip is over; one that is over stays at its last."""
    latest = list[Shot]()
    for arrived in zip_longest(*streams):
        latest = [new or latest[place] for place, new in enumerate(arrived)]
        yield tuple(latest)
