"""A run folder: config, numbers, sample sheets, weights. Enough to read, repeat and go on with a run.

config.json          every setting, seed and preset name
code.jsonl           versions of the code and of what it stands on, a line for each time it was begun or resumed
numbers.jsonl        one line of numbers every few steps
tensorboard/         the same for TensorBoard
samples/             sheets of pictures
model.safetensors    the animator, for `animate --checkpoint RUN`
state.safetensors    everything that `--resume` needs
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from prioritycut.checkpoint import MODEL_FILE
from prioritycut.drawing import save_picture
from prioritycut.errors import UserError
from prioritycut.files import load_strictly, read_tensors, save_tensors, write_text
from prioritycut.versions import code_versions

STATE_FORMAT = "prioritycut-run-1"


def note_code(folder: Path, *, from_step: int) -> None:
    """Add a line that says which code the run goes on with, and from which step."""
    path = folder / "code.jsonl"
    before = path.read_text() if path.exists() else ""
    write_text(path, before + json.dumps({"from_step": from_step, **code_versions("lightning")}) + "\n")


@contextmanager
def _writing(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}); free space and go on with --resume"
        ) from error


class RunWriter:
    """Numbers and pictures of a run, to JSON lines, TensorBoard and PNG."""

    def __init__(self, folder: Path, *, first_step: int) -> None:
        # Imported here: it takes a second, which only training needs.
        from torch.utils.tensorboard.writer import SummaryWriter

        self.folder = folder
        self._numbers = folder / "numbers.jsonl"
        _forget_after(self._numbers, first_step)
        with _writing(folder):
            (folder / "samples").mkdir(parents=True, exist_ok=True)
            self._tensorboard = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step + 1)

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Add a line of numbers."""
        with _writing(self.folder):
            with self._numbers.open("a") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
            for name, value in values.items():
                self._tensorboard.add_scalar(name, value, step)

    def picture(self, step: int, picture: Float[Tensor, "3 rows cols"]) -> None:
        """Add a sheet of samples."""
        with _writing(self.folder):
            save_picture(self.folder / "samples" / f"step-{step:07d}.png", picture)
            self._tensorboard.add_image("samples", picture.clamp(0, 1), step)

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._tensorboard.close()


def _forget_after(numbers: Path, step: int) -> None:
    """Drop the lines that a run wrote after the checkpoint it goes on from."""
    if not numbers.exists():
        return
    kept = [line for line in numbers.read_text().splitlines() if _step_of(line) <= step]
    write_text(numbers, "".join(line + "\n" for line in kept))


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (json.JSONDecodeError, KeyError):
        return float("inf")  # a line that a kill cut in half


def read_numbers(folder: Path) -> list[dict[str, float]]:
    """The lines of numbers of a run, in order."""
    path = folder / "numbers.jsonl"
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a run folder that `prioritycut train` made")
    lines = path.read_text().splitlines()
    return [json.loads(line) for line in lines if _step_of(line) < float("inf")]


def state_path(folder: Path) -> Path:
    """Where a run keeps what it needs to go on."""
    return folder / "state.safetensors"


def save_state(folder: Path, step: int, modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]) -> None:
    """Everything that the next step depends on. Random draws depend on (seed, step) alone, so the step is enough."""
    tensors = dict[str, Tensor]()
    for name, module in modules.items():
        tensors.update({f"{name}/{key}": value for key, value in module.state_dict().items()})
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors.update({f"{name}/{index}/{key}": value for key, value in state.items()})
    save_tensors(state_path(folder), tensors, {"format": STATE_FORMAT, "step": str(step)})


def load_state(folder: Path, modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]) -> int:
    """Put back what `save_state` kept; returns its step."""
    path = state_path(folder)
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != STATE_FORMAT:
        raise UserError(f"{path}: not the state of a run; only folders that `prioritycut train` made can be resumed")
    groups = dict[str, dict[str, Tensor]]()
    for name, value in tensors.items():
        owner, key = name.split("/", 1)
        groups.setdefault(owner, {})[key] = value
    for name, module in modules.items():
        load_strictly(module, groups.get(name, {}), where=path)
    for name, optimizer in optimizers.items():
        state = dict[int, dict[str, Tensor]]()
        for key, value in groups.get(name, {}).items():
            index, field = key.split("/")
            state.setdefault(int(index), {})[field] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(metadata["step"])


def model_path(folder: Path) -> Path:
    """Where a run keeps its animator."""
    return folder / MODEL_FILE
