"""Nodes whose methods others can call."""

from __future__ import annotations

import dataclasses
import functools
import logging
import types
from collections.abc import Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    NoReturn,
    ParamSpec,
    TypeVar,
    cast,
    overload,
)

from launchpad_lite import context as node_context
from launchpad_lite.address import Address
from launchpad_lite.config import (
    ClientConfig,
    ClientSettings,
    with_settings,
)
from launchpad_lite.courier.client import client_at, client_in_run
from launchpad_lite.courier.method import CLIENT_NAMES
from launchpad_lite.courier.server import Server
from launchpad_lite.errors import ContextError, HandleError, UsageError, nearest
from launchpad_lite.handle import Handle
from launchpad_lite.node import NodeOptions, Problem
from launchpad_lite.nodes import standalone
from launchpad_lite.nodes.call import checkpoint
from launchpad_lite.nodes.courier_options import CourierOptions, CourierSettings, ServerSettings
from launchpad_lite.nodes.python import InstanceNode
from launchpad_lite.validation import instance, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self, Unpack

    from launchpad_lite.context import Context
    from launchpad_lite.courier.client import Client

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

_log = logging.getLogger(__name__)

SET_SERVER = "set_courier_server"
"""The method of an object that starts its server itself."""

_NOT_CALLED = frozenset({"run", SET_SERVER})

_PROPERTIES = (property, functools.cached_property, types.GetSetDescriptorType)


class ServiceHandle(Handle[T]):
    """Stands for a node that has a Courier server. What it becomes is up to the kind of node."""

    def __init__(
        self,
        address: Address,
        cls: type | None = None,
        title: str = "a Courier server",
        config: ClientConfig | None = None,
        **client_kwargs: Unpack[ClientSettings],
    ) -> None:
        """Make a handle; nodes do it, see `CourierNode.create_handle`.

        Args:
          address: the server's address.
          cls: the class whose methods it serves, if it is known.
          title: what it serves, for messages.
          config: the configuration of clients.
          **client_kwargs: settings that differ from it.

        Raises:
          UsageError: there is no such setting, or its value is out of range.
        """
        # never None, unlike in general
        self.address: Address = address  # pyright: ignore[reportIncompatibleVariableOverride]
        self._class = cls
        self._title = title
        self._config = with_settings(config or ClientConfig(), client_kwargs)

    @property
    def served_type(self) -> type | None:
        """The class whose methods can be called."""
        return self._class

    @property
    def title(self) -> str:
        """What the node runs, for people."""
        return self._title

    def __getstate__(self) -> dict[str, Any]:
        """Leave the class behind: a client does without."""
        return {**self.__dict__, "_class": None}

    def set_client_kwargs(self, **kwargs: Any) -> None:
        """Change the settings of the clients that this handle becomes."""
        self._config = with_settings(self._config, kwargs)

    def _client(self) -> Client:
        """Return a client, in the run of the calling thread, or else at the bound address."""
        try:
            scope = node_context.scope_for(self.address)
        except ContextError:
            if not self.address.is_bound:
                raise
            return client_at(self.address.place(), None, self._config)
        config = dataclasses.replace(self._config, max_payload_bytes=scope.config.max_payload_bytes)
        return client_in_run(scope, scope.name_of(self.address), config)

    def _refuse(self, use: str) -> NoReturn:
        message = (
            f"{use} of a handle of {self._title}: a handle stands for the node until the program "
            "runs. Pass it to another node, which gets a client; or launch the program and use "
            "run.client(handle)."
        )
        raise HandleError(message)

    def __getattr__(self, name: str) -> Any:
        """Refuse: a handle is not a client.

        Raises:
          HandleError: always.
        """
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse(f"attribute {name!r}")

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """Refuse: a handle is not a client.

        Raises:
          HandleError: always.
        """
        self._refuse("call")

    def __repr__(self) -> str:
        """Show whose handle it is."""
        return f"<handle of {self.address.name or self._title}>"


class CourierHandle(ServiceHandle[T]):
    """Stands for a Courier node; becomes a client of it in the node that receives it."""

    def dereference(self) -> T:
        """Return a client, in the run of the calling thread, or else at the bound address."""
        return cast("T", self._client())


