"""What tests of more than one file share."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest


@dataclass
class ParityTable:
    """The largest error of each group of reference arrays, shown when the tests are over."""

    rows: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, group: str, error: float, tolerance: float) -> None:
        """Keep an error if it uses up more of its tolerance than the group's worst so far."""
        worst, allowed = self.rows.get(group, (-1.0, 1.0))
        if not error / tolerance <= worst / allowed:
            self.rows[group] = (error, tolerance)

    def lines(self) -> list[str]:
        width = max(map(len, self.rows), default=0)
        return [f"{'array':<{width}}     error tolerance"] + [
            f"{group:<{width}}  {error:.2e}  {tolerance:.1e}" for group, (error, tolerance) in sorted(self.rows.items())
        ]


TABLE = pytest.StashKey[ParityTable]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLE] = ParityTable()


@pytest.fixture(scope="session")
def parity_table(pytestconfig: pytest.Config) -> ParityTable:
    return pytestconfig.stash[TABLE]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    table = config.stash[TABLE]
    if table.rows:
        terminalreporter.section("largest error against the reference")
        for line in table.lines():
            terminalreporter.write_line(line)
