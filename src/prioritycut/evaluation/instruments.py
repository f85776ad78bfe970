"""What measures: detectors, masks, the baseline; and which metric stands on which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from prioritycut.evaluation.masks import Baseline, SalientMasks
from prioritycut.metrics.detectors.base import IdentityNetwork, KeypointDetector, Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """`None` leaves out the metrics that would stand on it."""

    keypoints: KeypointDetector | None = None
    """AKD and MKR."""
    identity: IdentityNetwork | None = None
    """AED."""
    salient: SalientMasks | None = None
    """PSNR and SSIM on the salient object and outside of it."""
    baseline: Baseline | None = None
    """PSNR and SSIM on the most occluded pixels and outside of them."""

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Every tool in use."""
        used = (self.keypoints, self.identity, self.salient, self.baseline)
        return tuple(instrument.tool for instrument in used if instrument is not None)


def tool_labels(tools: Iterable[Tool], keys: Iterable[str]) -> dict[str, str]:
    """The label of the tool that each metric stands on; metrics that stand on none are left out."""
    by_role = {tool.role: tool.label for tool in tools}
    roles = {key: _role(key) for key in keys}
    return {key: by_role[role] for key, role in roles.items() if role in by_role}


def _role(key: str) -> str:
    if key.startswith(("AKD", "MKR")):
        return "keypoints"
    if key.startswith("AED"):
        return "identity"
    return "salient" if key.endswith("salient") else "top-p" if "top_" in key else ""
