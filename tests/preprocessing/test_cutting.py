"""Clips that are cut out of generated videos whose frames tell their own numbers and colours."""

from __future__ import annotations

import errno
import itertools
import resource
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from numbered_clips import number_shown, numbered_frame, shift_video, write_numbered_video
from prioritycut.data.clips import fit_square, open_clip
from prioritycut.data.encoders import VideoEncoder
from prioritycut.errors import UserError
from prioritycut.preprocessing import spans
from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.cutting import Cut, cut_clips, resize_square, video_facts
from prioritycut.preprocessing.records import ClipRecord
from prioritycut.preprocessing.settings import ClipSettings

REAL = Path(__file__).parents[2].parent / "shared" / "data"
WIDTH, HEIGHT = 80, 64
PNG = ClipSettings(size=64, store="png")  # parts of 64 rows and columns are kept to the bit
LEFT = Box(0, 0, 64, 64)  # where the frame's number stands


def write_numbered(path: Path, count: int, *, options: dict[str, str] | None = None, **others) -> Path:
    return write_numbered_video(path, count, width=WIDTH, height=HEIGHT, options=options, **others)


def write_pictures(
    path: Path,
    pictures: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """A video of these pictures, RGB or RGBA, made by av alone."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        (stream.height, stream.width), stream.pix_fmt = pictures[0].shape[:2], pixel_format
        stream.codec_context.thread_count = 1
        for pixels in pictures:
            form = "rgba" if pixels.shape[2] == 4 else "rgb24"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format=form)))
        container.mux(stream.encode())
    return path


def cutting(path: Path, cuts: list[Cut], clips: ClipSettings = PNG) -> list[ClipRecord]:
    """Cut into `out` beside the video, and see that nothing is left under way."""
    workdir, output = path.parent / "work", path.parent / "out"
    records = cut_clips(path, "video", cuts, clips, workdir=workdir, output=output)
    assert [(record.clip, record.video, record.partition) for record in records] == [
        (cut.clip, "video", cut.partition) for cut in cuts
    ]
    assert [p for p in workdir.rglob("*") if p.is_file()] == []
    return records


def pixels_of(path: Path) -> list[np.ndarray]:
    """All frames of a clip as bytes, read from its start."""
    with open_clip(path) as reader:
        return [(frame.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8) for frame in reader]


def made(path: Path, record: ClipRecord) -> list[np.ndarray]:
    assert (record.outcome, record.reason) == ("made", "")
    assert record.file is not None
    return pixels_of(path.parent / "out" / record.file)


def one_cut(path: Path, cut: Cut, clips: ClipSettings = PNG) -> list[np.ndarray]:
    return made(path, cutting(path, [cut], clips)[0])


KINDS = {
    "long-gop.mp4": {"options": {"g": "250"}},
    "gop25-bframes.mp4": {"options": {"g": "25", "bf": "3"}},
    "gop2-bframe.mp4": {"options": {"g": "2", "bf": "1"}},
    "open-gop.mp4": {"options": {"x264-params": "open-gop=1:keyint=24:bframes=4"}},
    "a.mkv": {"options": {"g": "30"}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "keyint=24:log-level=none"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "20", "deadline": "realtime", "cpu-used": "8"}},
    "vp8-hiding-frames.webm": {"codec": "libvpx", "options": {"g": "40", "auto-alt-ref": "1", "lag-in-frames": "16"}},
    "a.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "a.ts": {"options": {"g": "20"}},
    "a.mov": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
}
NUMBERED_CUTS = [
    Cut("late", "test", LEFT, 250, 260),
    Cut("early", "train", LEFT, 3, 9),
    Cut("overlapping", "train", LEFT, 5, 20),
    Cut("after a gap", "train", LEFT, 110, 125),
    Cut("inside another", "train", LEFT, 115, 118),
    Cut("last", "train", LEFT, 259, 260),
]


@pytest.mark.parametrize("name", KINDS)
def test_every_cut_holds_exactly_its_frames(tmp_path, name):
    path = write_numbered(tmp_path / name, 260, **KINDS[name])
    for cut, record in zip(NUMBERED_CUTS, cutting(path, NUMBERED_CUTS), strict=True):
        assert [number_shown(pixels) for pixels in made(path, record)] == list(range(cut.start, cut.end))
        assert record.frames == cut.end - cut.start


@pytest.mark.parametrize("name", ["gop25-bframes.mp4", "vp9.webm", "a.avi"])
def test_cut_frames_are_to_the_bit_those_of_reading_from_the_start(tmp_path, name):
    path = write_numbered(tmp_path / name, 200, **KINDS[name])
    everything = pixels_of(path)
    cuts = [Cut("a", "train", Box(7, 0, 71, 64), 120, 130), Cut("b", "train", None, 185, 200)]
    for cut, record, left in zip(cuts, cutting(path, cuts), (7, 8), strict=True):
        for ours, theirs in zip(made(path, record), everything[cut.start : cut.end], strict=True):
            np.testing.assert_array_equal(ours, theirs[:, left : left + 64])


def test_frames_that_an_edit_list_hides_are_not_counted(tmp_path):
    whole = write_numbered(tmp_path / "whole.mp4", 250, options={"g": "25", "bf": "2"})
    path = shift_video(whole, tmp_path / "a.mp4", 7)
    start = number_shown(pixels_of(path)[0])
    assert start > 0
    pictures = one_cut(path, Cut("a", "train", LEFT, 150, 160))
    assert [number_shown(pixels) for pixels in pictures] == list(range(150 + start, 160 + start))


def test_long_gaps_are_not_decoded(tmp_path, monkeypatch):
    path = write_numbered(tmp_path / "a.mp4", 400, options={"g": "10", "sc_threshold": "0"})
    decoded = list[int]()
    jumping = spans._jumping

    def counted(*arguments):
        for number, frame in jumping(*arguments):
            decoded.append(number)
            yield number, frame

    monkeypatch.setattr(spans, "_jumping", counted)
    cuts = [Cut("a", "train", LEFT, 105, 108), Cut("b", "train", LEFT, 140, 142), Cut("c", "train", LEFT, 355, 360)]
    assert [record.outcome for record in cutting(path, cuts)] == ["made"] * 3
    assert decoded == [*range(100, 142), *range(350, 360)]


def test_where_packets_mislead_the_frames_are_read_from_the_start(tmp_path, monkeypatch):
    path = write_numbered(tmp_path / "a.mp4", 200, options={"g": "10"})
    index = spans.index_by_packets(path)
    assert index is not None
    wrong = replace(index, times=[time + (time > 60 * 512) for time in index.times])
    monkeypatch.setattr(spans, "index_by_packets", lambda path: wrong)
    assert [number_shown(pixels) for pixels in one_cut(path, Cut("a", "train", LEFT, 150, 160))] == [*range(150, 160)]


def test_a_record_tells_what_was_made(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", 40, rate=Fraction(30000, 1001))
    (record,) = cutting(path, [Cut("p#v#000002#000032", "test", Box(1, 2, 61, 62), 2, 32)], ClipSettings(size=32))
    file = tmp_path / "out" / "test" / "p#v#000002#000032.mp4"
    assert record == ClipRecord(
        clip="p#v#000002#000032",
        video="video",
        partition="test",
        outcome="made",
        file="test/p#v#000002#000032.mp4",
        start=2,
        end=32,
        box=Box(1, 2, 61, 62),
        video_width=WIDTH,
        video_height=HEIGHT,
        frames=30,
        rate="30000/1001",
        size=32,
        bytes=file.stat().st_size,
        hash=record.hash,
    )
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (32, 32, Fraction(30000, 1001))
        assert sum(1 for _ in container.decode(video=0)) == 30


def test_no_box_takes_the_middle_square(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", 3)
    (record,) = cutting(path, [Cut("a", "train", None, 0, 3)])
    assert record.box == Box(8, 0, 72, 64)


def test_an_oblong_box_is_stretched_to_the_square(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", 2, pixel_format="yuv444p", options={"crf": "0"})
    ours = one_cut(path, Cut("a", "train", Box(10, 4, 74, 36), 0, 2), ClipSettings(size=40, store="png"))
    for pixels, whole in zip(ours, pixels_of(path), strict=True):
        part = Image.fromarray(whole[4:36, 10:74])
        theirs = np.asarray(part.resize((40, 40), Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(pixels.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize(("side", "size"), [(400, 256), (257, 64), (1000, 64), (90, 256), (64, 64)])
def test_resizing_bytes_agrees_with_resizing_floats(side, size):
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    floats = fit_square(torch.from_numpy(pixels).permute(2, 0, 1) / 255.0, size) * 255
    difference = resize_square(pixels, size) - floats.round().permute(1, 2, 0).numpy()
    assert np.abs(difference).max() <= 1


# Videos of every kind


def test_a_varying_rate_keeps_every_frame_and_plays_at_the_average(tmp_path):
    times = [number * 40 + 9 * (number % 5) for number in range(100)]
    path = write_numbered(tmp_path / "a.mkv", 100, times=times, options={"g": "10"})
    (record,) = cutting(path, [Cut("a", "train", LEFT, 80, 100)], ClipSettings(size=64))
    assert [number_shown(pixels) for pixels in made(path, record)] == list(range(80, 100))
    assert record.rate == str(video_facts(path).rate)
    assert float(Fraction(record.rate)) == pytest.approx(25, rel=0.02)


def test_a_quarter_second_between_two_frames_changes_nothing(tmp_path):
    times = [number * 10 + 5000 * (number >= 75) for number in range(90)]
    path = write_numbered(tmp_path / "a.mp4", 90, times=times, options={"g": "10"})
    assert [number_shown(pixels) for pixels in one_cut(path, Cut("a", "train", LEFT, 70, 80))] == [*range(70, 80)]


COLOURS = {"red": (220, 30, 40), "green": (30, 200, 60), "blue": (40, 50, 210), "white": (235, 235, 235)}


def corners(height: int = 64, width: int = 96) -> np.ndarray:
    """Red upper left, green upper right, blue lower left, white lower right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    halves = itertools.product(
        (slice(0, height // 2), slice(height // 2, None)), (slice(0, width // 2), slice(width // 2, None))
    )
    for (rows, columns), colour in zip(halves, COLOURS.values(), strict=True):
        pixels[rows, columns] = colour
    return pixels


def colour_in(pixels: np.ndarray) -> str:
    """The name of the colour that nearly all pixels have."""
    middle = np.median(pixels.reshape(-1, 3), axis=0)
    name = min(COLOURS, key=lambda name: np.abs(middle - COLOURS[name]).sum())
    assert np.abs(middle - COLOURS[name]).max() <= 6, middle
    return name


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), ["red", "green", "blue", "white"]),
        ((0, 1, -1, 0), ["blue", "red", "white", "green"]),  # a quarter turn clockwise
        ((-1, 0, 0, -1), ["white", "blue", "green", "red"]),
        ((0, -1, 1, 0), ["green", "white", "red", "blue"]),
        ((-1, 0, 0, 1), ["green", "red", "white", "blue"]),  # a mirror
    ],
)
def test_boxes_lie_in_the_upright_frame_of_a_turned_phone_video(tmp_path, matrix, shown):
    path = write_pictures(tmp_path / "a.mp4", [corners()] * 3)
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 4 + 20 + 16
    a, b, c, d = (value << 16 for value in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    width, height = (96, 64) if matrix[0] else (64, 96)
    facts = video_facts(path)
    assert (facts.width, facts.height) == (width, height)
    boxes = [
        Box(left, top, left + width // 2 - 8, top + height // 2 - 8)
        for top, left in itertools.product((4, height // 2 + 4), (4, width // 2 + 4))
    ]
    records = cutting(path, [Cut(f"{box.top},{box.left}", "train", box, 0, 3) for box in boxes])
    assert [colour_in(made(path, record)[2]) for record in records] == shown
    assert {(record.video_width, record.video_height) for record in records} == {(width, height)}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ten-bit.mp4", {"pixel_format": "yuv420p10le"}),
        ("whole-colour.mp4", {"pixel_format": "yuv444p"}),
        ("full-range.mkv", {"codec": "mjpeg", "pixel_format": "yuvj420p", "options": {"qmin": "1", "qmax": "2"}}),
        ("interleaved.mkv", {"codec": "rawvideo", "pixel_format": "yuyv422"}),
        ("old.mkv", {"codec": "ffv1", "pixel_format": "yuv410p"}),
        ("plain.mov", {"codec": "qtrle", "pixel_format": "rgb24"}),
        ("a.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime"}}),
    ],
)
def test_colours_survive_every_form_of_pixels(tmp_path, name, options):
    path = write_pictures(tmp_path / name, [corners()] * 3, **options)
    boxes = [Box(4, 4, 40, 28), Box(53, 3, 91, 29), Box(5, 37, 41, 60), Box(52, 36, 92, 60)]
    records = cutting(path, [Cut(str(box.left), "train", box, 0, 3) for box in boxes])
    assert [colour_in(made(path, record)[1]) for record in records] == list(COLOURS)


