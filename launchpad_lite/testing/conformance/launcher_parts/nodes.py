"""The nodes of the launcher suite, in a module of their own: workers import it, without pytest."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from launchpad_lite import launching
from launchpad_lite.context import bind, get_context
from launchpad_lite.courier.typed import submit
from launchpad_lite.errors import Unavailable

if TYPE_CHECKING:
    from launchpad_lite.courier.server import Server

TEXT_FLAG = flags.DEFINE_string("lp_conformance_text", "unset", "A flag for the launcher suite.")
PATIENCE_S = 60.0
"""Seconds after which something that a test waits for has gone wrong."""


class ConformanceError(Exception):
    """An exception with an attribute, and a constructor that takes two arguments."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text, code)
        self.code = code


def note(path: Path, text: str) -> None:
    """Append a line to a file; other nodes may do so at the same time."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)


# --- servers ---


class Echo:
    """Answers."""

    def echo(self, value: Any) -> Any:
        return value

    def who(self) -> str:
        return get_context().name

    def make(self, size: int) -> list[bytes]:
        return [bytes(size)]

    def add_one(self, array: Any) -> Any:
        array += 1
        return array

    def fail(self, code: int) -> None:
        raise ConformanceError("no", code)

    def exit(self) -> None:
        sys.exit(3)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def stop(self) -> None:
        launching.stop()


class StartsAtOnce(Echo):
    """Starts its server itself, as soon as it has it."""

    def set_courier_server(self, server: Server) -> None:
        server.Start()


class StartsInRun(Echo):
    """Starts its server in `run`, and perhaps stops it again."""

    def __init__(self, starts: bool, stops: bool) -> None:  # noqa: FBT001 - the suite's own
        self._starts, self._stops = starts, stops
        self._asked = threading.Event()

    def set_courier_server(self, server: Server) -> None:
        self._server = server

    def finish(self) -> None:
        self._asked.set()

    def run(self) -> None:
        if self._starts:
            self._server.Start()
            self._asked.wait(PATIENCE_S)
        if self._stops:
            self._server.Stop()


class Runner(Echo):
    """A server that nobody is to call `run` of."""

    def run(self) -> None:
        raise AssertionError("run was called")


class Meeting:
    """Lets calls go on when so many are there."""

    def __init__(self, size: int) -> None:
        self._barrier = threading.Barrier(size)

    def meet(self) -> str:
        self._barrier.wait(PATIENCE_S)
        return get_context().name


class Board:
    """Keeps what nodes write on it."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._changed = threading.Condition()

    def write(self, text: str) -> None:
        with self._changed:
            self._texts.append(text)
            self._changed.notify_all()

    def read(self) -> list[str]:
        return self._texts

    def wait_for(self, text: str) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: text in self._texts, PATIENCE_S)


class Relay:
    """Holds a client, and hands it on."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo

    def ask(self, echo: Echo) -> str:
        return f"{get_context().name} asked {echo.who()}"

    def hand_to(self, other: Relay) -> str:
        return other.ask(self._echo)

    def target(self) -> Echo:
        return self._echo


@dataclasses.dataclass(frozen=True)
class Bundle:
    first: Echo
    rest: dict[str, list[Echo]]


class Wrapper:
    def __init__(self, echo: Echo) -> None:
        self.echo = echo


class Collector:
    """Takes handles in all kinds of containers."""

    def __init__(
        self, bundle: Bundle, pair: tuple[Echo, int], nested: dict[str, Any], wrapper: Wrapper
    ) -> None:
        self._echoes = [bundle.first, *bundle.rest["more"], pair[0], nested["x"][0]["y"]]
        self._echoes.append(wrapper.echo)

    def collect(self) -> list[str]:
        return [echo.who() for echo in self._echoes]


class Ping:
    """One of two nodes that call each other."""

    def __init__(self, other: Ping) -> None:
        self._other = other

    def count_down(self, number: int) -> list[str]:
        below = self._other.count_down(number - 1) if number else []
        return [get_context().name, *below]


class Never(Echo):
    """Never comes up."""

    def __init__(self) -> None:
        launching.wait_for_stop()
        sys.exit()


class Caller:
    """Calls a node, and tells what came of it."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo

    def error_of_call(self) -> str:
        try:
            self._echo.echo(1)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""


