"""The kinds of nodes: what each one says of itself, and what it does in its worker."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from launchpad_lite import courier
from launchpad_lite.config import ClientConfig, ClientSettings
from launchpad_lite.context import Context
from launchpad_lite.courier.method import CLIENT_NAMES
from launchpad_lite.errors import UsageError
from launchpad_lite.handle import Deferred
from launchpad_lite.node import Node, NodeOptions, NodeSettings
from launchpad_lite.nodes.call import checkpoint
from launchpad_lite.nodes.courier import (
    CourierNode,
    public_methods,
)
from launchpad_lite.nodes.courier_options import CourierOptions, CourierSettings
from launchpad_lite.nodes.python import PyClassNode, PyNode
from tests.helpers import unchecked
from tests.unit.fake_scope import FakeScope, fake_context


class Server:
    def __init__(self, size: int = 1) -> None:
        self.size = size

    def answer(self) -> int:
        return 42


class Worker(Server):
    def run(self) -> None: ...


def work(*args: object, **kwargs: object) -> None: ...


def make_server() -> Server:
    return Server()


def make_worker() -> Worker:
    return Worker()


def make_anything() -> Any: ...


def options_of(node: Node[Any]) -> dict[str, Any]:
    return dataclasses.asdict(node._options)  # noqa: SLF001 - what `options` leads to


def client_config(node: CourierNode[Any]) -> ClientConfig:
    config: ClientConfig = node.create_handle()._config  # noqa: SLF001 - what its clients get
    return config


# What a node says of itself.


def test_a_node_knows_where_it_was_made() -> None:
    line = inspect.stack()[0].lineno
    nodes: list[Node[Any]] = [
        CourierNode(Server),
        PyNode(work),
        PyClassNode(Worker),
        CourierNode.deferred(Server),
        *[CourierNode(Server) for _ in range(1)],
    ]
    assert [node.place for node in nodes] == [f"{__file__}:{line + 2 + i}" for i in range(5)]


def test_a_users_own_kind_of_node_is_made_where_the_user_makes_it() -> None:
    class Mine(CourierNode[Server]):
        def __init__(self) -> None:
            super().__init__(Server, courier_kwargs=None)

    assert Mine().place.startswith(f"{__file__}:")


def test_a_node_is_called_after_what_it_runs() -> None:
    class Local:
        func = "not a partial"

    titles: dict[str, Node[Any]] = {
        "Server": CourierNode(Server),
        "work": PyNode(functools.partial(functools.partial(work), 1)),
        f"{test_a_node_is_called_after_what_it_runs.__name__}.<locals>.Local": CourierNode(Local),
        f"{test_a_node_is_called_after_what_it_runs.__name__}.<locals>.<lambda>": PyNode(
            lambda: None
        ),
        "Server.answer": PyNode(Server().answer),
        "print": PyNode(print),
    }
    assert {title: node.title for title, node in titles.items()} == {t: t for t in titles}


def test_a_node_says_whether_it_ends_by_itself() -> None:
    runs: list[Node[Any]] = [
        PyNode(work),
        PyClassNode(Worker),
        CourierNode(Worker),
        CourierNode(make_worker),
        CourierNode(make_anything),  # who knows
        CourierNode(Worker).disable_run().enable_run(),
    ]
    serves: list[Node[Any]] = [
        PyClassNode(Server),
        PyClassNode(Worker).disable_run(),
        CourierNode(Server),
        CourierNode(make_server),
        CourierNode(functools.partial(Server)),
        CourierNode(Worker).disable_run(),
        CourierNode(make_anything).disable_run(),
    ]
    assert [node.has_run for node in runs] == [True] * len(runs)
    assert [node.has_run for node in serves] == [False] * len(serves)


def test_arguments_are_shown_by_name_beside_what_is_called() -> None:
    assert CourierNode(Server, 3).arguments() == {"size": 3, "<function>": Server}
    assert PyNode(work, 1, a=2).arguments() == {"args[0]": 1, "a": 2, "<function>": work}


def test_configure_sets_all_arguments() -> None:
    node = CourierNode.deferred(Server)
    assert [problem.text for problem in node.check()] == []
    node.configure(5)
    assert node.arguments()["size"] == 5
    node.configure(size=6)
    assert node.arguments() == {"size": 6, "<function>": Server}
    plain = CourierNode(Server, 1)
    plain.configure(7)
    assert plain.arguments()["size"] == 7


def test_only_a_courier_node_has_an_address_from_the_start() -> None:
    assert len(CourierNode(Server).addresses) == 1
    assert PyNode(work).addresses == PyClassNode(Worker).addresses == []
    node = CourierNode(Server)
    node.addresses.clear()
    assert len(node.addresses) == 1


# Options.


def test_options_are_kept_and_add_up() -> None:
    node = CourierNode(Server)
    assert node.options(thread_pool_size=3) is node
    node.options(port=0).options(env={"A": "1"}, call_timeout=2.0)
    assert options_of(node) == options_of(CourierNode(Server)) | {
        "thread_pool_size": 3,
        "port": 0,
        "env": {"A": "1"},
        "call_timeout": 2.0,
    }
    assert node.env == {"A": "1"}
    assert PyNode(work).options(env={"B": "2"}).env == {"B": "2"}


def test_the_originals_way_to_set_options() -> None:
    node = CourierNode(
        Server,
        3,
        courier_kwargs={"thread_pool_size": 4, "port": 0},
        courier_client_kwargs={"call_timeout": 5, "compress": True, "chunk_tensors": True},
    )
    assert node.arguments()["size"] == 3
    assert options_of(node) == options_of(CourierNode(Server)) | {
        "thread_pool_size": 4,
        "port": 0,
        "call_timeout": 5,
        "compress": True,
        "chunk_tensors": True,
    }
    bare = CourierNode(Server, courier_kwargs=None, courier_client_kwargs=None)
    assert options_of(bare) == options_of(CourierNode(Server))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda: unchecked(CourierNode(Server).options)(thread_pol_size=3), "CourierNode has no"),
        (lambda: unchecked(CourierNode(Server).options)(thread_pol_size=3), "mean 'thread_pool_s"),
        (
            lambda: unchecked(PyNode(work).options)(port=3),
            "PyNode has no option 'port'. Known: env",
        ),
        (
            lambda: CourierNode(Server).options(thread_pool_size=0),
            "thread_pool_size=0: give a",
        ),
        (lambda: CourierNode(Server).options(port=70000), "port=70000: give a"),
        (
            lambda: CourierNode(Server).options(call_timeout=-1),
            "call_timeout=-1: give a",
        ),
        (
            lambda: CourierNode(Server).options(call_timeout=dt.timedelta(seconds=-2)),
            "call_timeout=-2.0: give a",
        ),
        (
            lambda: unchecked(PyNode(work).options)(env={"A": None}),
            "env: A must be a number or a string without null characters, not None.",
        ),
        (
            lambda: CourierNode(Server, courier_kwargs={"call_timeout": 1}),
            "no courier setting 'call_timeout'. Known: busy_poll_us, codec,",
        ),
        (
            lambda: CourierNode(Server, courier_client_kwargs={"call_timeuot": 1}),
            "no courier setting 'call_timeuot'; did you mean 'call_timeout'? Known: busy_poll_us,",
        ),
        (
            lambda: CourierNode(Server, courier_kwargs={"port": -1}),
            "port=-1: give a",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_option_is_refused_at_its_line(change: Callable[[], object], text: str) -> None:
    with pytest.raises(UsageError) as error:
        change()
    assert text in str(error.value)
    assert str(error.value).startswith(f"{__file__}:")


def test_type_checkers_know_exactly_the_options_there_are() -> None:
    def names(options: type[NodeOptions]) -> set[str]:
        return {field.name for field in dataclasses.fields(options)}

    assert set(NodeSettings.__annotations__) == names(NodeOptions)
    assert set(CourierSettings.__annotations__) == names(CourierOptions)
    assert set(ClientSettings.__annotations__) < names(CourierOptions)


def test_clients_get_the_nodes_settings() -> None:
    assert client_config(CourierNode(Server)) == ClientConfig()
    node = CourierNode(Server).options(
        compress=True, call_timeout=dt.timedelta(seconds=3), wait_for_ready=False
    )
    expected = ClientConfig(compress=True, call_timeout=3.0, wait_for_ready=False)
    assert client_config(node) == expected
    assert client_config(CourierNode(Server).options(call_timeout=0)).call_timeout is None


# What can be called.


class Public:
    constant = 3
    factory = dict

    def __init__(self) -> None:
        self.callback = len
        self.data = [1]

    @property
    def prop(self) -> Callable[[], None]:
        raise AssertionError("read")

    @functools.cached_property
    def cached(self) -> Callable[[], None]:
        raise AssertionError("read")

    def method(self) -> None: ...

    @classmethod
    def of_class(cls) -> None: ...

    @staticmethod
    def static() -> None: ...

    async def later(self) -> None: ...

    def run(self) -> None: ...

    def _private(self) -> None: ...

    def __len__(self) -> int:
        return 1


class Callme(Public):
    def __call__(self) -> None: ...

    def another(self) -> None: ...


def test_public_callables_can_be_called_and_nothing_is_read_to_find_them() -> None:
    methods = ["factory", "later", "method", "of_class", "static"]
    assert public_methods(Public) == methods
    assert public_methods(Public()) == sorted([*methods, "callback"])
    assert public_methods(Callme) == [*sorted([*methods, "another"]), "__call__"]
    assert public_methods(make_server) == ["__call__"]


def test_what_a_client_has_of_its_own_cannot_be_a_method() -> None:
    from launchpad_lite.courier.client import Client

    own = {name for name in dir(Client) if not name.startswith("_")}
    assert own <= CLIENT_NAMES


# What a node does in its worker.


def test_a_function_is_called_with_deferred_objects_made() -> None:
    calls: list[tuple[object, ...]] = []

    def function(first: Server, *, table: Mapping[str, list[Server]]) -> None:
        calls.append((first.size, [server.size for server in table["a"]]))

    node = PyNode(function, Deferred(Server, 2), table={"a": [Deferred(Server, size=3)]})
    node.run_in(fake_context())
    ((first, table),) = calls
    assert (first, table) == (2, [3])


def test_an_object_is_made_and_run() -> None:
    made: list[Worker] = []

    class Recording(Worker):
        def run(self) -> None:
            assert context.instance.result(0) is self
            made.append(self)

    context = fake_context()
    PyClassNode(Recording, 3).run_in(context)
    assert [worker.size for worker in made] == [3]
    PyClassNode(Recording).disable_run().run_in(fake_context())
    PyClassNode(Server).run_in(fake_context())
    assert len(made) == 1


class Saver:
    """Counts; saves a file, or a directory with a file."""

    def __init__(self, count: int = 0, *, directory: bool = False) -> None:
        self.count = count
        self.directory = directory

    def save(self, path: str) -> None:
        assert not Path(path).exists()
        if self.directory:
            Path(path).mkdir()
            (Path(path) / "count").write_text(str(self.count))
        else:
            Path(path).write_text(str(self.count))

    def restore(self, path: str) -> None:
        place = Path(path) / "count" if Path(path).is_dir() else Path(path)
        self.count = int(place.read_text())


def restored(path: Path) -> int:
    saver = Saver()
    checkpoint(saver, fake_context(checkpoint=path))
    return saver.count


def stop(context: Context) -> None:
    context.scope.stop.notice(1.0, "so")
    context.cleanup.close()


@pytest.mark.parametrize("directory", [False, True])
def test_what_is_saved_at_the_notice_is_restored_at_the_start(
    tmp_path: Path, directory: bool
) -> None:
    path = tmp_path / "deep" / "node-0"
    assert restored(path) == 0
    for count in (1, 2):
        context = fake_context(checkpoint=path)
        saver = Saver(directory=directory)
        checkpoint(saver, context)
        assert saver.count == count - 1
        saver.count = count
        stop(context)
        assert restored(path) == count
        assert list(path.parent.iterdir()) == [path]


def test_nothing_is_saved_without_a_notice(tmp_path: Path) -> None:
    context = fake_context(checkpoint=tmp_path / "node")
    checkpoint(Saver(1), context)
    context.cleanup.close()
    context.scope.stop.notice(1.0, "so")
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_fails_leaves_the_last_one_and_fails_the_node(tmp_path: Path) -> None:
    class Failing(Saver):
        def save(self, path: str) -> None:
            raise OSError("disk full")

    path = tmp_path / "node"
    path.write_text("7")
    context = fake_context(checkpoint=path)
    checkpoint(Failing(), context)
    context.scope.stop.notice(1.0, "so")
    with pytest.raises(OSError, match="disk full"):
        context.cleanup.close()
    assert restored(path) == 7


def test_only_a_pair_of_save_and_restore_counts(tmp_path: Path) -> None:
    class OnlySave:
        def save(self, path: str) -> None:
            raise AssertionError

    for instance in (OnlySave(), Server()):
        context = fake_context(checkpoint=tmp_path / "node")
        checkpoint(instance, context)
        stop(context)
        assert not context.scope.stop.attentive
    context = fake_context(checkpoint=None)
    checkpoint(Saver(), context)
    stop(context)
    assert list(tmp_path.iterdir()) == []


# An object that starts its server itself.


class Reluctant:
    """Never starts its server."""

    def set_courier_server(self, server: courier.Server) -> None: ...

    def answer(self) -> int:
        return 42


class ReluctantRunner(Reluctant):
    def run(self) -> None: ...


def test_set_courier_server_is_no_method_of_the_service() -> None:
    assert public_methods(Reluctant()) == public_methods(Reluctant) == ["answer"]


@pytest.mark.parametrize("cls", [Reluctant, ReluctantRunner])
def test_a_server_that_nobody_starts_is_told(
    cls: type[Reluctant], caplog: pytest.LogCaptureFixture
) -> None:
    node = CourierNode(cls)
    context = fake_context(FakeScope(names={node.addresses[0]: "node/0"}))
    context.scope.stop.close()
    with context.cleanup:
        node.run_in(context)
    (record,) = caplog.records
    assert record.getMessage() == (
        "node/0: nobody can call it, for its set_courier_server has not called server.Start()"
    )


def test_an_object_with_any_attribute_starts_no_server_itself() -> None:
    scope = FakeScope()
    node = CourierNode(lambda: courier.Client("localhost:1")).disable_run()
    scope.names[node.addresses[0]] = "node/0"
    context = fake_context(scope)
    scope.stop.close()
    with context.cleanup:
        node.run_in(context)
    assert "node/0" in scope.published
