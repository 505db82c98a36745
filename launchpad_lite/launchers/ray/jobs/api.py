"""The dashboard of a Ray cluster, whose HTTP API starts jobs, and tells and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib
import importlib.util
import json
import logging
import os
import socket
import threading
import time
import urllib.parse
from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import (
    ControllerLost,
    LauncherUnavailableError,
    Unavailable,
    UsageError,
)
from launchpad_lite.launchers.ray.jobs.tail import LOST_S, Tail
from launchpad_lite.launchers.ray.options import show_environment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator, Mapping

_RAYS_OWN = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
_HEADERS = "RAY_JOB_HEADERS"
_TALKATIVE = ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging")

_CONNECT_S = 5.0
_ANSWER_S = 10.0
_UPLOAD_S = 120.0
_HEARTBEAT_S = 20.0  # on the line that brings the log, which may be silent for days
_AGAIN_S = 2.0

_OK = 200
_UNKNOWN = 404
_TOO_LARGE = 413

_OVER = ("SUCCEEDED", "FAILED", "STOPPED")
GONE = "GONE"

_environment = threading.Lock()


@dataclasses.dataclass(frozen=True)
class JobState:
    """Where a job is.

    Attributes:
      status: Ray's word for it, or `GONE`.
      message: what Ray says to it.
    """

    status: str
    message: str

    @property
    def is_over(self) -> bool:
        """Whether the job has ended."""
        return self.status in (*_OVER, GONE)


class Dashboard:
    """A line to it.

    Attributes:
      address: its URL.
    """

    def __init__(self, address: str) -> None:
        """Find out that it answers.

        Raises:
          UsageError: the address is none.
          LauncherUnavailableError: it does not answer, or not as a dashboard does, or a part of Ray
            is not installed.
        """
        self.address = address.rstrip("/")
        if any(importlib.util.find_spec(name) is None for name in ("ray", "aiohttp")):
            message = (
                f"--ray_address={address}: what of Ray submits jobs is not installed: "
                "pip install 'launchpad-lite[ray]', or 'ray[default]'."
            )
            raise LauncherUnavailableError(message)
        _check(self.address)
        module: Any = importlib.import_module("ray.job_submission")
        aiohttp: Any = importlib.import_module("aiohttp")
        exceptions: Any = importlib.import_module("ray.exceptions")
        self._errors: tuple[type[Exception], ...] = (
            RuntimeError,
            OSError,
            exceptions.RayError,
            aiohttp.ClientError,
        )
        try:
            with _without_variables():  # or Ray would prefer them to the address
                self._client = module.JobSubmissionClient(self.address, headers=_headers())
        except (*self._errors, ValueError, KeyError) as error:  # of what answers there, too
            raise LauncherUnavailableError(_explain(self.address, error)) from error

    def put(self, name: str, data: bytes, seconds: float = _UPLOAD_S) -> None:
        """Keep something in the cluster, where its processes find it by name.

        It travels as the packages of runtime environments do.

        Args:
          name: of a package.
          data: what is kept.
          seconds: how long it may take to be answered.

        Raises:
          UsageError: it is too large.
          Unavailable: the dashboard does not answer.
        """
        self._ask("PUT", f"/api/packages/gcs/{name}", seconds, data=data)

    def let_go(self, name: str) -> None:
        """Have Ray remove what was put there, if nobody else has: it does so after ten minutes.

        Raises:
          Unavailable: the dashboard does not answer.
        """
        self._ask("GET", f"/api/packages/gcs/{name}", known=(_OK, _UNKNOWN))

    def submit(self, job: str, entrypoint: str, runtime_env: Mapping[str, Any]) -> None:
        """Start a job.

        Raises:
          UsageError: Ray does not take its runtime environment.
          Unavailable: the dashboard does not answer.
        """
        try:
            with _quiet():
                self._client.submit_job(
                    entrypoint=entrypoint, submission_id=job, runtime_env=dict(runtime_env)
                )
        except (TypeError, ValueError) as error:
            shown = show_environment(runtime_env)
            raise UsageError(f"Ray refuses runtime_env={shown}: {error}") from error
        except self._errors as error:
            if f"status code {_TOO_LARGE}" in str(error) or "exceeds the maximum" in str(error):
                raise UsageError(_too_large(str(runtime_env.get("working_dir")))) from error
            message = f"Ray's dashboard at {self.address} does not take the job: {error}"
            raise Unavailable(message, maybe_executed=True) from error

    def end(self, job: str) -> None:
        """Have a job end, if it has not: it is sent SIGTERM.

        Raises:
          Unavailable: the dashboard does not answer.
        """
        self._ask("POST", f"/api/jobs/{job}/stop", known=(_OK, _UNKNOWN))

    def state(self, job: str) -> JobState:
        """Return where a job is.

        Raises:
          Unavailable: the dashboard does not answer.
        """
        answer = self._ask("GET", f"/api/jobs/{job}", known=(_OK, _UNKNOWN))
        if answer.status_code == _UNKNOWN:
            return JobState(GONE, "the cluster knows no such job")
        return JobState(self._told(answer, "status"), self._told(answer, "message"))

    def log(self, job: str) -> list[str]:
        """Return what a job has printed until now.

        Raises:
          Unavailable: the dashboard does not answer.
        """
        return self._printed(job).split("\n")[:-1]

    def _printed(self, job: str) -> str:
        return self._told(self._ask("GET", f"/api/jobs/{job}/logs", _UPLOAD_S), "logs")

    def follow(self, job: str) -> Iterator[list[str]]:
        """Yield the lines that a job prints, from the first to the last.

        Raises:
          ControllerLost: the dashboard does not answer any more.
        """
        tail = Tail(time.monotonic())
        while True:
            tail.begin()
            told_all = False
            with contextlib.suppress(*self._errors):
                for text in self._texts(job):
                    yield tail.take(text)
                told_all = True
            tail.end(time.monotonic(), told_all=told_all)
            with contextlib.suppress(Unavailable):
                tail.asked(time.monotonic(), is_over=self.state(job).is_over)
                if tail.lacks_end():
                    printed = self._printed(job)
                    tail.begin()
                    yield tail.take(printed)
                    tail.end(time.monotonic(), told_all=True)
            if tail.is_complete(time.monotonic()):
                yield tail.rest()
                return
            if tail.is_lost(time.monotonic()):
                message = (
                    f"Ray's dashboard at {self.address} has not answered for {LOST_S:g} s. "
                    f"`ray job status --address {self.address} {job}` tells what has become of it."
                )
                raise ControllerLost(message)
            time.sleep(_AGAIN_S)

    def _texts(self, job: str) -> Iterator[str]:
        texts = self._tail(job)
        with asyncio.Runner() as runner:
            try:
                while (text := runner.run(_next(texts))) is not None:
                    yield text
            finally:
                runner.run(texts.aclose())

    async def _tail(self, job: str) -> AsyncGenerator[str]:
        aiohttp: Any = importlib.import_module("aiohttp")
        client = self._client
        session = aiohttp.ClientSession(
            cookies=client._cookies,  # noqa: SLF001
            headers=client._headers,  # noqa: SLF001
            trust_env=True,  # proxies, as for all else
        )
        async with session:
            line = await session.ws_connect(
                f"{self.address}/api/jobs/{job}/logs/tail",
                heartbeat=_HEARTBEAT_S,
                max_msg_size=0,
                ssl=client._ssl_context,  # noqa: SLF001 - Ray's own tail misses a network that is gone
            )
            yield ""
            async for message in line:
                if message.type == aiohttp.WSMsgType.TEXT:
                    yield message.data
            if line.close_code != aiohttp.WSCloseCode.OK:
                message = f"the line was lost ({line.close_code})"
                raise OSError(message)

    def _ask(
        self,
        method: str,
        path: str,
        seconds: float = _ANSWER_S,
        *,
        known: tuple[int, ...] = (_OK,),
        **more: Any,
    ) -> Any:
        try:
            answer = self._client._do_request(method, path, timeout=seconds, **more)  # noqa: SLF001
        except self._errors as error:
            message = f"Ray's dashboard at {self.address} does not answer: {error}"
            raise Unavailable(message, maybe_executed=True) from error
        if answer.status_code == _TOO_LARGE:
            raise UsageError(_too_large("the program's pickles"))
        if answer.status_code not in known:
            what = f"{answer.status_code}: {answer.text}"
            message = f"Ray's dashboard at {self.address} answers {what}"
            raise Unavailable(message, maybe_executed=True)
        return answer

    def _told(self, answer: Any, name: str) -> str:
        """Return what an answer says under a name; empty if that is nothing.

        Raises:
          Unavailable: it is not a dashboard's.
        """
        try:
            return str(answer.json().get(name) or "")
        except (ValueError, AttributeError) as error:
            message = f"Ray's dashboard at {self.address} answers as none does: {answer.text[:200]}"
            raise Unavailable(message, maybe_executed=True) from error


async def _next(texts: AsyncGenerator[str]) -> str | None:
    return await anext(texts, None)


def _check(address: str) -> None:
    """Find out, sooner than Ray does, that an address leads nowhere."""
    parts = urllib.parse.urlsplit(address)
    try:
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        host, port = None, 0
    if not host:
        message = f"--ray_address={address}: use http://HOST:PORT of the cluster's dashboard."
        raise UsageError(message)
    requests: Any = importlib.import_module("requests")
    try:
        if not requests.utils.get_environ_proxies(address):
            socket.create_connection((host, port), _CONNECT_S).close()
        requests.get(f"{address}/api/version", timeout=_ANSWER_S)  # Ray would wait for ever
    except (OSError, OverflowError) as error:
        raise LauncherUnavailableError(_explain(address, error)) from error


def _explain(address: str, error: BaseException) -> str:
    text = " ".join(str(error).split())
    if "Authentication" in type(error).__name__:
        return (
            f"the Ray cluster ({address}) asks for its token: set RAY_AUTH_MODE=token, and have "
            "the cluster's token in ~/.ray/auth_token, or in RAY_AUTH_TOKEN."
        )
    return (
        f"no dashboard of Ray answers at {address} ({text}). Its port is 8265 by default; `ray "
        "start --head --dashboard-host=0.0.0.0` lets other machines reach it."
    )


def _too_large(what: str) -> str:
    return (
        f"{what}: too large for Ray's dashboard, which takes 100 MB. What of a directory the "
        "program does not need is left out by .gitignore, .rayignore or lp.RayOptions("
        "runtime_env={'excludes': [...]}); or launch from a smaller directory. Large data belongs "
        "where the cluster's machines can read it."
    )


@contextlib.contextmanager
def _without_variables() -> Generator[None]:
    with _environment:
        values = {name: os.environ.pop(name) for name in _RAYS_OWN if name in os.environ}
        try:
            yield
        finally:
            os.environ.update(values)


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Keep Ray from saying what it uploads; its warnings are heard."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _headers() -> dict[str, str] | None:
    """Return what `ray job` sends too, to dashboards behind a proxy that asks for it.

    Raises:
      UsageError: it is no JSON.
    """
    given = os.environ.get(_HEADERS)
    if not given:
        return None
    try:
        return {str(name): str(value) for name, value in json.loads(given).items()}
    except (ValueError, AttributeError) as error:
        message = f"{_HEADERS} is no JSON object of headers: {error}"
        raise UsageError(message) from error
