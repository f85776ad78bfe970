"""Parts of frames against the same pixels of whole frames."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from prioritycut.data.frame_parts import PartConverter
from prioritycut.data.video import FrameConverter, decode_video

FORMS = {
    "yuv420p": (152, 98),
    "yuv422p": (152, 97),
    "yuv444p": (151, 97),
    "yuv420p10le": (152, 98),
    "nv12": (152, 98),
    "yuyv422": (152, 97),
    "gray": (151, 97),
    "rgba": (151, 97),
    # Those of which only the whole frame is converted.
    "yuv410p": (152, 100),
    "yuv420p of an odd size": (151, 97),
}


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
@pytest.mark.parametrize("form", FORMS)
def test_a_part_is_to_the_bit_that_part_of_the_whole(tmp_path, form, turned):
    generator, path = np.random.default_rng(0), tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        codec = "rawvideo" if form in ("nv12", "yuyv422", "rgba") else "ffv1"
        stream = container.add_stream(codec, rate=Fraction(25))
        (stream.width, stream.height), stream.pix_fmt = FORMS[form], form.split()[0]
        if turned:
            stream.set_display_rotation(turned)
        for _ in range(2):
            noise = generator.integers(0, 256, (stream.height, stream.width, 4), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(noise, format="rgba").reformat(format=stream.pix_fmt)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    frames = list(decode_video(path, threaded=False))
    whole = [FrameConverter(frames[0])(frame) for frame in frames]
    height, width, _ = whole[0].shape
    assert (width > height) == (turned in (0, 180))
    for _ in range(12):
        left, right = sorted(generator.choice(width + 1, 2, replace=False).tolist())
        top, bottom = sorted(generator.choice(height + 1, 2, replace=False).tolist())
        convert = PartConverter(frames[0], (left, top, right, bottom))
        for frame, pixels in zip(frames, whole, strict=True):
            np.testing.assert_array_equal(convert(frame), pixels[top:bottom, left:right])
