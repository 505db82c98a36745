"""Several nodes that say hello: the smallest program there is.

    lp-launch examples/hello_world.py --launcher=process --num_greeters=4 --greeting=Hello

A program is declared first and run later. Each node calls one function in a thread or a process of
its own, and the program ends when all of them have returned.
"""

import launchpad_lite as lp


def greet(greeting: str) -> None:
    me = lp.get_context()
    print(f"{greeting} from {me.label}, number {me.index + 1} of {me.group_size}")


def make_program(num_greeters: int = 3, greeting: str = "Hello") -> lp.Program:
    """Declare `num_greeters` nodes in one group."""
    program = lp.Program("hello_world")
    with program.group("greeter"):
        for _ in range(num_greeters):
            program.add_node(lp.PyNode(greet, greeting))
    return program
