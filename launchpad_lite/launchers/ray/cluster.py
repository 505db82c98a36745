"""The Ray cluster that a program runs in: joined, or started for it."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.util
import logging
import math
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any

from launchpad_lite import sigterm
from launchpad_lite.errors import LauncherUnavailableError, UsageError
from launchpad_lite.launchers.ray import addresses
from launchpad_lite.launchers.ray.machines import Machine
from launchpad_lite.launchers.ray.options import LOCAL, show_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launchpad_lite.launchers.ray.options import RayOptions

MISSING = "Ray is not installed: pip install 'launchpad-lite[ray]'."

_ANSWER_S = 5.0
_lock = threading.Lock()

_OWN = (
    "detach: this program would be in a Ray cluster that this process has started, and that ends "
    "with it. Leave detach out, or name another: --ray_address=auto or host:port."
)
_SET_BY_RAY = ("PYTHONBREAKPOINT", "RAY_AUTH_MODE")
"""Variables that Ray sets for a cluster which it starts; others may ask for something else."""


def installed() -> bool:
    """Whether Ray can be imported."""
    return importlib.util.find_spec("ray") is not None


def load() -> Any:
    """Import Ray; its modules are not typed as this package's are."""
    return importlib.import_module("ray")


@dataclasses.dataclass(eq=False)
class _Session:
    """What programs of this process share that are in a cluster which was joined for them.

    Attributes:
      address: the cluster's.
      connection: that of this process, which the user may have ended since.
      before: variables of the environment, as they were before.
      runtime_env: what Ray makes for all their actors.
      users: how many programs there are.
    """

    address: str
    connection: str
    before: dict[str, str | None]
    runtime_env: Mapping[str, Any] | None
    users: int = 1

    @property
    def local(self) -> bool:
        return self.address == LOCAL


_session: _Session | None = None


