"""Media files, judged by Pillow, by PyAV and by numpy rather than by the code that wrote them."""

from __future__ import annotations

import errno
import itertools
import resource
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from prioritycut.data import encoders
from prioritycut.data.clips import (
    ClipWriter,
    Fit,
    fit_square,
    open_clip,
    read_clip,
    read_image,
    square_fit,
    write_clip,
)
from prioritycut.errors import UserError

REAL = Path(__file__).parents[2].parent / "shared" / "data"
needs_real_clips = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real clips are not at {REAL}")


def moving_square(count: int = 10, height: int = 48, width: int = 64) -> torch.Tensor:
    """A bright square on a smooth ground, one pixel further right in each frame."""
    ramp = torch.linspace(0.2, 0.6, width).expand(height, width)
    clip = torch.stack([ramp, ramp.flip(1), torch.full_like(ramp, 0.4)]).repeat(count, 1, 1, 1)
    for index in range(count):
        clip[index, :, 8:24, index + 4 : index + 20] = torch.tensor([0.9, 0.8, 0.1])[:, None, None]
    return clip


def corner_picture(height: int = 32, width: int = 48) -> np.ndarray:
    """Red in the upper left quarter, green in the upper right, blue lower left, white lower right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    top, left = slice(0, height // 2), slice(0, width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    pixels[top, left] = (255, 0, 0)
    pixels[top, right] = (0, 255, 0)
    pixels[bottom, left] = (0, 0, 255)
    pixels[bottom, right] = 255
    return pixels


def corner_names(frame: torch.Tensor) -> str:
    """The colours of upper left, upper right, lower left, lower right as letters."""
    _, height, width = frame.shape
    names = {(1, 0, 0): "r", (0, 1, 0): "g", (0, 0, 1): "b", (1, 1, 1): "w"}
    spots = itertools.product((height // 4, -height // 4), (width // 4, -width // 4))
    return "".join(names[tuple(frame[:, y, x].round().int().tolist())] for y, x in spots)


def write_raw_video(path: Path, count: int = 40, sound: str | None = None, seconds: float = 2.0) -> Path:
    """A noisy 64x48 video made by av alone, with a sine beside it if `sound` names a codec."""
    codecs = {".mp4": "libx264", ".mkv": "libx264", ".mov": "libx264", ".webm": "libvpx-vp9", ".avi": "mpeg4"}
    generator = np.random.default_rng(0)
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        fast = {"deadline": "realtime", "cpu-used": "8"} if path.suffix == ".webm" else {}
        stream = container.add_stream(codecs[path.suffix], rate=20, options=fast)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if sound is not None:
            audio = container.add_stream(sound, rate=48000)
            audio.codec_context.layout = "mono"
        for _ in range(count):
            pixels = generator.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
        if sound is not None:
            wave = np.sin(np.arange(int(48000 * seconds)) * 440 * 2 * np.pi / 48000).astype(np.float32) * 0.5
            for start in range(0, len(wave), 960):
                chunk = av.AudioFrame.from_ndarray(wave[None, start : start + 960], format="flt", layout="mono")
                chunk.sample_rate, chunk.pts = 48000, start
                chunk.time_base = Fraction(1, 48000)
                container.mux(audio.encode(chunk))
            container.mux(audio.encode())
    return path


def sound_facts(path: Path) -> tuple[str, float, float]:
    """Codec, loudness (root mean square) and end in seconds of a file's sound, as PyAV hears it."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        chunks, end = [], 0.0
        for frame in container.decode(stream):
            samples = frame.to_ndarray()
            full = np.iinfo(samples.dtype).max if samples.dtype.kind == "i" else 1.0
            chunks.append(samples.ravel() / full)
            end = frame.pts * frame.time_base + frame.samples / frame.sample_rate
        return (
            stream.codec_context.codec.canonical_name,
            float(np.sqrt(np.mean(np.concatenate(chunks) ** 2))),
            float(end),
        )


def picture_end(path: Path) -> float:
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.pts is not None]
        return float(max((p.pts + p.duration) * p.time_base for p in packets))


