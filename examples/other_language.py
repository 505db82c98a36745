"""A program that others may call: the front node speaks data, not pickles, on a port of its own.

    lp-launch examples/other_language.py --launcher=process

Inside the program nodes trust each other, and call each other as always. The front node's second
server has `codec="data"`: it never unpickles, and a program in any language can call it over gRPC.
Here that is examples/outside/call.py, a process which imports nothing of this package.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

import launchpad_lite as lp
from launchpad_lite import courier

CLIENT = Path(__file__).with_name("outside") / "call.py"


@courier.register_dataclass
@dataclasses.dataclass
class Move:
    row: int
    column: int


class Policy:
    def best(self, board: npt.NDArray[np.float64]) -> Move:
        row, column = np.unravel_index(np.argmax(board), board.shape)
        return Move(int(row), int(column))


class Front:
    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def best(self, board: list[list[float]]) -> Move:
        return self._policy.best(np.asarray(board))

    def run(self) -> None:
        server = courier.Server(codec="data")
        server.Bind("best", self.best)
        server.Start()
        print("in JSON:", outside(server, "best", [[[0.1, 0.2], [0.9, 0.3]]]))
        print("by name:", outside(server, "best", {"board": [[1.5]]}))
        print("an error:", outside(server, "bets", []))
        server.Stop()
        lp.stop()


def outside(server: courier.Server, method: str, arguments: object) -> str:
    """Let a program that is not ours call a server."""
    token = courier.user_credentials().token.hex()
    command = [sys.executable, str(CLIENT), server.address, method, json.dumps(arguments)]
    process = subprocess.run(command, input=token, capture_output=True, text=True, check=True)
    return process.stdout.strip()


def make_program() -> lp.Program:
    program = lp.Program("other_language")
    policy = program.add_node(lp.CourierNode(Policy), label="policy")
    program.add_node(lp.CourierNode(Front, policy), label="front")
    return program
