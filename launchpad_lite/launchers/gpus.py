"""Which worker gets which GPUs of this machine: `CUDA_VISIBLE_DEVICES`, and no GPU twice.

It is settled before anything starts, for the whole run, so a worker that is started again gets the
GPUs that it had.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    from launchpad_lite.planning import LaunchPlan, WorkerSpec
    from launchpad_lite.runtime.fleet import Place

VARIABLE = "CUDA_VISIBLE_DEVICES"
_SMI_TIMEOUT_S = 20.0


def hand_out(plan: LaunchPlan) -> LaunchPlan:
    """Return a plan in which each worker's environment says which GPUs it has.

    Workers of one unit (a colocation) share its GPUs. Those whose group did not mention `gpus`
    keep what the environment has.

    Raises:
      UsageError: there are too few, or a node's `env` says something else.
    """
    asked = [worker.resources.gpus for worker in plan.workers]
    if all(gpus is None for gpus in asked):
        return plan
    there = visible() if any(asked) else ()
    where = "this machine"
    if VARIABLE in os.environ:
        where = f"{VARIABLE}={os.environ[VARIABLE]}"
    workers = share(plan.workers, there, where)
    return dataclasses.replace(plan, workers=workers)


def share_at(workers: tuple[WorkerSpec, ...], place: Place) -> tuple[WorkerSpec, ...]:
    """Return the same for the workers at a place of a fleet; see `share`."""
    return share(workers, place.gpus, place.host)


def share(
    workers: tuple[WorkerSpec, ...], there: tuple[str, ...], where: str
) -> tuple[WorkerSpec, ...]:
    """Return workers whose environment says which GPUs of a machine they have; see `hand_out`.

    Args:
      workers: all that share the machine's GPUs.
      there: the GPUs.
      where: the machine, for messages.

    Raises:
      UsageError: there are too few, or a node's `env` says something else.
    """
    asked = {
        worker.unit: worker.resources.gpus
        for worker in workers
        if worker.resources.gpus is not None
    }
    for worker in workers:
        if worker.unit in asked and VARIABLE in worker.env:
            message = (
                f"node {worker.name}: its env sets {VARIABLE}, and its group asks for "
                f"{worker.resources.gpus} GPU(s). Leave out one of the two."
            )
            raise UsageError(message)
    if sum(asked.values()) > len(there):
        raise UsageError(_too_few(asked, len(there), where))
    rest = iter(there)
    given = {unit: ",".join(next(rest) for _ in range(count)) for unit, count in asked.items()}
    return tuple(
        dataclasses.replace(worker, env={**worker.env, VARIABLE: given[worker.unit]})
        if worker.unit in given
        else worker
        for worker in workers
    )


def _too_few(asked: dict[str, int], there: int, where: str) -> str:
    groups: dict[str, list[int]] = {}
    for unit, count in asked.items():
        groups.setdefault(unit.rpartition("/")[0], []).append(count)
    wishes = [
        f"group {label!r} asks for {counts[0]} GPU(s) for each of {len(counts)} node(s)"
        for label, counts in groups.items()
        if counts[0]
    ]
    return (
        f"too few GPUs: {', '.join(wishes)}: {sum(asked.values())} in all, and {where} has "
        f"{there}. Ask for fewer with lp.Resources(gpus=...), or for fewer nodes."
    )


def visible() -> tuple[str, ...]:
    """Return the GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    variable = os.environ.get(VARIABLE)
    if variable is not None:
        # as CUDA reads it: an index that cannot be hides itself and what follows
        listed = [entry.strip() for entry in variable.split(",")]
        hidden = (n for n, entry in enumerate(listed) if not entry or entry.startswith("-"))
        return tuple(dict.fromkeys(listed[: next(hidden, len(listed))]))
    devices = [path for path in pathlib.Path("/dev").glob("nvidia*") if _is_device(path.name)]
    return tuple(map(str, range(len(devices) or _listed_by_driver())))


def _is_device(name: str) -> bool:
    return re.fullmatch(r"nvidia\d+", name) is not None


def _listed_by_driver() -> int:
    """Count GPUs that have no device file of their own (Windows' subsystem for Linux)."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    try:
        result = subprocess.run(
            [tool, "--list-gpus"],
            capture_output=True,
            text=True,
            timeout=_SMI_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in result.stdout.splitlines())