def refusal(path: Path, call, *words: str) -> str:
    """What the UserError says: one line with the path, the words, and a way out behind a semicolon."""
    with pytest.raises(UserError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line
    assert ";" in line
    for word in words:
        assert word in line
    return line


def only(folder: Path) -> list[str]:
    return sorted(member.name for member in folder.iterdir())


# Round trips


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.gif"])
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30), Fraction(30000, 1001)])
def test_a_written_clip_keeps_count_rate_and_size(tmp_path, name, rate):
    write_clip(tmp_path / name, moving_square(12), rate=rate)
    with open_clip(tmp_path / name) as reader:
        assert (reader.width, reader.height, reader.has_audio) == (64, 48, False)
        # A gif counts hundredths of a second, a webm thousandths.
        assert float(reader.rate) == pytest.approx(float(rate), rel=1e-2)
        assert reader.frame_count == 12
        assert len(list(reader)) == 12


@pytest.mark.parametrize(("name", "tolerance"), [("a.mp4", 0.02), ("a.webm", 0.02), ("a.gif", 0.02), ("a", 0.0021)])
def test_a_written_clip_keeps_what_it_shows(tmp_path, name, tolerance):
    clip = moving_square(10)
    write_clip(tmp_path / name, clip)
    again = read_clip(tmp_path / name)
    assert again.shape == clip.shape
    assert again.dtype == torch.float32
    assert ((again - clip).abs().mean((1, 2, 3)) < tolerance).all()


@pytest.mark.parametrize(("name", "levels"), [("a.mp4", 2), ("a.webm", 3), ("a.gif", 1), ("a", 0)])
def test_flat_colours_survive(tmp_path, name, levels):
    colours = torch.tensor(list(itertools.product([0, 85, 200, 255], repeat=3))) / 255.0
    write_clip(tmp_path / name, colours[:, :, None, None].expand(-1, -1, 32, 32))
    again = read_clip(tmp_path / name)
    difference = ((again - colours[:, :, None, None]) * 255.0).abs().max()
    assert difference <= levels + 1e-3


def test_mp4_is_h264_tagged_bt709_with_its_index_in_front(tmp_path):
    write_clip(tmp_path / "a.mp4", moving_square(3))
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (
            1,
            1,
            1,
            1,
        )
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_the_colours_follow_the_tags_for_another_reader(tmp_path):
    write_clip(tmp_path / "a.mp4", torch.tensor([1.0, 0.0, 0.0])[None, :, None, None].expand(2, 3, 32, 32))
    with av.open(str(tmp_path / "a.mp4")) as container:
        planes = next(container.decode(video=0)).to_ndarray()
    # Pure red in limited-range BT.709: Y 63, Cb 102, Cr 240.
    assert abs(int(planes[0, 0]) - 63) <= 1
    assert abs(int(planes[32:].ravel()[0]) - 102) <= 1
    assert abs(int(planes[32:].ravel()[-1]) - 240) <= 1


def test_odd_sides_are_padded_from_the_edge_in_mp4_and_kept_elsewhere(tmp_path):
    clip = moving_square(3, 33, 35)
    write_clip(tmp_path / "a.mp4", clip)
    again = read_clip(tmp_path / "a.mp4")
    assert again.shape == (3, 3, 34, 36)
    assert (again[..., :33, :35] - clip).abs().mean() < 0.02
    assert (again[..., 33, :] - again[..., 32, :]).abs().mean() < 0.03
    for name in ("a.webm", "a.gif", "a"):
        write_clip(tmp_path / name, clip)
        assert read_clip(tmp_path / name).shape == clip.shape


def test_frames_may_come_one_by_one_in_any_float_type(tmp_path):
    frames = (frame.double() for frame in moving_square(4))
    write_clip(tmp_path / "a", frames)
    assert only(tmp_path / "a") == ["000000.png", "000001.png", "000002.png", "000003.png"]


