"""Picture + clip -> clip: whose motion, told how, streamed so that memory does not grow with length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from prioritycut.geometry import inverse_2x2, multiply_2x2
from prioritycut.models.base import EncodingAnimator, KeypointAnimator
from prioritycut.outputs import AnimationOutput, Clip, Frames, Keypoints

Frame = Float[Tensor, "3 height width"]


@dataclass(frozen=True, kw_only=True)
class MotionTransfer:
    """How the driving motion is carried to the source."""

    relative: bool = True
    """Move the source by how the driving object moved since its first frame; False takes its place as it is."""
    relative_jacobian: bool = True
    """With relative motion: whether local deformations are relative too."""
    adapt_scale: bool = False
    """With relative motion: scale it by how large the source object is next to the driving one."""


def transfer_motion(
    source: Keypoints,
    driving: Keypoints,
    driving_initial: Keypoints,
    *,
    relative: bool = True,
    relative_jacobian: bool = True,
    adapt_scale: bool = False,
) -> Keypoints:
    """The keypoints that the source shall be moved to.

    Absolute motion takes the driving keypoints as they are: the source is deformed to the driving object's shape
    and place. Relative motion adds to the source's keypoints what the driving ones did since their initial frame,
    and so keeps the source's shape: p = p_s + s (p_d - p_d0), J = J_d J_d0^-1 J_s.

    Args:
        source: Of the picture, batch 1 (or that of `driving`).
        driving: Of the driving frames.
        driving_initial: Of the driving frame that looks most like the source, batch 1.
        relative: False for absolute motion; the two switches below then have no effect.
        relative_jacobian: False leaves the driving jacobians as they are.
        adapt_scale: s = sqrt of the area of the source's keypoints over that of the initial driving ones; else s = 1.

    Source: FOMM, section 3.3; SPEC 7.1.
    """
    if not relative:
        return driving
    scale = torch.ones(1, 1, 1)
    if adapt_scale:
        ratio = (hull_area(source) / hull_area(driving_initial)).sqrt()
        scale = ratio.view(-1, 1, 1)
    scale = scale.to(driving.position)
    position = source.position + scale * (driving.position - driving_initial.position)
    jacobian = driving.jacobian
    if relative_jacobian and jacobian is not None and driving_initial.jacobian is not None:
        if source.jacobian is None:
            raise ValueError("the driving keypoints carry jacobians, the source's do not; take both from one model")
        since_start = multiply_2x2(jacobian, inverse_2x2(driving_initial.jacobian))
        jacobian = multiply_2x2(since_start, source.jacobian)
    return Keypoints(position, jacobian)


def hull_area(keypoints: Keypoints) -> Float[Tensor, " batch"]:
    """Area of the convex hull of each image's keypoints, in squared [-1, 1] units; 0 if they lie on a line."""
    areas = list[float]()
    for points in keypoints.position.detach().cpu().double().numpy():
        try:
            areas.append(float(ConvexHull(points).volume))  # in two dimensions "volume" is the area
        except QhullError:
            areas.append(0.0)
    return torch.tensor(areas, dtype=torch.float64).clamp_min(1e-12)


def pose_distance(source: Keypoints, driving: Keypoints) -> Float[Tensor, " batch"]:
    """How far each driving pose is from the source's, with place and size taken out; 0 is the same pose."""
    return (_normalized_pose(driving) - _normalized_pose(source)).square().sum((1, 2))


def _normalized_pose(keypoints: Keypoints) -> Float[Tensor, "batch points 2"]:
    centred = keypoints.position - keypoints.position.mean(1, keepdim=True)
    return centred / hull_area(keypoints).sqrt().to(centred)[:, None, None]


@torch.inference_mode()
def best_start(
    animator: KeypointAnimator, source: Frame, driving: Iterable[Frame], *, batch_size: int = 8
) -> tuple[int, Frame]:
    """The driving frame whose pose is nearest to the source's: the best one for relative motion to start from.

    Returns:
        Its number and the frame itself.

    Raises:
        ValueError: There is no driving frame.
    """
    start = animator.detect(source[None])
    best: tuple[float, int, Frame] | None = None
    number = 0
    for batch in batches(driving, batch_size):
        frames = batch.to(source.device)
        distances = pose_distance(start, animator.detect(frames))
        nearest = int(distances.argmin())
        if best is None or float(distances[nearest]) < best[0]:
            best = (float(distances[nearest]), number + nearest, frames[nearest])
        number += frames.shape[0]
    if best is None:
        raise ValueError("there is no driving frame to start from")
    return best[1], best[2]


