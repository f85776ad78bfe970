"""The part-affinity body pose network: 18 joints, the tool of the paper's AKD and MKR on bodies.

Source: Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields" (CVPR 2017); weights as two
public PyTorch ports name them, pictures of several sizes and flips as in the public evaluation code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import FeatureMap
from prioritycut.errors import UserError
from prioritycut.metrics.detectors.affinity_decoding import JOINTS, LIMBS, find_peaks, group_people
from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.detectors.weights import load_weights, read_weights, weights_version
from prioritycut.outputs import Frames

ADVICE = (
    "the part-affinity weights (pose_model.pth) are published by github.com/tensorboy/pytorch_Realtime_Multi-Person_"
    "Pose_Estimation: give their path as --keypoints part-affinity=FILE"
)
LICENCE = "OpenPose's weights are for non-commercial research"
STRIDE = 8
"""Pixels of a picture to one cell of a map."""
HEIGHT = 368
"""Shorter side, in pixels, of the picture at scale 1."""
SCALES = (0.5, 1.0, 1.5, 2.0, 2.5)
"""Sizes at which the public evaluation code looks at each frame."""
STAGES = 6

TRUNK = (
    ("conv1_1", 3, 64),
    ("conv1_2", 64, 64),
    None,
    ("conv2_1", 64, 128),
    ("conv2_2", 128, 128),
    None,
    ("conv3_1", 128, 256),
    ("conv3_2", 256, 256),
    ("conv3_3", 256, 256),
    ("conv3_4", 256, 256),
    None,
    ("conv4_1", 256, 512),
    ("conv4_2", 512, 512),
    ("conv4_3_CPM", 512, 256),
    ("conv4_4_CPM", 256, 128),
)
"""3x3 convolutions by name with channels in and out; `None` halves the size. The first ten are VGG-19's."""
OUTPUTS = {"L1": 2 * len(LIMBS), "L2": len(JOINTS) + 1}
"""Maps of the two branches: fields, and heatmaps with one of the background after those of the joints."""

Layer = tuple[str, int, int, int]
"""Name, channels in, channels out, side of the kernel."""


def branch_layers(stage: int, branch: str) -> tuple[Layer, ...]:
    """The convolutions of one branch ("L1" or "L2") of a stage, from 1 to 6; all but the last end in ReLU."""
    features, outputs = 128, OUTPUTS[branch]
    if stage == 1:
        return (
            *((f"conv5_{number}_CPM_{branch}", features, features, 3) for number in (1, 2, 3)),
            (f"conv5_4_CPM_{branch}", features, 512, 1),
            (f"conv5_5_CPM_{branch}", 512, outputs, 1),
        )
    return (
        (f"Mconv1_stage{stage}_{branch}", features + sum(OUTPUTS.values()), features, 7),
        *((f"Mconv{number}_stage{stage}_{branch}", features, features, 7) for number in (2, 3, 4, 5)),
        (f"Mconv6_stage{stage}_{branch}", features, features, 1),
        (f"Mconv7_stage{stage}_{branch}", features, outputs, 1),
    )


