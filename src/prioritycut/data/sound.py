"""The sound of one clip, packet by packet, for another: copied or encoded anew."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from prioritycut.data.media import file_fault


def copied_audio(path: Path, source: InputContainer, sound: AudioStream, copy: Stream) -> Iterator[Packet[AudioStream]]:
    """The packets of a sound stream as they are, for the stream `copy`."""
    delay = _sound_delay(source, sound)
    for packet in _demux_sound(path, source, sound):
        if packet.size == 0 or packet.pts is None or packet.dts is None:
            continue
        packet.pts -= delay
        packet.dts -= delay
        # A packet that ends at 0 primes the decoder; what ends before sounds before the first picture.
        if packet.pts + (packet.duration or 0) < 0:
            continue
        packet.stream = cast(AudioStream, copy)
        yield packet


def encoded_audio(
    path: Path, source: InputContainer, sound: AudioStream, encoded: AudioStream
) -> Iterator[Packet[AudioStream]]:
    """A sound stream encoded anew into the stream `encoded`."""
    delay = _sound_delay(source, sound)
    for packet in _demux_sound(path, source, sound):
        with _reading_sound(path):
            heard = packet.decode()
        for frame in heard:
            if frame.pts is not None:
                frame.pts -= delay
                if frame.pts < 0:
                    continue
            yield from encoded.encode(frame)
    yield from encoded.encode(None)


def _sound_delay(source: InputContainer, sound: AudioStream) -> int:
    """What to take off the sound's time stamps so that the pictures begin at 0."""
    pictures = next(iter(source.streams.video), None)
    if pictures is None or pictures.start_time is None or pictures.time_base is None or sound.time_base is None:
        return 0
    return round(pictures.start_time * pictures.time_base / sound.time_base)


@contextmanager
def _reading_sound(path: Path) -> Generator[None]:
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        reason = error.strerror or str(error)
        raise file_fault(path, f"its sound is damaged ({reason})", "repair it or write without sound") from None


def _demux_sound(path: Path, source: InputContainer, sound: AudioStream) -> Iterator[Packet[AudioStream]]:
    packets = source.demux(sound)
    while True:
        with _reading_sound(path):
            packet = next(packets, None)
        if packet is None:
            return
        yield packet