def test_values_outside_the_range_are_clamped(tmp_path):
    write_clip(tmp_path / "a", torch.tensor([-1.0, 0.5, 3.0])[None, :, None, None].expand(1, 3, 4, 4))
    pixels = np.asarray(Image.open(tmp_path / "a" / "000000.png"))
    assert pixels[0, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("rate", [12.5, 30, 60])
def test_a_gif_lasts_as_long_as_its_frames(tmp_path, rate):
    write_clip(tmp_path / "a.gif", moving_square(31), rate=rate)
    durations = []
    with Image.open(tmp_path / "a.gif") as image:
        for index in range(image.n_frames):
            image.seek(index)
            durations.append(image.info["duration"])
    assert sum(durations) == pytest.approx(31_000 / rate, abs=5.1)
    assert min(durations) >= 20
    assert rate == 60 or len(durations) == 31


def test_a_gif_looks_to_pillow_as_it_looks_to_us(tmp_path):
    write_clip(tmp_path / "a.gif", moving_square(6))
    ours = read_clip(tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as image:
        for index in range(6):
            image.seek(index)
            theirs = np.asarray(image.convert("RGB")).transpose(2, 0, 1) / 255.0
            np.testing.assert_allclose(ours[index].numpy(), theirs, atol=1e-6)
            assert abs(theirs - moving_square(6)[index].numpy()).mean() < 0.02


def resident_megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells a process's memory this way")
@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif"])
def test_a_long_clip_takes_no_more_memory_than_a_short_one(tmp_path, name):
    # 120 frames that were kept would take 22 MB as bytes and 90 MB as floats.
    held = []
    with ClipWriter(tmp_path / name) as writer:
        for index in range(200):
            writer.write(torch.full((3, 256, 256), (index % 50) / 50))
            held.append(resident_megabytes())
    assert held[-1] - held[80] < 15
    held = [resident_megabytes() for _ in open_clip(tmp_path / name)]
    assert len(held) == 200
    assert held[-1] - held[80] < 15


# Sound


@pytest.mark.parametrize(
    ("source", "codec", "target", "kept"),
    [
        ("s.mp4", "aac", "o.mp4", "aac"),
        ("s.mkv", "libmp3lame", "o.mp4", "mp3"),
        ("s.mkv", "aac", "o.mp4", "aac"),
        ("s.avi", "pcm_s16le", "o.mp4", "aac"),
        ("s.webm", "libopus", "o.mp4", "aac"),
        ("s.webm", "libopus", "o.webm", "opus"),
        ("s.mp4", "aac", "o.webm", "opus"),
    ],
)
def test_sound_is_kept_and_ends_with_the_pictures(tmp_path, source, codec, target, kept):
    write_raw_video(tmp_path / source, 40, codec, seconds=2.0)
    with ClipWriter(tmp_path / target, rate=20, audio_from=tmp_path / source) as writer:
        for frame in moving_square(20):
            writer.write(frame)
        assert writer.audio_kept
    name, loudness, end = sound_facts(tmp_path / target)
    assert name == kept
    assert loudness == pytest.approx(sound_facts(tmp_path / source)[1], rel=0.15)
    assert 0.85 < end <= picture_end(tmp_path / target) + 0.001
    assert picture_end(tmp_path / target) == pytest.approx(1.0, abs=0.002)


def test_sound_and_pictures_are_interleaved(tmp_path):
    write_raw_video(tmp_path / "s.mp4", 200, "aac", seconds=10.0)
    write_clip(tmp_path / "o.mp4", moving_square(20).repeat(10, 1, 1, 1), rate=20, audio_from=tmp_path / "s.mp4")
    with av.open(str(tmp_path / "o.mp4")) as container:
        positions: dict[str, list[int]] = {"video": [], "audio": []}
        for packet in container.demux():
            if packet.size:
                positions[packet.stream.type].append(packet.pos)
    assert min(positions["video"]) < np.median(positions["audio"]) < max(positions["video"])


def test_sound_that_ends_early_leaves_all_pictures(tmp_path):
    write_raw_video(tmp_path / "s.mp4", 10, "aac", seconds=0.5)
    write_clip(tmp_path / "o.mp4", moving_square(40), rate=20, audio_from=tmp_path / "s.mp4")
    assert len(read_clip(tmp_path / "o.mp4")) == 40
    assert sound_facts(tmp_path / "o.mp4")[2] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("target", ["o.gif", "o"])
def test_files_without_sound_say_so(tmp_path, target):
    write_raw_video(tmp_path / "s.mp4", 10, "aac", seconds=0.5)
    with ClipWriter(tmp_path / target, audio_from=tmp_path / "s.mp4") as writer:
        writer.write(moving_square(1)[0])
    assert not writer.audio_kept


@pytest.mark.parametrize("source", ["silent.mp4", "moving.gif", "frames"])
def test_a_silent_driver_gives_a_silent_clip(tmp_path, source):
    write_clip(tmp_path / source, moving_square(3))
    with ClipWriter(tmp_path / "o.mp4", audio_from=tmp_path / source) as writer:
        writer.write(moving_square(1)[0])
    assert not writer.audio_kept
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert len(container.streams.audio) == 0


def test_a_missing_sound_file_is_refused_before_any_work(tmp_path):
    refusal(tmp_path / "no.mp4", lambda: ClipWriter(tmp_path / "o.mp4", audio_from=tmp_path / "no.mp4"), "sound")


def test_a_sound_source_that_is_no_media_file_is_named(tmp_path):
    (tmp_path / "s.mp4").write_text("no sound here\n" * 50)
    refusal(
        tmp_path / "s.mp4",
        lambda: write_clip(tmp_path / "o.mp4", moving_square(2), audio_from=tmp_path / "s.mp4"),
    )
    assert only(tmp_path) == ["s.mp4"]


# Reading clips


def test_a_clip_can_be_read_again_and_left_half_way(tmp_path):
    write_clip(tmp_path / "a.mp4", moving_square(8))
    with open_clip(tmp_path / "a.mp4") as reader:
        first = next(iter(reader))
        assert len(list(reader)) == 8
        assert torch.equal(first, next(iter(reader)))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm", ".avi"])
def test_every_container_gives_its_frames(tmp_path, suffix):
    with open_clip(write_raw_video(tmp_path / f"a{suffix}", 15)) as reader:
        assert (reader.width, reader.height) == (64, 48)
        assert reader.rate == 20
        assert reader.frame_count == 15
        frames = list(reader)
    assert len(frames) == 15
    with av.open(str(tmp_path / f"a{suffix}")) as container:
        for ours, theirs in zip(frames, container.decode(video=0), strict=True):
            expected = theirs.to_ndarray(format="rgb24").transpose(2, 0, 1) / 255.0
            # av's default scaling blurs colours otherwise than ours; another frame would differ by 0.3.
            assert abs(ours.numpy() - expected).mean() < 0.05


def test_a_varying_frame_rate_keeps_every_frame_and_tells_the_average(tmp_path):
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in [0, 40, 80, 280, 320, 700, 740, 1000]:
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), time // 4, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with open_clip(tmp_path / "v.mkv") as reader:
        assert len(list(reader)) == 8
        assert 5 < reader.rate <= 25


def turn_track(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write a display matrix into an mp4's track header, as a phone does."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 4 + 20 + 16
    a, b, c, d = (value << 16 for value in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("matrix", "size", "corners"),
    [
        ((1, 0, 0, 1), (48, 32), "rgbw"),
        ((0, 1, -1, 0), (32, 48), "brwg"),  # a quarter turn clockwise
        ((-1, 0, 0, -1), (48, 32), "wbgr"),
        ((0, -1, 1, 0), (32, 48), "gwrb"),
        ((-1, 0, 0, 1), (48, 32), "grwb"),  # a mirror
    ],
)
def test_a_turned_phone_video_is_read_upright(tmp_path, matrix, size, corners):
    picture = torch.from_numpy(corner_picture()).permute(2, 0, 1) / 255.0
    write_clip(tmp_path / "a.mp4", picture.expand(3, -1, -1, -1))
    turn_track(tmp_path / "a.mp4", matrix)
    with open_clip(tmp_path / "a.mp4") as reader:
        assert (reader.width, reader.height) == size
        frames = list(reader)
    assert frames[2].shape == (3, size[1], size[0])
    assert corner_names(frames[2]) == corners
    assert corner_names(read_image(tmp_path / "a.mp4", frame=1)) == corners


def test_gif_disposal_and_durations_are_honoured(tmp_path):
    def spot(colour: tuple[int, int, int, int], left: int) -> Image.Image:
        picture = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
        picture.paste(colour, (left, 8, left + 8, 16))
        return picture

    later = [spot((0, 0, 255, 255), 16), spot((0, 255, 0, 255), 8)]
    spot((255, 0, 0, 255), 0).save(
        tmp_path / "a.gif", save_all=True, append_images=later, duration=[50, 100, 50], disposal=2
    )
    with open_clip(tmp_path / "a.gif") as reader:
        assert reader.rate == 15
        frames = list(reader)
    assert frames[1][:, 12, 20].tolist() == [0, 0, 1]
    assert frames[1][:, 12, 4].tolist() == [1, 1, 1]  # the red spot is disposed of
    with av.open(str(tmp_path / "a.gif")) as container:
        for ours, theirs in zip(frames, container.decode(video=0), strict=True):
            pixels = theirs.to_ndarray(format="rgba").transpose(2, 0, 1) / 255.0
            np.testing.assert_allclose(ours.numpy(), pixels[:3] * pixels[3] + 1 - pixels[3], atol=1e-6)


def test_an_animated_webp_is_a_clip(tmp_path):
    pictures = [Image.new("RGB", (32, 32), (level, 0, 0)) for level in (0, 100, 200)]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:], duration=40, lossless=True)
    with open_clip(tmp_path / "a.webp") as reader:
        assert (reader.rate, reader.frame_count) == (25, 3)
        assert [round(float(frame[0, 0, 0]) * 255) for frame in reader] == [0, 100, 200]


