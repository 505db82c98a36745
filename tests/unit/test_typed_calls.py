"""`lp.submit` and `run.client`, in a program that runs."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.errors import ContextError, DeadlineExceeded, MethodNotFound, UsageError

WAIT_S = 30.0


class Server:
    def __init__(self) -> None:
        self._release = threading.Event()

    def double(self, number: int, *, plus: int = 0) -> int:
        return 2 * number + plus

    def fail(self) -> None:
        raise ZeroDivisionError("as told")

    def wait(self) -> bool:
        return self._release.wait(WAIT_S)

    def release(self) -> None:
        self._release.set()

    def __call__(self, text: str) -> str:
        return text.upper()


def make_program() -> tuple[lp.Program, Server]:
    program = lp.Program("typed_calls")
    server = program.add_node(lp.CourierNode(Server), label="server")
    program.add_node(lp.PyNode(lp.wait_for_stop), label="waiter")
    return program, server


def test_submitted_calls_give_futures_of_what_the_methods_return() -> None:
    program, handle = make_program()
    with lp.testing.run(program) as t:
        server = t[handle]
        assert lp.submit(server.double, 3, plus=1).result(WAIT_S) == 7
        assert lp.submit(server, "a").result(WAIT_S) == server("a") == "A"
        assert isinstance(lp.submit(server.fail).exception(WAIT_S), ZeroDivisionError)
        waiting = [lp.submit(server.wait) for _ in range(3)]
        assert lp.submit(server.double, 1).result(WAIT_S) == 2
        server.release()
        assert [call.result(WAIT_S) for call in waiting] == [True] * 3


def test_only_methods_of_clients_can_be_submitted() -> None:
    wrong: list[Any] = [Server().double, len, 3]
    for method in wrong:
        with pytest.raises(TypeError, match=r"lp\.submit needs a client's method, such as client"):
            lp.submit(method, 1)


def test_a_client_by_label_takes_settings() -> None:
    program, handle = make_program()
    with lp.testing.run(program) as t:
        hasty = t.run.client("server", call_timeout=dt.timedelta(milliseconds=20))
        with pytest.raises(DeadlineExceeded):
            hasty.wait()
        assert t.run.client("server", 0, call_timeout=0, chunk_tensors=True).double(2) == 4
        t[handle].release()


def test_a_client_that_cannot_be_is_refused_with_what_to_do() -> None:
    program, handle = make_program()
    elsewhere = make_program()[1]
    with lp.testing.run(program) as t:
        client: Callable[..., Any] = t.run.client
        refused: dict[str, Callable[[], object]] = {
            "no group 'servr'": lambda: client("servr"),
            "offers no service": lambda: client("waiter"),
            "no setting 'timeout'; did you mean 'call_timeout'?": lambda: client(
                "server", timeout=1
            ),
            "index and settings go with a label": lambda: client(handle, 1),
            "index and settings go with a label; a handle": lambda: client(handle, compress=True),
            "needs a handle or a group's label, not None": lambda: client(None),
        }
        for text, function in refused.items():
            with pytest.raises(UsageError) as error:
                function()
            assert text in str(error.value)
        with pytest.raises(ContextError, match="belongs to no node of program"):
            client(elsewhere)


def test_a_method_that_is_not_there_is_answered_with_the_nearest_name() -> None:
    program, handle = make_program()
    with lp.testing.run(program) as t:
        server: Any = t[handle]
        calls: list[Callable[[], object]] = [
            lambda: server.duoble(1),
            lambda: server.futures.duoble(1).result(WAIT_S),
        ]
        for call in calls:
            with pytest.raises(MethodNotFound, match=r"duoble.*did you mean 'double'"):
                call()
