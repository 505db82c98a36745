"""The actor that holds a run together, as the process sees it that has launched the run."""

from __future__ import annotations

import contextlib
import logging
import pickle
import threading
import time
from concurrent import futures
from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import (
    ControllerLost,
    LauncherUnavailableError,
    LaunchpadError,
    RunError,
    Stopped,
    Unavailable,
    UsageError,
)
from launchpad_lite.launchers.ray import packing
from launchpad_lite.launchers.ray.actors import explain
from launchpad_lite.launchers.ray.head import Head
from launchpad_lite.launchers.ray.messages import CONTROLLER, Begun, Over, Told
from launchpad_lite.launchers.ray.options import show_environment
from launchpad_lite.launchers.ray.placement import remove_room
from launchpad_lite.runtime.pulse import BEAT_S
from launchpad_lite.runtime.signals import signals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launchpad_lite.launchers.ray.cluster import Cluster
    from launchpad_lite.launchers.ray.messages import News, Submission
    from launchpad_lite.runtime.measuring import RunMetrics
    from launchpad_lite.runtime.rundir import Rendezvous
    from launchpad_lite.runtime.status import RunStatus

_ANSWER_S = 10.0
_LOGS_S = 20.0  # a question for logs waits for some
_END_S = 5.0
_LOOK_S = 1.0  # between two looks at whether a signal has come
_LEFT = (
    "this process has left the cluster (ray.shutdown, or its connection was lost), and with it "
    "what it had started"
)
_CALLS = 64  # that the actor answers at the same time: one holds the run, most wait for news


