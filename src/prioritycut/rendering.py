"""Files in, files out: the work of `prioritycut animate`, streamed from the driving clip to the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch

from prioritycut.animation import Frame, MotionTransfer, animate_stream, best_start
from prioritycut.checkpoint import load_animator, read_info
from prioritycut.data.clips import ClipReader, ClipWriter, Fit, fit_square, open_clip, read_image, square_fit
from prioritycut.data.stored import Say
from prioritycut.errors import UserError
from prioritycut.explanation import explain_frames
from prioritycut.models.base import Animator, KeypointAnimator
from prioritycut.models.building import MODEL_NAMES, ModelConfig

Advance = Callable[[int], None]
"""Takes the number of frames done so far."""


@dataclass(frozen=True, kw_only=True)
class RenderOptions:
    """How a picture is animated."""

    checkpoint: str = "puppets"
    """A .safetensors file, a run folder, or the name of shipped weights."""
    transfer: MotionTransfer = field(default_factory=MotionTransfer)
    best_frame: bool = False
    """Start relative motion from the driving frame whose pose is nearest to the picture's, not from the first."""
    explain: bool = False
    """Write a second clip that shows every map."""
    audio: bool = True
    """Keep the driving clip's sound."""
    fit: Literal["pad", "crop"] = "pad"
    """What becomes of frames that are not square: the model sees all of them, or their middle."""
    source_frame: int = 0
    """Which frame, where the source is a clip."""
    device: str = "cpu"
    batch_size: int = 8

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was made."""

    output: Path
    explanation: Path | None
    frames: int
    rate: Fraction
    audio_kept: bool


def explanation_path(output: Path) -> Path:
    """Where the explain clip of an output goes: beside it, its name ending in -explain."""
    return output.with_name(f"{output.stem}-explain{output.suffix}")


class Renderer:
    """A checkpoint and how it animates, for one clip or many.

    Attributes:
        options: How.
        info: What the checkpoint says of itself.
    """

    def __init__(self, options: RenderOptions, *, say: Say = lambda line: None) -> None:
        """Look at the checkpoint; its weights are loaded when they are first needed.

        Raises:
            UserError: There is no such checkpoint, or the model or the motion knows no such option.
        """
        self.options, self.info = options, read_info(options.checkpoint)
        _check_motion(options, self.info.model)
        size, trained_on = self.info.model.frame_size, self.info.trained_on
        say(
            f"weights: {options.checkpoint}, trained on {trained_on} at {size}x{size}"
            + ("; expect little of subjects that are no puppets" if trained_on == "puppets" else "")
        )

    @cached_property
    def animator(self) -> Animator:
        """The model, on the device of the options."""
        return load_animator(self.options.checkpoint, self.options.device)

    def fit(self, picture: Frame, name: object) -> Fit:
        """How a picture becomes square. Raises UserError where it is smaller than the model's frames."""
        size = self.info.model.frame_size
        height, width = picture.shape[-2:]
        if min(height, width) < size:
            raise UserError(
                f"{name}: {width}x{height} is smaller than the model's {size}x{size}; give a larger picture"
            )
        return square_fit(width, height, size, self.options.fit)

    def render(
        self,
        picture: Frame,
        fit: Fit,
        driving: ClipReader,
        output: Path,
        *,
        say: Say = lambda line: None,
        advance: Advance = lambda done: None,
    ) -> Rendered:
        """Animate a picture with a clip that is open.

        Args:
            picture: RGB in [0, 1], of any size.
            fit: How it becomes square.
            driving: The clip that tells the motion, and whose sound is kept.
            output: As in `render_files`, which tells the rest.
        """
        options, model, animator = self.options, self.info.model, self.animator
        size = model.frame_size
        frame = fit_square(picture, size, options.fit).to(options.device)
        start = initial = None
        if isinstance(animator, KeypointAnimator):
            start = animator.detect(frame[None])
            if options.best_frame:
                fitted = _fitted(driving, size, options.fit)
                number, initial = best_start(animator, frame, fitted, batch_size=options.batch_size)
                say(f"best start: driving frame {number}")
        sound = driving.path if options.audio and driving.has_audio else None
        with ExitStack() as stack:
            explaining = None
            if options.explain:
                place = explanation_path(output)
                explaining = stack.enter_context(ClipWriter(place, rate=driving.rate, audio_from=sound))
            # Entered last, so finished first: no explanation is left without its result.
            writer = stack.enter_context(ClipWriter(output, rate=driving.rate, audio_from=sound))
            stream = animate_stream(
                animator,
                frame,
                _fitted(driving, size, options.fit),
                transfer=options.transfer,
                initial=initial,
                batch_size=options.batch_size,
            )
            for batch in stream:
                for made in without_padding(batch.output.prediction, fit):
                    writer.write(made)
                if explaining is not None:
                    for panels in explain_frames(frame, start, batch, align_corners=model.align_corners):
                        explaining.write(panels)
                advance(writer.frame_count)
            audio_kept = writer.audio_kept
            count = writer.frame_count
        explanation = explanation_path(output) if options.explain else None
        return Rendered(output, explanation, count, driving.rate, audio_kept)


