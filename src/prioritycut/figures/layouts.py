"""Each figure of the paper as a grid: which panels stand where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from prioritycut.drawing import paint_map, paint_scores
from prioritycut.errors import UserError
from prioritycut.figures.grid import Caption, Cell, Grid, Key, Missing, Panel, Row
from prioritycut.figures.subjects import FigureModel, Shot, View
from prioritycut.outputs import Frames
from prioritycut.regularizers import (
    BoolMask,
    CutMix,
    Cutout,
    Mixup,
    draw_mask,
    maps_at_frame_size,
    mix,
    partner,
    priority_cut_mask,
)

Judged = Literal["generated", "driving"]
"""Which frame the discriminators of figure 4 judge."""


@dataclass(frozen=True, slots=True)
class Material:
    """What a layout arranges.

    Attributes:
        models: In the order of their rows or columns.
        clips: The shots of each clip; one of each while a video is written.
        fraction: Share of the foreground that PriorityCut cuts, in [0, 1].
        seed: Of the random masks of figure 2, the same for every shot.
        judged: Which frame figure 4's discriminators judge.
    """

    models: tuple[FigureModel, ...]
    clips: tuple[tuple[Shot, ...], ...]
    fraction: float = 0.3
    seed: int = 0
    judged: Judged = "generated"

    @property
    def shots(self) -> tuple[Shot, ...]:
        """All of them, clip after clip."""
        return tuple(shot for clip in self.clips for shot in clip)


Layout = Callable[[Material], tuple[Grid, ...]]
"""From the material to grids that stand side by side."""


def overview(material: Material) -> tuple[Grid, ...]:
    """Figure 1: how PriorityCut augments one frame.

    Raises:
        UserError: The model estimates no occlusion map or background mask, which this figure is about.
    """
    headers = ("Source", "Driving", "Generated", "Occlusion mask", "PriorityCut mask", "Augmented")
    rows = list[list[Cell]]()
    for shot in material.shots:
        view = shot.views[0]
        if cut_mask(view, material.fraction) is None:
            raise UserError(
                f"{material.models[0].label}: estimates no occlusion map and background mask, which figure 1 is about; "
                "take a model that does, or figure 3, which leaves their panels empty"
            )
        cut, augmented = _cut_cells(view, material.fraction)
        rows.append([*_begin(shot), _picture(view.output.prediction), _occlusion(view), cut, augmented])
    return (_table(headers, rows),)


def augmentations(material: Material) -> tuple[Grid, ...]:
    """Figure 2: the driving frame as each regularizer mixes it with the generated one.

    Cutout and CutMix take the same box, so that they differ in nothing but what fills it.
    """
    rows = list[list[Cell]]()
    for shot in material.shots:
        view = shot.views[0]
        cells = list[Cell]()
        for regularizer in (Cutout(), Mixup(), CutMix(inversion_probability=0.0)):
            generator = torch.Generator().manual_seed(material.seed)
            mask = draw_mask(regularizer, view.output.motion, view.driving, generator=generator)
            cells.append(_picture(mix(view.driving, partner(regularizer, view.output.prediction), mask)))
        rows.append([*cells, _cut_cells(view, material.fraction)[1]])
    return (_table(("Cutout", "Mixup", "CutMix", "PriorityCut"), rows),)


def every_map(material: Material) -> tuple[Grid, ...]:
    """Figure 3: every map between the source and the augmented frame."""
    headers = ("Source", "Driving", "Generated", "Occlusion", "Background", "PriorityCut", "Augmented")
    rows = list[list[Cell]]()
    for shot in material.shots:
        view = shot.views[0]
        generated = _picture(view.output.prediction)
        rows.append(
            [*_begin(shot), generated, _occlusion(view), _background(view), *_cut_cells(view, material.fraction)]
        )
    return (_table(headers, rows),)


def realness(material: Material) -> tuple[Grid, ...]:
    """Figure 4: the driving frame, and how real each run's own discriminator finds every pixel."""
    rows = [
        [
            Panel(shot.driving),
            *(_realness(model, view, material.judged) for model, view in zip(material.models, shot.views, strict=True)),
        ]
        for shot in material.shots
    ]
    levels = torch.linspace(0, 1, 256).view(1, 1, 1, -1)
    key = Key(f"{material.judged} frame is", "fake", "real", paint_scores(levels, 1, 256)[0])
    return (_table(("Driving", *(model.label for model in material.models)), rows, key),)


