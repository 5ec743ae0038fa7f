"""Ports that stay free between the moment they are chosen and the moment a daemon listens on them, also once more."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from strongroom_client.demo.deployment import free_port

__all__ = ["own_port"]

_PORTS: Final = 1_000
"""So many ports are each worker's own."""


@cache
def _own_ports() -> Iterator[int]:
    """The ports of this worker, again and again, from any of them on."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    try:
        given_out = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return iter(())
    first = given_out - (worker % 16 + 1) * _PORTS
    if first < 4 * _PORTS:
        return iter(())
    begin = random.randrange(_PORTS)
    return cycle(first + (begin + step) % _PORTS for step in range(_PORTS))


def own_port() -> int:
    """A loopback port that nobody takes while it is free: no worker of this run, nor who asks for any port at all."""
    for port in islice(_own_ports(), _PORTS):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    return free_port()