class HeldByActor:
    """The actor, and what it says.

    Implements `Viewer`.
    """

    def __init__(self, cluster: Cluster, submission: Submission) -> None:
        """Let Ray start it, on the machine that this process is on, or is a client of.

        Raises:
          UsageError: Ray does not take what is asked of it.
          LauncherUnavailableError: the cluster lacks this package, or the connection was lost.
        """
        self._cluster = cluster
        self._ray = cluster.ray
        self._run_id = submission.run_id
        options = submission.options
        self._env = show_environment(options.runtime_env)
        self._begun = False
        self._actor: Any = None
        try:
            self._actor = (
                cluster.ray.remote(Head)
                .options(
                    name=f"{self._run_id}:{CONTROLLER}",
                    namespace=options.namespace,
                    num_cpus=0,
                    max_concurrency=_CALLS,
                    lifetime="detached" if options.detach else None,
                    scheduling_strategy=cluster.here_strategy(),
                    runtime_env=dict(options.runtime_env) or None,
                )
                .remote()
            )
            data = packing.pack(submission)
            self._holding: futures.Future[None] = self._actor.hold.remote(data).future()
        except Exception as error:
            self.kill()
            raise self._refused(error) from error
        self._news = self._hear()

    def begin(self) -> Rendezvous:
        """Wait until the run has begun; return how to reach its controller.

        Raises:
          LaunchpadError: it cannot begin.
        """
        for news in self._news:
            if isinstance(news, Begun):
                self._begun = True
                return news.rendezvous
            if isinstance(news, Over):
                raise news.error or RunError(f"{self._run_id} ended before it began")
            if isinstance(news, Told):
                tell(news)
        raise AssertionError  # it hears without end, or raises

    def news(self) -> Iterator[News]:
        """Yield what there is to hear after the begin.

        Raises:
          ControllerLost: the actor is gone.
        """
        return self._news

    def _hear(self) -> Iterator[News]:
        seen = 0
        while True:
            try:
                asked: futures.Future[list[bytes]] = self._actor.news.remote(seen).future()
                self._await(asked)
                fresh = asked.result()
            except self._ray.exceptions.RayError as error:
                raise self._gone(explain(error)) from None
            except LaunchpadError:
                raise
            except Exception as error:  # what a client raises that has lost its connection
                raise self._gone(explain(error)) from None
            seen += len(fresh)
            yield from map(pickle.loads, fresh)

    def _refused(self, error: Exception) -> LaunchpadError:
        """Return what is wrong if there cannot be an actor; a client hears that only then."""
        if isinstance(error, ImportError | ConnectionError):
            return LauncherUnavailableError(f"{self._run_id} cannot begin: {explain(error)}")
        if isinstance(error, TypeError | ValueError | RuntimeError):
            return UsageError(f"Ray refuses runtime_env={self._env}: {error}")
        return self._gone(explain(error))

    def _gone(self, why: str) -> LaunchpadError:
        """Return the error of an actor of which nothing more will be heard."""
        if self._begun and self._cluster.is_joined:
            return ControllerLost(
                f"{self._run_id}: its controller, an actor of Ray, is gone: {why}"
            )
        if self._begun:
            return ControllerLost(f"{self._run_id} is lost: {_LEFT}")
        if not self._cluster.is_joined:
            return LauncherUnavailableError(f"{self._run_id} has not begun: {_LEFT}")
        env = f" (runtime_env={self._env})" if self._env else ""
        return UsageError(f"Ray cannot start the controller of the run{env}: {why}")

    def _await(self, asked: futures.Future[Any]) -> None:
        """Wait for an answer, and pass on a signal that comes before there is a run to stop.

        It does not wait inside of Ray, which would end this process if the user shut it down now.

        Raises:
          RayError: the actor is gone, or cannot do what it is for.
          Exception: this process is a client, and has lost its connection.
          LaunchpadError: this process has left the cluster.
          Stopped: a signal came, and the actor does not hear.
        """
        told: float | None = None
        both = (asked, self._holding)
        while not futures.wait(both, self._pause, futures.FIRST_COMPLETED).done:
            if not self._cluster.is_joined:
                raise self._gone("")
            if told is not None and time.monotonic() - told > _ANSWER_S:
                message = f"{self._run_id}: a signal came before there was a controller"
                raise Stopped(message)
            if signals.early and told is None:
                told = time.monotonic()
                self._actor.stop.remote("a signal came", immediately=False)
        if self._holding.done():
            self._holding.result()

    def status(self) -> RunStatus:
        """See `Viewer`."""
        status: RunStatus = pickle.loads(self._ask(self._actor.status))
        return status

    def metrics(self) -> RunMetrics:
        """See `Viewer`."""
        metrics: RunMetrics = pickle.loads(self._ask(self._actor.metrics))
        return metrics

    def logs(self, seen: Mapping[str, int]) -> dict[str, bytes]:
        """Return what is new in the nodes' logs; nothing after some time.

        Args:
          seen: how many bytes of each node's log are known already, by the nodes' names.

        Raises:
          Unavailable: the actor does not answer.
        """
        within_s = _LOGS_S + _ANSWER_S
        new: dict[str, bytes] = self._ask(
            self._actor.logs, dict(seen), None, _LOGS_S, within_s=within_s
        )
        return new

    def is_over(self) -> bool:
        """Whether the run has ended, and no more comes in its nodes' logs.

        Raises:
          Unavailable: the actor does not answer.
        """
        return bool(self._ask(self._actor.is_over))

    def stop(self, reason: str, *, immediately: bool = False) -> None:
        """See `Viewer`. That the actor is slow is no reason to do without a clean stop."""
        within_s = _ANSWER_S if immediately else 0.0
        self._ask(self._actor.stop, reason, immediately, within_s=within_s)

    @property
    def _pause(self) -> float:
        return BEAT_S if self._begun else _LOOK_S

    def _ask(self, method: Any, *arguments: Any, within_s: float = _ANSWER_S) -> Any:
        """Return the actor's answer; None if no time is given for one.

        It does not wait inside of Ray; see `_await`.

        Raises:
          Unavailable: there is none.
        """
        if not self._cluster.is_joined:
            raise Unavailable(f"{self._run_id}: {_LEFT}", maybe_executed=False)
        try:
            answer: futures.Future[Any] = method.remote(*arguments).future()
            return answer.result(within_s) if within_s else None
        except Exception as error:  # Ray's, or what a client raises that has lost its connection
            why = explain(error)
            message = f"the actor that holds {self._run_id} does not answer: {why}"
            raise Unavailable(message, maybe_executed=True) from error

    def end(self) -> None:
        """End the actor, give back what it may have left, and leave the cluster.

        A cluster that has lost its GCS answers nothing, and Ray ends this process after a minute of
        that; what the run has failed of is told before.
        """
        ending = threading.Thread(target=self._end, name="lp-ray-end", daemon=True)
        ending.start()
        ending.join(_END_S)

    def kill(self) -> None:
        """End the actor, and with it the run."""
        if self._cluster.is_joined:  # or else Ray would begin a new cluster
            with contextlib.suppress(Exception):  # it, or the cluster, may be gone
                self._ray.kill(self._actor)

    def _end(self) -> None:
        self.kill()
        if self._cluster.is_joined and not self._cluster.is_client:  # what it was, ends with it
            remove_room(self._run_id)
        self._cluster.leave()


def tell(news: Told) -> None:
    """Log what the controller has logged."""
    logging.getLogger(news.logger).log(news.level, "%s", news.text)
