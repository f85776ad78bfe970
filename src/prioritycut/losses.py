"""What the networks are asked for. Losses are pure functions of tensors; the weights stand in one place.

Sources: FOMM (perceptual, equivariance, least squares, feature matching); PriorityCut, equations 4 to 7; for plain L1
of frames and of the deformed source X2Face and Monkey-Net.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import FeatureMap, ImagePyramid, check_scale
from prioritycut.errors import UserError
from prioritycut.geometry import SmoothTransform, inverse_2x2, multiply_2x2
from prioritycut.outputs import DiscriminatorOutput, Frames, Keypoints

Scalar = Float[Tensor, ""]


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """How much each loss counts. The defaults are the paper's (SPEC section 5)."""

    perceptual: tuple[float, ...] = (10.0, 10.0, 10.0, 10.0, 10.0)
    """One weight a tap of the perceptual network, shallow to deep; the same at every scale."""
    pixel: float = 0.0
    """Plain L1 between frames. X2Face has no other loss, and in Monkey-Net it is the first layer of feature matching.
    Beside the perceptual loss it is not in the paper, but useful where that network is small or random."""
    deformed: float = 0.0
    """Plain L1 between the deformed source and the driving frame (Monkey-Net)."""
    explained: float = 0.0
    """The occlusion map shall be high where the deformed source explains the driving frame and low where it does
    not (`explained_loss`). Not in the paper; it gives the map a meaning early, which short runs need."""
    equivariance_value: float = 10.0
    equivariance_jacobian: float = 10.0
    adversarial: float = 1.0
    feature_matching: float | tuple[float, ...] = 10.0
    """The same for every encoder block, or one weight a block, shallow to deep."""
    discriminator_encoder: float = 1.0
    """w_enc of equation 4."""
    discriminator_decoder: float = 1.0
    """w_dec of equation 4."""
    consistency: float = 1.0
    """w_cons of equation 4."""

    def __post_init__(self) -> None:
        if len(self.perceptual) != len(TAPS):
            raise ValueError(f"perceptual must have {len(TAPS)} weights, one a tap, got {len(self.perceptual)}")
        for name, value in vars(self).items():
            if any(not w >= 0 for w in (value if isinstance(value, tuple) else (value,))):
                raise ValueError(f"{name} must not be negative, got {value}")


@dataclass(frozen=True, slots=True)
class GeneratorLosses:
    """The terms of equation 6, unweighted but for the taps; those that a run does not use are 0."""

    perceptual: Scalar
    pixel: Scalar
    deformed: Scalar
    explained: Scalar
    equivariance_value: Scalar
    equivariance_jacobian: Scalar
    adversarial: Scalar
    feature_matching: Float[Tensor, "*blocks"]
    """One a block."""

    def total(self, weights: LossWeights) -> Scalar:
        """L_G of equation 6."""
        return (
            self.perceptual
            + weights.pixel * self.pixel
            + weights.deformed * self.deformed
            + weights.explained * self.explained
            + weights.equivariance_value * self.equivariance_value
            + weights.equivariance_jacobian * self.equivariance_jacobian
            + weights.adversarial * self.adversarial
            + (self.feature_matching.new_tensor(weights.feature_matching) * self.feature_matching).sum()
        )


@dataclass(frozen=True, slots=True)
class DiscriminatorLosses:
    """The terms of equation 4, unweighted; those that a run does not use are 0."""

    encoder: Scalar
    decoder: Scalar
    consistency: Scalar

    def total(self, weights: LossWeights) -> Scalar:
        """L_D of equation 4."""
        return (
            weights.discriminator_encoder * self.encoder
            + weights.discriminator_decoder * self.decoder
            + weights.consistency * self.consistency
        )


# Adversarial (ambiguity A12: least squares by default)

GanMode = Literal["lsgan", "logistic", "hinge"]


