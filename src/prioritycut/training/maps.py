"""A model beside the one in training, whose maps say where to cut (ambiguity A21)."""

from __future__ import annotations

from prioritycut.checkpoint import find_checkpoint, load_animator, read_info
from prioritycut.errors import UserError
from prioritycut.models.building import MODEL_NAMES, Model, missing_maps
from prioritycut.train_config import TrainConfig


def load_map_model(config: TrainConfig) -> Model | None:
    """The frozen model that the config names, or `None` where it names none.

    Raises:
        UserError: The checkpoint does not load, is of frames of another size, or estimates no such maps.
    """
    if config.mixing.maps_from is None:
        return None
    path = find_checkpoint(config.mixing.maps_from)
    model = read_info(path).model
    missing = missing_maps(model)
    if missing:
        raise UserError(
            f"{path}: this {MODEL_NAMES[model.kind]} estimates no {' and no '.join(missing)}; give a FOMM for the maps"
        )
    if model.frame_size != config.model.frame_size:
        raise UserError(
            f"{path}: made for frames of {model.frame_size} pixels, and this run has {config.model.frame_size}; "
            "give a model of that size for the maps"
        )
    return load_animator(path)
