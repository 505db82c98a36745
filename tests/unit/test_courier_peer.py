"""Clients of a run: they find servers by name, and find them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from launchpad_lite.config import ClientConfig
from launchpad_lite.courier.named_peer import NamedPeer
from launchpad_lite.courier.transport import DEFAULT_CONNECT_OPTIONS
from launchpad_lite.courier.typed import stream
from launchpad_lite.endpoint import EndpointRecord, host_id
from launchpad_lite.errors import DeadlineExceeded, NotAuthenticated, Stopped, Unavailable
from tests.unit.courier_bench import PATIENCE_S, Bench
from tests.unit.fake_scope import FakeScope

SHORT_S = 0.1

NO_WAIT = ClientConfig(wait_for_ready=False)


@pytest.fixture(params=["inproc", "unix", "grpc"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    one = Bench(request.param)
    yield one
    one.close()


@pytest.fixture
def unix() -> Iterator[Bench]:
    one = Bench("unix")
    yield one
    one.close()


def test_clients_wait_until_the_server_is_published(bench: Bench) -> None:
    client = bench.client()
    future = client.futures.echo(np.ones(3))
    with ThreadPoolExecutor(2) as threads:
        call = threads.submit(client.echo, 2)
        bench.publish()
        assert future.result(PATIENCE_S).sum() == 3
        assert call.result(PATIENCE_S) == 2
    assert repr(client) == "<courier.Client of server/0>"


def test_without_waiting_an_unpublished_server_is_unavailable(bench: Bench) -> None:
    client = bench.client(NO_WAIT)
    with pytest.raises(Unavailable, match="not up yet: failed to connect to all addresses"):
        client.echo(1)
    assert isinstance(client.futures.echo(1).exception(PATIENCE_S), Unavailable)
    bench.publish()
    assert client.echo(1) == client.futures.echo(1).result(PATIENCE_S) == 1


def test_who_does_not_wait_is_not_held_up_by_who_does(bench: Bench) -> None:
    patient, impatient = bench.client(), bench.client(NO_WAIT)
    future = patient.futures.echo(1)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(patient.echo, 2)
        for _ in range(3):
            with pytest.raises(Unavailable):
                impatient.echo(3)
            assert isinstance(impatient.futures.echo(4).exception(PATIENCE_S), Unavailable)
        bench.publish()
        assert future.result(PATIENCE_S) == 1
        assert call.result(PATIENCE_S) == 2


@pytest.mark.parametrize("patient_first", [True, False])
def test_futures_of_one_server_have_deadlines_of_their_own(
    unix: Bench, patient_first: bool
) -> None:
    quick = unix.client(ClientConfig(call_timeout=SHORT_S))
    limited = unix.client(ClientConfig(call_timeout=PATIENCE_S))
    patient = unix.client()
    order = [patient, limited, quick] if patient_first else [quick, limited, patient]
    futures = {client: client.futures.echo(1) for client in order}
    assert isinstance(futures[quick].exception(PATIENCE_S), DeadlineExceeded)
    assert not futures[limited].done()
    assert not futures[patient].done()
    unix.publish()
    assert futures[limited].result(PATIENCE_S) == 1
    assert futures[patient].result(PATIENCE_S) == 1


def test_a_sync_call_has_its_own_deadline_too(unix: Bench) -> None:
    patient = unix.client()
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(patient.echo, 1)
        with pytest.raises(DeadlineExceeded):
            unix.client(ClientConfig(call_timeout=SHORT_S)).echo(1)
        unix.publish()
        assert call.result(PATIENCE_S) == 1


def test_a_restarted_server_is_found_again(bench: Bench) -> None:
    first = bench.publish("first")
    client, futures_only = bench.client(), bench.client()
    assert client.tag() == "first"
    assert futures_only.futures.tag().result(PATIENCE_S) == "first"
    first.Stop()
    early = futures_only.futures.tag()
    second = bench.publish("second")
    second.Bind("new", lambda: "new")
    assert early.result(PATIENCE_S) == "second"
    assert client.new() == "new"
    assert client.tag() == "second"
    assert futures_only.futures.tag().result(PATIENCE_S) == "second"


def test_calls_that_have_begun_end_on_the_old_server(bench: Bench) -> None:
    first = bench.publish("first")
    client = bench.client()
    running = client.futures.enter(1)
    bench.wait_for()
    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(client.enter, 2)
        bench.wait_for()
        stopping = threads.submit(first.Stop, PATIENCE_S)
        bench.publish("second")
        while client.tag() != "second":  # the old one may still take calls for a moment
            assert not stopping.done()
        assert client.futures.tag().result(PATIENCE_S) == "second"
        assert not running.done()
        assert not waiting.done()
        bench.opened.set()
        assert running.result(PATIENCE_S) == 1
        assert waiting.result(PATIENCE_S) == 2
        stopping.result(PATIENCE_S)


def test_new_calls_leave_a_server_that_has_a_successor(bench: Bench) -> None:
    first = bench.publish("first")
    first.Bind("count", lambda: iter(range(3)))
    client, other = bench.client(), bench.client()
    running = client.futures.enter(1)
    values = stream(client.count)
    assert next(values) == 0
    bench.wait_for()
    bench.publish("second")  # the first goes on, as one that is stopped or cut off does
    assert client.tag() == "second"
    assert client.futures.tag().result(PATIENCE_S) == "second"
    assert other.tag() == "second"
    assert not running.done()
    bench.opened.set()
    assert running.result(PATIENCE_S) == 1
    assert list(values) == [1, 2]
    bench.run.move("server/0", *bench.run.published["server/0"].endpoints)
    assert client.tag() == "second"


def test_a_successor_that_comes_while_a_client_connects(bench: Bench) -> None:
    bench.publish("first")
    second = bench.serve("second")
    bench.run.once_found.append(lambda: bench.run.move("server/0", *second.endpoints))
    assert bench.client().tag() == "second"


def test_calls_that_have_not_begun_move_to_the_new_server(bench: Bench) -> None:
    first = bench.publish("first", threads=1)
    client = bench.client()
    running = client.futures.enter(1)
    bench.wait_for()
    with ThreadPoolExecutor(2) as threads:
        futures = [client.futures.tag() for _ in range(5)]
        call = threads.submit(client.tag)
        bench.publish("second")
        stopping = threads.submit(first.Stop, PATIENCE_S)
        assert [future.result(PATIENCE_S) for future in futures] == ["second"] * 5
        assert call.result(PATIENCE_S) == "second"
        assert not running.done()
        bench.opened.set()
        assert running.result(PATIENCE_S) == 1
        stopping.result(PATIENCE_S)


@pytest.mark.parametrize("scheme", ["unix", "inproc"])
def test_an_array_that_was_not_copied_is_not_sent_again(scheme: str) -> None:
    """On unix its memory is the user's, who may have changed it; in a process it was copied."""
    bench = Bench(scheme)
    first = bench.publish("first", threads=1)
    client = bench.client()
    running = client.futures.enter(1)
    bench.wait_for()
    array = np.zeros(2**12)
    future = client.futures.echo(array)
    array += 7
    bench.publish("second")
    with ThreadPoolExecutor(1) as threads:
        stopping = threads.submit(first.Stop, PATIENCE_S)
        if scheme == "unix":
            error = future.exception(PATIENCE_S)
            assert isinstance(error, Unavailable)
            assert not error.maybe_executed
        else:
            assert not future.result(PATIENCE_S).any()
        bench.opened.set()
        stopping.result(PATIENCE_S)
    assert running.result(PATIENCE_S) == 1
    bench.close()


