"""Shows workers' log files on a terminal as they grow: each line whole, behind its node's name."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import zlib
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterable, Mapping

INTERVAL_S = 0.05
COLORS = ("auto", "always", "never")
_NOT_BUSY = contextlib.nullcontext(enter_result=True)
_COLOURS = (32, 33, 34, 35, 36, 92, 93, 94, 95, 96)


class Busy(Protocol):
    """What may have the terminal for a while."""

    def idle(self) -> contextlib.AbstractContextManager[bool]:
        """Tell whether it has not; if so, it does not get it inside this block."""
        ...


class LinePrinter:
    """Writes what comes of logs to one stream, in whole lines, each behind its node's name."""

    def __init__(
        self,
        names: Iterable[str],
        stream: IO[str],
        *,
        prefixes: bool = True,
        color: str = "auto",
    ) -> None:
        """Begin.

        Args:
          names: the nodes'.
          stream: where the lines go.
          prefixes: whether each line begins with its node's name.
          color: one of `COLORS`; `auto` colours names when the stream is a terminal or FORCE_COLOR
            is set, unless NO_COLOR is.
        """
        self._stream = stream
        colour = color == "always" or (color == "auto" and _wants_colour(stream))
        self._prefixes = {name: _prefix(name, colour=colour) if prefixes else "" for name in names}
        self._partial = dict.fromkeys(self._prefixes, b"")

    def take(self, name: str, data: bytes) -> None:
        """Write the lines that a log's next piece completes."""
        *lines, rest = (self._partial[name] + data).split(b"\n")
        self._partial[name] = rest
        self._write(name, lines)

    def finish(self) -> None:
        """Write what has come of lines that nobody completes."""
        for name, rest in self._partial.items():
            if rest:
                self._write(name, [rest])

    def _write(self, name: str, lines: list[bytes]) -> None:
        prefix = self._prefixes[name]
        text = "".join(f"{prefix}{line.decode(errors='replace')}\n" for line in lines)
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        with contextlib.suppress(OSError, ValueError):  # a terminal that was closed
            self._stream.write(text)
            self._stream.flush()


class LogViewer:
    """Follows log files and has their lines written, in a thread."""

    def __init__(
        self,
        logs: Mapping[str, pathlib.Path],
        printer: LinePrinter,
        *,
        busy: Busy | None = None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        """Prepare; `start` begins.

        Args:
          logs: the log file of each node, by name; they need not exist yet.
          printer: writes the lines.
          busy: while it has the terminal, nothing is shown.
          interval_s: seconds between two looks at the files.
        """
        self._logs = dict(logs)
        self._printer = printer
        self._positions = dict.fromkeys(logs, 0)
        self._ending = threading.Event()
        self._busy = busy
        self._interval_s = interval_s
        self._thread = threading.Thread(target=self._run, name="lp-logs", daemon=True)

    def start(self) -> None:
        """Begin to show lines."""
        self._thread.start()

    def stop(self) -> None:
        """Show what is left, and end."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(self._interval_s):
            with self._busy.idle() if self._busy else _NOT_BUSY as idle:
                if idle:
                    self.show()
        self.show()
        self._printer.finish()

    def show(self) -> None:
        """Show the whole lines that have come since the last time."""
        for name, path in self._logs.items():
            with contextlib.suppress(OSError):
                if os.stat(path).st_size > self._positions[name]:  # noqa: PTH116 - every 50 ms
                    self._show_one(name, path)

    def _show_one(self, name: str, path: pathlib.Path) -> None:
        with path.open("rb") as file:
            file.seek(self._positions[name])
            data = file.read()
        self._positions[name] += len(data)
        self._printer.take(name, data)


def _wants_colour(stream: IO[str]) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def _prefix(name: str, *, colour: bool) -> str:
    if not colour:
        return f"[{name}] "
    group = name.rpartition("/")[0]
    code = _COLOURS[zlib.crc32(group.encode()) % len(_COLOURS)]
    return f"\x1b[1;{code}m[{name}] \x1b[0;0m"


def standard_output() -> IO[str]:
    """Return where the launching process prints, or the real one when that was replaced."""
    return sys.stdout or sys.__stdout__ or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123
