"""The first thing to run: one held-out puppet moves like another, by the shipped weights.

python examples/demo.py --output out/demo
"""

from __future__ import annotations

import argparse
from pathlib import Path

from prioritycut.data.clips import write_clip
from prioritycut.data.puppets import generate_puppet
from prioritycut.drawing import save_picture
from prioritycut.evaluation import HELD_OUT_SEED
from prioritycut.rendering import RenderOptions, render_files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("out/demo"))
    parser.add_argument("--source", type=int, default=5, help="number of the held-out puppet that is animated")
    parser.add_argument("--driving", type=int, default=7, help="number of the held-out puppet that moves it")
    arguments = parser.parse_args()
    folder: Path = arguments.output
    folder.mkdir(parents=True, exist_ok=True)

    source = generate_puppet(HELD_OUT_SEED, arguments.source, frames=1, size=64)
    driving = generate_puppet(HELD_OUT_SEED, arguments.driving, frames=75, size=64)
    save_picture(folder / "source.png", source.frames[0])
    write_clip(folder / "driving.mp4", driving.frames)

    made = render_files(
        folder / "source.png",
        folder / "driving.mp4",
        folder / "animated.mp4",
        RenderOptions(checkpoint="puppets", explain=True, best_frame=True),
        say=print,
    )
    print(f"video: {made.output.resolve()}")
    print(f"explain video: {made.explanation.resolve() if made.explanation else 'none'}")


if __name__ == "__main__":
    main()