def test_a_folder_is_read_in_natural_order(tmp_path):
    for number in (1, 2, 10, 9):
        Image.new("RGB", (8, 6), (number, 0, 0)).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("not a frame")
    with open_clip(tmp_path) as reader:
        assert (reader.width, reader.height, reader.rate, reader.frame_count) == (8, 6, 25, 4)
        assert [round(float(frame[0, 0, 0]) * 255) for frame in reader] == [1, 2, 9, 10]


def test_a_folder_of_mixed_sizes_is_refused_by_its_first_offender(tmp_path):
    for name, size in (("1.png", (8, 8)), ("2.png", (8, 8)), ("3.png", (9, 8)), ("4.png", (7, 7))):
        Image.new("RGB", size).save(tmp_path / name)
    refusal(tmp_path / "3.png", lambda: open_clip(tmp_path), "9x8", "8x8")


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    refusal(tmp_path, lambda: open_clip(tmp_path), "no image")


def test_a_strip_is_a_clip_only_when_opened_as_one(tmp_path):
    strip = np.concatenate([np.full((16, 16, 3), level, np.uint8) for level in (10, 20, 30)], axis=1)
    Image.fromarray(strip).save(tmp_path / "strip.png")
    with open_clip(tmp_path / "strip.png") as reader:
        assert (reader.width, reader.height, reader.frame_count) == (16, 16, 3)
    again = read_clip(tmp_path / "strip.png")
    assert (again[:, 0, 0, 0] * 255).round().tolist() == [10, 20, 30]
    assert read_image(tmp_path / "strip.png").shape == (3, 16, 48)


