"""Who a person is, by the whole body: the ResNet-50 trained on Market-1501 that the paper's AED stands on.

The published evaluation did two things that nobody would do on purpose, and both change AED: it divided pictures by 255
twice, and it left the network in training mode, so that batch norm took each frame's own statistics instead of
those it was trained to. The defaults do as it did, for only so may an AED stand beside the published ones; both
can be switched off, and are then another tool.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import FeatureMap
from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.detectors.resnet import (
    ResNet,
    device_of,
    imagenet_normalized,
)
from prioritycut.metrics.detectors.weights import fill_from_file
from prioritycut.outputs import Frames

NAME = "market-1501"
HEIGHT, WIDTH = 288, 144
"""Of the pictures that the network takes."""
FEATURES = 2048

ADVICE = (
    "it is the ResNet-50 trained on the 751 people of Market-1501 (reid_model.pth of AliaksandrSiarohin/pose-evaluation"
    ", from layumi/Person_reID_baseline_pytorch); get it there and give --identity market-1501=FILE"
)
UNUSED = ("model.fc.", "classifier.add_block.", "classifier.classifier.")
"""The published file also holds ImageNet's classifier, unused, and that of the 751 people, which is cut off."""


class FrameNorm(nn.BatchNorm2d):
    """Batch norm with each frame's own statistics: what training mode gives for a batch of one, for any batch."""

    def forward(self, input: FeatureMap) -> FeatureMap:
        return F.instance_norm(input, weight=self.weight, bias=self.bias, eps=self.eps)


class _Person(nn.Module):
    """The backbone under the name that the published file has for it."""

    def __init__(self, *, own_statistics: bool) -> None:
        super().__init__()
        self.model = ResNet(50, norm=FrameNorm if own_statistics else nn.BatchNorm2d)


def person_picture(frames: Frames, *, divide_twice: bool = True) -> Float[Tensor, "batch 3 288 144"]:
    """What the network is shown: frames squeezed to 288x144 and normalized by ImageNet's mean and deviation.

    Args:
        frames: RGB in [0, 1]. They are resized bicubically as PIL does it: smoothed where they shrink, first the width
            and then the height, and rounded to 8 bits each time.
        divide_twice: Whether values are divided by 255 once more before they are normalized: white is then 1/255.
    """
    narrowed = _resized(frames, frames.shape[2], WIDTH)
    picture = _resized(narrowed, HEIGHT, WIDTH)
    return imagenet_normalized(picture / 255 if divide_twice else picture)


def _resized(frames: Frames, rows: int, cols: int) -> Float[Tensor, "batch 3 rows cols"]:
    resized = F.interpolate(frames, (rows, cols), mode="bicubic", align_corners=False, antialias=True)
    return (resized.clamp(0, 1) * 255).round() / 255


class Market1501Network:
    """Embeds the whole frame, whoever is in it: it finds nobody missing and gives no NaN.

    Source: Zheng et al., "Scalable Person Re-identification", ICCV 2015, for the data; SPEC section 8.1 for the use.
    """

    def __init__(
        self, network: ResNet, *, version: str, divide_twice: bool = True, own_statistics: bool = True
    ) -> None:
        self.network = network
        self.divide_twice = divide_twice
        switched_off = "".join(
            f"+{label}"
            for label, published in (("divided-once", divide_twice), ("trained-statistics", own_statistics))
            if not published
        )
        self.tool = Tool(
            role="identity",
            name=NAME,
            version=version + switched_off,  # other numbers, hence another tool
            note=(
                "not as the published evaluation: not comparable with the paper's AED"
                if switched_off
                else "divides by 255 twice and normalizes by each frame's own statistics, as the published evaluation"
            ),
        )

    @classmethod
    def load(
        cls,
        files: Sequence[Path],
        device: torch.device | str,
        *,
        divide_twice: bool = True,
        own_statistics: bool = True,
    ) -> Market1501Network:
        """Read the published weights.

        Args:
            files: One: the state dict of the public re-identification baseline, `model.*`; its classifiers are dropped.
            device: Where to compute.
            divide_twice: As the published evaluation, which shrinks distances; False shows the network what it was
                trained on.
            own_statistics: As the published evaluation; False uses the statistics that the network was trained to.

        Raises:
            UserError: No file, more than one, or one that does not fit.
        """
        person = _Person(own_statistics=own_statistics)
        version = fill_from_file(person, files, tool=NAME, advice=ADVICE, unused=UNUSED)
        return cls(person.model.to(device), version=version, divide_twice=divide_twice, own_statistics=own_statistics)

    @torch.no_grad()
    def __call__(self, frames: Frames) -> Float[Tensor, "batch 2048"]:
        """The last feature maps, each averaged over the picture; not normalized to any length."""
        pictures = person_picture(frames.to(device_of(self.network), torch.float32), divide_twice=self.divide_twice)
        return self.network(pictures)[-1].mean((2, 3)).to(frames.device)
