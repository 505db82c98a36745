"""What comes of the rounds: medians, ratios of peers, one table; and what was wanted."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.window import Figures

OURS = "ours"

_HEAD = ("work", "who", "median (least to greatest)", "ratio: first / this")


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure of a case.

    Attributes:
      text: what it is, with its unit.
      digits: behind the point.
    """

    text: str
    digits: int = 0


@dataclasses.dataclass(frozen=True)
class Case:
    """What is measured together.

    Attributes:
      figures: by name.
      peers: who is measured; ratios are over the first.
    """

    figures: dict[str, Figure]
    peers: tuple[str, ...]


class _Row(NamedTuple):
    """A line of the table; `ratio` is the first peer's figure over this one's."""

    case: str
    key: str
    figure: Figure
    peer: str
    value: report.Spread
    ratio: report.Spread | None


class Results:
    """The figures of all rounds."""

    def __init__(self, cases: Mapping[str, Case]) -> None:
        """Begin without figures."""
        self._cases = cases
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

    def _rows(self) -> Iterator[_Row]:
        for name, case in self._cases.items():
            for key, figure in case.figures.items():
                for peer in case.peers:
                    spread = self.spread(name, key, peer)
                    if spread is not None:
                        ratio = self.ratio(name, key, case.peers[0], peer)
                        first = peer == case.peers[0]
                        yield _Row(name, key, figure, peer, spread, None if first else ratio)

    def table(self) -> str:
        """Return a row for each figure and peer."""
        lines: list[tuple[str, ...]] = []
        for _, rows in itertools.groupby(self._rows(), key=lambda row: (row.case, row.key)):
            for number, row in enumerate(rows):
                ratio = "-" if row.ratio is None else row.ratio.show(2)
                value = row.value.show(row.figure.digits)
                lines.append(("" if number else row.figure.text, row.peer, value, ratio))
        return report.table(_HEAD, lines)

    def record(self) -> list[dict[str, Any]]:
        """Return all for JSON."""
        return [
            {
                "case": row.case,
                "figure": row.key,
                "peer": row.peer,
                "text": row.figure.text.strip(),
                "value": dataclasses.asdict(row.value),
                "first_over_this": None if row.ratio is None else dataclasses.asdict(row.ratio),
                "rounds": {
                    number: figures.get(row.key)
                    for number, figures in self._rounds[row.case, row.peer].items()
                },
            }
            for row in self._rows()
        ]


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A figure of ours, or its ratio to that of a peer in the same round.

    Attributes:
      text: what is wanted, without the peer.
      figure: the case and the figure.
      limit: of the value.
      over: the peer; None for the figure alone, which the worst round must reach.
      at_least: the value must not be below the limit, rather than not above it.
      who: which of ours.
      unit: of a figure alone.
    """

    text: str
    figure: tuple[str, str]
    limit: float
    over: str | None = None
    at_least: bool = False
    who: str = OURS
    unit: str = ""

    def check(self, results: Results) -> report.Aim | None:
        """Return the aim with what was measured; None where it was not."""
        if self.over is None:
            text, spread = self.text, results.spread(*self.figure, self.who)
        else:
            text = f"{self.text}: {self.who} / {self.over}"
            spread = results.ratio(*self.figure, self.who, self.over)
        if spread is None:
            return None
        worst = spread.low if self.at_least else spread.high
        value = worst if self.over is None else spread.median
        return report.Aim(text, value, self.limit, self.unit, at_least=self.at_least)
