"""Published Monkey-Net files: a `.pth.tar` and the YAML beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from prioritycut.files import read_pickle
from prioritycut.models.monkeynet import (
    MonkeyNet,
    MonkeyNetConfig,
    MonkeyNetDiscriminator,
    MonkeyNetDiscriminatorConfig,
)
from prioritycut.published.settings import Settings, frame_size, hourglass, read_config
from prioritycut.published.tensors import check_layout, load_published, tensors_of


def import_monkeynet(checkpoint: Path, config: Path, *, align_corners: bool = True) -> MonkeyNet:
    """Read a published Monkey-Net, ready to run (evaluation mode, no gradients).

    Args:
        checkpoint: `.pth.tar` with `kp_detector` and `generator` (others, such as optimizers, are left out).
        config: The YAML published beside it.
        align_corners: The sampling convention that the weights were trained with; the config keeps it. True for the
            authors' files, False for what their released code trained on PyTorch 1.3 or newer.

    Raises:
        UserError: Either file is unreadable, or names are missing or unexpected; the message lists them.
    """
    content = read_pickle(checkpoint)
    check_layout(content, "monkeynet", where=checkpoint)
    animator = MonkeyNet(replace(read_config(config, monkeynet_config), align_corners=align_corners))
    tensors = tensors_of(content, "kp_detector", "generator", where=checkpoint)
    load_published(animator, without_time(tensors), published_name, where=checkpoint)
    return animator.eval().requires_grad_(False)


def import_monkeynet_discriminator(checkpoint: Path, config: Path) -> MonkeyNetDiscriminator:
    """Read a published Monkey-Net's discriminator, ready to be trained on.

    Args:
        checkpoint: `.pth.tar` with `discriminator`.
        config: The YAML published beside it.

    Raises:
        UserError: As for `import_monkeynet`.
    """
    discriminator = MonkeyNetDiscriminator(read_config(config, monkeynet_discriminator_config))
    tensors = tensors_of(read_pickle(checkpoint), "discriminator", where=checkpoint)
    load_published(discriminator, without_time(tensors), "discriminator.{}".format, where=checkpoint)
    return discriminator


def monkeynet_config(document: Settings) -> MonkeyNetConfig:
    """The model that published settings describe.

    Raises:
        ValueError: A setting is missing, unknown, or out of range; the message names it.
    """
    model = document.section("model_params")
    common = model.section("common_params")
    detector = model.section("kp_detector_params")
    generator = model.section("generator_params")
    dense_motion = generator.section("dense_motion_params")
    to_motion = dense_motion.section("mask_embedding_params")
    to_generator = generator.section("kp_embedding_params")

    common.require("num_channels", 3)
    common.require("kp_variance", "matrix")
    # The published 64x64 files leave it out, which is nearest: another network than the 256x256 one.
    generator.require("interpolation_mode", "trilinear", "nearest")
    dense_motion.require("use_mask", True)
    dense_motion.require("use_correction", True)
    to_motion.require("use_deformed_source_image", True)
    norm = to_motion.number("norm_const")
    to_generator.require("norm_const", norm)
    for embedding in (to_motion, to_generator):
        embedding.require("use_heatmap", True)
        embedding.require("heatmap_type", "difference")
    config = MonkeyNetConfig(
        frame_size=frame_size(document, "image_shape"),
        num_keypoints=common.integer("num_kp"),
        temperature=detector.number("temperature"),
        smallest_variance=detector.number("clip_variance"),
        heatmap_norm=norm,
        detector=hourglass(detector),
        dense_motion=hourglass(dense_motion),
        num_group_blocks=dense_motion.integer("num_group_blocks"),
        block_expansion=generator.integer("block_expansion"),
        max_features=generator.integer("max_features"),
        num_blocks=generator.integer("num_blocks"),
        num_refinement_blocks=generator.integer("num_refinement_blocks"),
        keypoint_scale=to_generator.number("scale_factor", 1.0),
    )
    for section in (common, detector, to_motion, to_generator, dense_motion, generator):
        section.finish()
    return config


def monkeynet_discriminator_config(document: Settings) -> MonkeyNetDiscriminatorConfig:
    """The discriminator that published settings describe.

    Raises:
        ValueError: As for `monkeynet_config`.
    """
    model = document.section("model_params")
    discriminator = model.section("discriminator_params")
    embedding = discriminator.section("kp_embedding_params")
    config = MonkeyNetDiscriminatorConfig(
        num_keypoints=model.section("common_params").integer("num_kp"),
        block_expansion=discriminator.integer("block_expansion"),
        max_features=discriminator.integer("max_features"),
        num_blocks=discriminator.integer("num_blocks"),
        heatmap_norm=embedding.number("norm_const"),
    )
    for section in (embedding, discriminator):
        section.finish()
    return config


_RENAMED = {
    "kp_detector.heatmap.": "kp_detector.predictor.decoder.conv.",
    "generator.dense_motion_module.head.": "generator.dense_motion_module.hourglass.decoder.conv.",
    "generator.last.": "generator.refinement_module.conv-last.",
}


def published_name(name: str) -> str:
    """The published name of one of our parameters, the name of its network before it."""
    for ours, theirs in _RENAMED.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def without_time(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Kernels of clips that span one frame, `out in 1 rows cols`, as kernels of frames; all else as it is."""
    return {
        name: tensor.squeeze(2) if tensor.ndim == 5 and tensor.shape[2] == 1 else tensor
        for name, tensor in tensors.items()
    }
