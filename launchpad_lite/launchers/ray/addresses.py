"""Addresses of clusters: what they name, who answers there, and which this process has joined."""

from __future__ import annotations

import importlib
import os
import re
import socket
import sys
import urllib.parse
from typing import Any

from launchpad_lite.errors import LauncherUnavailableError, UsageError
from launchpad_lite.launchers.ray.options import LOCAL

AUTO = "auto"
CLIENT = "ray://"
"""Begins the address of a cluster that this process is a client of, from outside."""

VARIABLE = "RAY_ADDRESS"
_ANSWER_S = 5.0
_DASHBOARDS = ("http://", "https://")
_ELSEWHERE = (
    "To launch from a machine that is none of the cluster's, name its dashboard, "
    "--ray_address=http://{0}:8265, or what Ray Client connects to, --ray_address=ray://{0}:10001."
)


def outside(address: str | None) -> str | None:
    """Return the URL by which a cluster is reached from outside of it; None if it is not.

    It is that of the cluster's dashboard, or begins with `CLIENT`.

    Args:
      address: as it was given.
    """
    ray: Any = sys.modules.get("ray")
    joined = ray is not None and ray.is_initialized()
    if joined and address in (None, AUTO):
        address = current(ray)
    elif address is None:
        address = os.environ.get(VARIABLE)
    is_url = address is not None and address.startswith((*_DASHBOARDS, CLIENT))
    return address if is_url else None


def connection(ray: Any) -> str:
    """Return which connection to a cluster this process has; empty for none."""
    if not ray.is_initialized():
        return ""
    through = client()
    if through is not None:
        return str(through._client_id)  # noqa: SLF001 - nothing else tells
    context = ray.get_runtime_context()
    return f"{context.gcs_address} {context.get_job_id()}"


def client() -> Any:
    """Return Ray's client, if this process is connected by one; else None."""
    module: Any = importlib.import_module("ray.util.client")
    return module.ray.get_context().client_worker if module.ray.is_connected() else None


def current(ray: Any) -> str:
    """Return the address of the cluster that this process has joined."""
    through = client()
    if through is not None:
        return f"{CLIENT}{through._conn_str}"  # noqa: SLF001 - nothing else tells
    return str(ray.get_runtime_context().gcs_address)


def check(address: str) -> None:
    """Find out, sooner than Ray does, that an address leads nowhere.

    Raises:
      UsageError: it is no address of this launcher.
      LauncherUnavailableError: nobody answers there.
    """
    place = address.removeprefix(CLIENT)
    if "://" in place:
        host = urllib.parse.urlsplit(address).hostname or "HOST"
        message = f"--ray_address={address}: {_ELSEWHERE.format(host)}"
        raise UsageError(message)
    if address in (AUTO, LOCAL):
        return
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit():
        message = (
            f"--ray_address={address}: use auto, local, or the cluster's address, host:port; from "
            "outside of it ray://host:10001."
        )
        raise UsageError(message)
    try:
        socket.create_connection((host, int(port)), _ANSWER_S).close()
    except (OSError, OverflowError) as error:
        ask = (
            f"`ray status --address={address}` on one of its machines tells whether it is up."
            if place == address
            else "`ray start --head` serves clients at port 10001, or --ray-client-server-port."
        )
        message = f"no Ray cluster answers at {address} ({error}). {ask}"
        raise LauncherUnavailableError(message) from error


def check_joined(ray: Any, address: str | None) -> None:
    """Refuse an address other than that of the cluster which this process has joined.

    Raises:
      UsageError: it is another.
    """
    there = current(ray)
    if address in (None, AUTO, there):
        return
    message = (
        f"--ray_address={address}: this process has joined the cluster at {there} before "
        "(ray.init). Leave the address out, or call ray.shutdown() first."
    )
    raise UsageError(message)


def explain(address: str, error: BaseException) -> str:
    """Return why the cluster at an address cannot be joined, for people."""
    text = " ".join(str(error).split())
    if "AuthToken" in f"{error} {error.__cause__}" or "Authentication" in type(error).__name__:
        return (
            f"the Ray cluster ({address}) asks for its token: set RAY_AUTH_MODE=token, and have "
            "the cluster's token in ~/.ray/auth_token, or in RAY_AUTH_TOKEN."
        )
    if "ersion mismatch" in text:
        return (
            f"the Ray cluster at {address} runs other versions than this process: {text} Install "
            "the cluster's versions of Ray and Python here."
        )
    if isinstance(error, ConnectionError) and address == AUTO:
        return (
            "this machine is no node of a Ray cluster. `ray start --head` begins one; "
            "--ray_address=local runs the program in one of its own."
        )
    if address.startswith(CLIENT) and "connection timeout" in text:  # also said of a wrong token
        return (
            f"what listens at {address} does not serve this client of Ray. Is it the port of Ray "
            "Client, 10001 by default? A cluster may ask for its token: set RAY_AUTH_MODE=token, "
            "and have it in ~/.ray/auth_token, or in RAY_AUTH_TOKEN."
        )
    if "Initialization failure" in text:  # with a traceback of what serves clients
        text = re.split(r"\n(?=[\w.]+(?:Error|Exception): )", str(error).strip())[-1]
        return f"the Ray cluster ({address}) does not serve this client: {text}"
    return f"the Ray cluster ({address}) cannot be joined: {text}"