@pytest.mark.parametrize(("width", "height"), [(97, 65), (96, 65), (97, 64)])
def test_odd_sizes_are_read_to_their_last_row_and_column(tmp_path, width, height):
    picture = corners(height, width)
    path = write_pictures(tmp_path / "a.webm", [picture] * 2, codec="libvpx-vp9", options={"deadline": "realtime"})
    records = cutting(path, [Cut("a", "train", Box(60, 40, width, height), 0, 2), Cut("b", "train", None, 0, 2)])
    assert colour_in(made(path, records[0])[1]) == "white"
    assert records[1].outcome == "made"


def test_grey_frames_stay_grey(tmp_path):
    pictures = [np.full((64, 96, 3), level, np.uint8) for level in (40, 120, 200)]
    path = write_pictures(tmp_path / "a.mkv", pictures, codec="ffv1", pixel_format="gray")
    for pixels, level in zip(one_cut(path, Cut("a", "train", None, 0, 3)), (40, 120, 200), strict=True):
        assert np.abs(pixels.astype(int) - level).max() <= 1


@pytest.mark.parametrize("codec", ["qtrle", "png", "prores_ks"])
def test_what_is_transparent_is_white(tmp_path, codec):
    picture = np.concatenate([corners(), np.full((64, 96, 1), 255, np.uint8)], axis=2)
    picture[:32, :48, 3] = 0
    form = {"qtrle": "argb", "png": "rgba", "prores_ks": "yuva444p10le"}[codec]
    path = write_pictures(tmp_path / "a.mov", [picture] * 2, codec=codec, pixel_format=form)
    boxes = [Box(4, 4, 44, 28), Box(52, 4, 92, 28)]
    clear, opaque = cutting(path, [Cut(str(box.left), "train", box, 0, 2) for box in boxes])
    assert made(path, clear)[1].min() >= 253
    assert colour_in(made(path, opaque)[1]) == "green"


