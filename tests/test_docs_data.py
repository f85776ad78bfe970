"""The page on data says what the code does: its tables of hours and disk follow from the measured rates."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "data.md"
RATES = ROOT / "docs" / "data-rates.json"
METADATA = ROOT.parent / "shared" / "data" / "metadata"


@pytest.fixture(scope="module")
def scale() -> SimpleNamespace:
    """The example that makes the tables, imported."""
    return SimpleNamespace(**runpy.run_path(str(ROOT / "examples" / "data_scale.py")))


def test_a_worked_example_of_hours_and_disk(scale: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "tiny-metadata.csv"
    path.write_text(
        "video_id,start,end,bbox,fps,width,height,partition\n"
        "one,0,900,0-0-9-9,25,1280,720,train\n"
        "one,89100,90000,0-0-9-9,25,1280,720,train\n"  # ends after an hour
        "two,0,53946,0-0-9-9,29.97,1280,720,test\n"  # half an hour
    )
    facts = scale.list_facts(path)
    assert (facts.name, facts.clips, facts.frames, facts.videos) == ("tiny", 3, 55746, 2)
    assert facts.video_hours == pytest.approx(1.5)
    # 55,746 frames at 100 a second are 557.46 s or 0.155 h; at 2,000 bytes each, 0.111 GB.
    rates = {"frames_a_second": {"mp4": 100.0, "track face": 1.0}, "bytes_a_frame": {"mp4": 2000}}
    (row,) = scale.scale_table([facts], rates, [1, 4])[2:]
    assert row == "| tiny | 3 | 55,746 | mp4 | 9.3 min | 2.3 min | 0.111 GB |"
    # An hour and a half at 2 Mbit/s are 1.35 GB, which 100 Mbit/s bring in 108 s.
    assert scale.download_table([facts], 2.0, 100.0)[2:] == ["| tiny | 2 | 2 | 1 GB | 1.8 min |"]
    assert scale.download_gigabytes(1.5, 2.0) == pytest.approx(1.35)
    # An hour of 90,000 frames, one a second.
    assert scale.own_videos_table(rates, [1, 5])[2:] == ["| face | 25 h | 5 h |"]


@pytest.mark.data
def test_the_tables_of_the_page_follow_from_the_lists_and_the_measured_rates(scale: SimpleNamespace) -> None:
    if not METADATA.is_dir():
        pytest.skip("the published lists are not beside the project")
    lists = [scale.list_facts(METADATA / f"{name}-metadata.csv") for name in ("vox", "taichi")]
    assert [(each.clips, each.videos) for each in lists] == [(19764, 3442), (3334, 280)]
    page = PAGE.read_text()
    for line in (
        *scale.scale_table(lists, json.loads(RATES.read_text()), [1, 16, 64]),
        *scale.download_table(lists, 2.5, 100.0),
        *scale.own_videos_table(json.loads(RATES.read_text()), [1, 16, 64]),
    ):
        assert line in page


def test_the_page_shows_every_store_of_the_rates(scale: SimpleNamespace) -> None:
    rates, page = json.loads(RATES.read_text()), PAGE.read_text()
    assert set(rates["bytes_a_frame"]) == {"mp4", "jpeg", "png", "shards"}
    for store in rates["bytes_a_frame"]:
        assert f"| {store} |" in page
        assert rates["frames_a_second"][store] > 0
