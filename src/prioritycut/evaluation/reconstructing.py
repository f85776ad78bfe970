"""A model as the evaluator sees it: given a source, it turns driving frames into reconstructions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from prioritycut.models.base import Animator, EncodingAnimator, KeypointAnimator
from prioritycut.outputs import AnimationOutput, Frames

Frame: TypeAlias = Float[Tensor, "3 height width"]
Render: TypeAlias = Callable[[Frames], AnimationOutput]
Reconstruct: TypeAlias = Callable[[Frame], Render]
"""Takes the source; the source's share of the work is done once for all driving frames."""


def reconstructor(animator: Animator, device: str | torch.device = "cpu") -> Reconstruct:
    """Reconstruction with absolute motion by any model (SPEC section 8)."""

    def begin(source: Frame) -> Render:
        frame = source[None].to(device)
        with torch.inference_mode():
            render = _keypoint_render(animator, frame) if isinstance(animator, KeypointAnimator) else None
        if render is None:
            render = partial(_plain_render, animator, frame)

        @torch.inference_mode()
        def on_device(driving: Frames) -> AnimationOutput:
            return render(driving.to(device))

        return on_device

    return begin


def _plain_render(animator: Animator, source: Float[Tensor, "1 3 height width"], driving: Frames) -> AnimationOutput:
    return animator(source.expand(len(driving), -1, -1, -1), driving)


def _keypoint_render(animator: KeypointAnimator, source: Frames) -> Render:
    start = animator.detect(source)
    if isinstance(animator, EncodingAnimator):
        encoded = animator.encode(source, start)
        return lambda driving: animator.render_encoded(encoded, animator.detect(driving))

    def render(driving: Frames) -> AnimationOutput:
        count = len(driving)
        return animator.render(source.expand(count, -1, -1, -1), start.expand(count), animator.detect(driving))

    return render