class CourierNode(InstanceNode[T]):
    """Makes an object in the worker and serves its public methods.

    With a `run` method, the node calls it and serves until it returns; without, it serves until
    the run stops. Methods are called from up to `thread_pool_size` threads at a time.

    An object with a method `set_courier_server` gets the node's `courier.Server` there, and starts
    it itself, with `server.Start()`, when it is ready to be called; it may `Stop()` it as well.
    """

    kind: ClassVar[str] = "CourierNode"
    options_type: ClassVar[type[NodeOptions]] = CourierOptions
    handle_type: ClassVar[type[ServiceHandle[Any]]] = CourierHandle

    @overload
    def __init__(
        self,
        constructor: Callable[..., T],
        *args: Any,
        courier_kwargs: Mapping[str, Any] | None,
        courier_client_kwargs: Mapping[str, Any] | None = ...,
        **kwargs: Any,
    ) -> None: ...
    @overload
    def __init__(
        self,
        constructor: Callable[..., T],
        *args: Any,
        courier_client_kwargs: Mapping[str, Any] | None,
        **kwargs: Any,
    ) -> None: ...
    @overload
    def __init__(self, constructor: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> None: ...
    def __init__(
        self,
        constructor: Callable[..., T],
        *args: Any,
        courier_kwargs: Mapping[str, Any] | None = None,
        courier_client_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Make a node.

        Args:
          constructor: a class, or what makes an object in the worker.
          *args: its arguments; handles in them arrive as clients.
          courier_kwargs: `port`, `thread_pool_size`, `codec` of the server; see `CourierOptions`.
          courier_client_kwargs: `call_timeout`, `compress`, `wait_for_ready` of its clients.
          **kwargs: its keyword arguments.

        Raises:
          UsageError: there is no such setting, or its value is out of range.
        """
        super().__init__(constructor, args, kwargs)
        self._address = Address()
        self.allocate_address(self._address)
        for argument, value, known in (
            ("courier_kwargs", courier_kwargs, ServerSettings.__annotations__),
            ("courier_client_kwargs", courier_client_kwargs, ClientSettings.__annotations__),
        ):
            given: Any = value or {}
            with within(f"{self.place}: {self.kind}"):
                instance(Mapping, "a dict of settings")(argument, given)
            for name in given:
                if name not in known:
                    message = f"{self.place}: no courier setting {name!r}{nearest(name, known)}"
                    raise UsageError(message)
            self._set_options(given)

    def options(  # pyright: ignore[reportIncompatibleMethodOverride] - it takes more
        self, **options: Unpack[CourierSettings]
    ) -> Self:
        """Set options of the node, and return it; see `CourierOptions`.

        Raises:
          UsageError: there is no such option, or its value is out of range.
        """
        return self._set_options(options)

    @staticmethod
    def deferred(constructor: Callable[P, S]) -> DeferredCourierNode[P, S]:
        """Make a node whose arguments follow, in `configure`: the typed way to a cycle."""
        return DeferredCourierNode(constructor)

    def configure(self, *args: Any, **kwargs: Any) -> None:
        """Set the constructor's arguments, after other nodes' handles are known."""
        self._args = args
        self._kwargs = kwargs

    def _courier_options(self) -> CourierOptions:
        options = self._options
        if not isinstance(options, CourierOptions):
            raise TypeError(options)
        return options

    @property
    def served_type(self) -> type | None:
        """The class whose methods can be called, if it can be told before the object is made."""
        return self.instance_class

    @property
    def courier_address(self) -> Address:
        """The address that the node serves."""
        return self._address

    def create_handle(self) -> T:
        """Return a handle; statically it is the object that its methods are called on."""
        config = self._courier_options().client_config()
        handle = self.handle_type(self._address, self.served_type, self.title, config)
        return cast("T", handle)

    def check(self) -> Iterator[Problem]:
        """Yield what does not fit the constructor, and methods that clients could not call."""
        yield from super().check()
        cls = self.instance_class
        for name in sorted(CLIENT_NAMES):
            if cls is not None and callable(getattr(cls, name, None)):
                yield Problem(
                    f"{self.title}.{name} cannot be called by clients, which have a {name!r} of "
                    "their own. Rename the method."
                )
        if cls is not None:
            known = public_methods(cls)
            for text in self._courier_options().unknown_methods(known):
                # one that is like none may be made by the constructor
                yield Problem(f"{self.title}: {text}", fatal="did you mean" in text)

    def _work(self, context: Context) -> None:
        instance: Any = self._call()
        context.instance.set_result(instance)
        checkpoint(instance, context)
        server = self._make_server(instance, context)
        context.cleanup.callback(server.close, context.scope.config.grace_s / 2)
        run = self.run_method(instance)
        if SET_SERVER not in dir(instance):
            server.Start()
        else:
            instance.set_courier_server(server)
            if run is None:
                _warn_unless_started(server, context)
            else:
                context.cleanup.callback(_warn_unless_started, server, context)
        if run is not None:
            run()
        elif self.has_run:  # it was supposed to have one, so the run waits for its end
            context.scope.stop.event.wait()
        else:
            context.scope.stop.wait_closed()

    def _make_server(self, instance: object, context: Context) -> Server:
        options = self._courier_options()
        scope = context.scope
        bound = standalone.port_of(self._address, context)
        config = dataclasses.replace(
            options.server_config(options.port if bound is None else bound),
            max_payload_bytes=scope.config.max_payload_bytes,
        )
        name = scope.name_of(self._address)
        announce = functools.partial(scope.publish, name)
        server = Server.in_run(name, scope, context, config, announce)
        methods = public_methods(instance)
        for text in options.unknown_methods(methods):
            raise UsageError(f"{self.title}: {text}")
        for name in methods:
            options.bind(server, name, getattr(instance, name))
        return server


def _warn_unless_started(server: Server, context: Context) -> None:
    if not server.has_started:
        _log.warning(
            "%s: nobody can call it, for its %s has not called server.Start()",
            context.name,
            SET_SERVER,
        )


def public_methods(target: object) -> list[str]:
    """Return the names of what clients can call: public callables and `__call__`, but `run`."""
    names = [name for name in dir(target) if not name.startswith("_")]
    found = [name for name in names if name not in _NOT_CALLED and _is_method(target, name)]
    cls = target if isinstance(target, type) else type(target)
    return [*found, "__call__"] if "__call__" in _attributes(cls) else found


def _attributes(cls: type) -> set[str]:
    return {name for base in cls.__mro__ if base is not object for name in vars(base)}


def _is_method(target: object, name: str) -> bool:
    cls = target if isinstance(target, type) else type(target)
    if isinstance(getattr(cls, name, None), _PROPERTIES):
        return False  # reading it would run the user's code
    return callable(getattr(target, name, None))


class DeferredCourierNode(CourierNode[T], Generic[P, T]):
    """A Courier node that gets its arguments from `configure`, with their types checked."""

    def __init__(self, constructor: Callable[P, T]) -> None:
        """Make a node without arguments; see `CourierNode.deferred`."""
        super().__init__(constructor, courier_kwargs=None)

    def configure(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Set the constructor's arguments."""
        super().configure(*args, **kwargs)
