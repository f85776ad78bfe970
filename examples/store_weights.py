"""A trained model as a small file: its kernels in half precision. Loading it gives float32 again.

python examples/store_weights.py out/five/run-fomm src/prioritycut/weights/five/fomm.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

from prioritycut.checkpoint import load_animator, read_info, save_animator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="a run folder, or any checkpoint")
    parser.add_argument("output", type=Path, help="the .safetensors to write")
    arguments = parser.parse_args()
    info = read_info(arguments.checkpoint)
    save_animator(arguments.output, load_animator(arguments.checkpoint), info, stored_as="float16")
    size = arguments.output.stat().st_size
    print(f"wrote {arguments.output}: {info.source}, {info.steps:,} steps, {size:,} bytes")


if __name__ == "__main__":
    main()
