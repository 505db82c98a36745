"""A program of two files that is launched from outside of a cluster; see test_outside.py."""

from __future__ import annotations

import socket
from pathlib import Path

from beside import WORD  # type: ignore[import-not-found] # it is there in the test alone, which writes it

import launchpad_lite as lp


class Server:
    def where(self) -> tuple[str, str]:
        return socket.gethostname(), WORD


class Main:
    def __init__(self, server: Server, mode: str) -> None:
        self._server = server
        self._mode = mode

    def run(self) -> None:
        print("server:", *self._server.where())
        print(
            "copy:",
            "runtime_resources" in Path(__file__).parts,
            Path.cwd() == Path(__file__).parent,
        )
        print("10 %\r20 %", flush=True)
        if self._mode == "raise":
            raise ValueError("on purpose")
        if self._mode == "wait":
            print("waiting", flush=True)
            lp.wait_for_stop()
            left = lp.seconds_left()
            print("told to stop:", left is not None and left > 0)
            return
        lp.stop()


def make_program(mode: str = "stop") -> lp.Program:
    program = lp.Program("away")
    server = program.add_node(lp.CourierNode(Server), label="server")
    program.add_node(lp.CourierNode(Main, server, mode), label="main")
    return program
