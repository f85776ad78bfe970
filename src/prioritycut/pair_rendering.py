"""A list of pairs in, a clip each out: the work of `prioritycut animate-pairs`. Killed and repeated, it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prioritycut.configuration import config_to_json
from prioritycut.data.layout import is_address, list_split
from prioritycut.data.media import Frame
from prioritycut.data.pair_lists import ClipPair, PairList, RowFault, clip_stem, random_pairs, read_pairs
from prioritycut.data.stored import Advance, ReadableClip, Say, say_nothing_of_progress
from prioritycut.errors import UserError
from prioritycut.evaluation.running import checkpoint_version
from prioritycut.files import write_text
from prioritycut.rendering import Renderer, RenderOptions, explanation_path

SETTINGS_NAME = "animate-pairs.json"
"""In the output folder: what its clips were made with."""


@dataclass(frozen=True, slots=True)
class RenderedPairs:
    """What became of a list.

    Attributes:
        made: Clips that were rendered.
        kept: Clips that were there already.
        faults: Why each of the others could not be rendered, one line each.
        left_out: Rows of the list that name absent clips, or are malformed.
    """

    made: int
    kept: int
    faults: tuple[str, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class _Settings:
    """Everything that changes a picture."""

    dataset: str
    weights: str
    options: RenderOptions


def render_pairs(
    dataset: str,
    output: Path,
    options: RenderOptions,
    *,
    listed: Path | None = None,
    say: Say = lambda line: None,
    advance: Advance = say_nothing_of_progress,
) -> RenderedPairs:
    """Animate pairs of a data set's test clips, each to `OUTPUT/SOURCE-DRIVING.mp4`.

    Args:
        dataset: A folder of clips or of tar shards, or the address of shards (`list_split`), whose test clips are used.
        output: Folder that is made or gone on with: clips that are there already are kept.
        options: How. `source_frame` is the list's.
        listed: The list of pairs (`read_pairs`), whose clips are looked for in the whole folder where that has neither
            train/ nor test/. `None` draws pairs (`random_pairs`).
        say: Told, a line at a time, what is left out or cannot be rendered.
        advance: Told the pairs done so far.

    Raises:
        UserError: The data set, the list or the checkpoint cannot be read, no pair is left or none can be rendered, or
            the output holds clips that were made otherwise.
    """
    clips = {clip.name: clip for clip in _clips(dataset, whole=listed is not None)}
    pairs = random_pairs(list(clips)) if listed is None else read_pairs(listed, list(clips))
    _say_left_out(pairs, listed, say)
    if not pairs.pairs:
        raise UserError(f"{listed}: no row names two clips of {dataset}; check that the list belongs to this data set")
    renderer = Renderer(options, say=say)
    _claim(output, dataset, options)
    made, kept, faults = 0, 0, list[str]()
    wanted = _places(output, pairs.pairs)
    for done, (pair, place) in enumerate(wanted.items(), start=1):
        if place.exists() and (not options.explain or explanation_path(place).exists()):
            kept += 1
        else:
            try:
                _render(renderer, clips[pair.source], pair.frame, clips[pair.driving], place)
                made += 1
            except UserError as error:
                faults.append(f"{pair.source} by {pair.driving}: {error}")
                say(f"not rendered: {faults[-1]}")
        advance(done, len(wanted))
    if faults and not made and not kept:
        raise UserError(f"{output}: none of {len(wanted)} pairs could be rendered (first: {faults[0]})")
    return RenderedPairs(made, kept, tuple(faults), len(pairs.missing) + len(pairs.malformed))


def _clips(dataset: str, *, whole: bool) -> list[ReadableClip]:
    split_up = is_address(dataset) or any((Path(dataset) / part).is_dir() for part in ("train", "test"))
    return list_split(dataset, "all" if whole and not split_up else "test")


def _say_left_out(pairs: PairList, listed: Path | None, say: Say) -> None:
    def told(faults: Sequence[RowFault]) -> str:
        more = f", and {len(faults) - 5} more" if len(faults) > 5 else ""
        return ", ".join(f"line {each.line}: {each.fault}" for each in faults[:5]) + more

    rows = len(pairs.pairs) + len(pairs.missing) + len(pairs.malformed)
    for faults, why in ((pairs.missing, "name clips that are not there"), (pairs.malformed, "are malformed")):
        if faults:
            say(f"{listed}: {len(faults)} of {rows} rows {why} and are left out ({told(faults)})")


def _claim(output: Path, dataset: str, options: RenderOptions) -> None:
    """Note what clips are made with, or refuse to lay others beside them."""
    if not is_address(dataset) and output.resolve() in (Path(dataset).resolve(), (Path(dataset) / "test").resolve()):
        raise UserError(f"{output}: this is the data set, whose clips the results would join; choose another output")
    drawn = replace(options, checkpoint="", device="cpu", batch_size=1)
    place = dataset if is_address(dataset) else str(Path(dataset).resolve())
    text = config_to_json(_Settings(place, checkpoint_version(options.checkpoint), drawn))
    noted = output / SETTINGS_NAME
    try:
        same = not noted.exists() or noted.read_text(encoding="utf-8", errors="replace") == text
    except OSError as error:
        raise UserError(f"{noted}: cannot be read ({error.strerror}); choose another output") from error
    if not same:
        raise UserError(
            f"{output}: holds clips of another data set, other weights or other options (see {SETTINGS_NAME}); choose "
            "another output"
        )
    write_text(noted, text)


def _places(output: Path, pairs: Sequence[ClipPair]) -> dict[ClipPair, Path]:
    """Where each pair goes, by its clips' names; a pair that is listed twice is rendered once."""
    places = dict[ClipPair, Path]()
    for pair in dict.fromkeys(pairs):
        name = f"{clip_stem(pair.source)}-{clip_stem(pair.driving)}" + (f"-frame{pair.frame}" if pair.frame else "")
        place, number = output / f"{name}.mp4", 1
        while place in places.values():  # of a-b by c and a by b-c
            number += 1
            place = output / f"{name}-{number}.mp4"
        places[pair] = place
    return places


def _render(renderer: Renderer, source: ReadableClip, frame: int, driving: ReadableClip, place: Path) -> None:
    picture = _nth_frame(source, frame)
    fit = renderer.fit(picture, source.name)
    with driving.open() as reader:
        renderer.render(picture, fit, reader, place)


def _nth_frame(clip: ReadableClip, wanted: int) -> Frame:
    count = 0
    with clip.open() as reader:
        for count, frame in enumerate(reader, start=1):
            if count > wanted:
                return frame
    raise UserError(f"{clip.name}: there is no frame {wanted}, it has {count}; ask for 0 to {count - 1}")
