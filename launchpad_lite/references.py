"""References to objects in Ray's store: who is sent one gets the object.

A reference is pickled as what it takes to find the object. Whoever unpickles it joins Ray's
cluster, unless its process has done so, and reads the object from the store of its own machine.
Nothing here loads Ray before a reference is there.

Ray counts who holds a reference only where Ray itself has carried it. So whoever sends one by us
holds it, until it has certainly arrived.
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import dataclasses
import functools
import importlib
import itertools
import logging
import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from launchpad_lite import sigterm, walk
from launchpad_lite.errors import UnresolvedReference

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

HOLD_S = 60.0
"""Seconds that a process holds a reference after it has sent it."""

_ANSWER_S = 5.0
_joining = threading.Lock()
_holding = threading.Lock()
_held: collections.deque[tuple[float, Any]] = collections.deque()
_title: contextvars.ContextVar[Callable[[Any], str]] = contextvars.ContextVar(
    "lp_reference_title", default=lambda _: "a reference that was sent in a call"
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What it takes to find an object of Ray's.

    Attributes:
      title: what refers to it, for messages.
      object_id: Ray's.
      owner: Ray's address of the process that answers for it.
      status: what Ray knows of it.
      address: the cluster's.
      cluster: the cluster's identity, which an address is not.
      namespace: of the process that sends it.
    """

    title: str
    object_id: bytes
    owner: bytes
    status: bytes
    address: str
    cluster: str
    namespace: str


def is_reference(value: object) -> bool:
    """Whether a value refers to an object in Ray's store."""
    ray: Any = sys.modules.get("ray")
    return ray is not None and type(value) is getattr(ray, "ObjectRef", None)


@contextlib.contextmanager
def within(owner: str, parts: Mapping[str, Any]) -> Generator[None]:
    """Let messages about references that are pickled in this block say where they are.

    Args:
      owner: whose arguments they are in.
      parts: the arguments, by name.
    """

    @functools.cache
    def paths() -> dict[Any, str]:
        places = itertools.chain(*(walk.leaves(part, name) for name, part in parts.items()))
        return {part: path for path, part in places if is_reference(part)}

    def title(reference: Any) -> str:
        name = paths().get(reference)
        return f"{owner}: " + (f"argument {name}" if name else "an argument")

    token = _title.set(title)
    try:
        yield
    finally:
        _title.reset(token)


def reduce(reference: Any) -> tuple[Callable[[Found], Any], tuple[Found]]:
    """Pickle a reference, so that its object is unpickled.

    Args:
      reference: a `ray.ObjectRef`.

    Raises:
      UnresolvedReference: this process has left the cluster.
    """
    title = _title.get()(reference)
    worker = _worker()
    if not worker.connected:
        message = f"{title}: {reference} is of a Ray cluster that this process has left."
        raise UnresolvedReference(message)
    _, owner, status = worker.core_worker.serialize_object_ref(reference)
    _hold(reference)
    found = Found(
        title=title,
        object_id=reference.binary(),
        owner=owner,
        status=status,
        address=worker.gcs_client.address,
        cluster=worker.gcs_client.cluster_id.hex(),
        namespace=worker.namespace,
    )
    return resolve, (found,)


def _hold(reference: Any) -> None:
    now = time.monotonic()
    with _holding:
        while _held and _held[0][0] < now:
            _held.popleft()
        _held.append((now + HOLD_S, reference))


def resolve(found: Found) -> Any:
    """Return an object of Ray's; arrays in it are read-only views of the machine's store.

    Raises:
      UnresolvedReference: it is lost, or this machine is no node of its cluster.
    """
    ray = _join(found)
    reference = ray.ObjectRef(found.object_id, found.owner)
    worker = _worker()
    worker.core_worker.deserialize_and_register_object_ref(
        found.object_id, ray.ObjectRef.nil(), found.owner, found.status
    )
    return value(reference, found.title)


def value(reference: Any, title: str | None = None) -> Any:
    """Return the object that a reference of this process refers to.

    Args:
      reference: a `ray.ObjectRef`.
      title: what refers to it, for messages; None for what the surrounding `within` says.

    Raises:
      UnresolvedReference: it is lost.
    """
    ray: Any = importlib.import_module("ray")
    gone = (ray.exceptions.ObjectLostError, ray.exceptions.ReferenceCountingAssertionError)
    try:
        return ray.get(reference)
    except ray.exceptions.OwnerDiedError as error:
        cause: Exception = error
        what = (
            "the object in Ray's store is lost, for the process that has put it there has ended. "
            "An object lives no longer than the process whose ray.put it was: that one must last "
            "as long as its references are used."
        )
    except gone as error:
        cause = error
        what = (
            "the object in Ray's store is lost: nobody held a reference any more, or its machine "
            f"is gone. Keep the reference where it was made; who sends one holds it for {HOLD_S:g} "
            "s only."
        )
    except ray.exceptions.RayError as error:
        cause = error
        what = f"the object of Ray's cannot be had: {error}"
    message = f"{title or _title.get()(reference)}: {what}"
    raise UnresolvedReference(message) from cause


def _worker() -> Any:
    module: Any = importlib.import_module("ray._private.worker")
    return module.global_worker


def _join(found: Found) -> Any:
    """Join the cluster of an object, unless this process has; return Ray's module."""
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise UnresolvedReference(_explain(found, "Ray is not installed there.")) from error
    with _joining:
        if not ray.is_initialized():
            try:
                _begin(ray, found)
            except Exception as error:
                ray.shutdown()
                raise UnresolvedReference(_explain(found, str(error))) from error
    if _worker().gcs_client.cluster_id.hex() != found.cluster:
        why = f"this process has joined another, at {_worker().gcs_client.address}."
        raise UnresolvedReference(_explain(found, why))
    return ray


def _begin(ray: Any, found: Found) -> None:
    host, _, port = found.address.rpartition(":")
    # Ray itself would wait for minutes
    socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
    with sigterm.kept():
        ray.init(
            address=found.address,
            namespace=found.namespace,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
        )


def _explain(found: Found, why: str) -> str:
    return (
        f"{found.title}: the object is in the store of the Ray cluster at {found.address}, of "
        f"which no node is here ({os.uname().nodename}): {why}"
    )
