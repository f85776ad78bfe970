"""What `preprocess` makes of a video, as one picture: puppets in a wide video, their boxes, and the clips cut out.

python examples/data_sheet.py --output docs/pictures/data.png

In the video each head's box of this frame is thin, the tube (all of its boxes) white, and the square that is cut out in
the clip's colour; the rows below are frames of the clips.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from prioritycut.data.clips import read_clip, write_clip
from prioritycut.data.puppets import PuppetClip, generate_puppet
from prioritycut.drawing import label_bar, picture_to_tensor, save_picture
from prioritycut.preprocessing.boxes import Box, expand_to_square, join
from prioritycut.preprocessing.cutting import Cut, cut_clips
from prioritycut.preprocessing.settings import ClipSettings
from prioritycut.preprocessing.tracking import FACE_INCREASE

WIDTH, HEIGHT, FRAMES = 960, 400, 64
PLACES = ((5, 250, 60, 150), (9, 210, 380, 190), (12, 256, 660, 144))
"""Which held-out puppet, its size in pixels, and where its upper left corner lies."""
COLOURS = ("#e8743b", "#3b9ae8", "#5bbf4a")
CLIP_SIZE, SHOWN = 120, 8
HEAD = 17
"""Landmarks before the shoulders."""


def scene(puppets: list[PuppetClip]) -> Tensor:
    """A wide video: the puppets before a wall that grows darker to the right."""
    wall = torch.linspace(0.75, 0.45, WIDTH).expand(3, HEIGHT, WIDTH) * torch.tensor([0.9, 0.95, 1.0])[:, None, None]
    video = wall.expand(FRAMES, -1, -1, -1).clone()
    for puppet, (_, size, left, top) in zip(puppets, PLACES, strict=True):
        place = video[:, :, top : top + size, left : left + size]
        seen = puppet.foreground[:, :, : place.shape[2], : place.shape[3]]
        place.copy_(seen * puppet.frames[:, :, : place.shape[2], : place.shape[3]] + (1 - seen) * place)
    return video


def head_boxes(puppet: PuppetClip, size: int, left: int, top: int) -> list[Box]:
    """Around the landmarks of the head, frame by frame."""
    points = (puppet.position[:, :HEAD] + 1) / 2 * (size - 1) + torch.tensor([left, top])
    lowest, highest = points.amin(1).floor().int().tolist(), points.amax(1).ceil().int().tolist()
    return [Box(*first, *last) for first, last in zip(lowest, highest, strict=True)]


def drawn(frame: Tensor, boxes: list[list[Box]], tubes: list[Box], squares: list[Box]) -> Tensor:
    picture = Image.fromarray((frame.permute(1, 2, 0) * 255).round().byte().numpy())
    pen = ImageDraw.Draw(picture)
    for each, tube, square, colour in zip(boxes, tubes, squares, COLOURS, strict=True):
        for box, line, width in ((each[0], colour, 1), (tube, "white", 2), (square, colour, 4)):
            pen.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), outline=line, width=width)
    return picture_to_tensor(picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures/data.png"))
    arguments = parser.parse_args()
    puppets = [generate_puppet(1, number, frames=FRAMES, size=size) for number, size, _, _ in PLACES]
    video = scene(puppets)
    boxes = [head_boxes(puppet, *place[1:]) for puppet, place in zip(puppets, PLACES, strict=True)]
    tubes = [join_all(each) for each in boxes]
    squares = [expand_to_square(tube, FACE_INCREASE) for tube in tubes]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clip(folder / "video.mp4", video)
        cuts = [Cut(f"puppet-{n}", "train", square, 0, FRAMES) for n, square in enumerate(squares)]
        settings = ClipSettings(size=CLIP_SIZE, store="mp4")
        records = cut_clips(
            folder / "video.mp4", "video.mp4", cuts, settings, workdir=folder / ".work", output=folder / "out"
        )
        rows = list[Tensor]()
        for record, colour in zip(records, COLOURS, strict=True):
            assert record.file is not None, record.reason
            clip = read_clip(folder / "out" / record.file)
            row = torch.cat(list(clip[:: FRAMES // SHOWN][:SHOWN]), dim=2)
            stripe = (
                torch.from_numpy(np.asarray(Image.new("RGB", (6, CLIP_SIZE), colour)).copy()).permute(2, 0, 1) / 255
            )
            row[:, :, :6] = stripe
            rows.append(row)
    bars = [label_bar([label], WIDTH) for label in ("a video, with tubes and squares", "the clips, every eighth frame")]
    shown = drawn(video[0], boxes, tubes, squares)
    save_picture(arguments.output, torch.cat([bars[0], shown, bars[1], *rows], dim=1))
    print(f"wrote {arguments.output}")


def join_all(boxes: list[Box]) -> Box:
    tube = boxes[0]
    for box in boxes[1:]:
        tube = join(tube, box)
    return tube


if __name__ == "__main__":
    main()
