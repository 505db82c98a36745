"""One client over several servers."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, cast, get_args, overload

from launchpad_lite import validation
from launchpad_lite.courier import finalizers
from launchpad_lite.courier.client import Client, RemoteMethod
from launchpad_lite.courier.given import how_to_get_one
from launchpad_lite.courier.members import PoolMember
from launchpad_lite.courier.peer import Peer
from launchpad_lite.courier.pool_peer import PoolPeer, least_loaded, round_robin
from launchpad_lite.errors import UsageError
from launchpad_lite.handle import Handle

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Policy = Literal["round_robin", "least_loaded"]

_POLICIES = dict(zip(get_args(Policy), (round_robin, least_loaded), strict=True))


class Pool(Client):
    """A client whose calls go to one of several servers; made by `pool`."""

    _peer: PoolPeer

    def __init__(self, clients: Iterable[Any], policy: str) -> None:
        """See `pool`."""
        with validation.within("lp.pool"):
            policy = validation.one_of(get_args(Policy))("policy", policy)
        if isinstance(clients, Client | Handle) or not isinstance(cast("Any", clients), Iterable):
            message = (
                f"lp.pool needs several clients, in a list, not {clients!r}. "
                "Give those that a node has in place of a group's handles."
            )
            raise UsageError(message)
        servers = [(client, _server(client, "lp.pool")) for client in clients]
        if not servers:
            message = "lp.pool: there are no clients. Give it at least one."
            raise UsageError(message)
        peer = PoolPeer(_POLICIES[policy])
        for client, server in servers:
            peer.add(client, server)
        self._policy = policy
        self._set_up(peer, peer.title, servers[0][0]._config)  # noqa: SLF001 - one of the family
        weakref.finalize(self, finalizers.later, peer.close).atexit = False

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Pickle as the members and the policy."""
        return Pool, ([member.client for member in self._peer.members], self._policy)

    def __repr__(self) -> str:
        """Show the members."""
        return f"<lp.pool: {self._peer.title}>"


def _server(client: object, where: str) -> Peer:
    if isinstance(client, Client) and isinstance(client._peer, Peer):  # noqa: SLF001 - of the family
        return client._peer  # noqa: SLF001 - as above
    advice = how_to_get_one(client)
    if isinstance(client, Pool):
        advice = "A pool cannot be in a pool: give its clients."
    message = f"{where} needs clients, not {client!r}. {advice}"
    raise UsageError(message)


def pool(clients: Iterable[T], policy: Policy = "round_robin") -> T:
    """Return one client whose calls each go to one of several servers.

    It is used like any client: `pool.method(...)`, `lp.submit(pool.method, ...)`,
    `pool.futures.method(...)`. A server that cannot be reached is left out, and looked for in the
    background until it is there again. A call that certainly did not run goes on to another server;
    one that may have run raises `Unavailable`. With no server there, calls wait for the first one,
    until their deadline; without `wait_for_ready` they fail at once. A node that has ended for good
    leaves the pool. Timeouts and the like are those of the first client.

    Args:
      clients: clients of the servers, at least one; in a program, what a node has in place of a
        group's handles. They need not be of one class.
      policy: `round_robin`: one after the other. `least_loaded`: the one with the fewest calls of
        this pool in flight; among such, one after the other.

    Raises:
      UsageError: there are no clients, one of them is none, or there is no such policy.
    """
    return cast("T", Pool(clients, policy))


@overload
def broadcast(
    method: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
) -> list[Future[R]]: ...
@overload
def broadcast(method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> list[Future[R]]: ...
def broadcast(method: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Future[Any]]:
    """Call a method of every member of a pool; return a future for each, in the members' order.

    Members that are not there are waited for like any server, each within its own deadline.

    Args:
      method: a pool's method, `pool.method`; a pool, for its `__call__`.
      *args: its arguments.
      **kwargs: its keyword arguments.

    Raises:
      TypeError: `method` is not a pool's.
    """
    owner = method.client if isinstance(method, RemoteMethod) else method
    name = method.name if isinstance(method, RemoteMethod) else "__call__"
    if not isinstance(owner, Pool):
        message = (
            f"lp.broadcast needs a pool's method, such as pool.update, not {method!r}. Make a pool "
            "of clients with lp.pool(clients)."
        )
        raise TypeError(message)
    futures: list[Future[Any]] = []
    for member in owner._peer.members:  # noqa: SLF001 - the client has only user methods
        future = RemoteMethod(member.client, name).submit(*args, **kwargs)
        member.count(future)
        futures.append(future)
    return futures


def members(pool: object) -> list[PoolMember]:
    """Return the members of a pool: their addresses, health and calls in flight.

    Raises:
      UsageError: it is no pool.
    """
    found = _pool(pool, "courier.members")._peer.members  # noqa: SLF001 - only user methods
    return [PoolMember(each.peer.title, each.healthy, each.in_flight) for each in found]


def add_member(pool: object, client: object) -> None:
    """Let a pool call another server too; one that is in it already is no error.

    Raises:
      UsageError: they are no pool and no client.
    """
    peer = _pool(pool, "courier.add_member")._peer  # noqa: SLF001 - the pool has only user methods
    peer.add(client, _server(client, "courier.add_member"))


def remove_member(pool: object, client: object) -> None:
    """Let a pool call a server no longer; its calls under way go on.

    Raises:
      UsageError: they are no pool and no client, or the client's server is not in the pool.
    """
    peer = _pool(pool, "courier.remove_member")._peer  # noqa: SLF001 - as above
    if not peer.remove(_server(client, "courier.remove_member")):
        message = f"courier.remove_member: {client!r} is not in {pool!r}"
        raise UsageError(message)


def _pool(pool: object, where: str) -> Pool:
    if not isinstance(pool, Pool):
        message = f"{where} needs a pool, not {pool!r}. Make one with lp.pool(clients)."
        raise UsageError(message)
    return pool
