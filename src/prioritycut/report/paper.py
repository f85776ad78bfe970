"""What PriorityCut's Tables 1 to 5 and A2 to A4 say, as data that is shipped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias

from prioritycut.configuration import config_from_json

PaperDataset: TypeAlias = Literal["voxceleb", "taichi", "bair"]

FRAME_SIZE = (256, 256)
"""Of every frame in the paper; its AKD counts pixels of these."""

NAMES: dict[PaperDataset, str] = {"voxceleb": "VoxCeleb", "taichi": "Tai-Chi-HD", "bair": "BAIR"}

_SPELLINGS: dict[PaperDataset, tuple[str, ...]] = {
    "voxceleb": ("vox",),
    "taichi": ("taichi", "tai-chi"),
    "bair": ("bair",),
}


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """One published table; A2 to A4 have their PSNR block before their SSIM block."""

    name: str
    """Its number; 3 is Tai-Chi-HD and 4 BAIR, in the order in which they stand, not as the text refers to them."""
    title: str
    dataset: PaperDataset
    baseline: str
    """The row that the others are compared with."""
    keys: tuple[str, ...]
    """Metric of each column, as results name it."""
    decimals: tuple[int, ...]
    """Printed ones of each column's means."""
    rows: dict[str, tuple[tuple[float, float], ...]]
    """By method: mean and half of the 95% interval over frames, for each column."""

    def value(self, method: str, key: str) -> tuple[float, float]:
        """Mean and half of the 95% interval of one cell."""
        return self.rows[method][self.keys.index(key)]


@dataclass(frozen=True, kw_only=True)
class Paper:
    """All of its tables."""

    source: str
    tools: dict[PaperDataset, dict[str, str]]
    """What its numbers stand on, by role."""
    tables: tuple[PaperTable, ...]


@cache
def paper() -> Paper:
    """The shipped tables. L1 is of [0, 1] images, AKD in pixels of 256x256 frames, MKR a share."""
    resource = files("prioritycut.report") / "paper_tables.json"
    return config_from_json(Paper, resource.read_text("utf-8"), where="paper_tables.json")


def published(dataset: PaperDataset) -> tuple[PaperTable, ...]:
    """The tables of a data set: first the comparison of methods, then the rest by number."""
    tables = [table for table in paper().tables if table.dataset == dataset]
    return tuple(sorted(tables, key=lambda table: (table.title != "comparison", table.name)))


def paper_tool(dataset: PaperDataset, key: str) -> str | None:
    """What the paper measured a metric with; `None` for those that need no tool."""
    role = role_of(key)
    return None if role is None else f"{paper().tools[dataset][role]} (paper)"


def role_of(key: str) -> str | None:
    """Role of the tool that a metric stands on."""
    if key.startswith(("AKD", "MKR")):
        return "keypoints"
    if key.startswith("AED"):
        return "identity"
    if "salient" in key:
        return "salient"
    return "top-p" if "top_" in key else None


def same_data(dataset: PaperDataset, name: str) -> bool:
    """Whether a result's data set calls itself by the name of the paper's. It may still be another copy of it."""
    return any(spelling in name.lower() for spelling in _SPELLINGS[dataset])


def caveats(dataset: PaperDataset) -> tuple[str, ...]:
    """What a reader must know before comparing with the published numbers."""
    notes = [
        "They were made from another copy of the data: videos vanish, so no two copies hold the same clips. Read a "
        "small difference as none. Best, second and better than the baseline are judged within each block only.",
        "L1, PSNR and SSIM of whole frames have the same definition and share columns; the paper does not name its "
        "SSIM window. Whatever stands on a detector or a mask has a column of its own.",
        "Published intervals count frames as if they were independent, as ± does here.",
    ]
    if dataset == "voxceleb":
        notes.append(
            "As printed: Tables 2 and 5 swap the interval digits of salient SSIM between FOMM+ and Ours; in Table A2 "
            "two intervals of Ours (SSIM outside top 20%, inside top 50%) are narrower than their neighbours'."
        )
    if dataset == "bair":
        notes.append("There is no FOMM+ for BAIR, because no checkpoint of it was public.")
    return tuple(notes)
