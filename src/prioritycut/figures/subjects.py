"""What a figure is made of: clips, models, and what each model makes of each driving frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import torch

from prioritycut.animation import MotionTransfer, animate_stream, batches
from prioritycut.checkpoint import load_animator
from prioritycut.configuration import config_from_json
from prioritycut.data.clips import ClipReader, Frame, fit_square, open_clip
from prioritycut.data.puppets import LARGEST_SIZE, RATE, SMALLEST_SIZE, generate_puppet
from prioritycut.errors import UserError
from prioritycut.evaluation import HELD_OUT_SEED
from prioritycut.models.base import Animator, KeypointAnimator
from prioritycut.models.discriminators import UNetDiscriminator, UNetDiscriminatorConfig
from prioritycut.outputs import AnimationOutput, Clip, Frames, Keypoints, MotionOutput
from prioritycut.runs import load_state
from prioritycut.train_config import TrainConfig

PUPPETS = "puppets"
PUPPET_FRAMES = 32
"""Length of a held-out puppet's clip."""


@dataclass(frozen=True, slots=True)
class FigureClip:
    """A driving clip that can be had at any size, as often as one asks.

    Attributes:
        name: As the user named it.
        rate: Frames per second.
        count: Counts the frames, by a pass over them where only that is sure.
        frames: From a side in pixels to the frames in order, square, one by one.
    """

    name: str
    rate: Fraction
    count: Callable[[], int]
    frames: Callable[[int], Iterator[Frame]]


def open_figure_clip(name: str) -> FigureClip:
    """A clip by its name: any that `open_clip` knows, cropped square; or `puppets:INDEX`, one of the held-out cast.

    `puppets` alone is `puppets:0`.

    Raises:
        UserError: No such clip or puppet.
    """
    kind, _, index = name.partition(":")
    if kind == PUPPETS:
        if index and not (index.isascii() and index.isdigit()):
            raise UserError(f"{name}: no such puppet; write puppets:INDEX with a whole number, such as puppets:5")
        number = int(index or 0)
        return FigureClip(name, Fraction(RATE), lambda: PUPPET_FRAMES, lambda size: _puppet_frames(number, size))
    reader = open_clip(name)
    return FigureClip(name, reader.rate, lambda: sum(1 for _ in reader), lambda size: _file_frames(reader, size))


def _puppet_frames(index: int, size: int) -> Iterator[Frame]:
    for frame in _draw_puppet(index, min(max(size, SMALLEST_SIZE), LARGEST_SIZE)):
        yield fit_square(frame, size)


@lru_cache(maxsize=4)  # every model asks for the same one
def _draw_puppet(index: int, size: int) -> Clip:
    return generate_puppet(HELD_OUT_SEED, index, frames=PUPPET_FRAMES, size=size).frames


def _file_frames(reader: ClipReader, size: int) -> Iterator[Frame]:
    for frame in reader:
        yield fit_square(frame, size)


