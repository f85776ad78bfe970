"""Who judges: the patch discriminator of FOMM+ and the U-Net discriminator of PriorityCut.

Both share one encoder and one interface: frames (and, if conditioned, the driving keypoints) in, one
`DiscriminatorOutput` a scale out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from prioritycut.blocks import FeatureMap, ImagePyramid, channels_at, check_scale
from prioritycut.geometry import gaussian_heatmaps
from prioritycut.outputs import DiscriminatorOutput, Frames, Keypoints


@dataclass(frozen=True, kw_only=True)
class PatchDiscriminatorConfig:
    """FOMM+'s discriminator. The defaults are the published one (SPEC 4.1)."""

    kind: Literal["patch"] = "patch"
    scales: tuple[float, ...] = (1.0,)
    """One network a scale of the frame, each one over a whole number."""
    block_expansion: int = 32
    """Half the channels of the first block."""
    max_features: int = 512
    num_blocks: int = 4
    num_keypoints: int = 0
    """Keypoint heatmaps appended to the frame; 0 judges the frame alone, else the model's number of keypoints."""
    heatmap_variance: float = 0.01
    spectral_norm: bool = False
    teaches_keypoints: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_sizes(self.block_expansion, self.max_features, self.num_blocks, self.num_keypoints)
        if not self.scales:
            raise ValueError("scales must name at least one scale, such as (1.0,)")
        for scale in self.scales:
            check_scale(scale)

    def check_frame_size(self, frame_size: int) -> None:
        """Refuse frames that the smallest scale's blocks would shrink to nothing."""
        require_room(math.ceil(frame_size * min(self.scales)), self.num_blocks, same=False)


@dataclass(frozen=True, kw_only=True)
class UNetDiscriminatorConfig:
    """PriorityCut's discriminator: an encoder that judges the whole, a decoder that judges pixels (SPEC 4.2)."""

    kind: Literal["unet"] = "unet"
    block_expansion: int = 32
    """Half the channels of the first block."""
    max_features: int = 512
    num_blocks: int = 4
    """Down blocks, and as many up blocks (ambiguity A10)."""
    num_keypoints: int = 0
    """Keypoint heatmaps appended to the frame (ambiguity A11); 0 judges the frame alone."""
    heatmap_variance: float = 0.01
    spectral_norm: bool = False
    padding: Literal["auto", "valid", "same"] = "auto"
    """`valid` convolutions as FOMM+'s, from 61 pixels up; `same` from 32; `auto` takes valid where it fits."""
    append_frame: bool = False
    """Whether the frame itself joins the last features before the pixel scores (table A1's other reading)."""
    decoder_sigmoid: bool = True
    """Whether pixel scores are brought to [0, 1]. Without, least squares and consistency see plain numbers, as the
    patch scores are; logistic and hinge losses look before it in either case (ambiguity A12)."""
    teaches_keypoints: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_sizes(self.block_expansion, self.max_features, self.num_blocks, self.num_keypoints)
        if self.padding not in ("auto", "valid", "same"):
            raise ValueError(f"padding must be auto, valid or same, got {self.padding!r}")

    def pads(self, smallest_side: int) -> bool:
        """Whether convolutions of frames with this smallest side are padded; refuses frames that are too small."""
        valid_fits = deepest_side(smallest_side, self.num_blocks, same=False) > 1
        same = self.padding == "same" or (self.padding == "auto" and not valid_fits)
        require_room(smallest_side, self.num_blocks, same=same)
        return same

    def check_frame_size(self, frame_size: int) -> None:
        """Refuse frames that the blocks would shrink to nothing."""
        self.pads(frame_size)


def _check_sizes(block_expansion: int, max_features: int, num_blocks: int, num_keypoints: int) -> None:
    if min(block_expansion, max_features, num_blocks) < 1 or num_keypoints < 0:
        raise ValueError(
            "block_expansion, max_features and num_blocks must be at least 1 and num_keypoints at least 0, got "
            f"{block_expansion}, {max_features}, {num_blocks} and {num_keypoints}"
        )


KERNEL = 4
"""Side of every encoder and decoder kernel: a valid convolution takes 3 pixels off a side, its mirror adds them."""


