"""Which metrics stand in which table, in which order, and what their columns are called."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from prioritycut.report.paper import paper

LayoutName: TypeAlias = Literal[
    "reconstruction", "corrected", "psnr-by-occlusion", "ssim-by-occlusion", "ground-truth", "other", "areas"
]

RECONSTRUCTION = (
    "L1",
    "PSNR_all",
    "PSNR_salient",
    "PSNR_nonsalient",
    "SSIM_all",
    "SSIM_salient",
    "SSIM_nonsalient",
    "AKD",
    "MKR",
    "AED",
)
"""Tables 1 to 5 are this one without what was not measured."""
CORRECTED = ("AKD_corrected", "MKR_corrected", "AED_corrected")
GROUND_TRUTH = ("L1_moving", "L1_moving_copy", "occlusion_average_precision", "occlusion_correlation")

_BY_OCCLUSION = re.compile(r"(PSNR|SSIM)_(non)?top_(\d+)")
_AREA = re.compile(r"area_(?:top_(\d+)|(\w+))")


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one table, by metric."""

    name: LayoutName
    title: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A metric as a table's head has it: columns of one group stand under one name."""

    group: str
    part: str = ""

    @property
    def whole(self) -> str:
        """Both, as one name."""
        return f"{self.group} {self.part}".strip()


def layouts(measured: Collection[str]) -> tuple[Layout, ...]:
    """The tables that hold every measured metric once; only metrics that were measured appear.

    Tables A2 to A4 have a PSNR and an SSIM block for p = 10 to 50; here each is a table, for whatever p were measured.
    """
    by_occlusion = sorted(filter(_BY_OCCLUSION.fullmatch, measured), key=_occlusion_order)
    areas = sorted((key for key in measured if _AREA.fullmatch(key)), key=_area_order)
    known = {*RECONSTRUCTION, *CORRECTED, *GROUND_TRUTH, *by_occlusion, *areas}
    candidates = (
        Layout("reconstruction", "Video reconstruction", _kept(RECONSTRUCTION, measured)),
        Layout("corrected", "Corrected protocol", _kept(CORRECTED, measured)),
        Layout("psnr-by-occlusion", "PSNR by occlusion", _starting("PSNR", by_occlusion)),
        Layout("ssim-by-occlusion", "SSIM by occlusion", _starting("SSIM", by_occlusion)),
        Layout("ground-truth", "Against ground truth", _kept(GROUND_TRUTH, measured)),
        Layout("other", "Other metrics", tuple(key for key in dict.fromkeys(measured) if key not in known)),
        Layout("areas", "Realised mask areas", tuple(areas)),
    )
    return tuple(layout for layout in candidates if layout.keys)


def paper_layout(keys: Collection[str]) -> str | None:
    """Numbers of the paper's tables that have just these columns, such as "2 and 5"."""
    names = [table.name for table in paper().tables if set(table.keys) == set(keys)]
    return " and ".join(names) or None


def heading(key: str) -> Heading:
    """A metric's name in a table's head."""
    by_occlusion, area = _BY_OCCLUSION.fullmatch(key), _AREA.fullmatch(key)
    if by_occlusion:
        return Heading(f"top {by_occlusion[3]}%", "outside" if by_occlusion[2] else "inside")
    if area:
        return Heading("area", f"top {area[1]}%" if area[1] else area[2].replace("_", " "))
    if key in _SPELT:
        return _SPELT[key]
    return Heading(key.replace("_", " "))


def metric_name(key: str) -> str:
    """A metric's name where no table's head surrounds it."""
    if by_occlusion := _BY_OCCLUSION.fullmatch(key):
        return f"{by_occlusion[1]} {heading(key).part} {heading(key).group}"
    return heading(key).whole + (" corrected" if key in CORRECTED else "")


def occlusion_curves(measured: Iterable[str]) -> dict[tuple[str, str], dict[int, str]]:
    """Keys by percentage p for each curve that can be drawn: ("PSNR" or "SSIM", "inside" or "outside")."""
    curves = dict[tuple[str, str], dict[int, str]]()
    for key in sorted(filter(_BY_OCCLUSION.fullmatch, measured), key=_occlusion_order):
        curves.setdefault((key[:4], heading(key).part), {})[_percentage(key)] = key
    return dict(sorted(curves.items()))


_SPELT = {
    **{
        f"{metric}_{area}": Heading(metric, part)
        for metric in ("PSNR", "SSIM")
        for area, part in (("all", "all"), ("salient", "salient"), ("nonsalient", "¬salient"))
    },
    **{key: Heading(key.removesuffix("_corrected")) for key in CORRECTED},
    "L1_moving": Heading("L1, moving area", "prediction"),
    "L1_moving_copy": Heading("L1, moving area", "copied source"),
    "occlusion_average_precision": Heading("occlusion map", "average precision"),
    "occlusion_correlation": Heading("occlusion map", "correlation"),
}


def _kept(keys: tuple[str, ...], measured: Collection[str]) -> tuple[str, ...]:
    return tuple(key for key in keys if key in measured)


def _starting(metric: str, keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(key for key in keys if key.startswith(metric))


def _percentage(key: str) -> int:
    return int(key.rpartition("_")[2])


def _occlusion_order(key: str) -> tuple[int, bool, str]:
    return _percentage(key), "nontop" in key, key


def _area_order(key: str) -> tuple[bool, int, str]:
    top = key.startswith("area_top_")
    return top, _percentage(key) if top else 0, key
