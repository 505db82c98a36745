"""Nodes that go on until another node ends the program, launched by a command or by your own code.

    lp-launch examples/program_wait.py --launcher=process --num_hearts=3 --seconds=2
    python examples/program_wait.py

`lp.stop()` ends the whole program, whichever node calls it. A node that waits with
`lp.wait_for_stop` or on `lp.stop_event()` is told, and has some seconds to finish what it is doing.
"""

import launchpad_lite as lp


def beat(interval: float) -> None:
    """Do something every `interval` seconds until the program ends."""
    beats = 0
    while not lp.wait_for_stop(interval):  # sleeps, but wakes up as soon as the program ends
        beats += 1
    print(f"{lp.get_context().name} stops after {beats} beats")


def set_alarm(seconds: float) -> None:
    """End the program after `seconds`, unless it ends before."""
    # A `threading.Event`, for code that takes one. Here `lp.wait_for_stop(seconds)` does the same.
    if not lp.stop_event().wait(seconds):
        print(f"{seconds} seconds are over")
        lp.stop()


def make_program(num_hearts: int = 2, interval: float = 0.05, seconds: float = 1.0) -> lp.Program:
    """Declare `num_hearts` nodes that never end by themselves, and one that ends them all."""
    program = lp.Program("program_wait")
    with program.group("heart"):
        for _ in range(num_hearts):
            program.add_node(lp.PyNode(beat, interval))
    program.add_node(lp.PyNode(set_alarm, seconds), label="alarm")
    return program


def main() -> None:
    """Launch from Python: the call returns at once, and `wait` raises if a node failed."""
    run = lp.launch(make_program(), launcher="process")
    print("the program runs, and this code goes on")
    run.wait()
    print("the program has ended")


if __name__ == "__main__":
    main()
