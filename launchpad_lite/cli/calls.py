"""The table of `lp-launch status RUN --calls`: who calls what, how often and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchpad_lite import tables

if TYPE_CHECKING:
    from launchpad_lite.metrics import CallMetrics
    from launchpad_lite.runtime.measuring import RunMetrics

_HEADER = (
    *(
        "NODE",
        "SIDE",
        "SERVER.METHOD",
        "CALLER",
        "CALLS",
        "RUNNING",
        "WAITING",
        "ERRORS",
        "SENT",
        "RECEIVED",
    ),
    *("P50", "P99"),
)
_STEP = 1000


def describe(metrics: RunMetrics) -> str:
    """Return the table, and who is missing in it."""
    lines: list[str] = []
    if metrics.calls:
        lines.append(tables.table([_HEADER, *map(_row, metrics.calls)]))
    else:
        lines.append("no calls")
    if metrics.silent:
        lines.append(f"did not answer: {', '.join(metrics.silent)}")
    return "\n".join(lines)


def _row(row: CallMetrics) -> tuple[str, ...]:
    errors = ", ".join(f"{count} {code}" for code, count in sorted(row.errors.items()))
    return (
        row.node or "(launcher)",
        row.side,
        f"{row.server}.{row.method}",
        (row.caller or "-") if row.side == "server" else "-",
        str(row.calls),
        str(row.running),
        str(row.waiting) if row.side == "server" else "-",
        errors or "-",
        _scaled(row.bytes_sent, ("B", "kB", "MB", "GB", "TB")),
        _scaled(row.bytes_received, ("B", "kB", "MB", "GB", "TB")),
        _time(row.quantile(0.5)),
        _time(row.quantile(0.99)),
    )


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"<{_scaled(round(seconds * 1e6), ('µs', 'ms', 's'))}"


def _scaled(amount: float, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        if amount < _STEP:
            return f"{amount:.3g} {unit}"
        amount /= _STEP
    return f"{amount:.3g} {units[-1]}"
