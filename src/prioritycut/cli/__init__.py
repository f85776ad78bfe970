"""The command line: one function a command. Whatever needs thought lives in the library."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import tyro

from prioritycut.cli.animating import (
    animate_command,
    animate_pairs_command,
    import_checkpoint_command,
    synthesize_command,
)
from prioritycut.cli.evaluating import evaluate_command, figure_command, report_command, score_command
from prioritycut.cli.preprocessing import PREPROCESS_COMMANDS, PREPROCESS_HELP, preprocess_command
from prioritycut.cli.training import (
    preset_for,
    presets_command,
    train_command,
    train_detectors_command,
    train_from,
)
from prioritycut.errors import UserError
from prioritycut.presets import PRESETS

ERROR, INTERRUPTED = 2, 130
"""Exit codes: something outside the program is wrong; Ctrl-C."""

COMMANDS = {
    "animate": animate_command,
    "animate-pairs": animate_pairs_command,
    "train": train_command,
    "evaluate": evaluate_command,
    "score": score_command,
    "report": report_command,
    "figure": figure_command,
    "presets": presets_command,
    "preprocess": preprocess_command,
    "synthesize": synthesize_command,
    "train-detectors": train_detectors_command,
    "import-checkpoint": import_checkpoint_command,
}


def run(arguments: Sequence[str]) -> None:
    """Read the arguments and do what they say."""
    if len(arguments) > 1 and arguments[0] == "train" and arguments[1] in PRESETS:
        # The preset gives the defaults that the remaining options change.
        tyro.cli(
            train_from(preset_for(PRESETS[arguments[1]], arguments)),
            prog=f"prioritycut train {arguments[1]}",
            args=list(arguments[2:]),
            config=(tyro.conf.AvoidSubcommands,),
        )
        return
    if len(arguments) > 1 and arguments[0] == "preprocess":
        tyro.extras.subcommand_cli_from_dict(
            PREPROCESS_COMMANDS, prog="prioritycut preprocess", args=list(arguments[1:]), description=PREPROCESS_HELP
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
        print(f"prioritycut: {str(interruption) or 'interrupted'}", file=sys.stderr)
        sys.exit(INTERRUPTED)
