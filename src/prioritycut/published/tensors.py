"""Tensors of a published file: taken from their containers, and loaded under their published names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from prioritycut.errors import UserError

_SIGNS = {
    "fomm": ("FOMM", "dense_motion_network."),
    "monkeynet": ("Monkey-Net", "dense_motion_module."),
    "x2face": ("X2Face", "pix2pixUnwrapped."),
}
"""By the name that the command line has for it: a published model, and how some of its parameters' names begin."""


def check_layout(content: Mapping[str, Any], wanted: str, *, where: Path) -> None:
    """Refuse the file of another model than the one that is wanted.

    Raises:
        UserError: It is; the message names the model.
    """
    networks = [content, *(content[part] for part in ("generator", "state_dict") if part in content)]
    names = [str(name) for network in networks if isinstance(network, Mapping) for name in network]
    for option, (model, sign) in _SIGNS.items():
        if option != wanted and any(name.startswith(sign) for name in names):
            raise UserError(f"{where}: weights of {model}, not of {_SIGNS[wanted][0]}; import them by --model {option}")


def tensors_of(content: Mapping[str, Any], *parts: str, where: Path) -> dict[str, Tensor]:
    """The tensors of some networks of a checkpoint, each under the name of its network.

    Raises:
        UserError: A network is missing, or holds something else than tensors.
    """
    tensors = dict[str, Tensor]()
    for part in parts:
        if part not in content:
            found = ", ".join(map(str, content))
            raise UserError(f"{where}: has no {part!r} (found: {found[:200]}); is it a file of this model?")
        named = only_tensors(content[part], part, where=where)
        tensors |= {f"{part}.{name}": tensor for name, tensor in named.items()}
    return tensors


def only_tensors(values: Any, part: str, *, where: Path) -> dict[str, Tensor]:
    """A dictionary of tensors by name.

    Raises:
        UserError: It is something else, or holds something else.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{where}: {part} is a {type(values).__name__}, not weights; is it a file of this model?")
    for name, value in values.items():
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise UserError(f"{where}: {name} in {part} is a {kind}, not a tensor; is it a file of this model?")
    return dict(values)


def load_published(
    module: nn.Module, published: Mapping[str, Tensor], name_of: Callable[[str], str], *, where: Path
) -> None:
    """Load weights under their published names, all of them and no others.

    Batch norm's counters, which PyTorch before 0.4.1 did not write, may be missing.

    Args:
        module: What to load into.
        published: The file's tensors.
        name_of: The published name of each of the module's.
        where: The file, for the message.

    Raises:
        UserError: Names are missing, unexpected, or of another shape; the message lists them.
    """
    state = module.state_dict()
    ours = {name_of(name): name for name in state}
    faults = {
        "missing": [name for name in ours if name not in published and not name.endswith("num_batches_tracked")],
        "unexpected": [name for name in published if name not in ours],
        "of another shape": [
            f"{name} {tuple(tensor.shape)} instead of {tuple(state[ours[name]].shape)}"
            for name, tensor in published.items()
            if name in ours and tensor.shape != state[ours[name]].shape
        ],
    }
    found = [
        f"{len(names)} {fault} ({', '.join(names[:8])}{', ...' if len(names) > 8 else ''})"
        for fault, names in faults.items()
        if names
    ]
    if found:
        raise UserError(f"{where}: the weights do not fit the model: {'; '.join(found)}; check the config or the file")
    module.load_state_dict(state | {ours[name]: tensor for name, tensor in published.items()})
