"""Single frames by number, judged by the number that each frame shows and by reading from the start."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from numbered_clips import number_shown, numbered_frame, shift_video, write_numbered_video
from prioritycut.data import random_access, video
from prioritycut.data.clips import open_clip
from prioritycut.data.facts import ClipFacts, from_runs, to_runs
from prioritycut.data.index import index_clip
from prioritycut.data.media import to_bytes
from prioritycut.data.random_access import read_frames, read_video_frames
from prioritycut.errors import UserError

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "faces"

UNEVEN = np.cumsum(np.random.default_rng(0).integers(1, 5, 60) * 20).tolist()
"""Milliseconds between 20 and 80 apart."""

OPEN_GROUPS = {"g": "12", "x264-params": "open-gop=1:bframes=3:b-pyramid=normal:scenecut=0"}


def sequential(path: Path) -> list[np.ndarray]:
    with open_clip(path) as reader:
        return [to_bytes(frame) for frame in reader]


def assert_every_frame_is_found(path: Path, *, first: int = 0) -> ClipFacts:
    """Alone, in pairs, and all at once, each frame shows its number and is what a sequential reader gives."""
    facts = index_clip(path)
    assert facts.fault is None
    truth = sequential(path)
    assert facts.frames == len(truth)
    assert (facts.height, facts.width) == truth[0].shape[:2]
    for number, expected in enumerate(truth):
        (found,) = read_frames(path, facts, [number])
        assert number_shown(found) == first + number
        np.testing.assert_array_equal(found, expected)
    draws = np.random.default_rng(1)
    for _ in range(30):
        pair = draws.integers(len(truth), size=2).tolist()
        assert [number_shown(pixels) - first for pixels in read_frames(path, facts, pair)] == pair
    everything = read_frames(path, facts, range(len(truth)))
    assert all(np.array_equal(found, expected) for found, expected in zip(everything, truth, strict=True))
    return facts


# Videos


@pytest.mark.parametrize(
    ("name", "settings", "from_start"),
    [
        ("default.mp4", {}, False),
        ("groups-of-ten.mp4", {"options": {"g": "10"}}, False),
        ("without-b-frames.mp4", {"options": {"g": "10", "bf": "0"}}, False),
        ("key-frames-only.mp4", {"options": {"g": "1"}}, False),
        ("short-groups.mp4", {"options": {"g": "3", "bf": "2", "sc_threshold": "0"}}, False),
        ("open-groups.mp4", {"options": OPEN_GROUPS}, False),
        ("open-groups.mkv", {"options": OPEN_GROUPS}, False),
        ("intra-refresh.mp4", {"options": {"g": "20", "x264-params": "intra-refresh=1:bframes=0"}}, False),
        (
            "fragmented.mp4",
            {"options": {"g": "10"}, "container_options": {"movflags": "frag_keyframe+empty_moov"}},
            False,
        ),
        ("uneven.mp4", {"times": UNEVEN, "options": {"g": "10"}}, False),
        ("uneven.mkv", {"times": UNEVEN, "options": {"g": "10"}}, False),
        ("quicktime.mov", {"options": {"g": "10"}}, False),
        ("hevc.mp4", {"codec": "libx265", "options": {"g": "12", "x265-params": "log-level=none"}}, False),
        ("vp9.webm", {"codec": "libvpx-vp9", "rate": 30, "options": {"g": "15", "deadline": "realtime"}}, False),
        ("vp8.webm", {"codec": "libvpx", "rate": 30, "options": {"g": "15", "auto-alt-ref": "1"}}, False),
        ("mpeg4.avi", {"codec": "mpeg4"}, False),
        ("mpeg4-b-frames.avi", {"codec": "mpeg4", "options": {"bf": "2"}}, False),
        ("mjpeg.avi", {"codec": "mjpeg", "pixel_format": "yuvj420p"}, False),
        ("h264.avi", {"options": {"g": "10", "bf": "0"}}, False),
        ("h264-b-frames.avi", {"options": {"g": "10"}}, True),
        ("ten-bit.mp4", {"pixel_format": "yuv420p10le", "options": {"g": "10"}}, False),
        ("alpha.mov", {"codec": "png", "pixel_format": "rgba"}, False),
        ("alpha-12-bit.mov", {"codec": "prores_ks", "pixel_format": "yuva444p10le"}, False),
        ("odd.webm", {"codec": "libvpx-vp9", "width": 67, "height": 71, "options": {"deadline": "realtime"}}, False),
        ("transport-stream.mp4", {"container": "mpegts", "options": {"g": "10"}}, True),
        ("program-stream.mp4", {"container": "mpeg", "codec": "mpeg2video", "options": {"g": "12", "bf": "2"}}, None),
    ],
)
def test_every_frame_of_every_encoding_is_the_one_of_its_number(tmp_path, name, settings, from_start):
    facts = assert_every_frame_is_found(write_numbered_video(tmp_path / name, **settings))
    assert facts.kind == "video"
    assert from_start in (None, not facts.keyframes)


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("settings", [{"options": {"g": "10"}}, {"options": OPEN_GROUPS}, {"codec": "libx265"}])
def test_an_edit_list_that_begins_amid_a_group_is_followed(tmp_path, suffix, settings):
    if settings.get("codec") == "libx265":
        settings = {**settings, "options": {"g": "12", "x265-params": "log-level=none"}}
    whole = write_numbered_video(tmp_path / f"whole.{suffix}", **settings)
    assert_every_frame_is_found(shift_video(whole, tmp_path / f"cut.{suffix}", 17), first=17)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_phone_video_is_upright(tmp_path, degrees):
    path = write_numbered_video(tmp_path / "phone.mp4", 30, width=96, options={"g": "10"}, rotation=degrees)
    facts, truth = index_clip(path), sequential(path)
    assert (facts.width, facts.height) == ((96, 64) if degrees == 180 else (64, 96))
    for number in (0, 9, 10, 29):
        (found,) = read_frames(path, facts, [number])
        np.testing.assert_array_equal(found, truth[number])
        # FFmpeg's angle is counterclockwise, as numpy's.
        assert number_shown(np.rot90(found, -degrees // 90)) == number


def test_transparent_video_shows_white(tmp_path):
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[:, :32] = (200, 0, 0, 255)
    rgba[:32, 32:] = (200, 0, 0, 51)
    with av.open(str(tmp_path / "a.mov"), "w") as output:
        stream = output.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "rgba"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba")))
        output.mux(stream.encode())
    (found,) = read_frames(tmp_path / "a.mov", index_clip(tmp_path / "a.mov"), [0])
    assert found[0, 0].tolist() == [200, 0, 0]
    assert found[0, 40].tolist() == [244, 204, 204]
    assert found[40, 40].tolist() == [255, 255, 255]


def test_a_video_of_one_frame_gives_it_twice(tmp_path):
    path = write_numbered_video(tmp_path / "one.mp4", 1)
    facts = index_clip(path)
    assert (facts.frames, facts.fault) == (1, None)
    assert [number_shown(pixels) for pixels in read_frames(path, facts, [0, 0])] == [0, 0]


def test_a_video_in_memory_is_read_like_a_file(tmp_path):
    path = write_numbered_video(tmp_path / "a.mp4", options={"g": "10"})
    facts, file = index_clip(path), io.BytesIO(path.read_bytes())
    path.unlink()
    for numbers in ([3], [58, 2], [7, 7, 59]):
        found = read_video_frames(path, file, facts, numbers)
        assert [number_shown(pixels) for pixels in found] == numbers
    without = replace(facts, keyframes=())
    assert [number_shown(pixels) for pixels in read_video_frames(path, file, without, [41, 5])] == [41, 5]


def damage(path: Path, pieces: list[tuple[int, int]]) -> None:
    content = bytearray(path.read_bytes())
    for start, size in pieces:
        content[start : start + size] = bytes(size)
    path.write_bytes(content)


def group_pieces(path: Path, wanted: Callable[[int], bool]) -> list[tuple[int, int]]:
    """Where the packets lie of those groups of pictures whose number is wanted."""
    pieces, group = list[tuple[int, int]](), -1
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.size:
                group += packet.is_keyframe
                if wanted(group):
                    pieces.append((packet.pos, packet.size))
    return pieces


def test_only_the_groups_of_the_wanted_frames_are_decoded(tmp_path):
    path = write_numbered_video(tmp_path / "a.mp4", options={"g": "10", "bf": "0", "sc_threshold": "0"})
    facts = index_clip(path)
    assert from_runs(facts.keyframes) == [0, 10, 20, 30, 40, 50]
    damage(path, group_pieces(path, lambda group: group not in (2, 4)))
    for numbers in ([20], [29], [24, 43], [49, 20], [40, 41, 49]):
        assert [number_shown(pixels) for pixels in read_frames(path, facts, numbers)] == numbers


def test_a_damaged_group_is_refused_rather_than_shown(tmp_path):
    path = write_numbered_video(tmp_path / "a.mp4", options={"g": "10", "bf": "0", "sc_threshold": "0"})
    facts = index_clip(path)
    damage(path, group_pieces(path, lambda group: group == 3))
    assert [number_shown(pixels) for pixels in read_frames(path, facts, [12, 44])] == [12, 44]
    with pytest.raises(UserError, match="breaks off after") as error:
        read_frames(path, facts, [12, 35])
    assert str(path) in str(error.value)


def test_pixels_are_converted_for_the_wanted_frames_alone(tmp_path, monkeypatch):
    path = write_numbered_video(tmp_path / "a.mp4")
    facts, converted = index_clip(path), list[int]()
    convert = video.rgb_pixels

    def counting(*arguments):
        converted.append(1)
        return convert(*arguments)

    monkeypatch.setattr(random_access, "rgb_pixels", counting)
    read_frames(path, facts, [50, 20, 50])
    assert len(converted) == 2


@pytest.mark.parametrize("name", ["no-groups.mp4", "open.mp4", "hevc.mp4"])
def test_key_frames_that_are_none_never_give_a_wrong_frame(tmp_path, name):
    settings = {
        "no-groups.mp4": {},
        "open.mp4": {"options": OPEN_GROUPS},
        "hevc.mp4": {"codec": "libx265", "options": {"g": "30", "x265-params": "log-level=none"}},
    }[name]
    path = write_numbered_video(tmp_path / name, **settings)
    content = path.read_bytes()
    assert b"stss" in content  # the table of key frames, without which every frame counts as one
    path.write_bytes(content.replace(b"stss", b"free"))
    assert_every_frame_is_found(path)
    facts = replace(index_clip(path), keyframes=to_runs(range(60)))
    for number in range(0, 60, 7):
        assert number_shown(read_frames(path, facts, [number])[0]) == number


def test_a_number_outside_the_clip_is_refused(tmp_path):
    path = write_numbered_video(tmp_path / "a.mp4", 10)
    facts = index_clip(path)
    for numbers in ([10], [-1], [0, 12]):
        with pytest.raises(ValueError, match="0 to 9"):
            read_frames(path, facts, numbers)


# Pictures


def write_numbered_folder(folder: Path, count: int, suffix: str, mode: str = "RGB") -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(numbered_frame(number)).convert(mode).save(folder / f"frame{number}{suffix}")
    return folder


@pytest.mark.parametrize(("suffix", "mode"), [(".jpg", "RGB"), (".jpg", "L"), (".png", "RGB"), (".png", "L")])
def test_frames_of_a_folder_come_in_natural_order(tmp_path, suffix, mode):
    folder = write_numbered_folder(tmp_path / "clip.mp4", 13, suffix, mode)
    facts = assert_every_frame_is_found(folder)
    assert facts.kind == "folder"


def test_of_a_folder_only_the_wanted_pictures_are_opened(tmp_path):
    folder = write_numbered_folder(tmp_path / "clip", 13, ".jpg")
    facts = index_clip(folder)
    for path in folder.iterdir():
        if path.name not in ("frame2.jpg", "frame10.jpg"):
            path.unlink()
    assert [number_shown(pixels) for pixels in read_frames(folder, facts, [10, 2])] == [10, 2]


def test_a_picture_that_came_to_another_size_is_refused(tmp_path):
    folder = write_numbered_folder(tmp_path / "clip", 3, ".png")
    facts = index_clip(folder)
    Image.new("RGB", (65, 64)).save(folder / "frame1.png")
    with pytest.raises(UserError, match=r"frame1\.png: it changed"):
        read_frames(folder, facts, [1])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_frames_of_a_strip_lie_side_by_side(tmp_path, suffix, mode):
    strip = np.concatenate([numbered_frame(number) for number in range(12)], axis=1)
    Image.fromarray(strip).convert(mode).save(tmp_path / f"strip{suffix}")
    assert assert_every_frame_is_found(tmp_path / f"strip{suffix}").kind == "strip"


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
@pytest.mark.parametrize("transparent", [False, True])
def test_frames_of_an_animated_picture_are_composed_as_when_it_is_played(tmp_path, suffix, transparent):
    pictures = [Image.fromarray(numbered_frame(number)) for number in range(14)]
    if transparent:
        for number, picture in enumerate(pictures):
            hole = Image.new("L", (64, 64), 255)
            hole.paste(0, (56, number * 3, 62, number * 3 + 6))
            picture.putalpha(hole)
    options = {"lossless": True} if suffix == ".webp" else {"disposal": 2} if suffix == ".gif" else {}
    pictures[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=pictures[1:], duration=40, **options)
    facts = assert_every_frame_is_found(tmp_path / f"a{suffix}")
    assert facts.kind == "animation"
    (last,) = read_frames(tmp_path / f"a{suffix}", facts, [13])
    assert (last[41, 58].tolist() == [255, 255, 255]) == transparent


# Real clips


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real clips are not at {REAL}")
@pytest.mark.parametrize("name", ["d18.mp4"])
def test_frames_of_real_clips_are_those_of_reading_from_the_start(name):
    facts = index_clip(REAL / name)
    draws = np.random.default_rng(2).choice(facts.frames, 6, replace=False).tolist()
    found = dict(zip(draws, read_frames(REAL / name, facts, draws), strict=True))
    with open_clip(REAL / name) as reader:
        for number, frame in enumerate(reader):
            if number in found:
                np.testing.assert_array_equal(found[number], to_bytes(frame))
    assert number + 1 == facts.frames