def test_a_gif_with_transparency_is_cut_on_white(tmp_path):
    pictures = list[Image.Image]()
    for number in range(5):
        picture = Image.new("RGBA", (80, 40), (0, 0, 0, 0))
        picture.paste((255, 0, 0, 255), (number * 10, 0, number * 10 + 10, 40))
        pictures.append(picture)
    path = tmp_path / "a.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=50, disposal=2)
    (record,) = cutting(path, [Cut("a", "train", Box(0, 0, 40, 40), 1, 4)], ClipSettings(size=40, store="png"))
    for number, pixels in enumerate(made(path, record), start=1):
        assert (pixels[20, number * 10 + 5] == (255, 0, 0)).all()
        assert (pixels[20, 5] == 255).all()
    assert record.rate == "20"


def test_a_folder_of_pictures_is_cut_like_a_video(tmp_path):
    path = tmp_path / "frames"
    path.mkdir()
    for number in range(90):
        Image.fromarray(numbered_frame(number, WIDTH, HEIGHT)).save(path / f"{number}.png")
    assert [number_shown(pixels) for pixels in one_cut(path, Cut("a", "train", LEFT, 70, 75))] == [*range(70, 75)]


def test_a_video_that_changes_its_size_keeps_the_first_one(tmp_path):
    small = write_pictures(tmp_path / "small.ts", [corners()] * 4)
    large = write_pictures(tmp_path / "large.ts", [corners(128, 192)] * 4)
    path = tmp_path / "a.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    pictures = one_cut(path, Cut("a", "train", Box(52, 36, 92, 60), 2, 7))
    assert [colour_in(pixels) for pixels in pictures] == ["white"] * 5


