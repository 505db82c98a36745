"""Processes that a user forks: nothing they do is felt on their parent's connections."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from launchpad_lite import forks
from launchpad_lite.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0

_PARENT = """
import gc, os, signal, sys, threading
import launchpad_lite as lp
from launchpad_lite.courier.typed import stream
from tests.unit.courier_bench import Bench

PATIENCE_S = 60.0
bench = Bench({scheme!r})
bench.run.credentials = lp.courier.Credentials.create(tls={scheme!r} == "tcp")
server = bench.publish()
server.Bind("count", lambda: iter(range(1000)))
server.Bind("caller", lambda: lp.get_call_context().peer)
client = bench.client()
kept = [client.echo(each) for each in range(3)]
values = stream(client.count)
assert [next(values) for _ in range(3)] == [0, 1, 2]
pending = client.futures.enter("answer")
bench.wait_for()

child = os.fork()
if child == 0:
    def refused(call, what):
        try:
            call()
        except lp.UsageError as error:
            assert what in str(error), error
        else:
            raise AssertionError("it was not refused")

    for each in (server.Stop, server.Join, server.Start):
        refused(each, "this server belongs to the process that this one was forked from")
    refused(lambda: next(values), "the stream of server/0.count belongs to the process that")
    if {anew!r}:
        assert [client.echo(each) for each in range(300)] == list(range(300))
        assert f"process {{os.getpid()}} " in client.caller()
        assert client.futures.echo(1).result(PATIENCE_S) == 1
        assert list(stream(client.count)) == list(range(1000))
    else:
        refused(lambda: client.echo(1), "gRPC has threads, which are not forked")
        refused(lambda: client.futures.echo(1).result(PATIENCE_S), "gRPC has threads")
    pending.cancel()
    values.close()
    if {anew!r}:  # what gRPC has made may crash a child that takes it apart
        del client, values, pending, server, bench
        gc.collect()
    if {tidy!r}:
        sys.exit(0)
    os._exit(0)
assert [client.echo(each) for each in range(300)] == list(range(300))
ended = os.waitpid(child, 0)[1]
# gRPC's threads may leave a child that crashes before it is ours: its parent must not feel that
assert ended == 0 or (not {anew!r} and ended == signal.SIGSEGV), ended
assert [client.echo(each) for each in range(300)] == list(range(300))
bench.opened.set()
assert pending.result(PATIENCE_S) == "answer"
assert list(values) == list(range(3, 1000))
bench.close()
"""


@pytest.mark.parametrize(
    ("scheme", "anew", "tidy"),
    [
        ("unix", True, True),
        ("unix", True, False),
        ("tcp", True, True),
        ("grpc", False, False),  # gRPC's own end is not safe in a child
    ],
)
def test_a_child_leaves_its_parent_s_calls_alone(scheme: str, anew: bool, tidy: bool) -> None:
    script = _PARENT.format(scheme=scheme, anew=anew, tidy=tidy)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class Forgetful:
    def __init__(self) -> None:
        self.begun = 0

    def begin(self) -> None:
        self.begun += 1


_REGISTRY = """
import os
from launchpad_lite import forks
from tests.unit.test_courier_forks import Forgetful

one, times = Forgetful(), []
forks.track(one)
forks.track(Forgetful())  # which is gone
forks.around(lambda: times.append(forks.number()))
number = forks.number()
child = os.fork()
if child == 0:
    right = one.begun == 1 and times == [number, number + 1] and forks.number() == number + 1
    os._exit(0 if right else 1)
ended = os.waitpid(child, 0)[1]
assert ended == 0, ended
assert one.begun == 0
assert times == [number, number]
assert forks.number() == number
"""


def test_who_is_tracked_begins_anew_in_the_child_alone() -> None:
    subprocess.run([sys.executable, "-c", _REGISTRY], cwd=ROOT, timeout=PATIENCE_S, check=True)


def test_what_a_process_made_is_its_own() -> None:
    forks.check(forks.number(), "it", "Make another.")
    with pytest.raises(UsageError, match=r"^it belongs to the process that .* Make another\.$"):
        forks.check(forks.number() - 1, "it", "Make another.")
