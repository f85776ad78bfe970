"""The command line: one function a command. Whatever needs thought lives in the library."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from prioritycut.animation import MotionTransfer
from prioritycut.checkpoint import import_checkpoint, load_animator, save_animator
from prioritycut.configuration import config_to_json
from prioritycut.data.clips import open_clip
from prioritycut.data.synthesis import write_puppets
from prioritycut.errors import UserError
from prioritycut.evaluation import HELD_OUT_SEED, evaluate_on_puppets
from prioritycut.files import write_text
from prioritycut.presets import PRESETS
from prioritycut.rendering import Advance, RenderOptions, render_files
from prioritycut.train_config import TrainConfig

ERROR, INTERRUPTED = 2, 130
"""Exit codes: something outside the program is wrong; Ctrl-C."""

out = Console(soft_wrap=True, highlight=False)
progress_out = Console(stderr=True)


def animate_command(
    source: Path,
    driving: Path,
    output: Path,
    /,
    *,
    checkpoint: str = "puppets",
    motion: Literal["relative", "absolute"] = "relative",
    adapt_scale: bool = False,
    best_frame: bool = False,
    explain: bool = False,
    audio: bool = True,
    fit: Literal["pad", "crop"] = "pad",
    source_frame: int = 0,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    batch_size: int = 8,
) -> None:
    """Animate a picture with the motion of a clip.

    Args:
        source: A picture, or a clip of which one frame is taken.
        driving: The clip that tells the motion: mp4, webm, gif, ..., or a folder of pictures.
        output: .mp4, .webm, .gif, or a folder of png.
        checkpoint: A .safetensors file, a run folder, or the name of shipped weights.
        motion: relative adds the driving motion to the picture's own pose; absolute takes the driving pose.
        adapt_scale: Scale relative motion by the size of the source object next to the driving one.
        best_frame: Start from the driving frame whose pose is nearest to the picture's, not from the first.
        explain: Write a second clip with keypoints, maps and the cut mask.
        audio: Keep the driving clip's sound.
        fit: Frames that are not square: pad shows the model all of them, crop their middle.
        source_frame: Which frame of the source, where it is a clip.
        device: Where to run; auto takes a GPU if there is one.
        batch_size: Driving frames at a time.
    """
    options = RenderOptions(
        checkpoint=checkpoint,
        transfer=MotionTransfer(relative=motion == "relative", adapt_scale=adapt_scale),
        best_frame=best_frame,
        explain=explain,
        audio=audio,
        fit=fit,
        source_frame=source_frame,
        device=_device(device),
        batch_size=batch_size,
    )
    with open_clip(driving) as reader:
        total = reader.frame_count
    with _progress("animating", total) as advance:
        made = render_files(source, driving, output, options, say=out.print, advance=advance)
    sound = "with sound" if made.audio_kept else "without sound"
    out.print(f"wrote {made.output}: {made.frames} frames at {float(made.rate):g} a second, {sound}")
    if made.explanation is not None:
        out.print(f"wrote {made.explanation}: how each frame came about")


def import_checkpoint_command(
    checkpoint: Path, output: Path, /, *, config: Path, trained_on: str = "unknown data", align_corners: bool = True
) -> None:
    """Convert published FOMM weights to safetensors. Nothing in the file is run.

    Args:
        checkpoint: The published .pth.tar.
        output: The .safetensors to write.
        config: The YAML published beside it.
        trained_on: What to say of its data, such as VoxCeleb.
        align_corners: The sampling convention that the weights were trained with. The authors' files want it on;
            weights that their released code trained on PyTorch 1.3 or newer want it off.
    """
    if output.suffix != ".safetensors":
        raise UserError(f"{output}: checkpoints are written as .safetensors; give the output that suffix")
    animator, info = import_checkpoint(checkpoint, config, align_corners=align_corners)
    save_animator(output, animator, replace(info, trained_on=trained_on))
    size = info.model.frame_size
    out.print(f"wrote {output}: FOMM, {size}x{size}, {info.model.num_keypoints} keypoints")


def synthesize_command(output: Path, /, *, clips: int = 16, frames: int = 32, size: int = 64, seed: int = 0) -> None:
    """Draw puppets: clips with their ground truth.

    Args:
        output: The folder to write.
        clips: How many characters.
        frames: Length of each clip, at 25 frames a second.
        size: Height and width in pixels, 64 to 256.
        seed: Another seed draws other characters.
    """
    with _progress("drawing", clips) as advance:
        write_puppets(output, clips=clips, frames=frames, size=size, seed=seed, advance=advance)
    out.print(f"wrote {output}: {clips} clips of {frames} frames at {size}x{size}, with ground truth (puppets.json)")


def presets_command() -> None:
    """List the configs that `train` knows."""
    table = Table("preset", "model", "discriminator", "regularizer", "data", "batch", "epochs")
    table.columns[0].no_wrap = True
    for name, config in PRESETS.items():
        table.add_row(
            name,
            f"{config.model.kind} {config.model.frame_size} px",
            "none" if config.discriminator is None else config.discriminator.kind,
            "none" if config.regularizer is None else config.regularizer.kind,
            config.data.kind,
            str(config.batch_size),
            str(config.epochs),
        )
    out.print(table)


def train_from(preset: TrainConfig) -> Callable[..., None]:
    """The `train` command with a preset's settings as the defaults of its options."""

    def command(
        *,
        output: Path | None = None,
        config: Annotated[TrainConfig, tyro.conf.arg(name="")] = preset,
        steps: int | None = None,
        resume: bool = False,
        dry_run: bool = False,
    ) -> None:
        """Train a model. Every setting of the preset can be changed by the options below.

        Args:
            output: The run folder; needed but for a dry run.
            config: The settings.
            steps: Stop after this many steps in all; --resume goes on from there.
            resume: Go on with the run in the folder, if there is one.
            dry_run: Print the resolved config and parameter counts, and stop.
        """
        # Imported here: the training engine takes seconds to load, which only this command needs.
        from prioritycut.training import parameter_counts, train

        if dry_run:
            out.print(config_to_json(config), markup=False)
            for name, count in parameter_counts(config).items():
                out.print(f"{name}: {count:,} parameters")
            return
        if output is None:
            raise UserError(f"{config.name}: no run folder named; add --output FOLDER")
        made = train(config, output, steps=steps, resume=resume, console=progress_out)
        out.print(f"wrote {made}; animate with --checkpoint {output}; numbers and samples are in {output}")

    return command


