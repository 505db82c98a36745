"""Which node a thread belongs to, and which run the handles it holds are of."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pytest

from launchpad_lite import context, launching
from launchpad_lite.address import Address
from launchpad_lite.context import Context, bind, get_context
from launchpad_lite.errors import ContextError
from tests.unit.fake_scope import FakeScope, fake_context

T = TypeVar("T")
WAIT_S = 30.0


def in_thread(function: Callable[[], T]) -> T:
    """What `function` returns or raises in a new thread."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(WAIT_S)
    return future.result(0)


def as_node(node: Context, function: Callable[[], T]) -> T:
    """What `function` returns in a thread that runs `node`, as under the thread launcher."""

    def run() -> T:
        with context.running(node, whole_process=False):
            return function()

    return in_thread(run)


def name() -> str:
    return get_context().name


@contextmanager
def whole_process(node: Context) -> Generator[None]:
    with context.running(node, whole_process=True):
        yield


def test_a_node_knows_itself() -> None:
    node = fake_context(label="actor", index=2)
    assert as_node(node, get_context) is node
    assert (node.name, node.group_size, node.program) == ("actor/2", 3, "program")


def test_a_thread_of_nobody_is_told_what_to_do() -> None:
    for function in (get_context, lambda: bind(name), launching.wait_for_stop):
        with pytest.raises(ContextError, match=r"belongs to no running node.*lp\.bind\(function\)"):
            in_thread(function)


def test_threads_belong_to_the_node_that_started_them() -> None:
    a, b = fake_context(label="a"), fake_context(label="b")

    def names() -> list[str]:
        with ThreadPoolExecutor(1) as pool:
            deep = in_thread(lambda: in_thread(name))
            return [name(), in_thread(name), deep, pool.submit(name).result(WAIT_S)]

    ready = threading.Barrier(2, timeout=WAIT_S)

    def beside_the_other() -> list[str]:
        ready.wait()
        found = names()
        ready.wait()
        return found

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(as_node, node, beside_the_other) for node in (a, b)]
        assert [future.result(WAIT_S) for future in futures] == [["a/0"] * 4, ["b/0"] * 4]


def test_a_timer_belongs_to_the_node_that_started_it() -> None:
    def wait_for_timer() -> str:
        future: Future[str] = Future()
        timer = threading.Timer(0, lambda: future.set_result(name()))
        timer.start()
        timer.join(WAIT_S)
        return future.result(0)

    assert as_node(fake_context(label="a"), wait_for_timer) == "a/0"


def test_a_subclass_with_its_own_start_belongs_to_its_starter() -> None:
    class Own(threading.Thread):
        found = ""

        def start(self) -> None:
            super().start()

        def run(self) -> None:
            self.found = name()

    def start() -> str:
        thread = Own()
        thread.start()
        thread.join(WAIT_S)
        return thread.found

    assert as_node(fake_context(label="a"), start) == "a/0"


def test_tasks_belong_to_the_node_whose_loop_runs_them() -> None:
    async def task() -> tuple[str, str]:
        return name(), await asyncio.to_thread(name)

    async def main() -> list[tuple[str, str]]:
        return list(await asyncio.gather(task(), task()))

    found = as_node(fake_context(label="a"), lambda: asyncio.run(main()))
    assert found == [("a/0", "a/0")] * 2


def test_a_bound_function_runs_as_the_node_that_bound_it() -> None:
    def describe(prefix: str, *, suffix: str = "") -> str:
        """Say who it is."""
        return prefix + name() + suffix

    bound = as_node(fake_context(label="a"), lambda: bind(describe))
    assert bound.__doc__ == "Say who it is."
    assert bound("<", suffix=">") == "<a/0>"
    assert in_thread(lambda: bound("-")) == "-a/0"
    assert as_node(fake_context(label="b"), lambda: (bound(""), name())) == ("a/0", "b/0")
    with pytest.raises(ContextError):
        in_thread(name)


def test_a_bound_function_that_raises_gives_the_thread_back() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    bound = as_node(fake_context(label="a"), lambda: bind(fail))

    def call() -> str:
        with pytest.raises(ZeroDivisionError):
            bound()
        return name()

    assert as_node(fake_context(label="b"), call) == "b/0"


def test_with_one_node_in_the_process_every_thread_belongs_to_it() -> None:
    release = threading.Event()
    future: Future[str] = Future()

    def started_before() -> None:
        release.wait(WAIT_S)
        future.set_result(name())

    thread = threading.Thread(target=started_before)
    thread.start()
    with whole_process(fake_context(label="only")):
        release.set()
        assert future.result(WAIT_S) == "only/0"
        assert contextvars.Context().run(name) == "only/0"
        assert in_thread(name) == "only/0"
    thread.join(WAIT_S)
    with pytest.raises(ContextError):
        name()


def test_a_thread_of_ours_can_be_given_to_a_node() -> None:
    node = fake_context(label="a")

    def adopt() -> str:
        context.adopt(node)
        return name()

    assert in_thread(adopt) == "a/0"


