"""Losses of motion: keypoints follow transforms (equation 7), the occlusion map follows what warping explains."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from prioritycut.geometry import SmoothTransform, inverse_2x2, multiply_2x2
from prioritycut.losses.weights import Scalar
from prioritycut.outputs import Frames, Keypoints


def equivariance_value_loss(driving: Keypoints, transformed: Keypoints, transform: SmoothTransform) -> Scalar:
    """Keypoints of a transformed frame, carried back, shall be the keypoints of the frame: mean |difference|.

    `transformed` was detected in `transform.frames(driving_frame)`, whose pixel z shows the frame at T(z).
    """
    return (driving.position - transform.points(transformed.position)).abs().mean()


def equivariance_jacobian_loss(driving: Keypoints, transformed: Keypoints, transform: SmoothTransform) -> Scalar:
    """The same for local deformations: J_driving^-1 T' J_transformed shall be the identity.

    Raises:
        ValueError: The keypoints carry no jacobian.
    """
    if driving.jacobian is None or transformed.jacobian is None:
        raise ValueError("these keypoints carry no jacobian; leave the jacobian's equivariance loss out")
    carried = multiply_2x2(transform.jacobian(transformed.position), transformed.jacobian)
    product = multiply_2x2(inverse_2x2(driving.jacobian), carried)
    return (torch.eye(2, device=product.device, dtype=product.dtype) - product).abs().mean()


BEARABLE_ERROR = 0.02
"""Mean absolute colour difference up to which a pixel of the deformed source counts as explained."""


def explained_loss(deformed: Frames, driving: Frames, occlusion_map: Float[Tensor, "batch 1 height width"]) -> Scalar:
    """Keep what the deformed source explains, and give up the rest: mean of O e - b log O.

    e is the absolute colour difference of the deformed source and the driving frame, b is `BEARABLE_ERROR`. The best
    map is b / e where e is larger than b, and 1 elsewhere: 0.1 where a hole shows a surface of quite another colour.

    Args:
        deformed: The source, warped.
        driving: What it should look like.
        occlusion_map: At the frame's size, in (0, 1): 0 hidden, 1 shown.

    Source: the explainability mask of Zhou et al., "Unsupervised Learning of Depth and Ego-Motion from Video",
    CVPR 2017, section 3.3, put on FOMM's occlusion map.
    """
    error = (deformed - driving).abs().mean(1, keepdim=True)
    kept = occlusion_map.clamp_min(1e-4)
    return (kept * error - BEARABLE_ERROR * kept.log()).mean()
