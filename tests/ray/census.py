"""What a Ray cluster consists of and holds, as the machine that has its metadata knows it.

    python census.py ADDRESS SECONDS NODE...

waits until exactly these nodes, by their ids, are alive, and nobody has any actors or placement
groups; or prints what is wrong.
"""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

POLL_S = 0.1


def main(address: str, seconds: str, *nodes: str) -> None:
    """Waits until nothing is wrong."""
    deadline = time.monotonic() + float(seconds)
    state = _connect(address)
    while wrong := _wrong(state, set(nodes)):
        if time.monotonic() > deadline:
            sys.exit("\n".join(wrong))
        time.sleep(POLL_S)


def _connect(address: str) -> Any:
    """Returns what asks without joining: who joins is a driver, and has workers started for it."""
    options: Any = importlib.import_module("ray._raylet").GcsClientOptions
    state: Any = importlib.import_module("ray._private.state").GlobalState()
    state._initialize_global_state(  # noqa: SLF001 - nothing else asks so
        options.create(address, None, allow_cluster_id_nil=True, fetch_cluster_id_if_nil=True)
    )
    return state


def _wrong(state: Any, nodes: set[str]) -> list[str]:
    alive = {node["NodeID"] for node in state.node_table() if node["Alive"]}
    wrong = [f"node {node} is not alive" for node in nodes - alive]
    wrong += [f"node {node} is alive" for node in alive - nodes]
    actors = state.actor_table(None).values()
    wrong += [f"actor: {actor}" for actor in actors if actor["State"] != "DEAD"]
    groups = state.placement_group_table().values()
    return wrong + [f"group: {group}" for group in groups if group["state"] != "REMOVED"]


if __name__ == "__main__":
    main(*sys.argv[1:])