def _realness(model: FigureModel, view: View, judged: Judged) -> Cell:
    if model.discriminator is None:
        return Missing("no discriminator")
    frames = view.driving if judged == "driving" else view.output.prediction
    with torch.inference_mode():
        scores = model.discriminator(frames, view.keypoints)[0].pixel_score
    return Missing() if scores is None else _picture(paint_scores(scores, *frames.shape[-2:]))


def models_by_row(material: Material) -> tuple[Grid, ...]:
    """Figure 5: source and driving frames in the first row, then each model's results in a row of its own."""
    rows = [row for shots in material.clips for row in _comparison(material.models, shots)]
    return (Grid(tuple(rows)),)


def models_by_column(material: Material) -> tuple[Grid, ...]:
    """Figure 6: source, driving frame, and each model's result in a column of its own."""
    headers = ("Source", "Driving", *(model.label for model in material.models))
    rows = [[*_begin(shot), *(_picture(view.output.prediction) for view in shot.views)] for shot in material.shots]
    return (_table(headers, rows),)


def two_examples(material: Material) -> tuple[Grid, ...]:
    """Figures A1 to A3: two clips side by side, each as in figure 5."""
    return tuple(Grid(_comparison(material.models, shots)) for shots in material.clips)


def _comparison(models: tuple[FigureModel, ...], shots: tuple[Shot, ...]) -> tuple[Row, ...]:
    source = Panel(shots[0].source)
    driving = ("Driving",) if len(shots) == 1 else tuple(f"Driving {number + 1}" for number in range(len(shots)))
    first = Row((source, *(Panel(shot.driving) for shot in shots)), ("Source", *driving))
    results = (
        Row((Caption(model.label), *(_picture(shot.views[place].output.prediction) for shot in shots)))
        for place, model in enumerate(models)
    )
    return (first, *results)


def _table(headers: tuple[str, ...], rows: list[list[Cell]], key: Key | None = None) -> Grid:
    """Rows of like cells; the names stand above the first."""
    named = (Row(tuple(cells), headers if index == 0 else ()) for index, cells in enumerate(rows))
    return Grid(tuple(named), key)


def _begin(shot: Shot) -> tuple[Cell, Cell]:
    return Panel(shot.source), Panel(shot.driving)


def _picture(frames: Frames) -> Panel:
    return Panel(frames[0])


def _occlusion(view: View) -> Cell:
    """Black is occluded, to be painted."""
    values = view.output.motion.occlusion_map
    return Missing() if values is None else _picture(paint_map(values, *view.driving.shape[-2:]))


def _background(view: View) -> Cell:
    """White is background."""
    values = view.output.motion.background_mask
    return Missing() if values is None else _picture(paint_map(values, *view.driving.shape[-2:]))


def cut_mask(view: View, fraction: float) -> BoolMask | None:
    """What PriorityCut cuts of the frame's foreground; `None` where the model lacks a map for it."""
    motion = view.output.motion
    if motion.occlusion_map is None or motion.background_mask is None:
        return None
    height, width = view.driving.shape[-2:]
    return priority_cut_mask(*maps_at_frame_size(motion, height, width, user="the cut mask"), fraction)


def _cut_cells(view: View, fraction: float) -> tuple[Cell, Cell]:
    """PriorityCut's mask, white where the pixel is taken from the generated frame, and the augmented frame."""
    mask = cut_mask(view, fraction)
    if mask is None:
        return Missing(), Missing()
    painted = paint_map(mask.float(), *view.driving.shape[-2:])
    return _picture(painted), _picture(mix(view.driving, view.output.prediction, mask))
