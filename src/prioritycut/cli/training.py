"""Commands that train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.table import Table

from prioritycut.cli.console import out, progress, progress_out
from prioritycut.configuration import config_to_json
from prioritycut.data.datasets import FolderData, PuppetData
from prioritycut.detector_training import DetectorTraining, measure_detectors, train_detectors
from prioritycut.errors import UserError
from prioritycut.files import write_text
from prioritycut.presets import PRESETS
from prioritycut.train_config import TrainConfig

DEFAULT_DETECTORS = DetectorTraining()


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


def preset_for(preset: TrainConfig, arguments: Sequence[str]) -> TrainConfig:
    """The preset, with clips for its puppets where the arguments name some by --data.root.

    The small networks of the puppets' presets learn other data too, and a person who names a folder means it.
    """
    names_clips = any(argument.split("=")[0] == "--data.root" for argument in arguments)
    if names_clips and isinstance(preset.data, PuppetData):
        return replace(preset, data=FolderData())
    return preset


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


def train_detectors_command(
    output: Path,
    /,
    *,
    which: Literal["keypoints", "identity", "both"] = "both",
    config: Annotated[DetectorTraining, tyro.conf.arg(name="")] = DEFAULT_DETECTORS,
    measure: bool = True,
) -> None:
    """Train the puppets' own keypoint and identity networks, which `evaluate` measures puppets with.

    Args:
        output: Folder for the weights, under the names of the shipped ones.
        which: Which of the two.
        config: The settings.
        measure: Measure both on held-out puppets and write figures.json beside them.
    """
    for path in train_detectors(config, output, which=which, console=progress_out):
        out.print(f"wrote {path}", markup=False)
    if measure and which == "both":
        with progress("measuring", 8) as advance:
            figures = measure_detectors(output, advance=advance)
        write_text(output / "figures.json", config_to_json(figures) + "\n")
        out.print(f"wrote {output / 'figures.json'}: how good they are on held-out puppets", markup=False)