class Threads:
    """Says which node helper threads belong to."""

    def names(self) -> list[str]:
        found: list[str] = []

        def look() -> None:
            found.append(get_context().name)

        bound = bind(look)
        inner = threading.Thread(target=look)
        for target in (look, bound, inner.start):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        inner.join()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(look).result()
        return found


class Facts:
    """Tells a node's context and surroundings."""

    def context(self) -> dict[str, Any]:
        context = get_context()
        names = ("program", "label", "index", "group_size", "run_id", "seed", "name")
        return {name: getattr(context, name) for name in names}

    def flag(self) -> str:
        return TEXT_FLAG.value or ""

    def variable(self, name: str) -> str | None:
        return os.environ.get(name)

    def process(self) -> int:
        return os.getpid()


class Counter:
    """Can be saved and restored."""

    def __init__(self) -> None:
        self._value = 0

    def add(self, number: int) -> int:
        self._value += number
        return self._value

    def save(self, path: str) -> None:
        Path(path).write_text(str(self._value), encoding="utf-8")

    def restore(self, path: str) -> None:
        self._value = int(Path(path).read_text(encoding="utf-8"))


class RunningCounter(Counter):
    """The same, with something of its own to do."""

    def run(self) -> None:
        launching.wait_for_stop()


class SlowCounter(Counter):
    """One that takes its time to save."""

    def save(self, path: str) -> None:
        time.sleep(0.5)
        super().save(path)


class Finite(Echo):
    """Serves until it is told to finish."""

    def __init__(self) -> None:
        self._finished = threading.Event()

    def finish(self) -> None:
        self._finished.set()

    def run(self) -> None:
        self._finished.wait(PATIENCE_S)


# --- nodes that run ---


class StopsInRun:
    def run(self) -> None:
        launching.stop()


class StopsInThread:
    def run(self) -> None:
        thread = threading.Thread(target=launching.stop)
        thread.start()
        thread.join()
        launching.wait_for_stop()


def write(board: Board, text: str) -> None:
    """Write on the board, and end."""
    board.write(text)


def forever(board: Board) -> None:
    """Never ask whether the run stops."""
    board.write("up")
    while True:
        time.sleep(0.01)


def wait_in_call(never: Never, board: Board) -> None:
    """Wait in a call that nobody will answer."""
    board.write("up")
    never.who()


def heed(board: Board, path: Path) -> None:
    """Use each way to learn that the run stops."""
    note(path, f"early wait {launching.wait_for_stop(0.01)}")
    note(path, f"early seconds {launching.seconds_left()}")
    event = launching.stop_event()
    note(path, f"early event {event.is_set()}")
    board.write("up")
    stops = event.wait(PATIENCE_S) and launching.wait_for_stop(0) and launching.wait_for_stop()
    left = launching.seconds_left()
    note(path, f"stops {stops}, in time {left is not None and 0 < left < PATIENCE_S}")
    board.write("late")
    note(path, f"board {board.read()}")


def handle_stop(board: Board, path: Path) -> None:
    """Register stop handlers, one of them in vain, and do not wait for them to end."""
    returned = threading.Event()

    def slow() -> None:
        returned.wait(PATIENCE_S)
        time.sleep(0.2)  # the node would be gone by now if it did not wait for its handlers
        note(path, f"slow handler of {get_context().name}, board {board.read()}")

    def forgotten() -> None:
        note(path, "forgotten handler")

    launching.register_stop_handler(slow)
    launching.register_stop_handler(forgotten)
    launching.unregister_stop_handler(forgotten)
    board.write("up")
    try:
        launching.wait_for_stop()
    finally:
        returned.set()


def stop_when_asked(board: Board, echo: Echo) -> None:
    """Stop the run after another node has done so much."""
    board.wait_for("go")
    submit(echo.echo, 1).result()
    launching.stop()


def call_until_gone(finite: Finite, board: Board) -> None:
    """Call a node until it is gone, and tell how that shows."""
    try:
        while True:
            finite.echo(1)
    except Unavailable as error:
        board.write(f"{error}")