def test_a_single_frame_makes_a_clip_of_one(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", 1)
    assert [number_shown(pixels) for pixels in one_cut(path, Cut("a", "train", LEFT, 0, 1), PNG)] == [0]
    assert len(one_cut(path, Cut("b", "train", LEFT, 0, 1), ClipSettings(size=64))) == 1


# What cannot be made


def test_a_box_that_leaves_the_frame_is_named_and_the_rest_made(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", 5)
    boxes = [Box(-1, 0, 30, 30), Box(0, -1, 30, 30), Box(51, 0, 81, 30), Box(0, 35, 30, 65), Box(50, 34, 80, 64)]
    records = cutting(path, [Cut(str(index), "train", box, 0, 5) for index, box in enumerate(boxes)])
    assert [record.outcome for record in records] == ["left the frame"] * 4 + ["made"]
    assert records[2].reason == "the box 51-0-81-30 leaves the frame of 80x64"
    assert records[2].box == boxes[2]
    assert records[2].file is None


def test_an_empty_box_or_stretch_is_named(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", 5)
    cuts = [
        Cut("no width", "train", Box(5, 5, 5, 30), 0, 5),
        Cut("no frames", "train", LEFT, 3, 3),
        Cut("before the start", "train", LEFT, -2, 3),
    ]
    records = cutting(path, cuts)
    assert [record.outcome for record in records] == ["too small", "corrupt", "corrupt"]
    assert records[0].reason == "the box 5-5-5-30 holds no pixel"
    assert records[1].reason == "there is no frame from 3 up to 3"


@pytest.mark.parametrize("start", [3, 150])
def test_a_video_shorter_than_the_clip_is_told_with_both_numbers(tmp_path, start):
    path = write_numbered(tmp_path / "a.mp4", 160, options={"g": "10"})
    whole, short = cutting(path, [Cut("a", "train", LEFT, 4, 9), Cut("b", "train", LEFT, start, 170)])
    assert whole.outcome == "made"
    assert (short.outcome, short.frames, short.file) == ("corrupt", 0, None)
    assert short.reason == f"it has 160 frames, the clip wants frames {start} to 169"
    assert (short.start, short.end) == (start, 170)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi", ".ts"])
def test_of_a_truncated_video_the_clips_before_the_break_are_made(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 200, (20, HEIGHT, WIDTH - 64, 3), dtype=np.uint8)
    pictures = [numbered_frame(number, WIDTH, HEIGHT) for number in range(200)]
    for number, picture in enumerate(pictures):
        picture[:, 64:] = noise[number % 20]
    options = {
        ".mp4": {"container_options": {"movflags": "+faststart"}},
        ".webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
        ".avi": {"codec": "mpeg4"},
        # The same bytes each time: a stream that happens to be cut between two frames looks whole.
        ".ts": {"options": {"x264-params": "cpu-independent=1:threads=1"}},
    }.get(suffix, {})
    path = write_pictures(tmp_path / f"a{suffix}", pictures, **options)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    with pytest.raises(UserError) if suffix != ".ts" else open_clip(path):
        pixels_of(path)
    cuts = [Cut(str(start), "train", LEFT, start, start + 4) for start in range(0, 200, 4)]
    records = cutting(path, cuts)
    broken = [record.outcome for record in records].index("corrupt")
    assert 10 < broken < 40
    for record, cut in zip(records[:broken], cuts, strict=False):
        assert [number_shown(pixels) for pixels in made(path, record)] == list(range(cut.start, cut.end))
    for record in records[broken:]:
        assert record.outcome == "corrupt"
        assert record.reason.startswith("the video breaks off after ")
        assert record.reason.endswith(f", the clip wants frames {record.start} to {record.end - 1}")
        assert str(tmp_path) not in record.reason
        assert "the last 8 of them in doubt" in record.reason
    certain = int(records[broken].reason.split()[5]) - 8
    assert cuts[broken].start <= certain < cuts[broken].end


def test_of_a_video_that_breaks_late_what_lies_after_a_jump_is_told_too(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (200, 64, 80, 3), dtype=np.uint8)
    path = write_pictures(tmp_path / "a.mp4", noise, options={"g": "10"}, container_options={"movflags": "+faststart"})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 8 // 10])
    first, lost = cutting(path, [Cut("a", "train", LEFT, 90, 100), Cut("b", "train", LEFT, 180, 190)])
    assert first.outcome == "made"
    assert lost.outcome == "corrupt"
    assert 140 < int(lost.reason.split("breaks off after ")[1].split()[0]) < 175


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty (0 bytes)"),
        (b"no video at all\n" * 80, "this is no video that can be read, or it was cut off and lost its index"),
        (None, "there is no such file"),
    ],
)
def test_what_is_no_video_makes_every_clip_corrupt_in_the_readers_words(tmp_path, content, reason):
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    records = cutting(path, [Cut("a", "train", LEFT, 0, 5), Cut("b", "test", None, 2, 9)])
    assert [(record.outcome, record.reason) for record in records] == [("corrupt", reason)] * 2
    assert (records[0].box, records[1].box, records[0].video_width) == (LEFT, None, None)


def test_a_video_without_frames_is_corrupt(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        container.start_encoding()
    (record,) = cutting(tmp_path / "a.mkv", [Cut("a", "train", None, 0, 5)])
    assert record.outcome == "corrupt"
    assert record.reason


def test_no_cuts_give_no_records(tmp_path):
    assert cutting(write_numbered(tmp_path / "a.mp4", 5), []) == []


# The disk


def test_a_full_disk_stops_the_run_and_leaves_nothing(tmp_path, monkeypatch):
    path = write_numbered(tmp_path / "a.mp4", 30)
    write, taken = VideoEncoder.write, itertools.count()

    def fill(self, pixels):
        if next(taken) == 25:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, pixels)

    monkeypatch.setattr(VideoEncoder, "write", fill)
    cuts = [Cut("a", "train", None, 0, 10), Cut("b", "train", None, 5, 30), Cut("c", "train", None, 8, 30)]
    with pytest.raises(UserError, match=r"disk full while writing .*out/train/[bc]\.mp4; free space") as caught:
        cutting(path, cuts, ClipSettings(size=32))
    assert "\n" not in str(caught.value)
    assert [p.name for p in (tmp_path / "out" / "train").iterdir()] == ["a.mp4"]
    assert [p for p in (tmp_path / "work").rglob("*") if p.is_file()] == []


FILL_THE_DISK = """
import resource, signal, sys
from pathlib import Path
from prioritycut.errors import UserError
from prioritycut.preprocessing.cutting import Cut, cut_clips
from prioritycut.preprocessing.settings import ClipSettings
path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, 4_000))
for store in ("mp4", "png"):
    try:
        cuts, clips = [Cut("a", "train", None, 0, 40)], ClipSettings(size=256, store=store)
        cut_clips(path, "v", cuts, clips, workdir=path.parent / "work", output=path.parent / "out")
    except UserError as error:
        print(error)
"""


def test_a_disk_that_takes_no_more_leaves_nothing_half_written(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 80, 3), dtype=np.uint8)
    path = write_pictures(tmp_path / "a.mp4", noise)
    command = [sys.executable, "-c", FILL_THE_DISK, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split(":")[0] for line in said] == [f"{tmp_path}/out/train/a.mp4", f"{tmp_path}/out/train/a"]
    assert all("grew larger" in line for line in said)
    assert list((tmp_path / "out" / "train").iterdir()) == []
    assert [member for member in (tmp_path / "work").rglob("*") if member.is_file()] == []


