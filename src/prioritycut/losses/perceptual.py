"""The perceptual loss, and the fixed network that it looks through: VGG-19 with torchvision's weights, or random."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import FeatureMap, ImagePyramid, check_scale
from prioritycut.downloads import checksum, checksum_in_name, download
from prioritycut.errors import UserError
from prioritycut.outputs import Frames

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
_BLOCK_CONVS = (2, 2, 4, 4, 4)
_BLOCK_WIDTHS = (1, 2, 4, 8, 8)
_BASE_WIDTH = 64
VGG19_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
"""Where the ImageNet weights come from; the end of the name begins their SHA-256, which is checked."""


@dataclass(frozen=True, kw_only=True)
class PerceptualConfig:
    """The network whose features frames are compared by."""

    weights: Literal["imagenet", "random"] | Path = "imagenet"
    """`imagenet` downloads torchvision's VGG-19 once (548 MB, into torch's cache); a path reads such a file; `random`
    needs nothing."""
    width: int = _BASE_WIDTH
    """Channels of its first block; VGG-19 has 64, a random network may be narrower and so faster."""
    seed: int = 1234
    """Of the random weights."""
    scales: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125)
    """Sizes of the pyramid that frames are compared at."""

    def __post_init__(self) -> None:
        if self.width != _BASE_WIDTH and self.weights != "random":
            raise ValueError(f"only random weights may have another width than {_BASE_WIDTH}, got {self.width}")
        if self.width < 1 or not self.scales:
            raise ValueError("width must be at least 1 and scales must name at least one scale")
        for scale in self.scales:
            check_scale(scale)


class Vgg19(nn.Module):
    """VGG-19 up to relu5_1, with torchvision's parameter names; never trained.

    Source: Simonyan & Zisserman, ICLR 2015.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: int = _BASE_WIDTH) -> None:
        super().__init__()
        self.features = nn.ModuleDict()
        self.taps = list[str]()
        index, in_channels = 0, 3
        for block, (convs, factor) in enumerate(zip(_BLOCK_CONVS, _BLOCK_WIDTHS, strict=True)):
            for conv in range(convs if block < len(_BLOCK_CONVS) - 1 else 1):
                if conv == 0:
                    self.taps.append(str(index))
                self.features[str(index)] = nn.Conv2d(in_channels, factor * width, 3, padding=1)
                in_channels = factor * width
                index += 2  # the convolution and its ReLU
            index += 1  # the pooling layer
        mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.requires_grad_(False)

    def forward(self, frames: Frames) -> tuple[FeatureMap, ...]:
        """The five taps, shallow to deep, of frames in [0, 1]."""
        hidden = (frames - self.mean) / self.std
        taps = list[FeatureMap]()
        for name, conv in self.features.items():
            if name in self.taps and taps:
                hidden = F.max_pool2d(hidden, 2)
            hidden = F.relu(conv(hidden))
            if name in self.taps:
                taps.append(hidden)
        return tuple(taps)


def seeded_weights(vgg: Vgg19, seed: int) -> None:
    """Fill with He-scaled normal numbers, the same on every machine: convolution i is drawn from `seed + i`."""
    for i, conv in enumerate(vgg.features.values()):
        assert isinstance(conv, nn.Conv2d)
        fan_in = conv.weight.shape[1] * conv.weight.shape[2] * conv.weight.shape[3]
        drawn = np.random.RandomState(seed + i).standard_normal(tuple(conv.weight.shape)) * np.sqrt(2 / fan_in)
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(drawn.astype(np.float32)))
            assert conv.bias is not None
            conv.bias.zero_()


def load_vgg19(config: PerceptualConfig) -> Vgg19:
    """Build the perceptual network.

    Raises:
        UserError: The weights file is missing, unreadable, or of another network, or the download failed.
    """
    vgg = Vgg19(config.width)
    if config.weights == "random":
        seeded_weights(vgg, config.seed)
        return vgg
    path = _downloaded() if config.weights == "imagenet" else config.weights
    state, wanted = _read_weights(path), vgg.state_dict()
    missing = [name for name in wanted if name not in state or state[name].shape != wanted[name].shape]
    if missing:
        raise UserError(f"{path}: lacks {', '.join(missing[:3])} of VGG-19; give torchvision's vgg19 weights")
    vgg.load_state_dict({name: state[name] for name in wanted})
    return vgg


def _downloaded() -> Path:
    """Where torch keeps such files, so that a copy that is there already is used."""
    return download(
        VGG19_URL,
        Path(torch.hub.get_dir()) / "checkpoints",
        otherwise="give a copy by --perceptual.weights FILE, or --perceptual.weights random",
    )


def _read_weights(path: Path) -> dict[str, Tensor]:
    advice = "give VGG-19's file"
    try:
        said = checksum_in_name(path.name)
        if said is not None and not checksum(path).startswith(said):
            raise UserError(f"{path}: not whole, or changed: its SHA-256 does not begin as its name says; copy it anew")
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; {advice}") from error
    except Exception as error:
        # torch raises many kinds for a file that is no checkpoint; each means the same to the user.
        raise UserError(f"{path}: not readable as weights ({type(error).__name__}); {advice}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: holds no dictionary of weights; give torchvision's vgg19 file")
    return state


class PerceptualLoss(nn.Module):
    """Weighted L1 between VGG features of two frames, over a pyramid of scales.

    Source: Johnson et al., ECCV 2016, in FOMM's multi-scale form.
    """

    def __init__(self, config: PerceptualConfig) -> None:
        super().__init__()
        self.pyramid = ImagePyramid(config.scales)
        self.vgg = load_vgg19(config)

    def forward(self, prediction: Frames, target: Frames, weights: tuple[float, ...]) -> Float[Tensor, ""]:
        """Sum over scales and taps of weight * mean |difference|; no gradient flows into the target."""
        total = prediction.new_zeros(())
        for fake, real in zip(self.pyramid(prediction), self.pyramid(target), strict=True):
            with torch.no_grad():
                real_taps = self.vgg(real)
            for weight, fake_tap, real_tap in zip(weights, self.vgg(fake), real_taps, strict=True):
                total = total + weight * F.l1_loss(fake_tap.float(), real_tap.float())
        return total
