"""The paper's protocol: each test clip is made anew from its first frame, and held against itself."""

from __future__ import annotations

from collections.abc import Iterator

from prioritycut.evaluation.measurement import ScoredBatch
from prioritycut.evaluation.reconstructing import Reconstruct
from prioritycut.evaluation.testsets import TestClip


def reconstructed(clip: TestClip, reconstruct: Reconstruct, batch_size: int) -> Iterator[ScoredBatch]:
    """A clip's batches with what the model makes of them: source is frame 0, every frame drives (ambiguity A16)."""
    source = render = None
    for batch in clip.open(batch_size):
        if source is None or render is None:
            source = batch.frames[0]
            render = reconstruct(source)
        output = render(batch.frames)
        yield ScoredBatch(batch, output.prediction, source, output.motion)
