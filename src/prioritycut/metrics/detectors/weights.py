"""Weights of other people's networks: read from the file that the user names, known by the digest of its content."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from prioritycut.errors import UserError
from prioritycut.files import load_strictly, read_pickle, read_tensors

WRAPPERS = ("state_dict", "model_state", "model_state_dict")
"""Keys under which published checkpoints keep the weights beside an epoch or an optimizer."""
PREFIX = "module."
"""What names begin with where the weights were saved from several GPUs."""


def read_weights(path: Path, *, advice: str = "check the path") -> dict[str, Tensor]:
    """The named tensors of a published weights file, freed of common wrappers.

    Args:
        path: A PyTorch file (`.pth`, `.pt`, `.pth.tar`), plain or with the weights under "state_dict" or
            "model_state", or `.safetensors`. A leading "module." of all names is dropped.
        advice: Where such a file comes from and how it is named on the command line, said where it is missing.

    Raises:
        UserError: It is missing, broken, a TorchScript archive, or holds something else than named tensors.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; {advice}")
    content = _read(path)
    if not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{path}: holds no plain dictionary of weights; is it the right file?")
    tensors = cast("Mapping[str, Tensor]", content)
    if all(name.startswith(PREFIX) for name in tensors):
        return {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    return dict(tensors)


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], *, where: Path) -> None:
    """Load published weights into a module that bears the same names, all of them and no others.

    Files from before PyTorch 0.4.1 do not count the batches that batch norm saw; no result depends on that count.

    Raises:
        UserError: Names are missing, unexpected, or of another shape; the message lists them.
    """
    counters = {name: value for name, value in module.state_dict().items() if name.endswith("num_batches_tracked")}
    load_strictly(module, {**counters, **tensors}, where=where)


def fill_from_file(
    network: nn.Module, files: Sequence[Path], *, tool: str, advice: str, unused: tuple[str, ...] = ()
) -> str:
    """Fill a network from the one file that its tool needs, strictly, and set it to inference.

    Args:
        network: To be filled; never trained thereafter.
        files: One, as `read_weights` takes it.
        tool: Name of the tool on the command line.
        advice: Where such a file comes from and how it is named on the command line.
        unused: What the names of weights begin with that the file may have and the network does without.

    Returns:
        The weights' version.

    Raises:
        UserError: There is no file or more than one, or it is missing, unreadable, or does not fit the network.
    """
    if len(files) != 1:
        raise UserError(f"{tool} needs one weights file, got {len(files)}; {advice}")
    (path,) = files
    tensors = read_weights(path, advice=advice)
    load_weights(network, {name: tensors[name] for name in tensors if not name.startswith(unused)}, where=path)
    network.requires_grad_(False).eval()
    return weights_version(files)


def _read(path: Path) -> Mapping[str, object]:
    if path.suffix == ".safetensors":
        return read_tensors(path)[0]
    if _is_torchscript(path):
        raise UserError(
            f"{path}: a TorchScript program, which is code and is not opened here; if you trust its authors, save its "
            "weights alone with torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)"
        )
    content = read_pickle(path)
    for wrapper in WRAPPERS:
        inner = content.get(wrapper)
        if isinstance(inner, dict):
            return cast("dict[str, object]", inner)
    return content


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        # Only a program carries a table of constants beside its data.
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def weights_version(paths: Sequence[Path]) -> str:
    """First 12 hexadecimal digits of the SHA-256 of the files' bytes, one after the other: other weights, another tool.

    Raises:
        UserError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    return digest.hexdigest()[:12]