@pytest.mark.parametrize("store", ["mp4", "jpeg", "png", "shards"])
def test_what_a_killed_run_left_is_replaced_by_the_same_bytes(tmp_path, store):
    path = write_numbered(tmp_path / "a.mp4", 30)
    cut = Cut("a", "train", None, 0, 30)
    (first,) = cutting(path, [cut], ClipSettings(size=32, store=store))
    place = tmp_path / "out" / first.file
    if place.is_dir():
        (place / "000031.jpg").write_bytes(b"of another run")
    else:
        place.write_bytes(b"half of it")
    (again,) = cutting(path, [cut], ClipSettings(size=32, store=store))
    assert again == first
    assert len(made(path, again)) == 30


def resident_megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells a process's memory this way")
def test_a_long_clip_takes_no_more_memory_than_a_short_one(tmp_path, monkeypatch):
    # 300 more frames of 256x256 that were kept would take 59 MB as bytes.
    picture = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    path = write_pictures(tmp_path / "a.mkv", [picture] * 500, codec="mjpeg", pixel_format="yuvj420p")
    held = list[float]()
    write = VideoEncoder.write

    def measured(self, pixels):
        write(self, pixels)
        held.append(resident_megabytes())

    monkeypatch.setattr(VideoEncoder, "write", measured)
    (record,) = cutting(path, [Cut("a", "train", None, 0, 500)], ClipSettings(size=256))
    assert record.frames == 500
    assert held[-1] - held[200] < 15


# Real clips


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real clips are not at {REAL}")
def test_real_clips_are_cut_to_the_frame(tmp_path):
    path = REAL / "faces" / "d0.mp4"
    box = Box(101, 53, 501, 453)
    cuts = [Cut("a", "train", box, 62, 66), Cut("b", "train", box, 75, 78)]
    clips = ClipSettings(size=400, store="png")
    records = cut_clips(path, "d0", cuts, clips, workdir=tmp_path / "work", output=tmp_path / "out")
    with open_clip(path) as reader:
        everything = [frame[:, 53:453, 101:501] for frame in reader]
    assert len(everything) == 78
    for cut, record in zip(cuts, records, strict=True):
        for ours, theirs in zip(made(tmp_path / "x", record), everything[cut.start : cut.end], strict=True):
            np.testing.assert_allclose(ours.transpose(2, 0, 1) / 255, theirs.numpy(), atol=1e-6)