class Cluster:
    """A cluster that this process has joined.

    Attributes:
      ray: the module.
      local: whether it was started for this program, and ends with it.
    """

    def __init__(self, ray: Any, *, local: bool, session: _Session | None = None) -> None:
        """Take a cluster as it is; see `join`."""
        self.ray = ray
        self.local = local
        self._session = session
        self._connection = addresses.connection(ray)

    @classmethod
    def join(cls, options: RayOptions, runtime_env: Mapping[str, Any] | None = None) -> Cluster:
        """Join a cluster, or start one.

        Args:
          options: the user's.
          runtime_env: what Ray makes for all actors of this process, if it has not joined before.

        Raises:
          UsageError: `address` is none, or contradicts what this process has joined before.
          LauncherUnavailableError: the cluster does not answer, or is of another version.
        """
        ray = load()
        with _lock:
            if ray.is_initialized():
                addresses.check_joined(ray, options.address)
                if options.detach and _started_here():
                    raise UsageError(_OWN)
                here = addresses.connection(ray)
                if _session is None or _session.connection != here:  # it is the user's own
                    return cls(ray, local=False)
                _check_environment(_session, runtime_env)
                _session.users += 1
                return cls(ray, local=_session.local, session=_session)
            return cls._begin(ray, options, runtime_env)

    @classmethod
    def here(cls, *, local: bool) -> Cluster:
        """Return the cluster that this process is an actor of."""
        return cls(load(), local=local)

    @classmethod
    def _begin(
        cls, ray: Any, options: RayOptions, runtime_env: Mapping[str, Any] | None
    ) -> Cluster:
        global _session  # noqa: PLW0603 - Ray joins a process to one cluster
        address = options.address or os.environ.get(addresses.VARIABLE) or LOCAL
        addresses.check(address)
        if options.detach and address == LOCAL:
            raise UsageError(_OWN)
        settings: dict[str, Any] = {
            "namespace": options.namespace,
            "log_to_driver": False,  # nodes' output comes from their own logs
            "logging_level": logging.ERROR,
            "configure_logging": False,
        }
        if address == LOCAL:
            settings["include_dashboard"] = False
        if runtime_env is not None:
            settings["runtime_env"] = dict(runtime_env)
        before = {name: os.environ.get(name) for name in _SET_BY_RAY}
        try:
            with _without_variable(), sigterm.kept(), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Ray Client connection timed out")  # an error is
                ray.init(address=address, **settings)
        except BaseException as error:
            ray.shutdown()
            _put_back(before)
            known = (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError)
            if runtime_env is not None and isinstance(error, TypeError | ValueError):
                shown = show_environment(runtime_env)
                raise UsageError(f"Ray refuses runtime_env={shown}: {error}") from error
            if isinstance(error, known):
                raise LauncherUnavailableError(addresses.explain(address, error)) from error
            raise
        _session = _Session(address, addresses.connection(ray), before, runtime_env)
        return cls(ray, local=_session.local, session=_session)

    @property
    def is_joined(self) -> bool:
        """Whether this process is still in it: the user may have ended that, and joined again."""
        return self._connection == addresses.connection(self.ray) != ""

    @property
    def is_client(self) -> bool:
        """Whether this process is connected to it by Ray's client."""
        return addresses.client() is not None

    @property
    def is_users(self) -> bool:
        """Whether this process has joined it before, of its own."""
        return self._session is None

    @property
    def runtime_env(self) -> Mapping[str, Any]:
        """What Ray makes for all actors of this process."""
        return dict(self.ray.get_runtime_context().runtime_env)

    @property
    def address(self) -> str:
        """The address of this machine by which the other machines of the cluster reach it."""
        return str(self.ray.util.get_node_ip_address())

    @property
    def gcs_address(self) -> str:
        """The address of the cluster."""
        return str(self.ray.get_runtime_context().gcs_address)

    def here_strategy(self) -> Any:
        """Return what has Ray start an actor on this machine."""
        strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
        return strategies.NodeAffinitySchedulingStrategy(self.machine, soft=False)

    @property
    def machine(self) -> str:
        """Ray's name of this machine."""
        return str(self.ray.get_runtime_context().get_node_id())

    def drained(self) -> dict[str, float]:
        """Return the machines that Ray drains, and when each will be gone.

        Returns:
          Seconds since 1970, by Ray's names of the machines; infinite where nobody knows, and
          nothing while the cluster does not answer.
        """
        worker: Any = importlib.import_module("ray._private.worker")
        try:
            found = worker.global_worker.gcs_client.get_draining_nodes(timeout=_ANSWER_S)
        except self.ray.exceptions.RayError:
            return {}
        return {machine: ms / 1000 if ms else math.inf for machine, ms in found.items()}

    def machines(self) -> list[Machine]:
        """Return its machines, as they are now, without those that Ray drains."""
        drained = self.drained()
        state: Any = importlib.import_module("ray._private.state")
        free = state.available_resources_per_node()
        return [
            Machine(
                name=node["NodeManagerHostname"]
                if self.local
                else f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})",
                total=node["Resources"],
                free=free.get(node["NodeID"], {}),
                labels=node.get("Labels", {}),
            )
            for node in self.ray.nodes()
            if node["Alive"] and node["NodeID"] not in drained
        ]

    def leave(self) -> None:
        """Leave it, or stop it, if this process has joined or started it here."""
        with _lock:
            session, self._session = self._session, None
            if session is None:
                return
            session.users -= 1
            if session.users == 0 and addresses.connection(self.ray) in ("", session.connection):
                self.ray.shutdown()
                _put_back(session.before)


@contextlib.contextmanager
def _without_variable() -> Any:
    """Hide what Ray would prefer to the address that it is given."""
    value = os.environ.pop(addresses.VARIABLE, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[addresses.VARIABLE] = value


def _put_back(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _started_here() -> bool:
    """Whether this process has started the cluster that it is in."""
    worker: Any = importlib.import_module("ray._private.worker")
    node = worker._global_node  # noqa: SLF001 - nothing else tells
    return node is not None and bool(node.is_head())


def _check_environment(session: _Session, runtime_env: Mapping[str, Any] | None) -> None:
    """Refuse another runtime environment than that of the programs which live.

    Raises:
      UsageError: it is another.
    """
    if runtime_env == session.runtime_env:
        return
    there = show_environment(session.runtime_env or {})
    message = (
        f"runtime_env={show_environment(runtime_env or {})}: a run of this process lives in "
        f"{session.address}, and all that are there share its runtime_env={there}. Use the same "
        "one, wait for its end, or launch from another process."
    )
    raise UsageError(message)