def require_room(smallest_side: int, num_blocks: int, *, same: bool) -> None:
    """Refuse frames that the encoder would shrink to nothing."""
    if deepest_side(smallest_side, num_blocks, same=same) <= 1:
        raise ValueError(
            f"frames of {smallest_side} pixels are too small for a discriminator of {num_blocks} blocks"
            + (" with padding 'same'" if same else " without padding")
            + "; take larger frames, fewer blocks or fewer scales, or the U-Net with padding 'auto'"
        )


def deepest_side(size: int, num_blocks: int, *, same: bool) -> int:
    """Side of the deepest map for a side of `size` pixels; instance norm needs more than one pixel there."""
    for block in range(num_blocks):
        size = size if same else size - (KERNEL - 1)
        size = size // 2 if block < num_blocks - 1 else size
    return size


def _normalized(conv: nn.Conv2d | nn.ConvTranspose2d, wanted: bool) -> nn.Module:
    # The hook form, not the parametrization: it keeps the published names and order of power iteration.
    return spectral_norm(conv) if wanted else conv


def _pad_same(features: FeatureMap) -> FeatureMap:
    """So that a 4x4 convolution keeps the size: one pixel left and above, two right and below."""
    return F.pad(features, (1, 2, 1, 2))


class EncoderBlock(nn.Module):
    """4x4 convolution, instance norm (not in the first block), leaky ReLU; pooling is the caller's."""

    def __init__(self, in_channels: int, out_channels: int, *, normalize: bool, spectral: bool) -> None:
        super().__init__()
        self.conv = _normalized(nn.Conv2d(in_channels, out_channels, KERNEL), spectral)
        self.norm = nn.InstanceNorm2d(out_channels, affine=True) if normalize else None

    def forward(self, features: FeatureMap) -> FeatureMap:
        hidden = self.conv(features)
        if self.norm is not None:
            hidden = self.norm(hidden)
        return F.leaky_relu(hidden, 0.2)


class PatchEncoder(nn.Module):
    """One scale of FOMM+'s discriminator: blocks with pooling between them, then a 1x1 head."""

    def __init__(self, config: PatchDiscriminatorConfig | UNetDiscriminatorConfig) -> None:
        super().__init__()
        spectral = config.spectral_norm
        widths = encoder_widths(config)
        self.down_blocks = nn.ModuleList(
            EncoderBlock(widths[i], widths[i + 1], normalize=i > 0, spectral=spectral) for i in range(config.num_blocks)
        )
        self.conv = _normalized(nn.Conv2d(widths[-1], 1, 1), spectral)

    def forward(self, frames: FeatureMap, *, same: bool = False) -> tuple[FeatureMap, tuple[FeatureMap, ...]]:
        """Patch scores, and the output of every block *before* its pooling."""
        hidden, before_pooling = frames, list[FeatureMap]()
        for i, block in enumerate(self.down_blocks):
            hidden = block(_pad_same(hidden) if same else hidden)
            before_pooling.append(hidden)
            if i < len(self.down_blocks) - 1:
                hidden = F.avg_pool2d(hidden, 2)
        return self.conv(hidden), tuple(before_pooling)


def encoder_widths(config: PatchDiscriminatorConfig | UNetDiscriminatorConfig) -> list[int]:
    """Channels of the input and of each block's output: the first block has twice `block_expansion`."""
    blocks = range(1, config.num_blocks + 1)
    return [
        3 + config.num_keypoints,
        *(channels_at(i, config.block_expansion, config.max_features) for i in blocks),
    ]


def pooled_features(before_pooling: tuple[FeatureMap, ...]) -> tuple[FeatureMap, ...]:
    """The block outputs that feature matching compares: pooled, but for the last."""
    return (*(F.avg_pool2d(features, 2) for features in before_pooling[:-1]), before_pooling[-1])


def with_heatmaps(
    frames: Frames, keypoints: Keypoints | None, *, num_keypoints: int, variance: float
) -> Float[Tensor, "batch channels height width"]:
    """Append one blob a keypoint to the frames; the keypoints get no gradient from here."""
    if num_keypoints == 0:
        return frames
    if keypoints is None or keypoints.position.shape[1] != num_keypoints:
        found = 0 if keypoints is None else keypoints.position.shape[1]
        raise ValueError(f"this discriminator is conditioned on {num_keypoints} keypoints, but got {found}")
    height, width = frames.shape[-2:]
    heatmaps = gaussian_heatmaps(keypoints.position.detach(), height, width, variance=variance)
    return torch.cat([frames, heatmaps], dim=1)


