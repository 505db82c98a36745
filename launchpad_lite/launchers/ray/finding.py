"""Finds runs by their controllers, which are actors with names."""

from __future__ import annotations

import contextlib
import pickle
import sys
from typing import TYPE_CHECKING, Any

from launchpad_lite.launchers.ray.messages import CONTROLLER

if TYPE_CHECKING:
    from launchpad_lite.runtime.rundir import Rendezvous

_ANSWER_S = 10.0


def find(word: str) -> dict[str, Rendezvous]:
    """Return how to reach the runs whose names begin with a word, in the cluster joined here.

    None is found where this process has joined no cluster.
    """
    ray: Any = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return {}
    found: dict[str, Rendezvous] = {}
    for named in ray.util.list_named_actors(all_namespaces=True):
        run_id, _, role = named["name"].rpartition(":")
        if role == CONTROLLER and run_id.startswith(word):
            with contextlib.suppress(ray.exceptions.RayError, ValueError):  # it ends just now
                actor = ray.get_actor(named["name"], namespace=named["namespace"])
                answer = ray.get(actor.rendezvous.remote(), timeout=_ANSWER_S)
                found[run_id] = pickle.loads(answer)
    return found