def test_threads_are_followed_only_while_a_node_runs() -> None:
    original = threading.Thread.start
    nodes = [fake_context(label=label) for label in "ab"]

    def inner() -> bool:
        as_node(nodes[1], name)
        return threading.Thread.start is not original

    assert as_node(nodes[0], inner)
    assert threading.Thread.start is original


def test_a_patch_of_somebody_else_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[threading.Thread] = []
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.start)  # put back at the end

    def patch() -> str:
        ours = threading.Thread.start

        def theirs(thread: threading.Thread) -> None:
            started.append(thread)
            ours(thread)

        monkeypatch.setattr(threading.Thread, "start", theirs)
        return in_thread(name)

    assert as_node(fake_context(label="a"), patch) == "a/0"
    as_node(fake_context(label="b"), lambda: None)
    assert len(started) == 2
    assert as_node(fake_context(label="c"), lambda: in_thread(name)) == "c/0"


def test_the_living_threads_of_a_run_are_known() -> None:
    node = fake_context(FakeScope("the run"), label="a")
    release = threading.Event()

    def start() -> threading.Thread:
        thread = threading.Thread(target=release.wait, args=(WAIT_S,))
        thread.start()
        return thread

    thread = as_node(node, start)
    assert context.threads_of("the run") == [thread]
    assert context.threads_of("another run") == []
    release.set()
    thread.join(WAIT_S)
    assert context.threads_of("the run") == []


# Runs.


@pytest.fixture
def runs() -> Generator[list[FakeScope]]:
    """Two runs of one program, as the process sees them that launched both."""
    address = Address("shared")
    scopes = [FakeScope(f"run-{i}", {address: "server/0", Address(str(i)): "x/0"}) for i in "01"]
    for scope in scopes:
        context.add_run(scope)
    yield scopes
    for scope in scopes:
        context.remove_run(scope)


def addresses(scope: FakeScope) -> list[Address]:
    return list(scope.names)


def test_a_handle_is_resolved_in_the_run_that_has_it(runs: list[FakeScope]) -> None:
    for scope in runs:
        assert context.scope_for(addresses(scope)[1]) is scope


def test_a_handle_that_fits_several_runs_must_be_asked_of_one(runs: list[FakeScope]) -> None:
    shared = addresses(runs[0])[0]
    with pytest.raises(
        ContextError, match=r"Address\(shared, made at .*:\d+\) fits 2 runs .* run\.client\(handle"
    ):
        context.scope_for(shared)
    with pytest.raises(ContextError, match=r"the call fits 2 runs"):
        context.scope_for()
    with context.entered(runs[1]):
        assert context.scope_for(shared) is runs[1]


def test_a_handle_of_no_run_says_what_to_do(runs: list[FakeScope]) -> None:
    with pytest.raises(
        ContextError, match=r"Address\(mine, made at .*\) belongs to no run .* lp\.launch\("
    ):
        context.scope_for(Address("mine"))


def test_a_node_resolves_in_its_own_run_even_beside_others(runs: list[FakeScope]) -> None:
    node = fake_context(FakeScope("own"))
    assert as_node(node, lambda: context.scope_for(addresses(runs[0])[0])) is node.scope


def test_stop_reaches_the_run_of_the_caller_and_no_other(runs: list[FakeScope]) -> None:
    own = FakeScope("own")
    as_node(fake_context(own, label="a"), launching.stop)
    as_node(fake_context(own, label="a"), lambda: in_thread(launching.stop))
    assert own.stop_reasons == ["node a/0 called lp.stop()"] * 2
    assert [scope.stop_reasons for scope in runs] == [[], []]
    with pytest.raises(ContextError, match=r"lp\.stop\(\) fits 2 runs .* say which: run\.stop\(\)"):
        launching.stop()


def test_stop_from_outside_reaches_the_only_run() -> None:
    scope = FakeScope()
    context.add_run(scope)
    try:
        launching.stop()
    finally:
        context.remove_run(scope)
    assert scope.stop_reasons == ["the launching process called lp.stop()"]
    with pytest.raises(ContextError, match=r"lp\.stop\(\) belongs to no run .* then run\.stop\(\)"):
        launching.stop()


def test_what_users_ask_about_stopping_works_in_any_thread_of_a_node() -> None:
    scope = FakeScope()
    told: list[str] = []

    def ask() -> tuple[bool, bool, float | None]:
        launching.register_stop_handler(lambda: told.append(name()))
        forgotten = told.clear
        launching.register_stop_handler(forgotten)
        launching.unregister_stop_handler(forgotten)
        return (
            launching.stop_event().is_set(),
            launching.wait_for_stop(timeout_secs=0),
            launching.seconds_left(),
        )

    node = fake_context(scope, label="a")
    assert as_node(node, ask) == (False, False, None)
    assert as_node(node, lambda: in_thread(ask)) == (False, False, None)
    as_node(node, lambda: scope.stop.notice(100.0, "so"))
    assert told == ["a/0", "a/0"]
    event, waited, left = as_node(node, ask)
    assert (event, waited) == (True, True)
    assert left is not None
    assert 0 < left <= 100
