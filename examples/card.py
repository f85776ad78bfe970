"""A result's summaries without its clips: what a model card quotes.

python examples/card.py RESULT.json CARD.json
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from prioritycut.results import load_result, save_result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("card", type=Path)
    arguments = parser.parse_args()
    save_result(arguments.card, replace(load_result(arguments.result), clips=()))
    print(f"wrote {arguments.card}")


if __name__ == "__main__":
    main()
