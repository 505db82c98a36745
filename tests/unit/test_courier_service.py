"""What a service does with calls that there is no room for."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from launchpad_lite.config import ServerConfig
from launchpad_lite.courier import codec, failures
from launchpad_lite.courier.call import ServerCall
from launchpad_lite.courier.messages import Reply, Request
from launchpad_lite.courier.service import MethodService
from launchpad_lite.courier.transport import Where
from launchpad_lite.credentials import Credentials
from launchpad_lite.errors import DeadlineExceeded

PATIENCE_S = 30.0


class Call(ServerCall):
    """A call that keeps its answer."""

    def __init__(self, service: MethodService, method: str) -> None:
        super().__init__(Request(method, codec.encode(((),))), service.caller("tester"))
        self.answered = threading.Event()
        self.reply: Reply | None = None

    def answer(self, reply: Reply) -> None:
        self.reply = reply
        self.answered.set()

    def refuse(self) -> None:
        self.answered.set()


@pytest.fixture
def service() -> Iterator[MethodService]:
    """One call at a time, and one that waits."""
    config = ServerConfig(thread_pool_size=1, max_waiting_calls=1)
    one = MethodService("server", Credentials.create(tls=False), config, None, None)
    yield one
    one.refuse()
    one.join(PATIENCE_S)


def test_a_call_that_is_given_up_outside_a_full_queue_never_begins(service: MethodService) -> None:
    opened, entered = threading.Event(), threading.Semaphore(0)

    def enter() -> None:
        entered.release()
        opened.wait(PATIENCE_S)

    service.bind("enter", enter)
    running, waiting, outside = (Call(service, "enter") for _ in range(3))
    assert service.begin(running, Where.ELSEWHERE)
    assert service.begin(waiting, Where.ELSEWHERE)
    assert not service.begin(outside, Where.ELSEWHERE)  # its listener holds it
    outside.cancel()
    opened.set()
    assert running.answered.wait(PATIENCE_S)
    assert waiting.answered.wait(PATIENCE_S)
    assert service.begin(outside, Where.ELSEWHERE)
    assert outside.answered.wait(PATIENCE_S)
    assert outside.reply is not None
    error = failures.decode_failure(outside.reply.content, None)
    assert isinstance(error, DeadlineExceeded)
    assert "enter was not called: its caller had given up" in str(error)
    assert [entered.acquire(blocking=False) for _ in range(3)] == [True, True, False]