def train_command(
    preset: str, /, *, output: Path | None = None, steps: int | None = None, resume: bool = False, dry_run: bool = False
) -> None:
    """Train a model from a preset; `prioritycut train PRESET --help` lists every setting that can be changed.

    Args:
        preset: One of `prioritycut presets`.
        output: The run folder.
        steps: Stop after this many steps in all.
        resume: Go on with the run in the folder, if there is one.
        dry_run: Print the resolved config and parameter counts, and stop.
    """
    if preset not in PRESETS:
        raise UserError(f"{preset}: no such preset; `prioritycut presets` lists them")
    # Reached when options stand before the preset.
    train_from(PRESETS[preset])(output=output, steps=steps, resume=resume, dry_run=dry_run)


def evaluate_command(
    checkpoint: str, /, *, output: Path | None = None, clips: int = 64, frames: int = 32, seed: int = HELD_OUT_SEED
) -> None:
    """Measure a model on held-out puppets, where the truth is known.

    Args:
        checkpoint: A .safetensors file, a run folder, or the name of shipped weights.
        output: Where the figures go as JSON.
        clips: How many held-out characters.
        frames: Length of each clip.
        seed: Of the characters; presets train on those of seed 0.
    """
    animator = load_animator(checkpoint)
    with _progress("evaluating", clips) as advance:
        figures = evaluate_on_puppets(
            animator, size=animator.config.frame_size, clips=clips, frames=frames, seed=seed, advance=advance
        )
    text = config_to_json(figures)
    if output is not None:
        write_text(output, text)
    out.print(text, markup=False)


COMMANDS = {
    "animate": animate_command,
    "train": train_command,
    "evaluate": evaluate_command,
    "presets": presets_command,
    "synthesize": synthesize_command,
    "import-checkpoint": import_checkpoint_command,
}


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch sees no GPU here; use --device cpu")
    return wanted


@contextmanager
def _progress(doing: str, total: int | None) -> Generator[Advance]:
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=progress_out, transient=True, disable=not progress_out.is_terminal) as progress:
        task = progress.add_task(doing, total=total)
        yield lambda done: progress.update(task, completed=done)


def run(arguments: Sequence[str]) -> None:
    """Read the arguments and do what they say."""
    if len(arguments) > 1 and arguments[0] == "train" and arguments[1] in PRESETS:
        # The preset gives the defaults that the remaining options change.
        tyro.cli(
            train_from(PRESETS[arguments[1]]),
            prog=f"prioritycut train {arguments[1]}",
            args=list(arguments[2:]),
            config=(tyro.conf.AvoidSubcommands,),
        )
        return
    tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="prioritycut", args=list(arguments))


def main() -> None:
    """Entry point: one line for what went wrong, and the exit code that goes with it."""
    try:
        run(sys.argv[1:])
    except (UserError, ValueError) as error:
        print(f"prioritycut: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(ERROR)
    except OSError as error:
        # What no room foresaw: a name that is too long, a folder that may not be entered, a disk that filled up.
        print(f"prioritycut: {error.filename or 'a file'}: {error.strerror or error}; check it", file=sys.stderr)
        sys.exit(ERROR)
    except KeyboardInterrupt as interruption:
        print(f"prioritycut: {interruption or 'interrupted'}", file=sys.stderr)
        sys.exit(INTERRUPTED)
