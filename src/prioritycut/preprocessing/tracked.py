"""Clips of one's own videos: the subject is found, followed, and cut out where it stays in one place long enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prioritycut.data.framing import square_fit
from prioritycut.data.media import Pixels
from prioritycut.errors import UserError
from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.cutting import Cut, VideoFacts, cut_clips, fault_words, video_facts
from prioritycut.preprocessing.detection import FaceFinder, PersonFinder
from prioritycut.preprocessing.jobs import TrackedVideo
from prioritycut.preprocessing.looking import SmallFrames, look
from prioritycut.preprocessing.names import clip_names, video_name
from prioritycut.preprocessing.records import ClipRecord
from prioritycut.preprocessing.settings import ClipSettings
from prioritycut.preprocessing.shots import CameraWatch, ShotWatch
from prioritycut.preprocessing.tracking import (
    Person,
    Tube,
    follow_faces,
    follow_person,
    follow_shots,
    longer_side,
    placed_inside,
)

MIN_FRAMES = {"face": 64, "person": 64, "whole": 2}
"""Shorter tubes are dropped: for faces by SPEC 7.2, for shots because a pair is two frames.

For people SPEC 7.3 wants 128, of films of minutes; one's own may be short.
"""

VIDEO_SIDE = 300 / 256
"""People are looked for in videos whose shorter side is at least this many times `min_size` (SPEC 7.3: 300 for 256)."""


@dataclass(frozen=True, slots=True)
class Finders:
    """What makes the detectors for a video of some width and height, in pixels; they raise UserError if they cannot."""

    faces: Callable[[int, int], Callable[[Pixels], Sequence[Box]]] = FaceFinder
    person: Callable[[int, int], Callable[[Pixels], Person | None]] = PersonFinder


MEDIAPIPE = Finders()


def make_tracked(
    work: TrackedVideo, clips: ClipSettings, *, output: Path, workdir: Path, finders: Finders = MEDIAPIPE
) -> list[ClipRecord]:
    """Look at every frame of a video once, follow the subject, and cut the clips in a second pass.

    Faces are followed by SPEC 7.2, people by SPEC 7.3 (`tracking`), whole frames from one change of shot to the next.
    With `leaving="shift"`, squares that leave the frame are moved inside and, where the frame is too small, made
    smaller; with `"drop"` they are dropped, as the published lists did.

    Args:
        work: The video and the rules for it.
        clips: What the clips become.
        output: The data set's folder.
        workdir: A folder of this video's own on the same disk.
        finders: The detectors.

    Returns:
        One record for each tube, in the order of their frames: made; lost subject (too few frames); too small; left
        the frame. One more for the video itself, under its name alone: corrupt, where it cannot be read or breaks off
        (tubes before that are made); lost subject, where there never was one; too small, where people are not looked
        for.

    Raises:
        UserError: A package is missing, or the disk is full. Faults of the video go to its records.
    """
    try:
        facts = video_facts(work.path)
    except UserError as error:
        return [_of_video(work, None, "corrupt", fault_words(error, work.path))]
    side, wanted = min(facts.width, facts.height), math.ceil(VIDEO_SIDE * work.min_size)
    if work.subject == "person" and side < wanted:
        reason = f"the video's shorter side has {side} pixels, {wanted} are wanted"
        return [_of_video(work, facts, "too small", reason)]
    frames = SmallFrames(work.path)
    tubes = sorted(
        _tubes(work, facts, frames, finders), key=lambda tube: (tube.start, tube.end, tube.box.left, tube.box.top)
    )
    names = clip_names(work.video, [(tube.start, tube.end) for tube in tubes])
    judged = [_judged(work, facts, name, tube) for name, tube in zip(names, tubes, strict=True)]
    cuts = [each for each in judged if isinstance(each, Cut)]
    made = iter(cut_clips(work.path, work.video, cuts, clips, workdir=workdir, output=output))
    records = [next(made) if isinstance(each, Cut) else each for each in judged]
    if frames.fault is not None:
        records.append(_of_video(work, facts, "corrupt", frames.fault, frames.count))
    elif not tubes:
        nobody = "no face was found" if work.subject == "face" else "nobody was seen from head to ankle"
        records.append(_of_video(work, facts, "lost subject", f"{nobody} in {_frames(frames.count)}", frames.count))
    return records


def _tubes(work: TrackedVideo, facts: VideoFacts, frames: SmallFrames, finders: Finders) -> Iterator[Tube]:
    width, height = facts.width, facts.height
    match work.subject:
        case "face":
            faces = look(frames, finders.faces(width, height), ShotWatch())
            room = min(width, height) if work.leaving == "shift" else None
            return follow_faces(faces, max_frames=work.max_frames, room=room)
        case "person":
            people = look(frames, finders.person(width, height), CameraWatch())
            return follow_person(people, frame_width=width, max_frames=work.max_frames)
        case "whole":
            middle = square_fit(width, height, 1)
            box = Box(middle.left, middle.top, middle.left + middle.side, middle.top + middle.side)
            return follow_shots(look(frames, lambda _: None, ShotWatch()), box=box, max_frames=work.max_frames)


def _judged(work: TrackedVideo, facts: VideoFacts, clip: str, tube: Tube) -> Cut | ClipRecord:
    """What to cut, or why not."""
    box = tube.square
    if work.leaving == "shift":
        # Of a body that no square of the frame holds, the part with the head is worth most.
        box = placed_inside(tube, facts.width, facts.height, keeps_top=work.subject == "person")
    least = MIN_FRAMES[work.subject] if work.min_frames is None else work.min_frames
    # SPEC's size is of a face before its box is expanded, and of a person's square.
    side = longer_side(tube.box if work.subject == "face" else tube.square)
    if tube.frames < least:
        what = "the shot has" if work.subject == "whole" else f"the {work.subject} was followed for"
        return _dropped(
            work, facts, clip, tube, box, "lost subject", f"{what} {tube.frames} of at least {_frames(least)}"
        )
    if side < work.min_size:
        what = {"face": "the face's longer side", "person": "the person's square", "whole": "the middle square"}
        reason = f"{what[work.subject]} has {side} pixels, {work.min_size} are wanted"
        return _dropped(work, facts, clip, tube, box, "too small", reason)
    return Cut(clip, work.partition, box, tube.start, tube.end)


def _dropped(
    work: TrackedVideo,
    facts: VideoFacts,
    clip: str,
    tube: Tube,
    box: Box,
    outcome: Literal["lost subject", "too small"],
    reason: str,
) -> ClipRecord:
    return ClipRecord(
        clip=clip,
        video=work.video,
        partition=work.partition,
        outcome=outcome,
        reason=reason,
        start=tube.start,
        end=tube.end,
        box=box,
        video_width=facts.width,
        video_height=facts.height,
    )


def _of_video(
    work: TrackedVideo,
    facts: VideoFacts | None,
    outcome: Literal["corrupt", "lost subject", "too small"],
    reason: str,
    frames: int = 0,
) -> ClipRecord:
    """The record of a video as a whole, of which this many frames were looked at."""
    return ClipRecord(
        clip=video_name(work.video),
        video=work.video,
        partition=work.partition,
        outcome=outcome,
        reason=reason,
        start=0 if frames else None,
        end=frames or None,
        video_width=None if facts is None else facts.width,
        video_height=None if facts is None else facts.height,
    )


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"
