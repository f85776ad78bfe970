"""Hours and disk that a published list takes, from measured rates.

    python examples/data_scale.py vox-metadata.csv taichi-metadata.csv --rates docs/data-rates.json [--cores 1 16 64]

The rates are what `benchmarks/preprocessing.py --json` measured on one core. Every number is one of these:

    frames        = sum over clips of (end - start)
    core hours    = frames / (frames a second on one core) / 3600
    hours         = core hours / cores                                   videos do not wait for each other
    disk          = frames * bytes a frame
    video         = sum over videos of the end of the last clip / its rate      at least: what comes after is not known
    download      = video * ASSUMED bits a second of the site's file

What is assumed says so: how many bits the site sends a second of video, and what the line takes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from prioritycut.preprocessing.metadata import read_list


@dataclass(frozen=True)
class ListFacts:
    """What a list asks for; rows that say again what an earlier one said count once."""

    name: str
    clips: int
    frames: int
    videos: int
    video_hours: float


def list_facts(path: Path) -> ListFacts:
    kind = "voxceleb" if "person_id" in path.read_text().partition("\n")[0] else "taichi"
    videos = read_list(path, kind).videos
    clips = [clip for _, of_video in videos for clip in of_video]
    last = [max(clip.end / float(clip.rate) for clip in of_video) for _, of_video in videos]
    frames = sum(clip.end - clip.start for clip in clips)
    return ListFacts(path.stem.removesuffix("-metadata"), len(clips), frames, len(videos), sum(last) / 3600)


def readable(hours: float) -> str:
    return f"{hours:.2g} h" if hours >= 1 else f"{hours * 60:.2g} min"


def core_hours(frames: int, rate: float) -> float:
    return frames / rate / 3600


def gigabytes(frames: int, bytes_a_frame: float) -> float:
    return frames * bytes_a_frame / 1e9


def download_gigabytes(video_hours: float, megabits: float) -> float:
    return video_hours * 3600 * megabits / 8 / 1000


def scale_table(lists: list[ListFacts], rates: dict[str, dict[str, float]], cores: list[int]) -> list[str]:
    """One row a list and store, in Markdown."""
    on = " | ".join(map(on_cores, cores))
    lines = [f"| list | clips | frames | store | {on} | disk |", "|---" * (5 + len(cores)) + "|"]
    for each in lists:
        for store, size in rates["bytes_a_frame"].items():
            hours = core_hours(each.frames, rates["frames_a_second"][store])
            times = " | ".join(readable(hours / count) for count in cores)
            disk = gigabytes(each.frames, size)
            lines.append(f"| {each.name} | {each.clips:,} | {each.frames:,} | {store} | {times} | {disk:.3g} GB |")
    return lines


def download_table(lists: list[ListFacts], megabits: float, line: float) -> list[str]:
    """One row a list, in Markdown."""
    lines = [
        f"| list | videos | hours of video, at least | download at an assumed {megabits:g} Mbit/s of video | "
        f"time on an assumed line of {line:g} Mbit/s |",
        "|---|---|---|---|---|",
    ]
    for each in lists:
        volume = download_gigabytes(each.video_hours, megabits)
        hours = volume * 8000 / line / 3600
        lines.append(
            f"| {each.name} | {each.videos:,} | {each.video_hours:.0f} | {volume:.0f} GB | {readable(hours)} |"
        )
    return lines


def own_videos_table(rates: dict[str, dict[str, float]], cores: list[int]) -> list[str]:
    """One row a subject, in Markdown: what an hour of one's own video takes."""
    on = " | ".join(map(on_cores, cores))
    lines = [f"| an hour of 720p video, 25 frames/s | {on} |", "|---" * (1 + len(cores)) + "|"]
    for work, rate in rates["frames_a_second"].items():
        if work.startswith("track "):
            hours = core_hours(25 * 3600, rate)
            lines.append(f"| {work.removeprefix('track ')} | {' | '.join(readable(hours / n) for n in cores)} |")
    return lines


def on_cores(count: int) -> str:
    return f"{count} core{'s' if count > 1 else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", nargs="+", type=Path)
    parser.add_argument("--rates", type=Path, default=Path(__file__).parents[1] / "docs" / "data-rates.json")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--video-megabits", type=float, default=2.5, help="assumed: of a second of 720p video")
    parser.add_argument("--line-megabits", type=float, default=100.0, help="assumed: what the line takes a second")
    arguments = parser.parse_args()
    lists = [list_facts(path) for path in arguments.lists]
    rates = json.loads(arguments.rates.read_text())
    tables = (
        scale_table(lists, rates, arguments.cores),
        download_table(lists, arguments.video_megabits, arguments.line_megabits),
        own_videos_table(rates, arguments.cores),
    )
    print("\n\n".join("\n".join(table) for table in tables))


if __name__ == "__main__":
    main()
