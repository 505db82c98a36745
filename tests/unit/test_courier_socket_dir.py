"""Directories for Unix sockets are their owner's alone, and leave nothing behind."""

from __future__ import annotations

import pathlib
import socket
import stat

import pytest

from launchpad_lite import courier
from launchpad_lite.courier import socket_dir


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="servers have no Unix socket here")
def test_a_server_s_socket_is_where_nobody_else_can_enter() -> None:
    server = courier.Server()
    server.Start()
    directory = pathlib.Path(server.endpoints[0].removeprefix("unix:")).parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    server.Stop()
    assert not directory.exists()


def test_what_is_no_socket_is_kept() -> None:
    directory = pathlib.Path(socket_dir.make())
    other = directory / "other"
    other.touch()
    socket_dir.remove(directory)
    assert other.exists()
    other.unlink()
    socket_dir.remove(directory)
    assert not directory.exists()
