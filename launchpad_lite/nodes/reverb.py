"""The node that holds a replay buffer."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, ClassVar, cast

from launchpad_lite import typecheck, validation
from launchpad_lite.context import get_context
from launchpad_lite.courier import threads
from launchpad_lite.frames import user_place
from launchpad_lite.node import Problem
from launchpad_lite.nodes import dm_reverb
from launchpad_lite.nodes.call import save_at_notice
from launchpad_lite.nodes.courier import CourierNode, ServiceHandle

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator

    from launchpad_lite.address import Address
    from launchpad_lite.context import Context
    from launchpad_lite.courier.server import Server
    from launchpad_lite.replay.core.checkpoint.checkpointers import CheckpointerBase
    from launchpad_lite.replay.core.table import Table
    from launchpad_lite.replay.service.client import Client
    from launchpad_lite.replay.service.methods import ReplayService

_log = logging.getLogger(__name__)


class ReverbHandle(ServiceHandle["Client"]):
    """Stands for a Reverb node; becomes a `replay.Client` of it in the node that receives it."""

    def dereference(self) -> Client:
        """Return a client, in the run of the calling thread, or else at the bound address.

        Where dm-reverb is installed, that waits for the node, which may serve dm-reverb's tables:
        then it is a `reverb.Client`.
        """
        from launchpad_lite.replay.service.client import Client  # it loads NumPy

        client = self._client()
        return dm_reverb.client_of(client) or Client(client)


class Replay:
    """What a Reverb node runs.

    Attributes:
      service: the tables, and what can be done with them.
    """

    service: ReplayService | dm_reverb.Service

    def __init__(
        self,
        priority_tables_fn: Callable[[], Iterable[Any]],
        checkpoint_ctor: Callable[[], Any] | None = None,
        checkpoint_time_delta_minutes: float | None = None,
    ) -> None:
        """Make the tables, and fill them with the latest checkpoint; see `ReverbNode`."""
        from launchpad_lite.replay.service.methods import ReplayService

        context = get_context()
        self._saves = checkpoint_ctor is not None or checkpoint_time_delta_minutes is not None
        self._period_s = 60.0 * (checkpoint_time_delta_minutes or 0.0)
        tables = priority_tables_fn()
        checkpointer = None if checkpoint_ctor is None else checkpoint_ctor()
        if dm_reverb.are_tables(tables):
            theirs = dm_reverb.Service(cast("list[Any]", tables), checkpointer, context.scope.host)
            context.cleanup.callback(theirs.close)
            self.service = theirs
            return
        with validation.within(f"{context.name}: what {_name(priority_tables_fn)} returned"):
            note = functools.partial(context.scope.note, context.name)
            self.service = ReplayService(
                cast("list[Table]", tables), checkpointer or _default_checkpointer(context), note
            )
        self.service.load()

    def set_courier_server(self, server: Server) -> None:
        """Serve until the node ends, and write checkpoints."""
        context, service = get_context(), self.service
        stop = context.scope.stop
        service.bind_to(server)
        stop.register(lambda: service.hurry(stop.reason))
        if self._saves:
            save_at_notice(self._save, "a checkpoint of the tables", context)
        if self._period_s:
            saving = threads.start("lp-replay-checkpoints", self._save_at_times, stop.event)
            context.cleanup.callback(saving.join)
        server.Start()

    def _save(self) -> None:
        _log.info("a checkpoint of the tables is at %s", self.service.checkpoint())

    def _save_at_times(self, stopped: threading.Event) -> None:
        while not stopped.wait(self._period_s):
            try:
                self._save()
            except Exception:
                _log.exception("no checkpoint of the tables could be written; the last one stays")


class ReverbNode(CourierNode["Client"]):
    """Holds a replay buffer: tables that other nodes insert into and sample from.

    Its handle becomes a `replay.Client`. What waits for a rate limiter ends with `Unavailable` as
    soon as the program stops.
    """

    kind: ClassVar[str] = "ReverbNode"
    handle_type: ClassVar[type[ServiceHandle[Any]]] = ReverbHandle

    def __init__(
        self,
        priority_tables_fn: Callable[[], Iterable[Table]],
        checkpoint_ctor: Callable[[], CheckpointerBase] | None = None,
        checkpoint_time_delta_minutes: float | None = None,
    ) -> None:
        """Make a node.

        Args:
          priority_tables_fn: makes the tables, in the worker. With dm-reverb installed they may
            be its own: it serves them then, and handles become `reverb.Client`s.
          checkpoint_ctor: makes the checkpointer, in the worker. Its latest checkpoint fills the
            tables when the node starts, and again when it is restarted. None for one that writes
            where the nodes of the run save: to `RunConfig(checkpoint_dir=)`, where a later run
            finds it, or else inside the run directory, where only a restarted node does; to a
            temporary directory when the run keeps none. (dm-reverb's tables then have its own
            default.)
          checkpoint_time_delta_minutes: minutes after which another checkpoint is written, again
            and again; None for none in between. Where this or a checkpointer is given, one is
            written when the program stops, too; otherwise only when a client asks.

        Raises:
          UsageError: one of the first two cannot be called, or the minutes are not positive.
        """
        with validation.within(f"{user_place()}: {self.kind}"):
            _check(priority_tables_fn, checkpoint_ctor, checkpoint_time_delta_minutes)
        self._make_tables = priority_tables_fn
        super().__init__(
            cast("Callable[..., Client]", Replay),
            priority_tables_fn,
            checkpoint_ctor,
            checkpoint_time_delta_minutes,
            courier_kwargs=None,
        )

    @property
    def title(self) -> str:
        """What makes the tables."""
        return _name(self._make_tables)

    @property
    def served_type(self) -> type | None:
        """What handles become: `replay.Client`, unless dm-reverb is installed and may serve."""
        if dm_reverb.is_installed():
            return None
        from launchpad_lite.replay.service.client import Client  # it loads NumPy

        return Client

    @property
    def reverb_address(self) -> Address:
        """The address that the node serves."""
        return self.courier_address

    def check(self) -> Iterator[Problem]:
        """Yield what the node's options have that a replay buffer cannot do."""
        yield from super().check()
        if self._courier_options().codec == "data":
            yield Problem('codec="data": what replay clients send needs "pickle", the default.')


def _check(make_tables: object, make_checkpointer: object, minutes: Any) -> None:
    """Refuse arguments that cannot work.

    Raises:
      UsageError: there are some.
    """
    if not callable(make_tables):
        validation.refuse(
            "priority_tables_fn",
            make_tables,
            "a function that makes the tables in the node, such as lambda: [replay.Table(...)]",
        )
    if make_checkpointer is not None and not callable(make_checkpointer):
        validation.refuse(
            "checkpoint_ctor",
            make_checkpointer,
            "a function that makes the checkpointer in the node",
        )
    if minutes is not None and not 0 < validation.real(minutes) <= validation.MAX_WAIT_S / 60:
        validation.refuse("checkpoint_time_delta_minutes", minutes, "a positive number of minutes")


def _default_checkpointer(context: Context) -> CheckpointerBase | None:
    """Return one for the place where the node saves; None if it has none."""
    from launchpad_lite.replay.core.checkpoint.checkpointers import DefaultCheckpointer

    return None if context.checkpoint is None else DefaultCheckpointer(context.checkpoint)


def _name(function: Any) -> str:
    called = typecheck.unwrapped(function)
    return getattr(called, "__qualname__", type(called).__qualname__)