def test_a_single_picture_is_no_clip(tmp_path):
    Image.new("RGB", (50, 40)).save(tmp_path / "one.png")
    refusal(tmp_path / "one.png", lambda: open_clip(tmp_path / "one.png"), "50x40", "single picture")


def test_reading_at_a_size_crops_and_resizes_each_frame(tmp_path):
    write_clip(tmp_path / "a", moving_square(3))
    whole = read_clip(tmp_path / "a")
    assert torch.equal(read_clip(tmp_path / "a", size=32), fit_square(whole, 32))


# Reading pictures


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff"])
def test_a_picture_is_read_to_the_bit(tmp_path, suffix):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(
        read_image(tmp_path / f"a.{suffix}").numpy(), pixels.transpose(2, 0, 1) / 255.0, atol=1e-6
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path, orientation):
    # How a camera held that way stores the upright picture (EXIF 2.3, tag 0x0112).
    upright = corner_picture()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    frame = read_image(tmp_path / "a.jpg")
    assert frame.shape == (3, 32, 48)
    assert corner_names(frame) == "rgbw"


def test_transparency_shows_white(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., 0] = 200
    pixels[0, 0, 3], pixels[1, 1, 3] = 255, 51
    Image.fromarray(pixels).save(tmp_path / "a.png")
    frame = read_image(tmp_path / "a.png")
    assert (frame[:, 0, 0] * 255).round().tolist() == [200, 0, 0]
    assert (frame[:, 1, 1] * 255).round().tolist() == [244, 204, 204]
    assert frame[:, 3, 3].tolist() == [1, 1, 1]


@pytest.mark.parametrize("mode", ["L", "LA", "P", "CMYK", "1", "I;16"])
def test_every_colour_mode_becomes_rgb(tmp_path, mode):
    if mode == "I;16":
        picture = Image.fromarray(np.full((4, 4), 32896, np.uint16))
    else:
        picture = Image.new("RGB", (4, 4), (128, 128, 128)).convert(mode)
    suffix = "tiff" if mode == "CMYK" else "png"
    picture.save(tmp_path / f"a.{suffix}")
    frame = read_image(tmp_path / f"a.{suffix}")
    assert frame.shape == (3, 4, 4)
    assert mode == "1" or abs(float(frame.mean()) - 128 / 255) < 0.01


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_a_frame_of_a_clip_serves_as_picture(tmp_path, name):
    write_clip(tmp_path / name, moving_square(6))
    clip = read_clip(tmp_path / name)
    assert torch.equal(read_image(tmp_path / name), clip[0])
    assert torch.equal(read_image(tmp_path / name, frame=4), clip[4])
    refusal(tmp_path / name, lambda: read_image(tmp_path / name, frame=6), "no frame 6", "0 to 5")
    with pytest.raises(ValueError, match="frame"):
        read_image(tmp_path / name, frame=-1)