class PatchDiscriminator(nn.Module):
    """FOMM+'s discriminator over the scales of its config.

    Source: FOMM's published code; SPEC 4.1.
    """

    def __init__(self, config: PatchDiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.pyramid = ImagePyramid(config.scales)
        self.discs = nn.ModuleDict({scale_name(scale): PatchEncoder(config) for scale in config.scales})

    def forward(self, frames: Frames, keypoints: Keypoints | None = None) -> tuple[DiscriminatorOutput, ...]:
        """Judge frames; one output a scale. `keypoints` are the driving ones, where the config asks for them."""
        outputs = list[DiscriminatorOutput]()
        for level, encoder in zip(self.pyramid(frames), self.discs.values(), strict=True):
            conditioned = with_heatmaps(
                level,
                keypoints,
                num_keypoints=self.config.num_keypoints,
                variance=self.config.heatmap_variance,
            )
            require_room(min(level.shape[-2:]), self.config.num_blocks, same=False)
            score, before_pooling = encoder(conditioned)
            outputs.append(DiscriminatorOutput(score.float(), pooled_features(before_pooling)))
        return tuple(outputs)


def scale_name(scale: float) -> str:
    """How published checkpoints spell a scale: 1 -> "1", 0.5 -> "0-5"."""
    return f"{scale:g}".replace(".", "-")


class DecoderBlock(nn.Module):
    """Mirror of an `EncoderBlock`: to the size before pooling, undo the convolution, norm, leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, *, spectral: bool) -> None:
        super().__init__()
        self.conv = _normalized(nn.ConvTranspose2d(in_channels, out_channels, KERNEL), spectral)
        self.norm = nn.InstanceNorm2d(out_channels, affine=True)

    def forward(self, features: FeatureMap, *, same: bool) -> FeatureMap:
        hidden = self.conv(features)
        if same:
            # The mirror of the padding (1 before, 2 after) is to cut as much off again.
            hidden = hidden[:, :, 1:-2, 1:-2]
        return F.leaky_relu(self.norm(hidden), 0.2)


class UNetDiscriminator(nn.Module):
    """Judges the frame by patches at its deepest layer and by pixels at its last.

    Frames of any height and width from 32 up; the pixel scores have exactly that size, odd or not.

    Source: PriorityCut, table A1; U-Net GAN (Schönfeld et al., CVPR 2020); SPEC 4.2.
    """

    def __init__(self, config: UNetDiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = PatchEncoder(config)
        _, *widths = encoder_widths(config)
        self.up_blocks = nn.ModuleList()
        for level in reversed(range(config.num_blocks)):
            # The deepest block comes alone, the others with the encoder's output of their size.
            incoming = widths[level] * (1 if level == config.num_blocks - 1 else 2)
            self.up_blocks.append(DecoderBlock(incoming, widths[max(level - 1, 0)], spectral=config.spectral_norm))
        last = widths[0] + (3 if config.append_frame else 0)
        self.pixel_head = _normalized(nn.Conv2d(last, 1, 1), config.spectral_norm)

    def forward(self, frames: Frames, keypoints: Keypoints | None = None) -> tuple[DiscriminatorOutput, ...]:
        """Judge frames; one output (there is one scale). `keypoints` as for `PatchDiscriminator`."""
        config = self.config
        same = config.pads(min(frames.shape[-2:]))
        conditioned = with_heatmaps(
            frames, keypoints, num_keypoints=config.num_keypoints, variance=config.heatmap_variance
        )
        score, before_pooling = self.encoder(conditioned, same=same)
        features = pooled_features(before_pooling)

        hidden = features[-1]
        for i, block in enumerate(self.up_blocks):
            level = len(self.up_blocks) - 1 - i
            if i > 0:
                hidden = torch.cat([hidden, features[level]], dim=1)
            unpooled = before_pooling[level].shape[-2:]
            if hidden.shape[-2:] != unpooled:
                hidden = F.interpolate(hidden, size=unpooled)
            hidden = block(hidden, same=same)
        if config.append_frame:
            hidden = torch.cat([hidden, frames], dim=1)
        logit = self.pixel_head(hidden).float()
        pixel_score = logit.sigmoid() if config.decoder_sigmoid else logit
        return (DiscriminatorOutput(score.float(), features, pixel_score, logit),)
