"""What the tests of reports share."""

from __future__ import annotations

import pytest
from made_results import build_result, random_result

from prioritycut.results import Problem, Result


@pytest.fixture(scope="session")
def five_methods() -> list[Result]:
    """A comparison as a paper would have it: five methods, 16 clips, one of which one method lacks."""
    whole = [
        random_result(method, quality, clips=16)
        for method, quality in (
            ("FOMM", 0.0),
            ("X2Face", -3.5),
            ("Monkey-Net", -1.2),
            ("FOMM+", 0.03),
            ("PriorityCut", 0.25),
        )
    ]
    short = whole[3].clips[:-1]
    fault = Problem(clip="id10285#clip", fault="frame 17 cannot be decoded")
    return [*whole[:3], build_result("FOMM+", short, problems=(fault,)), whole[4]]