# Bad input

readers = pytest.mark.parametrize("read", [read_image, read_clip])


@readers
@pytest.mark.parametrize("name", ["no.mp4", "no.jpg"])
def test_a_missing_file_is_refused(tmp_path, read, name):
    refusal(tmp_path / name, lambda: read(tmp_path / name), "no such file", "check the path")


def test_a_folder_is_no_picture(tmp_path):
    refusal(tmp_path, lambda: read_image(tmp_path), "folder")


@readers
@pytest.mark.parametrize("name", ["a.mp4", "a.jpg", "a.gif"])
def test_an_empty_file_is_refused(tmp_path, read, name):
    (tmp_path / name).touch()
    refusal(tmp_path / name, lambda: read(tmp_path / name), "empty")


@readers
@pytest.mark.parametrize("name", ["a.mp4", "a.jpg", "a.gif", "a.webm"])
def test_text_under_a_media_name_is_refused(tmp_path, read, name):
    (tmp_path / name).write_text("this is a text and no picture\n" * 100)
    refusal(tmp_path / name, lambda: read(tmp_path / name), "no video that can be read")


def test_a_playlist_does_not_open_other_files(tmp_path):
    write_raw_video(tmp_path / "secret.mp4", 5)
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    refusal(tmp_path / "a.mp4", lambda: read_clip(tmp_path / "a.mp4"), "no video that can be read")


