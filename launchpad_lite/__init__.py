"""Distributed programs as graphs of nodes, on threads, processes and clusters.

The names load on first use, so that a process loads no more than it needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from launchpad_lite.version import __version__

if TYPE_CHECKING:
    from launchpad_lite import courier, testing
    from launchpad_lite.address import Address
    from launchpad_lite.config import RunConfig
    from launchpad_lite.connecting import connect
    from launchpad_lite.context import Context, bind, get_context
    from launchpad_lite.courier.batching import batched_handler
    from launchpad_lite.courier.cache import CachedResult
    from launchpad_lite.courier.cached import cached
    from launchpad_lite.courier.call_context import CallContext, get_call_context
    from launchpad_lite.courier.client import Client as CourierClient
    from launchpad_lite.courier.client_pool import broadcast, pool
    from launchpad_lite.courier.deadline import deadline
    from launchpad_lite.courier.stream import Stream
    from launchpad_lite.courier.typed import aio, stream, submit
    from launchpad_lite.errors import (
        BatchError,
        CallError,
        CheckpointError,
        CodecError,
        ContextError,
        ControllerLost,
        DeadlineExceeded,
        ExitCode,
        HandleError,
        LauncherUnavailableError,
        LaunchpadError,
        MethodNotFound,
        NodeFailed,
        NodesStuck,
        NotAuthenticated,
        PayloadTooLarge,
        ProgramError,
        RemoteError,
        ResourceExhausted,
        RunError,
        StatusCode,
        Stopped,
        Unavailable,
        UnpicklableError,
        UnresolvedReference,
        UsageError,
        VersionMismatch,
    )
    from launchpad_lite.handle import Deferred, Handle
    from launchpad_lite.launch_type import LaunchType
    from launchpad_lite.launchers.base import LaunchOptions
    from launchpad_lite.launchers.ray.options import RayGroup, RayOptions
    from launchpad_lite.launchers.slurm.options import SlurmGroup, SlurmOptions
    from launchpad_lite.launching import (
        launch,
        make_program_stopper,
        plan,
        register_stop_handler,
        seconds_left,
        stop,
        stop_event,
        unregister_stop_handler,
        wait_for_stop,
    )
    from launchpad_lite.node import Node
    from launchpad_lite.nodes.cacher import CacherNode
    from launchpad_lite.nodes.courier import CourierHandle, CourierNode
    from launchpad_lite.nodes.multi_processing import MultiProcessingColocation
    from launchpad_lite.nodes.multi_threading import MultiThreadingColocation
    from launchpad_lite.nodes.python import PyClassNode, PyNode
    from launchpad_lite.nodes.reverb import ReverbHandle, ReverbNode
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.program import Edge, Program, make_program
    from launchpad_lite.python_process import PythonProcess
    from launchpad_lite.resources import Resources
    from launchpad_lite.runtime.run import Run

importlib.import_module("launchpad_lite.flags")  # programs parse them before they use a name

__all__ = [
    "Address",
    "BatchError",
    "CachedResult",
    "CacherNode",
    "CallContext",
    "CallError",
    "CheckpointError",
    "CodecError",
    "Context",
    "ContextError",
    "ControllerLost",
    "CourierClient",
    "CourierHandle",
    "CourierNode",
    "DeadlineExceeded",
    "Deferred",
    "Edge",
    "ExitCode",
    "Handle",
    "HandleError",
    "LaunchOptions",
    "LaunchPlan",
    "LaunchType",
    "LauncherUnavailableError",
    "LaunchpadError",
    "MethodNotFound",
    "MultiProcessingColocation",
    "MultiThreadingColocation",
    "Node",
    "NodeFailed",
    "NodesStuck",
    "NotAuthenticated",
    "PayloadTooLarge",
    "Program",
    "ProgramError",
    "PyClassNode",
    "PyNode",
    "PythonProcess",
    "RayGroup",
    "RayOptions",
    "RemoteError",
    "ResourceExhausted",
    "Resources",
    "ReverbHandle",
    "ReverbNode",
    "Run",
    "RunConfig",
    "RunError",
    "SlurmGroup",
    "SlurmOptions",
    "StatusCode",
    "Stopped",
    "Stream",
    "Unavailable",
    "UnpicklableError",
    "UnresolvedReference",
    "UsageError",
    "VersionMismatch",
    "__version__",
    "aio",
    "batched_handler",
    "bind",
    "broadcast",
    "cached",
    "connect",
    "courier",
    "deadline",
    "get_call_context",
    "get_context",
    "launch",
    "make_program",
    "make_program_stopper",
    "plan",
    "pool",
    "register_stop_handler",
    "seconds_left",
    "stop",
    "stop_event",
    "stream",
    "submit",
    "testing",
    "unregister_stop_handler",
    "wait_for_stop",
]

_HOMES = {
    "Address": "address",
    "BatchError": "errors",
    "CachedResult": "courier.cache",
    "CacherNode": "nodes.cacher",
    "CallContext": "courier.call_context",
    "CallError": "errors",
    "CheckpointError": "errors",
    "CodecError": "errors",
    "Context": "context",
    "ContextError": "errors",
    "ControllerLost": "errors",
    "CourierClient": "courier.client:Client",
    "CourierHandle": "nodes.courier",
    "CourierNode": "nodes.courier",
    "DeadlineExceeded": "errors",
    "Deferred": "handle",
    "Edge": "program",
    "ExitCode": "errors",
    "Handle": "handle",
    "HandleError": "errors",
    "LaunchOptions": "launchers.base",
    "LaunchPlan": "planning",
    "LaunchType": "launch_type",
    "LauncherUnavailableError": "errors",
    "LaunchpadError": "errors",
    "MethodNotFound": "errors",
    "MultiProcessingColocation": "nodes.multi_processing",
    "MultiThreadingColocation": "nodes.multi_threading",
    "Node": "node",
    "NodeFailed": "errors",
    "NodesStuck": "errors",
    "NotAuthenticated": "errors",
    "PayloadTooLarge": "errors",
    "Program": "program",
    "ProgramError": "errors",
    "PyClassNode": "nodes.python",
    "PyNode": "nodes.python",
    "PythonProcess": "python_process",
    "RayGroup": "launchers.ray.options",
    "RayOptions": "launchers.ray.options",
    "RemoteError": "errors",
    "ResourceExhausted": "errors",
    "Resources": "resources",
    "ReverbHandle": "nodes.reverb",
    "ReverbNode": "nodes.reverb",
    "Run": "runtime.run",
    "RunConfig": "config",
    "RunError": "errors",
    "SlurmGroup": "launchers.slurm.options",
    "SlurmOptions": "launchers.slurm.options",
    "StatusCode": "errors",
    "Stopped": "errors",
    "Stream": "courier.stream",
    "Unavailable": "errors",
    "UnpicklableError": "errors",
    "UnresolvedReference": "errors",
    "UsageError": "errors",
    "VersionMismatch": "errors",
    "aio": "courier.typed",
    "batched_handler": "courier.batching",
    "bind": "context",
    "broadcast": "courier.client_pool",
    "cached": "courier.cached",
    "connect": "connecting",
    "deadline": "courier.deadline",
    "get_call_context": "courier.call_context",
    "get_context": "context",
    "launch": "launching",
    "make_program": "program",
    "make_program_stopper": "launching",
    "plan": "launching",
    "pool": "courier.client_pool",
    "register_stop_handler": "launching",
    "seconds_left": "launching",
    "stop": "launching",
    "stop_event": "launching",
    "stream": "courier.typed",
    "submit": "courier.typed",
    "unregister_stop_handler": "launching",
    "wait_for_stop": "launching",
}
"""Where each name is defined, and what it is called there if that differs; others are modules."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES.get(name, name).partition(":")
    value: Any = importlib.import_module(f"{__name__}.{module}")
    if name in _HOMES:
        value = getattr(value, attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
