"""Which object of this package each public name of the original is.

One table: the original's module, its names, and for each the place here, `module:attribute`; a
module alone stands for itself. Nothing is imported before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = "launchpad_lite"
_ORIGINAL = f"{ROOT}.compat"

DROPPED: Mapping[str, str] = {
    "DockerConfig": "Docker and Vertex AI are left out",
    "launchpad.nodes.python.xm_docker": "Docker and Vertex AI are left out",
    "reverb.TFClient": "it needs TensorFlow; Client and the datasets give NumPy arrays",
    "reverb.tf_client": "it needs TensorFlow; reverb.Client and the datasets give NumPy arrays",
}
"""Names and modules of the original that are not here, and why."""


def _same(module: str, *names: str) -> dict[str, str]:
    """Return names that are found in a module of ours under the same name."""
    return {name: f"{ROOT}.{module}:{name}" for name in names}


_CONTEXT = {
    **_same("launch_type", "LaunchType"),
    **_same("compat.context", "is_local_launch", "is_local_launch_or_test"),
}
_ADDRESS = _same(
    "address",
    *("AbstractAddressBuilder", "Address", "SimpleLocalAddressBuilder", "get_port_from_address"),
)
_STOPPING = _same(
    "launching", "register_stop_handler", "stop_event", "unregister_stop_handler", "wait_for_stop"
)
_MANAGER = {
    **_STOPPING,
    **_same("compat.context", "get_worker_manager"),
    "WorkerManager": f"{ROOT}.runtime.run:Run",
}
_COURIER_NODE = {
    **_same("nodes.courier", "CourierHandle", "CourierNode"),
    "CourierClient": f"{ROOT}.courier.client:Client",
    "COURIER_PORT_NAME": f"{_ORIGINAL}.context:COURIER_PORT_NAME",
}
_PROGRAM = _same("program", "Program", "make_program")
_CLIENT = {
    **_same("courier.client", "Client"),
    **_same("courier.given", "list_methods"),
    **_same("compat.status", "exception_handler", "translate_status"),
    "StatusNotOk": f"{ROOT}.errors:CallError",
    "StatusThrown": f"{ROOT}.errors:CallError",
}
_SERVER = _same("courier.server", "Server")
_HANDLES = _same("handle", "Handle")
_DEREFERENCE = {
    **_same("handle", "Deferred", "Dereferenceable"),
    "maybe_dereference": f"{_ORIGINAL}.nodes:maybe_dereference",
}
_PYTHON = _same("nodes.python", "PyClassNode", "PyNode")
_BATCHING = _same("courier.batching", "batched_handler")
_THREADS = _same("nodes.multi_threading", "MultiThreadingColocation")
_PROCESSES = _same("nodes.multi_processing", "MultiProcessingColocation")
_CACHER = _same("nodes.cacher", "CacherNode")
_REVERB_NODE = _same("nodes.reverb", "ReverbHandle", "ReverbNode")
_REVERB_ERRORS = _same("replay.errors", "DeadlineExceededError", "ReverbError")
_REVERB_CLIENT = _same("replay", "Client")
_REVERB_SAMPLE = _same("replay", "ReplaySample", "SampleInfo")
_REVERB_SERVER = _same("replay", "Server", "Table")

WHOLE: Mapping[str, str] = {
    "launchpad": ROOT,
    "reverb": f"{ROOT}.replay",
}
"""Modules that have all public names of one of ours too: a program may move on one by one."""

MODULES: Mapping[str, Mapping[str, str]] = {
    "launchpad": {
        **_CONTEXT,
        **_ADDRESS,
        **_STOPPING,
        **{name: place for name, place in _COURIER_NODE.items() if name != "COURIER_PORT_NAME"},
        **_PROGRAM,
        **_PYTHON,
        **_BATCHING,
        **_THREADS,
        **_PROCESSES,
        **_CACHER,
        "ReverbNode": _REVERB_NODE["ReverbNode"],
        **_same("launching", "launch", "make_program_stopper", "stop"),
        **_same("handle", "Deferred"),
        "LAUNCH_TYPE": f"{ROOT}.flags:LAUNCH_TYPE",
        "__version__": f"{ROOT}.version:__version__",
    },
    "launchpad.address": _ADDRESS,
    "launchpad.context": {
        **_CONTEXT,
        **_same("compat.context", "LaunchContext", "get_context", "set_context"),
    },
    "launchpad.flags": {**_same("flags", "FLAGS", "LAUNCH_TYPE")},
    "launchpad.launch": {},
    "launchpad.launch.launch": _same("launching", "launch"),
    "launchpad.launch.local_multi_processing": {},
    "launchpad.launch.local_multi_processing.launch": {
        "launch": f"{_ORIGINAL}.launchers:launch_local_mp"
    },
    "launchpad.launch.local_multi_threading": {},
    "launchpad.launch.local_multi_threading.launch": {
        "launch": f"{_ORIGINAL}.launchers:launch_local_mt"
    },
    "launchpad.launch.serialization": _same("compat.nodes", "check_nodes_are_serializable"),
    "launchpad.launch.signal_handling": _same(
        "compat.signal_handling",
        *("exit_gracefully_on_sigint", "exit_gracefully_on_sigquit", "register_exit_handler"),
        "register_exit_handler_and_exit_gracefully_on_sigint",
    ),
    "launchpad.launch.test_multi_processing": {},
    "launchpad.launch.test_multi_processing.launch": {
        "launch": f"{_ORIGINAL}.launchers:launch_test_mp"
    },
    "launchpad.launch.test_multi_threading": {},
    "launchpad.launch.test_multi_threading.address_builder": _same("address", "bind_addresses"),
    "launchpad.launch.test_multi_threading.launch": {
        "launch": f"{_ORIGINAL}.launchers:launch_test_mt"
    },
    "launchpad.launch.worker_manager": _MANAGER,
    "launchpad.launch.worker_manager_migration": _MANAGER,
    "launchpad.launch.worker_manager_v2": _MANAGER,
    "launchpad.nodes": {},
    "launchpad.nodes.base": {
        **_HANDLES,
        **_same("node", "Node"),
        **_same("compat.nodes", "ClientType", "HandleType", "extract_handles"),
    },
    "launchpad.nodes.courier": {},
    "launchpad.nodes.courier.courier_utils": {
        **_BATCHING,
        **_same("compat.nodes", "make_courier_server"),
    },
    "launchpad.nodes.courier.node": _COURIER_NODE,
    "launchpad.nodes.dereference": _DEREFERENCE,
    "launchpad.nodes.multi_processing_colocation": {},
    "launchpad.nodes.multi_processing_colocation.node": _PROCESSES,
    "launchpad.nodes.multi_threading_colocation": {},
    "launchpad.nodes.multi_threading_colocation.node": _THREADS,
    "launchpad.nodes.python": {},
    "launchpad.nodes.python.addressing": {
        "bind_addresses_local": f"{_ORIGINAL}.nodes:bind_addresses_local"
    },
    "launchpad.nodes.python.local_multi_processing": _same("python_process", "PythonProcess"),
    "launchpad.nodes.python.node": _PYTHON,
    "launchpad.nodes.reverb": {},
    "launchpad.nodes.reverb.node": _REVERB_NODE,
    "launchpad.program": {**_PROGRAM, "HandleType": f"{_ORIGINAL}.nodes:HandleType"},
    "launchpad.program_stopper": {},
    "launchpad.program_stopper.program_stopper": _same("launching", "make_program_stopper"),
    "launchpad.stop_program": {},
    "launchpad.stop_program.stop": _same("launching", "stop"),
    "courier": {
        name: place
        for name, place in {**_CLIENT, **_SERVER}.items()
        if name in {"Client", "Server", "list_methods"}
    },
    "courier.python": {},
    "courier.python.client": _CLIENT,
    "courier.python.py_server": _SERVER,
    "pybind11_abseil": {},
    "pybind11_abseil.status": {
        "StatusNotOk": f"{ROOT}.errors:CallError",
        "StatusCode": f"{ROOT}.errors:StatusCode",
    },
    "reverb": {
        **_REVERB_CLIENT,
        **_REVERB_ERRORS,
        **_REVERB_SAMPLE,
        **_REVERB_SERVER,
        **_same("replay", "checkpointers", "pattern_dataset", "rate_limiters", "selectors"),
        **_same("replay", "structured", "structured_writer"),
    },
    "reverb.client": _REVERB_CLIENT,
    "reverb.errors": _REVERB_ERRORS,
    "reverb.item_selectors": _same(
        "replay.selectors", "Fifo", "Lifo", "MaxHeap", "MinHeap", "Prioritized", "Uniform"
    ),
    "reverb.pattern_dataset": _same(
        "replay.pattern_dataset", "PatternDataset", "pattern_dataset_with_info"
    ),
    "reverb.platform": {},
    "reverb.platform.checkpointers_lib": _same(
        "replay.checkpointers", "CheckpointerBase", "DefaultCheckpointer", "TempDirCheckpointer"
    ),
    "reverb.platform.default": {},
    "reverb.platform.default.checkpointers": _same(
        "replay.checkpointers",
        *("CheckpointerBase", "DefaultCheckpointer", "TempDirCheckpointer", "default_checkpointer"),
    ),
    "reverb.rate_limiters": _same(
        "replay.rate_limiters", "MinSize", "Queue", "RateLimiter", "SampleToInsertRatio", "Stack"
    ),
    "reverb.replay_sample": _REVERB_SAMPLE,
    "reverb.reverb_types": _same("replay", "TableInfo"),
    "reverb.server": {
        **_REVERB_SERVER,
        "TableExtensionBase": f"{ROOT}.replay:TableExtension",
    },
    "reverb.structured_writer": _same(
        "replay.structured_writer",
        *("Condition", "Config", "Pattern", "PatternTransform", "ReferenceStep"),
        *("StructuredWriter", "constant_priority_fn", "create_config", "create_reference_step"),
        *("infer_signature", "pattern_from_transform", "td_error", "unpack_pattern"),
    ),
}

ROOTS = ("launchpad", "courier", "pybind11_abseil")
"""The top-level packages of these modules, but for `reverb`, which must be asked for."""

OPTIONAL = "pybind11_abseil"
"""The one that stays as it is where it is installed; it may serve others."""


def submodules(package: str) -> list[str]:
    """Return the last parts of the names of a package's modules."""
    return [name.rpartition(".")[2] for name in MODULES if name.rpartition(".")[0] == package]


def is_package(module: str) -> bool:
    """Whether there are modules inside."""
    return bool(submodules(module))


def modules_near(missing: str) -> list[str]:
    """Return the names of the modules in the innermost package that a missing one would be in."""
    package = missing.rpartition(".")[0]
    while not is_package(package):
        package = package.rpartition(".")[0]
    return [f"{package}.{name}" for name in submodules(package)]