class PartAffinityNetwork(nn.Module):
    """VGG-19's first ten layers, then six stages of two branches each, which see what the stage before said.

    Weights bear the names of the Caffe original (`conv1_1` to `Mconv7_stage6_L2`).
    """

    def __init__(self) -> None:
        super().__init__()
        for layer in TRUNK:
            if layer is not None:
                name, inputs, outputs = layer
                self.add_module(name, nn.Conv2d(inputs, outputs, 3, padding=1))
        for stage in range(1, STAGES + 1):
            for branch in OUTPUTS:
                for name, inputs, outputs, side in branch_layers(stage, branch):
                    self.add_module(name, nn.Conv2d(inputs, outputs, side, padding=side // 2))

    def forward(self, pixels: Frames) -> tuple[FeatureMap, FeatureMap]:
        """Fields (38 channels: x and y of each limb) and heatmaps (19), at an eighth of the size.

        Args:
            pixels: In [-0.5, 0.5], channels in the order blue, green, red.
        """
        features = pixels
        for layer in TRUNK:
            features = F.max_pool2d(features, 2) if layer is None else F.relu(self.get_submodule(layer[0])(features))
        said = features
        for stage in range(1, STAGES):
            said = torch.cat((self._branch(stage, "L1", said), self._branch(stage, "L2", said), features), dim=1)
        return self._branch(STAGES, "L1", said), self._branch(STAGES, "L2", said)

    def _branch(self, stage: int, branch: str, features: Tensor) -> Tensor:
        *layers, last = (self.get_submodule(name) for name, *_ in branch_layers(stage, branch))
        for layer in layers:
            features = F.relu(layer(features))
        return last(features)


def port_names() -> dict[str, str]:
    """From the names of the port in the public evaluation code to the original's.

    The port numbers what stands in line in each of 13 parts, ReLU and pooling too: `model0.2` is conv1_2, `model3_2.12`
    is Mconv7_stage3_L2.
    """
    names: dict[str, str] = {}
    place = 0
    for layer in TRUNK:
        if layer is not None:
            names[f"model0.{place}"] = layer[0]
        place += 1 if layer is None else 2
    for stage in range(1, STAGES + 1):
        for number, branch in enumerate(OUTPUTS, 1):
            for place, layer in enumerate(branch_layers(stage, branch)):
                names[f"model{stage}_{number}.{2 * place}"] = layer[0]
    return names


def original_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names of the original; those of either public port are understood."""
    names = port_names()
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer, dot, kind = name.rpartition(".")
        renamed[names.get(layer, layer) + dot + kind] = tensor
    return renamed


def mirrored(joint: str) -> str:
    """The joint on the other side of the body; those in the middle are their own."""
    side, _, part = joint.partition(" ")
    return {"left": f"right {part}", "right": f"left {part}"}.get(side, joint)


MIRRORED_JOINTS = tuple(JOINTS.index(mirrored(joint)) for joint in JOINTS)
MIRRORED_LIMBS = tuple(LIMBS.index((mirrored(start), mirrored(end))) for start, end in LIMBS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartAffinityDetector:
    """18 joints of each frame, in the order of `JOINTS`, as whole pixels.

    The public evaluation code takes every joint that it sees, and where it sees several of one kind the last, row by
    row from above: with two people in a frame it may mix them. It hands the decoder the thresholds 0.1, 0.05 and 0.5,
    of which only the first, of the heatmaps, bears on what it keeps. `joints_of="best-person"` asks the fields instead
    who a joint belongs to; that is another tool, whose numbers stand in a column of their own.

    Five sizes up to 920 pixels, each with its mirror image, are work for a GPU: minutes a frame on a CPU.
    """

    network: nn.Module
    tool: Tool
    device: torch.device
    scales: tuple[float, ...] = SCALES
    joints_of: Literal["anyone", "best-person"] = "anyone"

    @classmethod
    def load(
        cls,
        files: Sequence[Path],
        device: torch.device,
        *,
        scales: tuple[float, ...] = SCALES,
        joints_of: Literal["anyone", "best-person"] = "anyone",
    ) -> PartAffinityDetector:
        """The detector with the weights in a file.

        Raises:
            UserError: Not one file is given, it is missing, or it holds other weights.
        """
        if len(files) != 1:
            raise UserError(f"part-affinity needs one weights file, got {len(files)}; {ADVICE}")
        network = PartAffinityNetwork()
        load_weights(network, original_names(read_weights(files[0], advice=ADVICE)), where=files[0])
        differs = "" if scales == SCALES else f" at scales {scales}"
        differs += "" if joints_of == "anyone" else f" {joints_of}"
        return cls(
            network=network.to(device).eval(),
            tool=Tool(role="keypoints", name="part-affinity", version=weights_version(files) + differs, note=LICENCE),
            device=device,
            scales=scales,
            joints_of=joints_of,
        )

    def __call__(self, frames: Frames) -> Float[Tensor, "batch 18 2"]:
        """xy in pixels of the frame; NaN for joints that were not found."""
        points = torch.full((len(frames), len(JOINTS), 2), torch.nan)
        for number, frame in enumerate(frames.to(self.device)):
            points[number] = self._joints(frame)
        return points.to(frames.device)

    def _joints(self, frame: Float[Tensor, "3 height width"]) -> Float[Tensor, "18 2"]:
        seen, mirror = (CoarseMaps.of(self.network, picture, self.scales) for picture in (frame, frame.flip(-1)))
        peaks = [find_peaks(heatmap) for heatmap in averaged_heatmaps(seen, mirror).cpu().numpy()]
        if self.joints_of == "anyone":
            chosen = {joint: found[-1] for joint, found in enumerate(peaks) if found}
        else:
            people = group_people(peaks, averaged_fields(seen, mirror).cpu().numpy())
            chosen = {joint: peaks[joint][peak] for joint, peak in people[0].joints.items()} if people else {}
        points = torch.full((len(JOINTS), 2), torch.nan)
        for joint, peak in chosen.items():
            points[joint] = torch.tensor([peak.x, peak.y])
        return points


@dataclass(frozen=True, slots=True)
class CoarseMaps:
    """What a network says of one frame at several sizes."""

    frame: tuple[int, int]
    """Height and width of the frame."""
    sizes: tuple[tuple[int, int], ...]
    """Height and width of the frame at each size."""
    fields: tuple[Float[Tensor, "38 _rows _cols"], ...]
    heatmaps: tuple[Float[Tensor, "19 _rows _cols"], ...]
    """One a size, a cell for eight pixels."""

    @classmethod
    def of(cls, network: nn.Module, frame: Float[Tensor, "3 height width"], scales: Sequence[float]) -> CoarseMaps:
        """Look at all sizes together, each in the upper left of the largest.

        Black fills what a size lacks to whole cells, grey the rest, as in the public evaluation code.
        """
        height, width = frame.shape[1:]
        unit = HEIGHT / min(height, width)
        sizes = tuple((round(scale * unit * height), round(scale * unit * width)) for scale in scales)
        cells = [(-(-rows // STRIDE), -(-cols // STRIDE)) for rows, cols in sizes]
        canvas = frame.new_zeros(
            len(sizes), 3, STRIDE * max(rows for rows, _ in cells), STRIDE * max(cols for _, cols in cells)
        )
        pixels = frame.flip(0)[None] * 255 / 256 - 0.5
        for picture, size, (rows, cols) in zip(canvas, sizes, cells, strict=True):
            picture[:, : STRIDE * rows, : STRIDE * cols] = -0.5
            picture[:, : size[0], : size[1]] = F.interpolate(pixels, size=size, mode="bilinear", align_corners=False)[0]
        with torch.no_grad():
            fields, heatmaps = (
                tuple(one[:, :rows, :cols] for one, (rows, cols) in zip(maps, cells, strict=True))
                for maps in network(canvas)
            )
        return cls((height, width), sizes, fields, heatmaps)

    def enlarged(self, maps: Sequence[Tensor]) -> Float[Tensor, "maps height width"]:
        """The mean over sizes, at the size of the frame; bicubic, first to the picture's pixels."""
        total = torch.zeros((), device=maps[0].device)
        for one, (rows, cols) in zip(maps, self.sizes, strict=True):
            fine = F.interpolate(one[None], scale_factor=STRIDE, mode="bicubic", align_corners=False)
            cut = fine[:, :, :rows, :cols]
            total = total + F.interpolate(cut, size=self.frame, mode="bicubic", align_corners=False)[0]
        return total / len(maps)


def averaged_heatmaps(seen: CoarseMaps, mirror: CoarseMaps) -> Float[Tensor, "18 height width"]:
    """Heatmaps of the joints, the mean of a frame's and its mirror image's, in which left is right."""
    straight, turned = (one.enlarged([maps[: len(JOINTS)] for maps in one.heatmaps]) for one in (seen, mirror))
    return (straight + turned.flip(-1)[list(MIRRORED_JOINTS)]) / 2


def averaged_fields(seen: CoarseMaps, mirror: CoarseMaps) -> Float[Tensor, "19 2 height width"]:
    """Fields of the limbs likewise; in the mirror their x points the other way."""
    straight, turned = (one.enlarged(one.fields).unflatten(0, (-1, 2)) for one in (seen, mirror))
    back = turned.new_tensor([-1, 1])[:, None, None]
    return (straight + back * turned.flip(-1)[list(MIRRORED_LIMBS)]) / 2
