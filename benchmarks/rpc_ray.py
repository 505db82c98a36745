"""The Ray case of `rpc.py`: run by an interpreter that has Ray, it prints calls/s as JSON."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

from benchmarks.rpc_work import THREADS, Policy, drive


def main() -> None:
    """Measure one round; the arguments are the units of a hidden layer, and the calls."""
    hidden, calls = map(int, sys.argv[1:])
    ray: Any = importlib.import_module("ray")  # typed Any: most who check this have no Ray
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        actor = ray.remote(Policy).options(max_concurrency=THREADS).remote(hidden)
        rate = drive(actor.act.remote, ray.get, calls)
    finally:
        ray.shutdown()
    print(json.dumps({"rate": rate, "ray": ray.__version__}))


if __name__ == "__main__":
    main()