def spread_frames(count: int, wanted: int) -> tuple[int, ...]:
    """Numbers of driving frames spread evenly: the middles of `wanted` equal parts of frames 1 to `count` - 1.

    Frame 0 is left to the source.

    Raises:
        ValueError: There are fewer driving frames than wanted.
    """
    if wanted > count - 1:
        raise ValueError(f"{wanted} driving frames beside the source need {wanted + 1} frames, there are {count}")
    return tuple(1 + (2 * part + 1) * (count - 1) // (2 * wanted) for part in range(wanted))


@dataclass(frozen=True, slots=True)
class FigureModel:
    """A model under the name that the figure gives it.

    Attributes:
        label: Its name in the figure.
        animator: Any model; one without keypoints is run by calling it.
        size: Side of the frames that it works at.
        discriminator: Who judged it in training, where the figure asks.
    """

    label: str
    animator: Animator
    size: int
    discriminator: UNetDiscriminator | None = None


def load_model(text: str, *, judged: bool = False, device: str = "cpu") -> FigureModel:
    """A model from `CHECKPOINT` or `LABEL=CHECKPOINT`; without a label it goes by the checkpoint's name.

    Args:
        text: The checkpoint is a .safetensors file, a run folder, or the name of shipped weights.
        judged: Whether its U-Net discriminator is needed too.
        device: Where the animator runs.

    Raises:
        UserError: No such checkpoint, or it has no discriminator where one is needed.
    """
    label, equals, checkpoint = text.partition("=")
    if not equals or Path(text).exists():
        path = Path(text)
        label, checkpoint = path.stem if path.suffix == ".safetensors" else path.name or text, text
    if not label or not checkpoint:
        raise UserError(f"{text}: a model is named CHECKPOINT or LABEL=CHECKPOINT; fill in both sides")
    animator = load_animator(checkpoint, device)
    discriminator = load_discriminator(Path(checkpoint)) if judged else None
    return FigureModel(label, animator, animator.config.frame_size, discriminator)


def load_discriminator(run: Path) -> UNetDiscriminator:
    """The U-Net discriminator of a run folder, ready to judge on the CPU.

    Raises:
        UserError: It is no run folder, or its run trained no U-Net discriminator.
    """
    config_file = run / "config.json"
    wanted = "give the folder of a run with a U-Net discriminator, such as `prioritycut train puppets-64-unet` makes"
    if not config_file.is_file():
        raise UserError(f"{run}: holds no discriminator, for it is no run folder (no config.json); {wanted}")
    config = config_from_json(TrainConfig, config_file.read_text(), where=config_file).discriminator
    if not isinstance(config, UNetDiscriminatorConfig):
        kind = "no discriminator" if config is None else f"a {config.kind} discriminator, which scores no pixels"
        raise UserError(f"{run}: was trained with {kind}; {wanted}")
    discriminator = UNetDiscriminator(config)
    load_state(run, {"discriminator": discriminator}, {})
    return discriminator.eval().requires_grad_(False)


@dataclass(frozen=True, slots=True)
class View:
    """What one model saw and made of one driving frame: a batch of one, at the model's size, on the CPU.

    Attributes:
        driving: The frame that gave the motion; in a reconstruction also the truth.
        output: What the model made of it.
        keypoints: The model's own of the driving frame; `None` for a model without keypoints.
    """

    driving: Frames
    output: AnimationOutput
    keypoints: Keypoints | None


@dataclass(frozen=True, slots=True)
class Shot:
    """One driving frame and what every model made of it.

    Attributes:
        source: The picture that was animated, at the figure's size.
        driving: The driving frame, at the figure's size.
        views: One a model, in their order.
    """

    source: Frame
    driving: Frame
    views: tuple[View, ...]


def shoot(
    models: tuple[FigureModel, ...],
    clip: FigureClip,
    *,
    picture: Frame | None = None,
    numbers: tuple[int, ...] | None = None,
    device: str = "cpu",
    batch_size: int = 8,
) -> Iterator[Shot]:
    """Run every model over a clip, frame by frame; memory does not grow with length.

    Args:
        models: Each sees the frames at its own size; the shot has the largest of them.
        clip: The driving clip.
        picture: The source, moved by relative motion; `None` takes frame 0 of the clip, which is then reconstructed
            with absolute motion.
        numbers: The driving frames to show, in rising order; `None` shows all.
        device: Where the animators are.
        batch_size: Driving frames at a time.
    """
    size = max(model.size for model in models)

    def source(side: int) -> Frame:
        return next(clip.frames(side)) if picture is None else fit_square(picture, side)

    streams = [
        _views(
            model,
            source(model.size).to(device),
            _chosen(clip.frames(model.size), numbers),
            initial=None if picture is None else next(clip.frames(model.size)),
            batch_size=batch_size,
        )
        for model in models
    ]
    shown = source(size)
    for driving, *views in zip(_chosen(clip.frames(size), numbers), *streams, strict=True):
        yield Shot(shown, driving, tuple(views))


def _chosen(frames: Iterator[Frame], numbers: tuple[int, ...] | None) -> Iterator[Frame]:
    if numbers is None:
        yield from frames
        return
    for number, frame in enumerate(frames):
        if number in numbers:
            yield frame
        if number >= numbers[-1]:
            return


@torch.inference_mode()
def _views(
    model: FigureModel, source: Frame, driving: Iterator[Frame], *, initial: Frame | None, batch_size: int
) -> Iterator[View]:
    animator = model.animator
    if isinstance(animator, KeypointAnimator):
        transfer = MotionTransfer(relative=initial is not None)
        stream = animate_stream(animator, source, driving, transfer=transfer, initial=initial, batch_size=batch_size)
        for batch in stream:
            for index in range(batch.driving.shape[0]):
                yield _view(batch.driving, batch.output, batch.driving_keypoints, index)
        return
    for frames in batches(driving, batch_size):
        frames = frames.to(source.device)
        output = animator(source.expand(frames.shape[0], -1, -1, -1), frames)
        for index in range(frames.shape[0]):
            yield _view(frames, output, None, index)


def _view(driving: Frames, output: AnimationOutput, keypoints: Keypoints | None, index: int) -> View:
    one = slice(index, index + 1)

    def taken(values: torch.Tensor) -> torch.Tensor:
        return values[one].cpu()

    motion = output.motion
    kept = MotionOutput(
        taken(motion.deformation),
        None if motion.occlusion_map is None else taken(motion.occlusion_map),
        None if motion.background_mask is None else taken(motion.background_mask),
    )
    if keypoints is not None:
        jacobian = None if keypoints.jacobian is None else taken(keypoints.jacobian)
        keypoints = Keypoints(taken(keypoints.position), jacobian)
    return View(taken(driving), AnimationOutput(taken(output.prediction), kept), keypoints)