@dataclass(frozen=True, slots=True)
class AnimatedFrames:
    """One batch of an animation: what drove it, with its keypoints, and what came out."""

    driving: Frames
    driving_keypoints: Keypoints
    end: Keypoints
    output: AnimationOutput


def batches(frames: Iterable[Frame], size: int) -> Iterator[Frames]:
    """Frames in stacks of up to `size`."""
    waiting = iter(frames)
    while stack := list(islice(waiting, size)):
        yield torch.stack(stack)


@torch.inference_mode()
def animate_stream(
    animator: KeypointAnimator,
    source: Frame,
    driving: Iterable[Frame],
    *,
    transfer: MotionTransfer | None = None,
    initial: Frame | None = None,
    batch_size: int = 8,
) -> Iterator[AnimatedFrames]:
    """Animate batch by batch; the source is encoded once.

    Args:
        animator: Any keypoint model; one that can encode its source apart is spared doing so for every frame.
        source: The picture, at the model's size and on its device.
        driving: Frames in order, at the model's size, on any device.
        transfer: How motion is carried over; relative by default.
        initial: The driving frame that relative motion starts from; the first one by default.
        batch_size: Driving frames a batch. It changes speed and memory, not the pictures.
    """
    how = transfer or MotionTransfer()
    start = animator.detect(source[None])
    encoded = animator.encode(source[None], start) if isinstance(animator, EncodingAnimator) else None
    beginning = None if initial is None else animator.detect(initial[None].to(source.device))
    for batch in batches(driving, batch_size):
        frames = batch.to(source.device)
        keypoints = animator.detect(frames)
        if beginning is None:
            beginning = keypoints[:1]
        end = transfer_motion(
            start,
            keypoints,
            beginning,
            relative=how.relative,
            relative_jacobian=how.relative_jacobian,
            adapt_scale=how.adapt_scale,
        )
        if encoded is not None and isinstance(animator, EncodingAnimator):
            output = animator.render_encoded(encoded, end)
        else:
            count = frames.shape[0]
            output = animator.render(source.expand(count, -1, -1, -1), start.expand(count), end)
        yield AnimatedFrames(frames, keypoints, end, output)


def animate_clip(
    animator: KeypointAnimator,
    source: Frame,
    driving: Clip,
    *,
    relative: bool = True,
    relative_jacobian: bool = True,
    adapt_scale: bool = False,
    initial: Frame | None = None,
    batch_size: int = 8,
) -> Clip:
    """Animate a picture with the motion of a clip; the whole result in memory (`animate_stream` for long ones).

    Args:
        animator: From `load_animator`, or any `KeypointAnimator`.
        source: RGB in [0, 1], `3 height width`, at the model's size.
        driving: RGB in [0, 1], `time 3 height width`, at the model's size.
        relative, relative_jacobian, adapt_scale: See `transfer_motion`.
        initial: The driving frame that relative motion starts from; the first one by default.
        batch_size: Driving frames a batch.

    Returns:
        As many frames as `driving` has, in [0, 1].
    """
    if source.shape[-2:] != driving.shape[-2:]:
        raise ValueError(
            f"source and driving frames must have one size, the model's; got {tuple(source.shape[-2:])} and "
            f"{tuple(driving.shape[-2:])}; `prioritycut.data.clips.fit_square` brings them there"
        )
    transfer = MotionTransfer(relative=relative, relative_jacobian=relative_jacobian, adapt_scale=adapt_scale)
    stream = animate_stream(animator, source, driving, transfer=transfer, initial=initial, batch_size=batch_size)
    parts = [batch.output.prediction for batch in stream]
    return torch.cat(parts) if parts else driving.new_zeros(0, *source.shape)
