"""What turns frames into a file: a folder of png, a gif, an mp4 or a webm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol, cast, runtime_checkable

import av
import av.filter
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from prioritycut.data.media import SCALING, Pixels
from prioritycut.data.pictures import identify_picture
from prioritycut.data.sound import copied_audio, encoded_audio
from prioritycut.data.video import open_media

_RGB = av.VideoFormat("rgb24")
_VIDEO_CODECS: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    ".mp4": ("libx264", {"crf": "17", "preset": "medium"}, {"movflags": "+faststart"}),
    ".webm": ("libvpx-vp9", {"crf": "24", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}, {}),
}
# For clips that are read two frames at a time, thousands of times: each frame needs only those since the last key frame
# and none after it, and is decoded about twice as fast as at the settings above, in files a sixth larger. Without the
# last of them x264 chooses code by the machine, and on small frames gives other bytes even from run to run.
_RANDOM_ACCESS = {
    "crf": "17",
    "preset": "veryfast",
    "tune": "fastdecode",
    "bf": "0",
    "x264-params": "cpu-independent=1",
}
_AUDIO_COPIED = {".mp4": ("aac", "mp3"), ".webm": ("opus", "vorbis")}
_AUDIO_ENCODERS: dict[str, Literal["aac", "libopus"]] = {".mp4": "aac", ".webm": "libopus"}


@runtime_checkable
class Encoder(Protocol):
    """Takes frames of one size and makes the temporary file or folder whole."""

    audio_kept: bool

    def write(self, pixels: Pixels) -> None:
        """Take the next frame."""

    def finish(self) -> None:
        """Complete the file; nothing is taken after this."""

    def abandon(self) -> None:
        """Let go of everything open, after `finish` or instead of it."""


class FolderEncoder:
    """000000.png, 000001.png, ... or the same as .jpg."""

    audio_kept = False

    def __init__(self, folder: Path, kind: Literal["png", "jpeg"] = "png") -> None:
        self._folder = folder
        self._kind: Literal["png", "jpeg"] = kind
        self._count = 0

    def write(self, pixels: Pixels) -> None:
        picture, name = Image.fromarray(pixels), f"{self._count:06d}"
        if self._kind == "png":
            picture.save(self._folder / f"{name}.png", compress_level=3)
        else:
            # Halved colour, as video has it, is smaller and read faster than whole.
            picture.save(self._folder / f"{name}.jpg", quality=95, subsampling="4:2:0")
        self._count += 1

    def finish(self) -> None:
        pass

    def abandon(self) -> None:
        pass


class GifEncoder:
    """A palette for every frame, chosen as it comes: the whole clip is never held."""

    audio_kept = False

    def __init__(self, path: Path, rate: Fraction, width: int, height: int) -> None:
        self._rate = rate
        self._taken = 0
        self._last_tick = -2
        self._pending: Packet[VideoStream] | None = None
        self._container = av.open(str(path), "w", format="gif")
        self._stream = self._container.add_stream("gif", rate=Fraction(100))
        self._stream.width = width
        self._stream.height = height
        self._stream.pix_fmt = "pal8"
        self._stream.codec_context.time_base = Fraction(1, 100)
        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(width=width, height=height, format=_RGB, time_base=Fraction(1, 100))
        both = self._graph.add("split")
        palette = self._graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
        # Ordered dither stays in place where the picture does; diffusion would flicker there.
        use = self._graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4")
        sink = self._graph.add("buffersink")
        source.link_to(both)
        both.link_to(palette, 0, 0)
        both.link_to(use, 1, 0)
        palette.link_to(use, 0, 1)
        use.link_to(sink)
        self._graph.configure()

    def write(self, pixels: Pixels) -> None:
        tick = round(100 * self._taken / self._rate)
        self._taken += 1
        if tick - self._last_tick < 2:
            return
        self._last_tick = tick
        frame = VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = tick, Fraction(1, 100)
        self._graph.vpush(frame)
        reduced = self._graph.vpull()
        reduced.pts, reduced.time_base = tick, Fraction(1, 100)
        for packet in self._stream.encode(reduced):
            self._mux_pending()
            self._pending = packet

    def _mux_pending(self) -> None:
        if self._pending is not None:
            self._container.mux(self._pending)
        self._pending = None

    def finish(self) -> None:
        # The muxer times each frame by the next; only the last one must be told how long it shows.
        if self._pending is not None:
            self._pending.duration = max(2, round(100 * self._taken / self._rate) - self._last_tick)
        self._mux_pending()
        self._container.close()

    def abandon(self) -> None:
        self._container.close()


class VideoEncoder:
    """mp4 or webm, pictures and sound interleaved as they come.

    With `key_interval`, an mp4 made for reading single frames: a key frame every so many, and one thread, so that
    the same frames give the same bytes on any number of cores.
    """

    def __init__(
        self,
        path: Path,
        rate: Fraction,
        width: int,
        height: int,
        audio_from: Path | None = None,
        *,
        key_interval: int | None = None,
    ) -> None:
        codec, options, container_options = _VIDEO_CODECS[path.suffix]
        if key_interval is not None:
            options = {**_RANDOM_ACCESS, "g": str(key_interval)}
        self._rate = rate
        self._count = 0
        # VP9 takes odd sides; 4:4:4 H.264, which would too, does not play in most browsers and phones.
        self._padding = (height % 2, width % 2) if path.suffix == ".mp4" else (0, 0)
        self._reformatter = VideoReformatter()
        self._resources = ExitStack()
        self._container: OutputContainer = av.open(str(path), "w", options=container_options)
        stream = self._container.add_stream(codec, rate=rate, options=dict(options))
        self._stream = cast(VideoStream, stream)
        self._stream.height = height + self._padding[0]
        self._stream.width = width + self._padding[1]
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        if key_interval is None:
            self._stream.thread_type = "AUTO"
        else:
            context.thread_count = 1
        context.time_base = 1 / rate
        if codec == "libvpx-vp9":
            context.bit_rate = 0  # constant quality
        context.colorspace = Colorspace.ITU709
        context.color_range = ColorRange.MPEG
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        self._audio: Iterator[Packet[AudioStream]] | None = None
        self._next_audio: Packet[AudioStream] | None = None
        self.audio_kept = False
        if audio_from is not None and audio_from.is_file():
            try:
                self._take_audio(audio_from, path.suffix)
            except BaseException:
                self.abandon()
                raise

    def _take_audio(self, path: Path, suffix: str) -> None:
        if (picture := identify_picture(path)) is not None:
            picture.close()
            return
        source = self._resources.enter_context(open_media(path))
        sound = next((s for s in source.streams.audio if cast(object, s.codec_context) is not None), None)
        if sound is None:
            return
        if sound.codec_context.codec.canonical_name in _AUDIO_COPIED[suffix]:
            copy = self._container.add_stream_from_template(sound)
            self._audio = copied_audio(path, source, sound, copy)
        else:
            # Opus knows only this rate of the usual two.
            encoded = self._container.add_stream(_AUDIO_ENCODERS[suffix], rate=48000)
            encoded.codec_context.bit_rate = 128_000
            encoded.codec_context.layout = "mono" if sound.codec_context.layout.nb_channels == 1 else "stereo"
            self._audio = encoded_audio(path, source, sound, encoded)
        self._next_audio = next(self._audio, None)
        self.audio_kept = True

    def write(self, pixels: Pixels) -> None:
        if any(self._padding):
            rows, columns = self._padding
            pixels = np.pad(pixels, ((0, rows), (0, columns), (0, 0)), mode="edge")
        frame = self._reformatter.reformat(
            VideoFrame.from_ndarray(pixels, format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=SCALING,
            threads=1,
        )
        frame.colorspace = Colorspace.ITU709
        frame.color_range = ColorRange.MPEG
        frame.color_primaries = ColorPrimaries.BT709
        frame.color_trc = ColorTrc.BT709
        frame.pts, frame.time_base = self._count, 1 / self._rate
        self._container.mux(self._stream.encode(frame))
        self._count += 1
        self._mux_audio(until=self._count / self._rate)

    def _mux_audio(self, until: Fraction) -> None:
        """Hand on what sounds before `until` seconds; the rest waits for more pictures, or is left out."""
        while self._audio is not None and self._next_audio is not None:
            packet = self._next_audio
            if ((packet.pts or 0) + (packet.duration or 0)) * packet.time_base > until:
                return
            self._container.mux(packet)
            self._next_audio = next(self._audio, None)

    def finish(self) -> None:
        self._container.mux(self._stream.encode())
        self._container.close()

    def abandon(self) -> None:
        self._resources.close()
        self._container.close()