def discriminator_adversarial_loss(real: Tensor, fake: Tensor, *, mode: GanMode = "lsgan") -> Scalar:
    """Ask for realness of real scores and fakeness of fake ones.

    Least squares wants 1 and 0; logistic and hinge take logits.

    Source: LSGAN (Mao et al., ICCV 2017); GAN (Goodfellow et al., 2014); geometric GAN (Lim & Ye, 2017).
    """
    match mode:
        case "lsgan":
            return ((1 - real) ** 2).mean() + (fake**2).mean()
        case "logistic":
            return F.softplus(-real).mean() + F.softplus(fake).mean()
        case "hinge":
            return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def generator_adversarial_loss(fake: Tensor, *, mode: GanMode = "lsgan") -> Scalar:
    """Ask that fake scores look real; sources as above (the non-saturating form for logistic)."""
    match mode:
        case "lsgan":
            return ((1 - fake) ** 2).mean()
        case "logistic":
            return F.softplus(-fake).mean()
        case "hinge":
            return -fake.mean()


def pixel_scores_for(output: DiscriminatorOutput, *, mode: GanMode) -> Tensor | None:
    """The decoder's answer as the loss wants it: after the sigmoid for least squares, before it otherwise."""
    return output.pixel_score if mode == "lsgan" else output.pixel_logit


def feature_matching_loss(
    real: tuple[DiscriminatorOutput, ...], fake: tuple[DiscriminatorOutput, ...], *, through_real: bool = False
) -> Float[Tensor, " blocks"]:
    """Mean absolute difference of each encoder block's output, summed over scales. The decoder takes no part.

    Args:
        real: The discriminator on driving frames.
        fake: The discriminator on generated ones.
        through_real: Whether gradients flow into the real features too, as they do in Monkey-Net, where these depend on
            the keypoints. Otherwise they are a target.

    Source: pix2pixHD (Wang et al., CVPR 2018) as FOMM uses it; Monkey-Net, section 3.4.
    """
    scales = [
        torch.stack(
            [
                F.l1_loss(fake_map, real_map if through_real else real_map.detach())
                for real_map, fake_map in zip(real_scale.features, fake_scale.features, strict=True)
            ]
        )
        for real_scale, fake_scale in zip(real, fake, strict=True)
    ]
    return torch.stack(scales).sum(0)


# Equivariance (equation 7)


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


# Explained by warping (not in the paper)

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


# Perceptual

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
    """`imagenet` downloads torchvision's VGG-19 once (548 MB); a path reads such a file; `random` needs nothing."""
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
    if config.weights == "imagenet":
        try:
            state = torch.hub.load_state_dict_from_url(
                VGG19_URL, map_location="cpu", check_hash=True, weights_only=True
            )
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"{VGG19_URL}: the perceptual network's weights could not be downloaded ({error}); "
                "give a copy by --perceptual.weights FILE, or --perceptual.weights random"
            ) from error
        source = VGG19_URL
    else:
        source = str(config.weights)
        try:
            state = torch.load(config.weights, map_location="cpu", weights_only=True)
        except Exception as error:
            # torch raises many kinds for a file that is no checkpoint; each means the same to the user.
            raise UserError(
                f"{source}: not readable as weights ({type(error).__name__}); give VGG-19's file"
            ) from error
    wanted = vgg.state_dict()
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{source}: holds no dictionary of weights; give torchvision's vgg19 file")
    missing = [name for name in wanted if name not in state or state[name].shape != wanted[name].shape]
    if missing:
        raise UserError(f"{source}: lacks {', '.join(missing[:3])} of VGG-19; give torchvision's vgg19 weights")
    vgg.load_state_dict({name: state[name] for name in wanted})
    return vgg


class PerceptualLoss(nn.Module):
    """Weighted L1 between VGG features of two frames, over a pyramid of scales.

    Source: Johnson et al., ECCV 2016, in FOMM's multi-scale form.
    """

    def __init__(self, config: PerceptualConfig) -> None:
        super().__init__()
        self.pyramid = ImagePyramid(config.scales)
        self.vgg = load_vgg19(config)

    def forward(self, prediction: Frames, target: Frames, weights: tuple[float, ...]) -> Scalar:
        """Sum over scales and taps of weight * mean |difference|; no gradient flows into the target."""
        total = prediction.new_zeros(())
        for fake, real in zip(self.pyramid(prediction), self.pyramid(target), strict=True):
            with torch.no_grad():
                real_taps = self.vgg(real)
            for weight, fake_tap, real_tap in zip(weights, self.vgg(fake), real_taps, strict=True):
                total = total + weight * F.l1_loss(fake_tap.float(), real_tap.float())
        return total
