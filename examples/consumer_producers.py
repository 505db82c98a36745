"""One consumer asks several producers for work, all at the same time.

    lp-launch examples/consumer_producers.py --launcher=process --num_producers=8

`add_node` returns a handle. Given to another node, it arrives there as a client: the consumer calls
a producer's methods as if it held the producer itself, and type checkers see it the same way.
"""

import launchpad_lite as lp


class Producer:
    def work(self, item: int) -> int:
        return item * item


class Consumer:
    def __init__(self, producers: list[Producer]) -> None:
        self._producers = producers

    def run(self) -> None:
        # `producer.work(item)` would wait for the result. `lp.submit` returns a future at once, so
        # the producers work side by side.
        calls = [lp.submit(producer.work, i) for i, producer in enumerate(self._producers)]
        print(f"produced {[call.result() for call in calls]}")
        # The producers have no `run` method: they serve until somebody ends the program.
        lp.stop()


def make_program(num_producers: int = 4) -> lp.Program:
    """Declare one consumer that holds the handles of `num_producers` producers."""
    program = lp.Program("consumer_producers")
    with program.group("producer"):
        producers = [program.add_node(lp.CourierNode(Producer)) for _ in range(num_producers)]
    program.add_node(lp.CourierNode(Consumer, producers), label="consumer")
    return program
