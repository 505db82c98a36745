"""What a process counts of its calls, at clients and servers."""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import launchpad_lite as lp
from launchpad_lite import courier
from launchpad_lite.config import ClientConfig
from launchpad_lite.context import process_title
from launchpad_lite.courier import counting, transports
from launchpad_lite.courier.callers import MAX_CALLERS, OTHERS, Callers
from launchpad_lite.courier.messages import Request
from launchpad_lite.courier.metering import metrics
from launchpad_lite.courier.pickle_codec import PickleCodec
from launchpad_lite.courier.transport import ConnectOptions
from tests.unit.courier_bench import CREDENTIALS, PATIENCE_S, Bench, await_collection

ARRAY = np.zeros(10_000)
TIMEOUT = ClientConfig(call_timeout=0.1)


@pytest.fixture(params=["inproc", "unix", "grpc"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    one = Bench(request.param)
    one.run.run_id = f"run-{uuid.uuid4().hex}"  # others' rows are not ours
    yield one
    one.close()


def row(bench: Bench, side: str, method: str, server: str = "server/0") -> courier.CallMetrics:
    (found,) = [
        each
        for each in metrics(bench.run.run_id)
        if (each.side, each.method, each.server) == (side, method, server)
    ]
    return found


def test_both_sides_count_calls_and_bytes(bench: Bench) -> None:
    bench.publish()
    client = bench.client()
    for _ in range(3):
        client.echo(ARRAY)
    client.futures.echo(ARRAY).result(PATIENCE_S)
    for side in ("client", "server"):
        found = row(bench, side, "echo")
        assert (found.calls, found.running, found.waiting, found.errors) == (4, 0, 0, {})
        assert 4 * ARRAY.nbytes < found.bytes_sent < 5 * ARRAY.nbytes
        assert 4 * ARRAY.nbytes < found.bytes_received < 5 * ARRAY.nbytes
        assert sum(found.latency) == 4
        assert found.quantile(0.5) is not None
    assert row(bench, "server", "tag").calls == 0
    assert {each.method for each in metrics(bench.run.run_id) if each.side == "client"} == {"echo"}


def test_errors_are_counted_by_code(bench: Bench) -> None:
    server = bench.publish()

    def work(kind: str) -> None:
        raise {"value": ValueError("no"), "call": lp.ResourceExhausted("full")}[kind]

    server.Bind("work", work)
    client = bench.client()
    for kind, error in (("value", ValueError), ("call", lp.ResourceExhausted)):
        with pytest.raises(error):
            client.work(kind)
        assert isinstance(client.futures.work(kind).exception(PATIENCE_S), error)
    assert row(bench, "server", "work").errors == {"UNKNOWN": 2, "RESOURCE_EXHAUSTED": 2}
    assert row(bench, "client", "work").errors == row(bench, "server", "work").errors


def test_calls_that_run_or_wait_are_told(bench: Bench) -> None:
    bench.publish(threads=1)
    client = bench.client()
    running = client.futures.enter()
    bench.wait_for()
    waiting = [client.futures.echo(1) for _ in range(3)]
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(client.echo, 1)
        while row(bench, "server", "echo").waiting < 4:
            pass
        assert row(bench, "server", "enter").running == 1
        assert row(bench, "client", "enter").running == 1
        assert row(bench, "client", "echo").running == 4
        assert waiting.pop().cancel()
        bench.opened.set()
        for future in (running, *waiting, call):
            future.result(PATIENCE_S)
    found = row(bench, "client", "echo")
    assert (found.calls, found.running, found.errors) == (4, 0, {"CANCELLED": 1})


def test_calls_that_take_too_long_are_errors(bench: Bench) -> None:
    bench.publish()
    client = bench.client(TIMEOUT)
    with pytest.raises(lp.DeadlineExceeded):
        client.enter()
    with pytest.raises(lp.DeadlineExceeded):
        client.futures.enter().result(PATIENCE_S)
    found = row(bench, "client", "enter")
    assert (found.calls, found.running, found.errors) == (2, 0, {"DEADLINE_EXCEEDED": 2})
    bench.opened.set()


def test_the_calls_of_a_pool_count_at_its_members(bench: Bench) -> None:
    for name in ("worker/0", "worker/1"):
        bench.publish(name=name)
    pool = lp.pool([bench.client(name="worker/0"), bench.client(name="worker/1")])
    while not all(member.healthy for member in courier.members(pool)):
        pool.tag()
    for _ in range(10):
        pool.echo(1)
    assert row(bench, "client", "echo", "worker/0").calls == 5
    assert row(bench, "client", "echo", "worker/1").calls == 5


def test_a_stream_is_one_call(bench: Bench) -> None:
    server = bench.publish()

    def count(most: int) -> Iterator[Any]:
        for _ in range(most):
            yield ARRAY
        if most == 1:
            raise ValueError

    server.Bind("count", count)
    client = bench.client()
    with lp.stream(client.count, 100) as values:
        next(values)
        for side in ("client", "server"):
            found = row(bench, side, "count")
            assert (found.calls, found.running, found.errors) == (0, 1, {})
        assert len(list(values)) == 99
    with pytest.raises(ValueError, match=r"^$"):
        list(lp.stream(client.count, 1))
    with lp.stream(client.count, 10**9) as values:
        next(values)
    with pytest.raises(lp.MethodNotFound):
        lp.stream(client.cuont, 3)
    while row(bench, "server", "count").running:  # it hears of the end a little later
        pass
    for side in ("client", "server"):
        found = row(bench, side, "count")
        assert (found.calls, found.running, found.errors) == (3, 0, {"UNKNOWN": 1})
        assert (found.bytes_sent if side == "server" else found.bytes_received) > 101 * ARRAY.nbytes


def test_a_server_counts_each_caller_by_itself(bench: Bench) -> None:
    bench.publish()
    me = process_title()
    bench.client().echo(1)
    endpoint = bench.run.published["server/0"].endpoints[0]
    transport = transports.get(endpoint.partition(":")[0])
    other = transport.connect(endpoint, CREDENTIALS, PATIENCE_S, ConnectOptions(caller="actor/3"))
    request = Request("echo", PickleCodec().encode_arguments((ARRAY,), {}, None, ""))
    for _ in range(2):
        assert other.call(request).ok
    rows = [each for each in metrics(bench.run.run_id) if each.side == "server"]
    told = {(each.caller, each.method): each.calls for each in rows}
    assert told[me, "echo"] == 1
    assert told["actor/3", "echo"] == 2
    assert told["", "tag"] == 0
    other.close()


def test_callers_beyond_so_many_are_counted_together() -> None:
    callers = Callers()
    for number in range(MAX_CALLERS + 2):
        caller = callers.of(f"process {number}")
        assert caller.name == f"process {number}"
        caller.meter["work"].begun += 1
    assert callers.of("process 0").meter["work"].begun == 1
    assert callers.of("another").meter["work"].begun == 2
    names = [name for _, name, _ in callers.stats()]
    assert len(names) == len(set(names)) == MAX_CALLERS + 1
    assert names[-1] == OTHERS
    assert len(callers.of("x" * 1000).name) == 200


def test_counts_go_with_what_was_counted() -> None:
    server = courier.Server()
    server.Bind("echo", lambda value: value)
    server.Start()
    client: Any = courier.Client(server.address)
    address = server.address
    client.echo(1)

    def servers() -> set[str]:
        return {each.server for each in metrics("")}

    assert address in servers()
    peer = weakref.ref(client._peer)  # noqa: SLF001 - whether it is kept
    del client
    server.Stop()
    await_collection(peer)
    assert address not in servers()


class Lister:
    def methods(self, *, internal: bool) -> set[str]:
        return {each.method for each in metrics(internal=internal)}


def test_calls_that_hold_a_run_together_are_shown_on_request() -> None:
    program = lp.Program("metrics")
    handle = program.add_node(lp.CourierNode(Lister), label="lister")
    with lp.testing.run(program, "process") as t:
        shown = t[handle].methods(internal=False)
        assert "methods" in shown
        assert not shown & {"attach", "publish", "report"}
        assert {"methods", "attach", "publish"} <= t[handle].methods(internal=True)
        assert "status" not in {each.method for each in metrics()}


def test_codes_of_exceptions() -> None:
    assert counting.code_of(ValueError()) == "UNKNOWN"
    assert counting.code_of(lp.Unavailable("gone", maybe_executed=True)) == "UNAVAILABLE"
