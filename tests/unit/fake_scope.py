"""A run that is not there: what a node sees of it, for tests of what needs no more."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from launchpad_lite.config import RunConfig
from launchpad_lite.context import Context
from launchpad_lite.credentials import Credentials
from launchpad_lite.endpoint import EndpointRecord
from launchpad_lite.errors import ContextError, Unavailable
from launchpad_lite.scope import HasName
from launchpad_lite.stop_token import StopToken

S = TypeVar("S")


class FakeScope:
    """Implements `scope.Scope` on a few dictionaries."""

    def __init__(
        self,
        run_id: str = "run",
        names: Mapping[Any, str] | None = None,
        config: RunConfig | None = None,
    ) -> None:
        self.run_id = run_id
        self.stop = StopToken()
        self.config = config or RunConfig()
        self.host = "127.0.0.1"
        self.credentials = Credentials.create(tls=False)
        self.schemes: tuple[str, ...] = ()
        self.socket_dir: str | None = None
        self.debugger: Callable[[str, BaseException, StopToken], object] | None = None
        self.published: dict[str, EndpointRecord] = {}
        self.watchers: dict[str, list[Callable[[EndpointRecord], object]]] = {}
        self.retired: list[str] = []
        self.runs_ended: list[str] = []
        self.notes: dict[str, str] = {}
        self.stop_reasons: list[str] = []
        self.names = dict(names or {})
        self._shared: dict[Hashable, Any] = {}

    def name_of(self, address: HasName) -> str:
        name = address.name or self.names.get(address)
        if name is None:
            raise ContextError(f"{address!r} belongs to no node of {self.run_id}")
        return name

    def resolve(self, name: str, timeout: float | None) -> EndpointRecord:
        if name not in self.published:
            raise Unavailable(f"{name} is not there", maybe_executed=False)
        return self.published[name]

    def await_change(self, record: EndpointRecord, timeout: float) -> None: ...

    def watch(
        self, name: str, callback: Callable[[EndpointRecord], object]
    ) -> Callable[[], object]:
        watchers = self.watchers.setdefault(name, [])
        watchers.append(callback)

        def forget() -> None:
            if callback in watchers:
                watchers.remove(callback)

        return forget

    def publish(self, name: str, endpoints: tuple[str, ...]) -> EndpointRecord:
        record = EndpointRecord(self.run_id, name, 0, "host", endpoints)
        self.published[name] = record
        return record

    def retire(self, name: str, reason: str) -> None:
        self.retired.append(name)

    def run_ended(self, node: str) -> None:
        self.runs_ended.append(node)

    def note(self, node: str, text: str) -> None:
        self.notes[node] = text

    def inner(self, stop: StopToken, on_run_end: Callable[[str], object]) -> FakeScope:
        inner = copy.copy(self)
        inner.stop = stop
        return inner

    def request_stop(self, reason: str) -> None:
        self.stop_reasons.append(reason)

    def shared(self, key: Hashable, make: Callable[[], S]) -> S:
        if key not in self._shared:
            self._shared[key] = make()
        made: S = self._shared[key]
        return made

    def shared_keys(self) -> list[Hashable]:
        return list(self._shared)


def fake_context(
    scope: FakeScope | None = None,
    *,
    label: str = "node",
    index: int = 0,
    checkpoint: Path | None = None,
) -> Context:
    """A node of a run that is not there."""
    scope = scope or FakeScope()
    return Context(
        program="program",
        label=label,
        index=index,
        group_size=index + 1,
        run_id=scope.run_id,
        incarnation=0,
        seed=7,
        checkpoint=checkpoint,
        scope=scope,
    )