def test_the_end_of_the_run_wakes_all_who_wait(bench: Bench) -> None:
    bench.publish()
    client, missing = bench.client(), bench.client(name="missing/0")
    with ThreadPoolExecutor(3) as threads:
        waiting = [
            client.futures.enter(),
            threads.submit(client.enter),
            missing.futures.echo(1),
            threads.submit(missing.echo, 1),
            threads.submit(missing.echo, 2),
        ]
        bench.wait_for(2)
        bench.run.stop.close()
        for call in waiting:
            assert isinstance(call.exception(PATIENCE_S), Stopped)
        bench.opened.set()
    for late in (client, missing):
        with pytest.raises(Stopped):
            late.echo(1)
        assert isinstance(late.futures.echo(1).exception(PATIENCE_S), Stopped)


def test_the_end_of_the_run_wakes_who_waits_for_an_old_server(bench: Bench) -> None:
    first = bench.publish("first")
    client = bench.client()
    running = client.futures.enter()
    bench.wait_for()
    with ThreadPoolExecutor(1) as threads:
        stopping = threads.submit(first.Stop, PATIENCE_S)
        bench.publish("second")
        while client.tag() != "second":
            assert not stopping.done()
        bench.run.stop.close()
        assert isinstance(running.exception(PATIENCE_S), Stopped)
        bench.opened.set()
        stopping.result(PATIENCE_S)


def test_another_s_endpoint_is_refused(bench: Bench) -> None:
    other = bench.serve(name="other/0")
    bench.run.move("server/0", *other.endpoints)
    client = bench.client()
    with pytest.raises(NotAuthenticated, match="looked for 'server/0' of run 'run', found 'other"):
        client.echo(1)
    assert isinstance(client.futures.echo(1).exception(PATIENCE_S), NotAuthenticated)


def test_endpoints_of_other_hosts_are_left_alone(unix: Bench) -> None:
    server = unix.serve()
    unix.run.move("server/0", *server.endpoints, host="elsewhere")
    with pytest.raises(Unavailable, match="cannot be reached from here"):
        unix.client(NO_WAIT).echo(1)
    unix.run.move("server/0", *server.endpoints)
    assert unix.client(NO_WAIT).echo(1) == 1


def test_nobody_listens_where_it_was_published(bench: Bench) -> None:
    endpoint = {"inproc": "inproc:0", "unix": "unix:/tmp/lp-nobody", "grpc": "grpc:127.0.0.1:1"}
    bench.run.move("server/0", endpoint[bench.run.schemes[0]])
    client = bench.client(NO_WAIT)
    nobody = "failed to connect to all addresses of server/0"
    with pytest.raises(Unavailable, match=nobody):
        client.echo(1)
    with pytest.raises(Unavailable, match=nobody):
        client.futures.echo(1).result(PATIENCE_S)
    with pytest.raises(DeadlineExceeded, match="server/0"):
        bench.client(ClientConfig(call_timeout=0.05)).echo(1)


def test_the_next_endpoint_is_tried(unix: Bench) -> None:
    server = unix.serve()
    unix.run.move("server/0", "unix:/tmp/lp-nobody", "carrier-pigeon:roof", *server.endpoints)
    assert unix.client(NO_WAIT).echo(1) == 1


class _QuickScope(FakeScope):
    """Tells of a new record while it is asked to."""

    def watch(
        self, name: str, callback: Callable[[EndpointRecord], object]
    ) -> Callable[[], object]:
        forget = super().watch(name, callback)
        callback(EndpointRecord(self.run_id, name, 1, host_id(), ()))
        return forget


def test_a_record_may_be_published_while_its_peer_is_made() -> None:
    scope = _QuickScope()
    NamedPeer(scope, "server", DEFAULT_CONNECT_OPTIONS)
    scope.stop.close()
    assert not any(scope.watchers.values())
