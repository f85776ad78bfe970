"""Any published file into the model that it is of."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from prioritycut.errors import UserError
from prioritycut.models.building import Model
from prioritycut.published.fomm import import_fomm
from prioritycut.published.monkeynet import import_monkeynet
from prioritycut.published.x2face import import_x2face

PublishedModel: TypeAlias = Literal["fomm", "monkeynet", "x2face"]


def import_published(
    model: PublishedModel,
    checkpoint: Path,
    config: Path | None,
    *,
    align_corners: bool = True,
    upsampling_align_corners: bool = True,
) -> Model:
    """Read a published file strictly, ready to run (evaluation mode, no gradients).

    Args:
        model: Whose layout the file has.
        checkpoint: The weights.
        config: The YAML published beside them; X2Face has none.
        align_corners: The convention of every warp that the weights were trained with.
        upsampling_align_corners: Of X2Face: the convention of the upsampling inside its networks.

    Raises:
        UserError: A file is missing, unreadable, or does not fit; the message names the parameter, the setting or the
            model that it is of.
    """
    if model == "x2face":
        if config is not None:
            raise UserError(
                f"{config}: X2Face's files come without settings, all is in the weights; leave --config out"
            )
        return import_x2face(checkpoint, align_corners=align_corners, upsampling_align_corners=upsampling_align_corners)
    if not upsampling_align_corners:
        raise UserError(f"--model {model}: only X2Face upsamples by a convention; leave its option out")
    if config is None:
        raise UserError(
            f"{checkpoint}: weights without their settings; give the YAML published beside them by --config"
        )
    read = import_fomm if model == "fomm" else import_monkeynet
    return read(checkpoint, config, align_corners=align_corners)
