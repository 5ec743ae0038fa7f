"""Several hosts on one machine: a network namespace for each, on one bridge with this process, real packet loss.

Needs root and iproute2. Where nftables is there, partitions are its drop rules; elsewhere routes into nowhere, which
lose the same packets. `why_not` says what a machine lacks.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Final

_RANGE: Final = [f"198.{high}.{low}" for high in (18, 19) for low in range(256)]
"""The networks set aside for tests of network devices (RFC 2544), so that they meet no real one."""
_NUMBER = itertools.count()
HERE: Final = "here"
"""The host that this process is on, which has no namespace of its own."""


class CannotBuild(Exception):
    """The machine refused to make a namespace, a bridge or a link."""


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise CannotBuild(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")


@cache
def why_not() -> str:
    """What this machine lacks for hosts of its own; empty when nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None or shutil.which("nsenter") is None:
        return "iproute2 or nsenter is not installed"
    try:
        with hosts(["probe"]) as found:
            found.cut("probe", HERE)
            found.heal("probe", HERE)
    except CannotBuild as error:
        return f"this machine cannot make network namespaces: {error}"
    return ""


@dataclass
class Hosts:
    """Namespaces and addresses by host name, all on one bridge."""

    bridge: str
    network: str
    """The first three numbers of its addresses."""
    namespaces: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    nftables: bool = field(default_factory=lambda: shutil.which("nft") is not None)

    def __post_init__(self) -> None:
        self.addresses[HERE] = f"{self.network}.1"

    def add(self, name: str) -> None:
        """Make a host and plug it in."""
        number = len(self.namespaces)
        space, inside, outside = f"{self.bridge}-{number}", f"{self.bridge}e{number}", f"{self.bridge}o{number}"
        _run("ip", "netns", "add", space)
        self.namespaces[name] = space
        self.addresses[name] = f"{self.network}.{11 + number}"
        _run("ip", "link", "add", outside, "type", "veth", "peer", "name", inside)
        _run("ip", "link", "set", inside, "netns", space)
        _run("ip", "link", "set", outside, "master", self.bridge)
        _run("ip", "link", "set", outside, "up")
        self._at(name, "ip", "addr", "add", f"{self.addresses[name]}/24", "dev", inside)
        self._at(name, "ip", "link", "set", inside, "up")
        self._at(name, "ip", "link", "set", "lo", "up")

    def command(self, name: str, command: Sequence[str]) -> list[str]:
        """A command that runs on this host."""
        if name == HERE:
            return list(command)
        return ["nsenter", f"--net=/var/run/netns/{self.namespaces[name]}", *command]

    def cut(self, name: str, other: str, *, up: bool = True, down: bool = True) -> None:
        """Lose every packet from a host to another one (up), or from the other one to it (down)."""
        if self.nftables:
            self._at(name, "nft", "add", "table", "inet", "cut")
            for chain, whose, wanted in (("output", "daddr", up), ("input", "saddr", down)):
                if wanted:
                    hook = f"{{ type filter hook {chain} priority 0 ; }}"
                    self._at(name, "nft", "add", "chain", "inet", "cut", chain, hook)
                    self._at(
                        name, "nft", "add", "rule", "inet", "cut", chain, "ip", whose, self.addresses[other], "drop"
                    )
            return
        if up:
            self._at(name, "ip", "route", "replace", "blackhole", f"{self.addresses[other]}/32")
        if down:
            self._at(other, "ip", "route", "replace", "blackhole", f"{self.addresses[name]}/32")

    def heal(self, name: str, other: str) -> None:
        """Lose no packet between these two any more; `name` is the one that was named first when it was cut."""
        if self.nftables:
            self._at(name, "nft", "flush", "ruleset")
            return
        for at, lost in ((name, other), (other, name)):
            command = self.command(at, ["ip", "route", "del", "blackhole", f"{self.addresses[lost]}/32"])
            subprocess.run(command, capture_output=True, check=False, timeout=30)

    def remove(self) -> None:
        """Take everything away again."""
        for name in self.namespaces:
            self.heal(name, HERE)
        for space in self.namespaces.values():
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False, timeout=30)
        subprocess.run(["ip", "link", "del", self.bridge], capture_output=True, check=False, timeout=30)

    def _at(self, name: str, *command: str) -> None:
        _run(*self.command(name, command))


def _free_network() -> str:
    """A network that no device of this machine is in: another run, or one that was killed, may have taken some."""
    done = subprocess.run(["ip", "-oneline", "addr"], capture_output=True, text=True, check=False, timeout=30)
    free = [network for network in _RANGE if f" {network}." not in done.stdout]
    if done.returncode != 0 or not free:
        raise CannotBuild("no network is free for hosts: `ip addr` lists what earlier runs left")
    return random.choice(free)


@contextmanager
def hosts(names: Sequence[str]) -> Iterator[Hosts]:
    """Hosts of these names, reachable from this process and from each other at `Hosts.addresses`.

    Raises:
        CannotBuild: the machine cannot make them.
    """
    # The name of an interface has at most 15 letters.
    found = Hosts(bridge=f"sr{os.getpid() % 100_000}{next(_NUMBER) % 10}", network=_free_network())
    try:
        _run("ip", "link", "add", found.bridge, "type", "bridge")
        _run("ip", "addr", "add", f"{found.addresses[HERE]}/24", "dev", found.bridge)
        _run("ip", "link", "set", found.bridge, "up")
        for name in names:
            found.add(name)
        yield found
    finally:
        found.remove()