@readers
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif"])
def test_a_truncated_picture_is_refused(tmp_path, read, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / f"whole.{suffix}")
    content = (tmp_path / f"whole.{suffix}").read_bytes()
    (tmp_path / f"a.{suffix}").write_bytes(content[: len(content) // 2])
    refusal(tmp_path / f"a.{suffix}", lambda: read(tmp_path / f"a.{suffix}"), "damaged")


def test_a_truncated_animation_is_refused(tmp_path):
    write_clip(tmp_path / "whole.gif", torch.rand(10, 3, 32, 32))
    content = (tmp_path / "whole.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(content[: len(content) // 2])
    refusal(tmp_path / "a.gif", lambda: read_clip(tmp_path / "a.gif"), "damaged")


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv", ".avi"])
def test_a_video_cut_off_in_the_middle_says_after_how_many_frames(tmp_path, suffix):
    content = write_raw_video(tmp_path / f"whole{suffix}", 60).read_bytes()
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content[: len(content) * 6 // 10])
    line = refusal(path, lambda: read_clip(path), "breaks off after")
    assert 20 < int(line.split("breaks off after ")[1].split()[0]) < 45
    assert read_image(path, frame=3).shape == (3, 48, 64)


def test_a_video_with_garbage_inside_says_after_how_many_frames(tmp_path):
    content = bytearray(write_raw_video(tmp_path / "a.mp4", 60).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = np.random.default_rng(0).bytes(4000)
    (tmp_path / "a.mp4").write_bytes(content)
    refusal(tmp_path / "a.mp4", lambda: read_clip(tmp_path / "a.mp4"), "breaks off after")


def test_an_mp4_without_its_index_is_refused(tmp_path):
    write_raw_video(tmp_path / "whole.mov", 40)
    content = (tmp_path / "whole.mov").read_bytes()
    (tmp_path / "a.mov").write_bytes(content[: len(content) * 8 // 10])
    refusal(tmp_path / "a.mov", lambda: read_clip(tmp_path / "a.mov"), "lost its index")


@readers
def test_a_video_without_frames_is_refused(tmp_path, read):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        container.start_encoding()
    refusal(tmp_path / "a.mkv", lambda: read(tmp_path / "a.mkv"))


@readers
def test_sound_alone_is_no_clip(tmp_path, read):
    with av.open(str(tmp_path / "a.mp3"), "w") as container:
        stream = container.add_stream("libmp3lame", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 4800), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    refusal(tmp_path / "a.mp3", lambda: read(tmp_path / "a.mp3"), "sound but no video")


@readers
@pytest.mark.parametrize("side", [10_001, 15_000])
def test_a_decompression_bomb_is_refused(tmp_path, read, side):
    # A header suffices: nothing may be decoded before the refusal.
    Image.new("1", (8, 8)).save(tmp_path / "a.bmp")
    content = bytearray((tmp_path / "a.bmp").read_bytes())
    content[18:26] = struct.pack("<ii", side, side)
    (tmp_path / "a.bmp").write_bytes(content)
    refusal(tmp_path / "a.bmp", lambda: read(tmp_path / "a.bmp"), "too many pixels")


def test_a_heic_picture_is_refused_rather_than_read_in_part(tmp_path):
    content = write_raw_video(tmp_path / "a.mp4", 3).read_bytes()
    (tmp_path / "a.heic").write_bytes(content.replace(b"ftypisom", b"ftypheic"))
    refusal(tmp_path / "a.heic", lambda: read_image(tmp_path / "a.heic"), "HEIC", "convert")


# Bad output


def test_an_unknown_suffix_lists_the_choices(tmp_path):
    line = refusal(tmp_path / "a.wmv", lambda: write_clip(tmp_path / "a.wmv", moving_square(1)), ".wmv")
    for choice in (".mp4", ".webm", ".gif", "folder"):
        assert choice in line


def test_missing_parents_are_made(tmp_path):
    write_clip(tmp_path / "x" / "y" / "a.gif", moving_square(2))
    assert only(tmp_path / "x" / "y") == ["a.gif"]


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "frames"])
def test_a_parent_that_is_a_file_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / name
    refusal(path, lambda: write_clip(path, moving_square(1)), "cannot be written")
    assert only(tmp_path) == ["file"]


def test_a_forbidden_place_is_refused(tmp_path, monkeypatch):
    def forbid(*_arguments, **_options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "touch", forbid)  # root, who may run this, is never refused
    refusal(tmp_path / "a.mp4", lambda: write_clip(tmp_path / "a.mp4", moving_square(1)), "Permission denied")


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "frames"])
@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_an_exception_half_way_leaves_what_was_there_before(tmp_path, name, fault):
    write_clip(tmp_path / name, moving_square(2))
    before = read_clip(tmp_path / name)

    def frames():
        yield from torch.rand(30, 3, 48, 64)
        raise fault

    with pytest.raises(fault):
        write_clip(tmp_path / name, frames())
    assert only(tmp_path) == [name]
    assert torch.equal(read_clip(tmp_path / name), before)
    with pytest.raises(fault):
        write_clip(tmp_path / f"new-{name}", frames())
    assert only(tmp_path) == [name]


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "frames"])
def test_nothing_stands_under_the_name_before_the_clip_is_whole(tmp_path, name):
    with ClipWriter(tmp_path / name) as writer:
        for frame in moving_square(3):
            writer.write(frame)
        assert not (tmp_path / name).exists()
    assert only(tmp_path) == [name]


@pytest.mark.parametrize("name", ["a.mp4", "frames"])
def test_a_clip_without_frames_is_refused(tmp_path, name):
    refusal(tmp_path / name, lambda: write_clip(tmp_path / name, []), "no frame")
    assert only(tmp_path) == []


FILL_THE_DISK = """
import resource, signal, sys, torch
from prioritycut.data.clips import write_clip
from prioritycut.errors import UserError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_clip(sys.argv[1], torch.rand(20, 3, 128, 128))
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "frames"])
def test_a_disk_that_refuses_more_leaves_nothing_behind(tmp_path, name):
    path = tmp_path / "out" / name
    command = [sys.executable, "-c", FILL_THE_DISK, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.count("\n") == 1
    assert said.startswith(f"{path}: the file grew larger than")
    assert only(tmp_path / "out") == []


@pytest.mark.parametrize("kind", [OSError, lambda *a: av.error.OSError(*a)])
def test_a_full_disk_is_told_in_one_line(tmp_path, monkeypatch, kind):
    def fail(self, pixels):
        raise kind(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(encoders.VideoEncoder, "write", fail)
    line = refusal(tmp_path / "a.mp4", lambda: write_clip(tmp_path / "a.mp4", moving_square(2)))
    assert line.startswith("disk full while writing")
    assert only(tmp_path) == []


def test_a_folder_of_other_things_is_not_replaced(tmp_path):
    (tmp_path / "000000.png").touch()
    (tmp_path / "thesis.tex").write_text("years of work")
    refusal(tmp_path, lambda: write_clip(tmp_path, moving_square(1)), "thesis.tex")
    assert only(tmp_path) == ["000000.png", "thesis.tex"]


def test_a_folder_of_frames_is_replaced_whole(tmp_path):
    write_clip(tmp_path / "a", moving_square(5))
    write_clip(f"{tmp_path}/a/", moving_square(2))
    assert only(tmp_path) == ["a"]
    assert only(tmp_path / "a") == ["000000.png", "000001.png"]


def test_a_slash_makes_a_folder_of_any_name(tmp_path):
    write_clip(f"{tmp_path}/a.frames/", moving_square(1))
    assert only(tmp_path / "a.frames") == ["000000.png"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "a").write_text("mine")
    refusal(tmp_path / "a", lambda: write_clip(tmp_path / "a", moving_square(1)), "in the way")


def test_frames_of_another_size_are_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="first frame"):
        write_clip(tmp_path / "a.mp4", [torch.rand(3, 32, 32), torch.rand(3, 32, 34)])
    assert only(tmp_path) == []


@pytest.mark.parametrize("rate", [0, -1.0])
def test_a_rate_must_be_above_nothing(tmp_path, rate):
    with pytest.raises(ValueError, match="rate"):
        ClipWriter(tmp_path / "a.mp4", rate=rate)


# Square frames


@pytest.mark.parametrize(
    ("fit", "words"),
    [
        (square_fit(1280, 720, 64), "centre-cropped 1280x720 to 720x720, resized to 64x64"),
        (square_fit(720, 1280, 64, "pad"), "padded 720x1280 to 1280x1280, resized to 64x64"),
        (square_fit(512, 512, 256), "resized 512x512 to 256x256"),
        (square_fit(300, 256, 256), "centre-cropped 300x256 to 256x256"),
        (square_fit(64, 64, 64), "kept 64x64"),
    ],
)
def test_a_fit_tells_what_is_done(fit, words):
    assert fit.describe() == words


def test_cropping_keeps_the_centre():
    frames = torch.rand(2, 4, 3, 10, 15)
    assert square_fit(15, 10, 10) == Fit(width=15, height=10, left=2, top=0, side=10, size=10)
    assert torch.equal(fit_square(frames, 10), frames[..., 2:12])


def test_padding_repeats_the_edges():
    frame = torch.rand(3, 4, 7)
    square = fit_square(frame, 7, "pad").numpy()
    np.testing.assert_array_equal(square, np.pad(frame.numpy(), ((0, 0), (1, 2), (0, 0)), mode="edge"))


def test_resizing_is_anti_aliased():
    checkers = (torch.arange(64)[:, None] + torch.arange(64)) % 2
    small = fit_square(checkers.float().expand(3, 64, 64), 16)
    assert ((small - 0.5).abs() < 0.05).all()


def test_resizing_agrees_with_pillow():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(pixels).resize((20, 20), Image.Resampling.BILINEAR)) / 255.0
    ours = fit_square(torch.from_numpy(pixels).permute(2, 0, 1) / 255.0, 20).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1.5 / 255)


def test_nonsense_fits_are_refused():
    with pytest.raises(ValueError, match="size"):
        square_fit(10, 10, 0)


# Real clips


@pytest.mark.data
@needs_real_clips
def test_a_real_clip_with_sound_is_written_with_its_sound(tmp_path):
    source = REAL / "faces" / "d10.mp4"
    with (
        open_clip(source) as reader,
        ClipWriter(tmp_path / "o.mp4", rate=reader.rate, audio_from=source) as writer,
    ):
        assert (reader.width, reader.height, reader.rate, reader.has_audio) == (512, 512, 30, True)
        for frame in itertools.islice(reader, 60):
            writer.write(fit_square(frame, 128))
    name, loudness, end = sound_facts(tmp_path / "o.mp4")
    assert name == "aac"
    assert loudness > 0
    assert 1.9 < end <= 2.001


@pytest.mark.data
@needs_real_clips
def test_real_clips_give_all_their_frames():
    with open_clip(REAL / "faces" / "d18.mp4") as reader:
        assert sum(1 for _ in reader) == reader.frame_count == 216


@pytest.mark.data
@needs_real_clips
def test_real_strips_give_32_frames():
    path = min((REAL / "shapes").glob("*/*.png"))
    assert read_clip(path).shape == (32, 3, 64, 64)


@pytest.mark.data
@needs_real_clips
def test_real_pictures_are_read():
    for path in (REAL / "faces").glob("*.jpg"):
        with Image.open(path) as image:
            assert read_image(path).shape == (3, image.height, image.width)
