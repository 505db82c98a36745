"""Wrong values, as a newcomer gives them: each is refused at once, with what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite import courier


class Service:
    def work(self, item: int) -> int:
        return item


def node() -> Any:
    return lp.CourierNode(Service)


def handle() -> Any:
    return lp.Program("declared").add_node(node(), label="service")


def client() -> courier.Client:
    return courier.Client("localhost:1")


def bind(*args: Any, **kwargs: Any) -> None:
    courier.Server().Bind(*args, **kwargs)


SERVER: Any = courier.Server
CLIENT: Any = courier.Client
LP: Any = lp
COURIER: Any = courier

USAGE: list[tuple[Callable[[], object], str]] = [
    # servers
    (
        lambda: SERVER(thread_pool_size="x"),
        "courier.Server: thread_pool_size='x': give a whole number, 1 or more.",
    ),
    (
        lambda: SERVER(thread_pool_size=2.5),
        "courier.Server: thread_pool_size=2.5: give a whole number, 1 or more.",
    ),
    (lambda: SERVER(port="80"), "courier.Server: port='80': give a whole number from 0 to 65535."),
    (lambda: SERVER(5), "courier.Server: name=5: give a string."),
    (lambda: SERVER(codec=3), "courier.Server: codec=3: give 'pickle' or 'data'."),
    (lambda: SERVER(codec="jsn"), "courier.Server: codec='jsn'. Known: data, pickle."),
    (lambda: SERVER(tracebacks="no"), "courier.Server: tracebacks='no': give True or False."),
    (lambda: SERVER(insecure="no"), "courier.Server: insecure='no': give True or False."),
    (lambda: SERVER(host=5), "courier.Server: host=5: give a string."),
    (
        lambda: SERVER(busy_poll_us=1.5),
        "courier.Server: busy_poll_us=1.5: give a whole number of microseconds from 0 to 1000000.",
    ),
    (
        lambda: SERVER(credentials="file"),
        "courier.Server: credentials='file': give a courier.Credentials. Those that were saved",
    ),
    (
        lambda: SERVER(credentials=courier.Credentials.create(tls=False)),
        "courier.Server: credentials=: these have no certificate, so they cannot encrypt.",
    ),
    (
        lambda: SERVER(
            credentials=courier.Credentials(token=bytes(32), certificate=b"x", key=b"x")
        ),
        "courier.Server: credentials=: their certificate or key is damaged",
    ),
    # what is bound
    (lambda: bind(3, len), "Bind(3): a method's name is a string, and not empty."),
    (lambda: bind("", len), "Bind(''): a method's name is a string, and not empty."),
    (
        lambda: bind("a b", len),
        "Bind('a b'): no client can write client.name() with this. Bind the",
    ),
    (lambda: bind("a.b", len), "Bind('a.b'): no client can write client.name() with this."),
    (lambda: bind("x" * 256, len), "Bind('xxxx"),
    (lambda: bind("_x", len), "Bind('_x'): names with an underscore are private"),
    (
        lambda: bind("x", 3),
        "Bind('x'): 3 cannot be called. Give a function; of an object, each of its methods: Bind(",
    ),
    (
        lambda: bind("futures", len),
        "Bind('futures'): clients have a 'futures' of their own, and could not call it. Bind the ",
    ),
    (lambda: bind("aio", len), "Bind('aio'): clients have a 'aio' of their own"),
    (lambda: bind("address", len), "Bind('address'): clients have a 'address' of their own"),
    (
        lambda: bind("x", len, limit="2"),
        "Bind('x'): limit='2': give a whole number, 1 or more.",
    ),
    (lambda: bind("x", len, priority="no"), "Bind('x'): priority='no': give True or False."),
    # the order of things
    (
        lambda: courier.Server().Stop(),
        "Server not started yet, so there is nothing to stop: call Start() before.",
    ),
    (
        lambda: courier.Server().Join(),
        "Server not started, so Join() would wait for ever: call Start() before.",
    ),
    # clients
    (
        lambda: CLIENT(5),
        "courier.Client: 5 is no address: give a server's name, or 'host:port'.",
    ),
    (lambda: CLIENT("a/b"), "courier.Client: 'a/b' cannot be the name of a server"),
    (
        lambda: CLIENT("localhost:x"),
        "courier.Client: 'localhost:x' is no address: 'x' is no port. Give 'host:port', such as ",
    ),
    (lambda: CLIENT("localhost:99999"), "courier.Client: 'localhost:99999' is no address"),
    (lambda: CLIENT(":50123"), "courier.Client: ':50123' is no address: it has no host."),
    (
        lambda: CLIENT("http://localhost:1"),
        "courier.Client: 'http://localhost:1' is no address: it has no '/'.",
    ),
    (lambda: CLIENT(handle()), "courier.Client: <handle of Service> is no address"),
    (
        lambda: CLIENT("localhost:1", call_timeout="5"),
        "courier.Client: call_timeout='5': give a number of seconds above 0, or None",
    ),
    (
        lambda: CLIENT("localhost:1", call_timeout=[]),
        "courier.Client: call_timeout=[]: give a number of seconds above 0, or None",
    ),
    (
        lambda: CLIENT("localhost:1", wait_for_ready="no"),
        "courier.Client: wait_for_ready='no': give True or False.",
    ),
    (
        lambda: CLIENT("localhost:1", max_in_flight=1.5),
        "courier.Client: max_in_flight=1.5: give a whole number, 1 or more.",
    ),
    (
        lambda: CLIENT("localhost:1", when_in_flight_full="fial"),
        "courier.Client: when_in_flight_full='fial'; did you mean 'fail'? Known: block, fail.",
    ),
    # pools, and what takes clients
    (
        lambda: LP.pool(client()),
        "lp.pool needs several clients, in a list, not <courier.Client of localhost:1>. Give those",
    ),
    (lambda: LP.pool(handle()), "lp.pool needs several clients, in a list, not <handle of Service"),
    (lambda: LP.pool(None), "lp.pool needs several clients, in a list, not None."),
    (
        lambda: LP.pool([handle()]),
        "lp.pool needs clients, not <handle of Service>. Handles become clients in the node that ",
    ),
    (
        lambda: LP.pool([client()], 5),
        "lp.pool: policy=5: give 'round_robin' or 'least_loaded'.",
    ),
    (
        lambda: LP.pool([client()], "round_robbin"),
        "lp.pool: policy='round_robbin'; did you mean 'round_robin'?",
    ),
    (
        lambda: COURIER.list_methods("adder"),
        "courier.list_methods needs a client, not 'adder'. Make one with courier.Client(address).",
    ),
    (lambda: COURIER.list_methods(handle()), "courier.list_methods needs a client, not <handle"),
    (lambda: COURIER.metrics(5), "courier.metrics: run_id=5: give a string."),
    (lambda: COURIER.register_dataclass(3), "3 is not a dataclass: put @register_dataclass above"),
    # credentials
    (lambda: COURIER.Credentials(token="x"), "courier.Credentials: a token is 32 random bytes."),
    (
        lambda: COURIER.Credentials(token=bytes(32), key=b"x"),
        "courier.Credentials: a certificate and its key go together",
    ),
    (
        lambda: COURIER.Credentials.create(tls="no"),
        "courier.Credentials.create: tls='no': give True or False.",
    ),
    (
        lambda: COURIER.Credentials.load(5),
        "courier.Credentials.load(5): give the path of a file.",
    ),
    (
        lambda: COURIER.Credentials.create(tls=False).save(5),
        "courier.Credentials.save(5): give the path of a file.",
    ),
    # deadlines, batches
    (lambda: LP.deadline("5"), "lp.deadline: seconds='5': give a number of seconds, or"),
    (lambda: LP.deadline(None), "lp.deadline: seconds=None: give a number of seconds, or"),
    (
        lambda: LP.batched_handler("x"),
        "lp.batched_handler: batch_size='x': give a whole number, 1 or more.",
    ),
    (
        lambda: LP.batched_handler(3, pad_batch="no"),
        "lp.batched_handler: pad_batch='no': give True or False.",
    ),
    # declaring and launching
    (
        lambda: LP.RunConfig(notice_s="x"),
        "notice_s='x': give 0 to 1e+07 seconds.",
    ),
    (lambda: LP.RunConfig(seed="x"), "seed='x': give a whole number."),
    (lambda: LP.RunConfig(pdb="no"), "pdb='no': give True or False."),
    (
        lambda: LP.RunConfig(checkpoint_dir=3),
        "checkpoint_dir=3: give a path, or None for a place inside the run directory.",
    ),
    (
        lambda: LP.RunConfig(transport=3),
        "transport=3: give 'inproc', 'unix', 'tcp' or 'grpc'.",
    ),
    (lambda: LP.LaunchOptions(show_output="no"), "LaunchOptions: show_output='no': give True or"),
    (lambda: LP.plan(lp.Program("x"), config=3), "the launch: config=3: give an lp.RunConfig"),
    (lambda: LP.plan(lp.Program("x"), resources=3), "the launch: resources=3: give a dict by"),
    (lambda: LP.launch(lp.Program("x"), options=3), "the launch: options=3: give an lp.LaunchO"),
    (lambda: LP.PythonProcess(args=3), "PythonProcess: args=3: give a dict of flags and values."),
    (lambda: LP.PythonProcess(env=3), "PythonProcess: env=3: give a dict of names and values."),
    (lambda: LP.Deferred(3), "lp.Deferred(3): give a class or a function, and its arguments"),
    (lambda: LP.register_stop_handler(3), "lp.register_stop_handler(3): give a function."),
]


@pytest.mark.parametrize(("make", "text"), USAGE, ids=[text for _, text in USAGE])
def test_wrong_values_are_refused(make: Callable[[], object], text: str) -> None:
    with pytest.raises(lp.UsageError) as caught:
        make()
    assert str(caught.value).startswith(text)


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"thread_pool_size": "x"}, "thread_pool_size='x': give a whole number, 1 or more."),
    ({"call_timeout": "x"}, "call_timeout='x': give a number of seconds above 0, or None"),
    ({"wait_for_ready": "no"}, "wait_for_ready='no': give True or False."),
    ({"priority_methods": 3}, "priority_methods=3: give names of methods, in a tuple."),
    ({"priority_methods": [3]}, "priority_methods=[3]: give names of methods, in a tuple."),
    ({"method_limits": 3}, "method_limits=3: give a number for each name of a method."),
    ({"method_limits": {"work": "x"}}, "method_limits['work']='x': give a whole number, 1 or"),
    ({"method_limits": {3: 1}}, "method_limits: the name=3: give a string."),
    ({"env": 3}, "env=3: give a dict of names and values."),
]


@pytest.mark.parametrize(("options", "text"), OPTIONS, ids=[text for _, text in OPTIONS])
def test_wrong_options_of_nodes_are_refused_with_their_place(
    options: dict[str, Any], text: str
) -> None:
    with pytest.raises(lp.UsageError) as caught:
        node().options(**options)
    assert f"test_wrong_values.py:{node.__code__.co_firstlineno + 1}" in str(caught.value)
    assert f"CourierNode: {text}" in str(caught.value)


def test_settings_of_the_original_are_dicts() -> None:
    with pytest.raises(lp.UsageError, match=r"CourierNode: courier_kwargs=3: give a dict of sett"):
        LP.CourierNode(Service, courier_kwargs=3)


@pytest.mark.parametrize("kind", [lp.MultiThreadingColocation, lp.MultiProcessingColocation])
def test_colocations_take_lists(kind: Any) -> None:
    with pytest.raises(lp.ProgramError, match=r": a \w+Colocation takes a list of nodes, not 3\."):
        kind(3)


@pytest.mark.parametrize("use", [lp.submit, lp.aio, lp.stream, lp.cached])
def test_what_is_no_client_s_method(use: Any) -> None:
    with pytest.raises(TypeError, match=r"not 3\. Give it uncalled, and its arguments after"):
        use(3)
    with pytest.raises(TypeError, match=r"Handles become clients in the node that receives them"):
        use(handle())


class Misled:
    def waits(self) -> None:
        wait: Any = lp.wait_for_stop
        wait("5")

    def is_told(self) -> None:
        tell: Any = lp.get_call_context().on_cancel
        tell(3)


def test_wrong_values_in_a_node() -> None:
    program = lp.Program("misled")
    declared = program.add_node(lp.CourierNode(Misled), label="misled")
    with lp.testing.run(program) as t:
        with pytest.raises(lp.UsageError, match=r"lp\.wait_for_stop: timeout_secs='5': give"):
            t[declared].waits()
        with pytest.raises(lp.UsageError, match=r"on_cancel\(3\): give a function\."):
            t[declared].is_told()
        on_stop: Any = t.run.on_stop
        with pytest.raises(lp.UsageError, match=r"run\.on_stop\(3\): give a function\."):
            on_stop(3)


def test_credentials_are_not_overwritten_by_accident(tmp_path: Path) -> None:
    first, second = (courier.Credentials.create(tls=False) for _ in range(2))
    path = tmp_path / "adder.credentials"
    first.save(path)
    with pytest.raises(FileExistsError, match=r"save\(\.\.\., overwrite=True\).*adder"):
        second.save(path)
    assert courier.Credentials.load(path) == first
    second.save(path, overwrite=True)
    assert courier.Credentials.load(path) == second
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_server_starts_once() -> None:
    server = courier.Server()
    server.Start()
    again = r"Server already started, and it starts once\. Make another courier\.Server"
    with pytest.raises(lp.UsageError, match=again):
        server.Start()
    for wrong in ("x", None, -1):
        stop: Any = server.Stop
        with pytest.raises(lp.UsageError, match=r"^courier\.Server\.Stop: grace=.*: give 0 to"):
            stop(wrong)
    server.Stop()


def test_what_nobody_could_call_yet_is_not_replaced_in_silence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = courier.Server()
    server.Bind("size", len)
    server.Bind("size", len)  # the same
    assert not caplog.records
    server.Bind("size", abs)
    (record,) = caplog.records
    assert "takes the place of a function that nobody could call yet" in record.getMessage()
    server.Start()
    server.Bind("size", len)  # to change what a server does while it runs is meant
    assert len(caplog.records) == 1
    server.Stop()
