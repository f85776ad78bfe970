"""Published FOMM files: a `.pth.tar` and the YAML beside it. Parameters have the published names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from prioritycut.files import read_pickle
from prioritycut.models.fomm import Fomm, FommConfig
from prioritycut.published.settings import Settings, frame_size, hourglass, read_config
from prioritycut.published.tensors import check_layout, load_published, tensors_of


def import_fomm(checkpoint: Path, config: Path, *, align_corners: bool = True) -> Fomm:
    """Read a published FOMM, ready to run (evaluation mode, no gradients).

    Args:
        checkpoint: `.pth.tar` with `kp_detector` and `generator` (others, such as optimizers, are left out).
        config: The YAML published beside it.
        align_corners: The sampling convention that the weights were trained with; the config keeps it. True for the
            authors' files, False for what their released code trained on PyTorch 1.3 or newer.

    Raises:
        UserError: Either file is unreadable, or names are missing or unexpected; the message lists them.
    """
    content = read_pickle(checkpoint)
    check_layout(content, "fomm", where=checkpoint)
    animator = Fomm(replace(read_config(config, fomm_config), align_corners=align_corners))
    tensors = tensors_of(content, "kp_detector", "generator", where=checkpoint)
    load_published(animator, tensors, str, where=checkpoint)
    return animator.eval().requires_grad_(False)


def fomm_config(document: Settings) -> FommConfig:
    """The model that published settings describe.

    Raises:
        ValueError: A setting is missing, unknown, of the wrong kind, or out of range; the message names it.
    """
    model = document.section("model_params")
    common = model.section("common_params")
    detector = model.section("kp_detector_params")
    generator = model.section("generator_params")
    dense_motion = generator.section("dense_motion_params")

    common.require("num_channels", 3, 3)
    variance = dense_motion.number("kp_variance", 0.01)
    detector.require("kp_variance", variance, variance)
    config = FommConfig(
        frame_size=frame_size(document),
        num_keypoints=common.integer("num_kp"),
        estimate_jacobian=common.switch("estimate_jacobian", False),
        estimate_occlusion_map=generator.switch("estimate_occlusion_map", False),
        single_jacobian_map=detector.switch("single_jacobian_map", False),
        keypoint_padding=detector.integer("pad", 0),
        temperature=detector.number("temperature"),
        heatmap_variance=variance,
        detector=hourglass(detector),
        dense_motion=hourglass(dense_motion),
        block_expansion=generator.integer("block_expansion"),
        max_features=generator.integer("max_features"),
        num_down_blocks=generator.integer("num_down_blocks"),
        num_bottleneck_blocks=generator.integer("num_bottleneck_blocks"),
    )
    for section in (common, detector, dense_motion, generator):
        section.finish()
    return config
