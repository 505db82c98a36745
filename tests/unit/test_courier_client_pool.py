"""Pools: one client over several servers, some of which are not there."""

from __future__ import annotations

import asyncio
import collections
import pickle
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import launchpad_lite as lp
from launchpad_lite import courier
from launchpad_lite.config import ClientConfig
from launchpad_lite.context import entered
from launchpad_lite.courier.client import client_in_run
from tests.unit.courier_bench import PATIENCE_S, Bench, await_collection

SHORT_S = 0.1
NO_WAIT = ClientConfig(wait_for_ready=False)
NAMES = ("worker/0", "worker/1", "worker/2")


@pytest.fixture(params=["inproc", "unix"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    one = Bench(request.param)
    yield one
    one.close()


@pytest.fixture
def unix() -> Iterator[Bench]:
    one = Bench("unix")
    yield one
    one.close()


def clients(bench: Bench, config: ClientConfig | None = None) -> list[Any]:
    return [bench.client(config, name) for name in NAMES]


def publish_all(bench: Bench) -> list[courier.Server]:
    return [bench.publish(name, name=name) for name in NAMES]


def healthy(pool: Any) -> list[str]:
    return [member.address for member in courier.members(pool) if member.healthy]


def call_until_all_are_in_use(pool: Any) -> None:
    """Members come in when they were connected to, which takes a moment."""
    seen: set[str] = set()
    while seen != set(NAMES):
        seen.add(pool.tag())


def test_calls_that_are_awaited_go_round(bench: Bench) -> None:
    publish_all(bench)
    pool = lp.pool(clients(bench))
    call_until_all_are_in_use(pool)

    async def ask() -> list[Any]:
        return await asyncio.gather(*[lp.aio(pool.tag) for _ in range(30)])

    assert collections.Counter(asyncio.run(ask())) == dict.fromkeys(NAMES, 10)


def test_calls_of_all_kinds_go_round(bench: Bench) -> None:
    publish_all(bench)
    pool = lp.pool(clients(bench))
    call_until_all_are_in_use(pool)
    assert sorted(pool.tag() for _ in NAMES) == sorted(NAMES)
    assert sorted(pool.futures.tag().result(PATIENCE_S) for _ in NAMES) == sorted(NAMES)
    assert sorted(lp.submit(pool.tag).result(PATIENCE_S) for _ in NAMES) == sorted(NAMES)
    counts = collections.Counter(pool.tag() for _ in range(30))
    assert set(counts.values()) == {10}
    assert healthy(pool) == list(NAMES)
    assert [member.in_flight for member in courier.members(pool)] == [0, 0, 0]
    assert repr(pool) == "<lp.pool: the pool of worker/0, worker/1, worker/2>"


def test_the_least_loaded_member_gets_the_call(bench: Bench) -> None:
    publish_all(bench)
    pool = lp.pool(clients(bench), "least_loaded")
    call_until_all_are_in_use(pool)
    slow = [pool.futures.enter() for _ in range(2)]
    bench.wait_for(2)
    busy = {member.address for member in courier.members(pool) if member.in_flight == 1}
    assert len(busy) == 2
    (idle,) = set(NAMES) - busy
    assert {pool.tag() for _ in range(5)} == {idle}
    slow.append(pool.futures.enter())
    assert [member.in_flight for member in courier.members(pool)] == [1, 1, 1]
    assert {pool.tag() for _ in range(6)} == set(NAMES)
    bench.opened.set()
    for future in slow:
        future.result(PATIENCE_S)
    assert [member.in_flight for member in courier.members(pool)] == [0, 0, 0]


def test_a_call_that_is_cancelled_is_not_in_flight_any_more(bench: Bench) -> None:
    publish_all(bench)
    pool = lp.pool(clients(bench))
    call_until_all_are_in_use(pool)  # so that this thread begins the call, and no other is at it
    future = pool.futures.enter()
    bench.wait_for()
    assert sum(member.in_flight for member in courier.members(pool)) == 1
    assert future.cancel()
    assert sum(member.in_flight for member in courier.members(pool)) == 0


def test_without_any_member_calls_wait_for_the_first(bench: Bench) -> None:
    pool = lp.pool(clients(bench))
    future = pool.futures.tag()
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(pool.tag)
        bench.publish("here", name="worker/1")
        assert call.result(PATIENCE_S) == future.result(PATIENCE_S) == "here"
    assert healthy(pool) == ["worker/1"]


def test_waiting_for_a_member_ends_with_the_deadline(bench: Bench) -> None:
    pool = lp.pool(clients(bench, ClientConfig(call_timeout=SHORT_S)))
    expected = r"no member of the pool of worker/0, .*worker/2 could be reached within 0\.1 s"
    with pytest.raises(lp.DeadlineExceeded, match=expected):
        pool.tag()
    with pytest.raises(lp.DeadlineExceeded, match=expected):
        pool.futures.tag().result(PATIENCE_S)


def test_who_does_not_wait_is_told_of_each_member(bench: Bench) -> None:
    pool = lp.pool(clients(bench, NO_WAIT))
    expected = "no member of .* can be reached: worker/0 is not .*worker/1 is not .*worker/2 is not"
    with pytest.raises(lp.Unavailable, match=expected) as caught:
        pool.tag()
    assert not caught.value.maybe_executed
    with pytest.raises(lp.Unavailable, match=expected):
        pool.futures.tag().result(PATIENCE_S)
    publish_all(bench)
    assert pool.tag() in NAMES
    assert pool.futures.tag().result(PATIENCE_S) in NAMES


@pytest.mark.parametrize("config", [ClientConfig(), NO_WAIT])
def test_a_member_that_went_away_is_left_out_and_comes_back(
    bench: Bench, config: ClientConfig
) -> None:
    servers = publish_all(bench)
    pool = lp.pool(clients(bench, config))
    call_until_all_are_in_use(pool)
    for server in servers[:2]:
        server.Stop()
    assert {pool.tag() for _ in range(6)} == {"worker/2"}
    assert {pool.futures.tag().result(PATIENCE_S) for _ in range(6)} == {"worker/2"}
    assert pool.futures.echo(np.ones(100_000)).result(PATIENCE_S).sum() == 100_000
    assert healthy(pool) == ["worker/2"]
    for name in NAMES[:2]:
        bench.publish(name, name=name)
    call_until_all_are_in_use(pool)
    assert healthy(pool) == list(NAMES)


def test_a_call_that_waits_in_a_server_that_stops_goes_on_to_another(bench: Bench) -> None:
    first = bench.publish("first", threads=1, name="worker/0")
    pool = lp.pool([bench.client(name="worker/0")])
    running, waiting = pool.futures.enter("ran"), pool.futures.echo(np.arange(50_000))
    bench.wait_for()
    bench.publish("second", name="worker/1")
    courier.add_member(pool, bench.client(name="worker/1"))
    while healthy(pool) != ["worker/0", "worker/1"]:
        pool.futures.tag().cancel()
    with ThreadPoolExecutor(1) as threads:
        stopping = threads.submit(first.Stop)
        assert waiting.result(PATIENCE_S).sum() == sum(range(50_000))
        bench.opened.set()
        assert running.result(PATIENCE_S) == "ran"
        stopping.result(PATIENCE_S)


def test_a_call_that_may_have_run_is_not_repeated(bench: Bench) -> None:
    servers = publish_all(bench)
    pool = lp.pool(clients(bench), "least_loaded")
    call_until_all_are_in_use(pool)
    futures = [pool.futures.enter() for _ in NAMES]
    bench.wait_for(3)
    servers[0].Stop(grace=0.0)
    bench.opened.set()
    (error,) = [each.exception() for each in futures if each.exception() is not None]
    assert isinstance(error, lp.Unavailable)
    assert error.maybe_executed
    assert not bench.entered.acquire(blocking=False)


def test_an_unavailable_that_the_method_raised_is_no_reason_to_ask_another(bench: Bench) -> None:
    calls: list[str] = []

    def work() -> None:
        calls.append("called")
        raise lp.Unavailable("the database is gone", maybe_executed=False)

    for server in publish_all(bench):
        server.Bind("work", work)
    pool = lp.pool(clients(bench))
    with pytest.raises(lp.Unavailable, match="the database is gone"):
        pool.work()
    with pytest.raises(lp.Unavailable, match="the database is gone"):
        pool.futures.work().result(PATIENCE_S)
    assert len(calls) == 2


def test_who_has_ended_for_good_leaves_the_pool(bench: Bench) -> None:
    servers = publish_all(bench)
    pool = lp.pool(clients(bench))
    call_until_all_are_in_use(pool)
    for name, server in zip(NAMES, servers, strict=True):
        bench.run.end(name, "it has ended")
        server.Stop()
        if name != NAMES[-1]:
            for _ in NAMES:
                assert pool.tag() > name
    with pytest.raises(lp.Unavailable, match=r"no member .* worker/2 is not there any more"):
        pool.tag()
    with pytest.raises(lp.Unavailable, match="worker/0 is not there any more: it has ended"):
        pool.futures.tag().result(PATIENCE_S)
    assert courier.members(pool) == []


def test_members_can_be_added_and_removed(bench: Bench) -> None:
    publish_all(bench)
    one, two, three = clients(bench)
    pool = lp.pool([one, one])
    assert [member.address for member in courier.members(pool)] == ["worker/0"]
    courier.add_member(pool, two)
    courier.remove_member(pool, one)
    assert {pool.tag() for _ in range(4)} == {"worker/1"}
    with pytest.raises(lp.UsageError, match=r"worker/2> is not in <lp\.pool"):
        courier.remove_member(pool, three)
    courier.remove_member(pool, two)
    with pytest.raises(lp.Unavailable, match="no member of the pool of nobody"):
        pool.tag()
    courier.add_member(pool, three)
    assert pool.tag() == "worker/2"


def test_a_call_that_waits_hears_when_the_last_member_is_removed(bench: Bench) -> None:
    client = bench.client(name="worker/0")
    pool = lp.pool([client])
    future = pool.futures.tag()
    courier.remove_member(pool, client)
    with pytest.raises(lp.Unavailable, match="it has no members"):
        future.result(PATIENCE_S)


def test_members_may_offer_different_methods(bench: Bench) -> None:
    servers = publish_all(bench)
    servers[0].Bind("special", lambda: "yes")
    pool = lp.pool(clients(bench))
    call_until_all_are_in_use(pool)
    answers: list[str] = []
    for _ in NAMES:
        try:
            answers.append(pool.special())
        except lp.MethodNotFound as error:
            answers.append(str(error))
    assert max(answers) == "yes"
    assert min(answers).startswith("method special not found on worker/1")


def test_a_broadcast_reaches_each_member(bench: Bench) -> None:
    publish_all(bench)
    pool = lp.pool(clients(bench))
    futures = lp.broadcast(pool.tag)
    assert [future.result(PATIENCE_S) for future in futures] == list(NAMES)
    assert [future.result(PATIENCE_S) for future in lp.broadcast(pool.echo, 3)] == [3, 3, 3]
    waiting = lp.broadcast(pool.enter)
    bench.wait_for(3)
    assert [member.in_flight for member in courier.members(pool)] == [1, 1, 1]
    bench.opened.set()
    for future in waiting:
        future.result(PATIENCE_S)


@pytest.mark.parametrize("method", [len, None, "client"])
def test_a_broadcast_needs_a_pools_method(unix: Bench, method: Any) -> None:
    with pytest.raises(TypeError, match=r"lp.broadcast needs a pool's method"):
        lp.broadcast(unix.client().tag if method == "client" else method)


def test_a_pool_can_be_sent(bench: Bench) -> None:
    publish_all(bench)
    pool = lp.pool(clients(bench), "least_loaded")
    with entered(bench.run):
        other = pickle.loads(pickle.dumps(pool))
    assert [member.address for member in courier.members(other)] == list(NAMES)
    call_until_all_are_in_use(other)


def test_a_pool_of_servers_that_are_used_alone() -> None:
    servers = [courier.Server() for _ in range(2)]
    for index, server in enumerate(servers):
        server.Bind("tag", lambda index=index: index)
        server.Start()
    pool: Any = lp.pool([courier.Client(server.address) for server in servers])
    while len(healthy(pool)) < 2:
        pool.tag()
    assert {pool.tag() for _ in range(4)} == {0, 1}
    servers[0].Stop()
    assert {pool.tag() for _ in range(4)} == {1}
    servers[1].Stop()


def test_a_pool_that_is_forgotten_looks_for_nobody(unix: Bench) -> None:
    pool = lp.pool([courier.Client("localhost:1")])
    peer = weakref.ref(pool._peer)  # noqa: SLF001 - whether it is kept
    del pool
    await_collection(peer)


def test_a_stop_of_the_run_ends_what_waits(bench: Bench) -> None:
    pool = lp.pool(clients(bench))
    future = pool.futures.tag()
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(pool.tag)
        bench.run.stop.close()
        with pytest.raises(lp.Stopped):
            call.result(PATIENCE_S)
    with pytest.raises(lp.Stopped):
        future.result(PATIENCE_S)
    with pytest.raises(lp.Stopped):
        pool.tag()


def test_a_call_ends_though_its_member_is_lost_after_the_stop_of_the_run(bench: Bench) -> None:
    """What tells futures of their ends must not find an error where it says who is lost."""
    publish_all(bench)
    pool = lp.pool(clients(bench))
    assert pool.tag() in NAMES
    channel = pool._peer.connected()  # noqa: SLF001 - as who tells them does
    bench.run.stop.close()
    pool._peer.discard(channel)  # noqa: SLF001 - as above


def test_many_threads_share_a_pool_whose_members_come_and_go(unix: Bench) -> None:
    servers = publish_all(unix)
    pool = lp.pool(clients(unix))
    enough = threading.Event()

    def work() -> int:
        done = 0
        while not enough.is_set():
            assert pool.echo(done) == done
            done += 1
        return done

    with ThreadPoolExecutor(8) as threads:
        workers = [threads.submit(work) for _ in range(8)]
        for _ in range(3):
            for place, name in enumerate(NAMES):
                servers[place].Stop()
                servers[place] = unix.publish(name, name=name)
        enough.set()
        assert all(worker.result(PATIENCE_S) for worker in workers)
    assert [member.in_flight for member in courier.members(pool)] == [0, 0, 0]


def test_what_cannot_be_a_pool_is_refused(unix: Bench) -> None:
    client = client_in_run(unix.run, "worker/0", ClientConfig())
    handle = lp.CourierNode(dict[str, int]).create_handle()
    for given, expected in (
        ([], "there are no clients"),
        ([client, 3], "lp.pool needs clients, not 3. Give a client that a node has"),
        ([handle], "Handles become clients in the node that receives them: do it there"),
        ([lp.pool([client])], "A pool cannot be in a pool"),
    ):
        with pytest.raises(lp.UsageError, match=expected):
            lp.pool(given)
    misspelt: Any = "least_loadd"
    with pytest.raises(lp.UsageError, match="policy='least_loadd'; did you mean 'least_loaded'"):
        lp.pool([client], misspelt)
    for function in (courier.add_member, courier.remove_member):
        with pytest.raises(lp.UsageError, match=r"needs a pool, not .*Make one with lp.pool"):
            function(client, client)
    with pytest.raises(lp.UsageError, match=r"courier.members needs a pool"):
        courier.members(client)
