"""The measuring of `ray.py`: the same topology in our nodes and in actors, in turn."""

from __future__ import annotations

import abc
import contextlib
import importlib
import time
from typing import TYPE_CHECKING, Any

import launchpad_lite as lp
from benchmarks.comparison import OURS, Case, Figure, Wanted
from benchmarks.ray_nodes import Caller, RayCaller, Server
from benchmarks.rounds import Benchmark, Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from benchmarks.window import Figures

ACTORS = "Ray actors"
SINGLE = "ours, an actor each"
NODES = 32
SIDE = 8  # so many callers, and so many servers
CPUS = 64  # that the cluster claims to have, so that all fit

CASES = {
    "call": Case({"p50": Figure("sync call, p50, us")}, (OURS, ACTORS)),
    "many": Case({"rate": Figure("8 callers, 8 servers, calls/s")}, (OURS, ACTORS)),
    "array": Case({"rate": Figure("calls with an array of 64 MB, MB/s")}, (OURS, ACTORS)),
    "start": Case({"up": Figure("32 nodes start, and each answers, s", 2)}, (OURS, SINGLE, ACTORS)),
}
WANTED = (
    Wanted("sync call, p50", ("call", "p50"), 0.1, over=ACTORS),
    Wanted("8 callers, 8 servers, calls/s", ("many", "rate"), 8, over=ACTORS, at_least=True),
    Wanted("arrays of 64 MB, MB/s", ("array", "rate"), 1, over=ACTORS, at_least=True),
    Wanted("32 nodes start", ("start", "up"), 1.1, over=ACTORS),
    Wanted("32 nodes start", ("start", "up"), 1.1, over=ACTORS, who=SINGLE),
)


class Side(Peer, abc.ABC):
    """One of the two ways to make servers, and callers that call all of them."""

    @abc.abstractmethod
    def start(self, count: int) -> float:
        """Return how long it takes until so many servers have answered, in seconds."""

    @abc.abstractmethod
    def callers(
        self, count: int, servers: int
    ) -> contextlib.AbstractContextManager[Callable[[str, float], list[float]]]:
        """Make callers; yield what calls a method of all of them at once, with the seconds."""


class Ours(Side):
    """Our nodes."""

    def __init__(self, name: str, workers_per_actor: int | None) -> None:
        """Name it; see `lp.RayOptions` for the rest."""
        super().__init__(name)
        self._options = lp.RayOptions(show_output=False, workers_per_actor=workers_per_actor)

    def version(self) -> str | None:
        """See the base class."""
        return lp.__version__

    def start(self, count: int) -> float:
        """See the base class."""
        begin = time.perf_counter()
        program = lp.Program("start")
        with program.group("server"):
            for _ in range(count):
                program.add_node(lp.CourierNode(Server))
        run = lp.launch(program, "ray", options=self._options)
        for index in range(count):
            run.client("server", index).pid()
        taken = time.perf_counter() - begin
        run.stop()
        return taken

    @contextlib.contextmanager
    def callers(self, count: int, servers: int) -> Generator[Callable[[str, float], list[float]]]:
        """See the base class."""
        program = lp.Program("calls")
        with program.group("server"):
            called = [program.add_node(lp.CourierNode(Server)) for _ in range(servers)]
        with program.group("caller"):
            for _ in range(count):
                program.add_node(lp.CourierNode(Caller, called))
        run = lp.launch(program, "ray", options=self._options)
        try:
            clients = [run.client("caller", index) for index in range(count)]

            def ask(method: str, seconds: float) -> list[float]:
                calls = [lp.submit(getattr(client, method), seconds) for client in clients]
                return [call.result() for call in calls]

            yield ask
        finally:
            run.stop()


class Actors(Side):
    """Plain actors."""

    def __init__(self, ray: Any) -> None:
        """Use Ray, which has joined the cluster."""
        super().__init__(ACTORS)
        self._ray = ray

    def version(self) -> str | None:
        """See the base class."""
        return str(self._ray.__version__)

    def start(self, count: int) -> float:
        """See the base class."""
        begin = time.perf_counter()
        made = [self._ray.remote(Server).remote() for _ in range(count)]
        self._ray.get([actor.pid.remote() for actor in made])
        taken = time.perf_counter() - begin
        self._end(made)
        return taken

    @contextlib.contextmanager
    def callers(self, count: int, servers: int) -> Generator[Callable[[str, float], list[float]]]:
        """See the base class."""
        called = [self._ray.remote(Server).remote() for _ in range(servers)]
        calling = [self._ray.remote(RayCaller).remote(called) for _ in range(count)]

        def ask(method: str, seconds: float) -> list[float]:
            answers = [getattr(caller, method).remote(seconds) for caller in calling]
            found: list[float] = self._ray.get(answers)
            return found

        try:
            yield ask
        finally:
            self._end([*called, *calling])

    def _end(self, actors: list[Any]) -> None:
        for actor in actors:
            self._ray.kill(actor)
        time.sleep(1.0)  # Ray ends them later, and starts others for what may come


def measure(peer: Side, case: Case, seconds: float) -> Figures:
    """Measure a case; see `Benchmark`."""
    if case is CASES["start"]:
        return {"up": peer.start(NODES)}
    if case is CASES["many"]:
        with peer.callers(SIDE, SIDE) as ask:
            return {"rate": sum(ask("rate", seconds))}
    with peer.callers(1, 1) as ask:
        if case is CASES["call"]:
            return {"p50": ask("p50_us", seconds)[0]}
        return {"rate": ask("array_rate", seconds)[0]}


def main() -> None:
    """Start a cluster of this machine, and measure."""
    benchmark = Benchmark("ray", CASES, (OURS, SINGLE, ACTORS), WANTED, measure, seconds=2.0)
    arguments = benchmark.parser().parse_args()
    ray: Any = importlib.import_module("ray")
    ray.init(num_cpus=CPUS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        benchmark.run(arguments, [Ours(OURS, None), Ours(SINGLE, 1), Actors(ray)])
    finally:
        ray.shutdown()
