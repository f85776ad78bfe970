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
from prioritycut.models.base import Animator, EncodingAnimator, KeypointAnimator
from prioritycut.outputs import AnimationOutput, Clip, Frames, Keypoints

Frame = Float[Tensor, "3 height width"]
Matrices = Float[Tensor, "_batch points 2 2"]


@dataclass(frozen=True, kw_only=True)
class MotionTransfer:
    """How the driving motion is carried to the source."""

    relative: bool = True
    """Move the source by how the driving object moved since its first frame; False takes its place as it is."""
    relative_jacobian: bool = True
    """With relative motion: whether local deformations are relative too."""
    relative_covariance: bool = False
    """With relative motion: whether the keypoints' spreads are relative too; published Monkey-Net leaves them."""
    adapt_scale: bool = False
    """With relative motion: scale it by how large the source object is next to the driving one."""


def transfer_motion(
    source: Keypoints,
    driving: Keypoints,
    driving_initial: Keypoints,
    *,
    relative: bool = True,
    relative_jacobian: bool = True,
    relative_covariance: bool = False,
    adapt_scale: bool = False,
) -> Keypoints:
    """The keypoints that the source shall be moved to.

    Absolute motion takes the driving keypoints as they are: the source is deformed to the driving object's shape
    and place. Relative motion adds to the source's keypoints what the driving ones did since their initial frame,
    and so keeps the source's shape: p = p_s + s (p_d - p_d0), J = J_d J_d0^-1 J_s, and where asked for C = the
    symmetric part of C_d C_d0^-1 C_s.

    Args:
        source: Of the picture, batch 1 (or that of `driving`).
        driving: Of the driving frames.
        driving_initial: Of the driving frame that looks most like the source, batch 1.
        relative: False for absolute motion; the switches below then have no effect.
        relative_jacobian: False leaves the driving jacobians as they are.
        relative_covariance: False leaves the driving covariances as they are.
        adapt_scale: s = sqrt of the area of the source's keypoints over that of the initial driving ones; else s = 1.

    Raises:
        ValueError: The source's keypoints lack what the driving ones carry.

    Source: FOMM, section 3.3; SPEC 7.1. For the covariance Monkey-Net's published code.
    """
    if not relative:
        return driving
    scale = torch.ones(1, 1, 1)
    if adapt_scale:
        ratio = (hull_area(source) / hull_area(driving_initial)).sqrt()
        scale = ratio.view(-1, 1, 1)
    scale = scale.to(driving.position)
    position = source.position + scale * (driving.position - driving_initial.position)
    jacobian, covariance = driving.jacobian, driving.covariance
    if relative_jacobian and jacobian is not None and driving_initial.jacobian is not None:
        jacobian = _carried(source.jacobian, jacobian, driving_initial.jacobian, "jacobians")
    if relative_covariance and covariance is not None and driving_initial.covariance is not None:
        carried = _carried(source.covariance, covariance, driving_initial.covariance, "covariances")
        covariance = (carried + carried.mT) / 2
    return Keypoints(position, jacobian, covariance)


def _carried(source: Matrices | None, driving: Matrices, initial: Matrices, what: str) -> Matrices:
    """The source's matrices, changed as the driving ones were since their initial frame."""
    if source is None:
        raise ValueError(f"the driving keypoints carry {what}, the source's do not; take both from one model")
    return multiply_2x2(multiply_2x2(driving, inverse_2x2(initial)), source)


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
    """One batch of an animation: what drove it and what came out.

    Attributes:
        driving: The driving frames.
        driving_keypoints: Their keypoints; `None` of a model without keypoints.
        end: The keypoints that the source was moved to; `None` likewise.
        output: What the model made.
    """

    driving: Frames
    driving_keypoints: Keypoints | None
    end: Keypoints | None
    output: AnimationOutput


def batches(frames: Iterable[Frame], size: int) -> Iterator[Frames]:
    """Frames in stacks of up to `size`."""
    waiting = iter(frames)
    while stack := list(islice(waiting, size)):
        yield torch.stack(stack)


@torch.inference_mode()
def animate_stream(
    animator: Animator,
    source: Frame,
    driving: Iterable[Frame],
    *,
    transfer: MotionTransfer | None = None,
    initial: Frame | None = None,
    batch_size: int = 8,
) -> Iterator[AnimatedFrames]:
    """Animate batch by batch; the source is encoded once.

    Args:
        animator: Any model; one that can encode its source apart is spared doing so for every frame.
        source: The picture, at the model's size and on its device.
        driving: Frames in order, at the model's size, on any device.
        transfer: How motion is carried over; relative by default.
        initial: The driving frame that relative motion starts from; the first one by default.
        batch_size: Driving frames a batch. It changes speed and memory, not the pictures.

    Raises:
        ValueError: Relative motion was asked of a model without keypoints.
    """
    how = transfer or MotionTransfer()
    if not isinstance(animator, KeypointAnimator):
        if how.relative:
            raise ValueError(
                "relative motion needs keypoints, which this model does not find; take absolute motion (relative=False)"
            )
        for batch in batches(driving, batch_size):
            frames = batch.to(source.device)
            yield AnimatedFrames(frames, None, None, animator(source.expand(len(frames), -1, -1, -1), frames))
        return
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
            relative_covariance=how.relative_covariance,
            adapt_scale=how.adapt_scale,
        )
        if encoded is not None and isinstance(animator, EncodingAnimator):
            output = animator.render_encoded(encoded, end)
        else:
            count = frames.shape[0]
            output = animator.render(source.expand(count, -1, -1, -1), start.expand(count), end)
        yield AnimatedFrames(frames, keypoints, end, output)


def animate_clip(
    animator: Animator,
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
        animator: From `load_animator`, or any `Animator`; one without keypoints takes absolute motion alone.
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
