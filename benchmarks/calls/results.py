"""What comes of the rounds: medians, ratios, one table."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from benchmarks import report
from benchmarks.calls.cases import CASES

if TYPE_CHECKING:
    from benchmarks.calls.workloads import Figures

_HEAD = ("work", "who", "median (least to greatest)", "ratio: first / this")


class Results:
    """The figures of all rounds."""

    def __init__(self) -> None:
        """Begin without figures."""
        self._rounds: dict[tuple[str, str], dict[int, Figures]] = {}

    def add(self, case: str, peer: str, number: int, figures: Figures) -> None:
        """Take the figures of one round of a case."""
        self._rounds.setdefault((case, peer), {})[number] = figures

    def spread(self, case: str, figure: str, peer: str) -> report.Spread | None:
        """Return a peer's figure; None if it was not measured."""
        rounds = self._rounds.get((case, peer), {})
        values = [figures[figure] for figures in rounds.values() if figure in figures]
        return report.Spread.of(values) if values else None

    def ratio(self, case: str, figure: str, peer: str, other: str) -> report.Spread | None:
        """Return a peer's figure over that of another in the same round; None without both."""
        ours, theirs = (self._rounds.get((case, name), {}) for name in (peer, other))
        values = [
            ours[number][figure] / theirs[number][figure]
            for number in ours.keys() & theirs.keys()
            if figure in ours[number] and theirs[number].get(figure)
        ]
        return report.Spread.of(values) if values else None

    def _rows(self) -> list[tuple[str, str, str, report.Spread, report.Spread | None, int]]:
        return [
            (case, name, peer, spread, self.ratio(case, name, CASES[case].peers[0], peer), digits)
            for case in CASES
            for name, digits in ((n, f.digits) for n, f in CASES[case].figures.items())
            for peer in CASES[case].peers
            if (spread := self.spread(case, name, peer)) is not None
        ]

    def table(self) -> str:
        """Return a row for each figure and peer."""
        lines: list[tuple[str, ...]] = []
        said: tuple[str, str] | None = None
        for case, name, peer, spread, ratio, digits in self._rows():
            text = "" if said == (case, name) else CASES[case].figures[name].text
            said = (case, name)
            lines.append((text, peer, spread.show(digits), ratio.show(2) if ratio else "-"))
        return report.table(_HEAD, lines)

    def record(self) -> list[dict[str, Any]]:
        """Return all for JSON."""
        return [
            {
                "case": case,
                "figure": name,
                "peer": peer,
                "text": CASES[case].figures[name].text,
                "value": dataclasses.asdict(spread),
                "first_over_this": dataclasses.asdict(ratio) if ratio else None,
                "rounds": [
                    figures.get(name) for _, figures in sorted(self._rounds[case, peer].items())
                ],
            }
            for case, name, peer, spread, ratio, _ in self._rows()
        ]