def render_files(
    source: Path,
    driving: Path,
    output: Path,
    options: RenderOptions,
    *,
    say: Say = lambda line: None,
    advance: Advance = lambda done: None,
) -> Rendered:
    """Animate a picture file with a clip file.

    The result has the driving clip's length and rate. With `fit="pad"` it has the picture's aspect too: the model
    sees the picture padded to a square, and the padding is cut off again. Nothing is ever stretched.

    Args:
        source: A picture, or a clip of which one frame is taken.
        driving: The clip that tells the motion.
        output: `.mp4`, `.webm`, `.gif`, or a folder of png.
        options: How.
        say: Told, a line at a time, what was done to the input and what to expect.
        advance: Told the frames done so far.

    Raises:
        UserError: Any file is at fault, the picture is smaller than the model's frames, or the model or the motion
            knows no such option. Nothing half-written is left.
    """
    made = [output, explanation_path(output)] if options.explain else [output]
    _keep_inputs(made, source, driving)
    renderer = Renderer(options, say=say)
    picture = read_image(source, frame=options.source_frame)
    fit = renderer.fit(picture, source)
    say(f"source: {fit.describe()}")
    with open_clip(driving) as reader:
        size = renderer.info.model.frame_size
        say(f"driving: {square_fit(reader.width, reader.height, size, options.fit).describe()}")
        return renderer.render(picture, fit, reader, output, say=say, advance=advance)


def _check_motion(options: RenderOptions, model: ModelConfig) -> None:
    """Refuse motion that is told by keypoints where the model finds none, and options of relative motion without it."""
    relative, checkpoint = options.transfer.relative, options.checkpoint
    shaping = ((options.best_frame, "--best-frame"), (options.transfer.adapt_scale, "--adapt-scale"))
    idle = [option for asked, option in shaping if asked]
    if not model.num_keypoints and (relative or idle):
        raise UserError(
            f"{checkpoint}: {'--motion relative' if relative else idle[0]} needs keypoints, which "
            f"{MODEL_NAMES[model.kind]} does not find; use --motion absolute"
            f"{', without ' + ' and '.join(idle) if idle else ''}"
        )
    if not relative and idle:
        raise UserError(f"{idle[0]}: of relative motion, and --motion absolute knows none; leave out one of the two")


def _keep_inputs(outputs: list[Path], *inputs: Path) -> None:
    for output in outputs:
        # A folder of png replaces what is in it.
        for path in (place for given in inputs for place in (given, given.parent)):
            replaces = output.suffix == "" or path in inputs
            if replaces and output.exists() and path.exists() and output.samefile(path):
                raise UserError(f"{output}: the output would replace an input; choose another output")


def _fitted(reader: ClipReader, size: int, mode: Literal["pad", "crop"]) -> Iterator[Frame]:
    for frame in reader:
        yield fit_square(frame, size, mode)


def without_padding(frames: torch.Tensor, fit: Fit) -> torch.Tensor:
    """Cut off what `fit` padded, at the model's scale; frames that were cropped are returned whole."""
    scale = fit.size / fit.side
    top, left = max(0, round(-fit.top * scale)), max(0, round(-fit.left * scale))
    rows = max(1, min(fit.size, round(fit.height * scale)))
    columns = max(1, min(fit.size, round(fit.width * scale)))
    return frames[..., top : top + rows, left : left + columns]
