"""Payments without end on a bad network with dying daemons, and the same question at the end: each paid exactly once?

    python tests/adversary/soak.py [--minutes M] [--seed N]

Five signers of whom three sign and four witness, every link through a faulty proxy. While orders are placed, links are
delayed, stalled, cut and reset, and signers and the coordinator are killed (SIGKILL) and started again, at random times
from a seed that is printed. At the end the network is mended, everything must be paid exactly once, every signer must
hold the whole log without an alarm, and the audit must agree. Exit code 0 if all of it holds.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from actor import Actor, actors
from bad_network import BadNetwork, bad_network
from fault_proxy import FaultyLink, Weather

PROGRESS_S = 10.0


class Soak:
    """One run: work and trouble side by side until the time is over."""

    def __init__(self, network: BadNetwork, seed: int, minutes: float) -> None:
        self._network = network
        self._random = random.Random(seed)
        self._until = time.monotonic() + minutes * 60
        self._begun = time.monotonic()
        self.troubles: Counter[str] = Counter()
        self.paid = 0

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._until

    async def run(self, people: tuple[Actor, ...]) -> None:
        """Work and trouble, then mend everything and look."""
        tasks = [asyncio.create_task(work) for work in (self._pay(people), self._trouble(), self._tell())]
        await asyncio.gather(*tasks)
        self._network.heal()
        await self._network.holds(people)
        self.paid = len(self._network.orders)

    async def _pay(self, people: tuple[Actor, ...]) -> None:
        while not self.is_over:
            destination = await self._network.order(people)
            if self._random.random() < 0.5:
                await self._network.paid(people, destination)

    async def _trouble(self) -> None:
        kinds = (self._reset, self._stall, self._cut, self._slow, self._kill_signer, self._kill_coordinator)
        while not self.is_over:
            kind = self._random.choices(kinds, weights=(6, 4, 4, 3, 2, 1))[0]
            self.troubles[kind.__name__.strip("_").replace("_", " ")] += 1
            await kind()
            await asyncio.sleep(self._random.uniform(0.2, 2.0))

    async def _tell(self) -> None:
        while not self.is_over:
            await asyncio.sleep(PROGRESS_S)
            self.say(f"{len(self._network.orders)} orders accepted, {sum(self.troubles.values())} troubles")

    def say(self, text: str) -> None:
        """Print a line with the time since the beginning."""
        sys.stdout.write(f"{time.monotonic() - self._begun:7.1f} s  {text}\n")
        sys.stdout.flush()

    # --- trouble -----------------------------------------------------------------------------------------------------

    def _link(self) -> FaultyLink:
        return self._random.choice(self._network.links)

    async def _reset(self) -> None:
        self._link().reset()

    async def _stall(self) -> None:
        link = self._link()
        link.stall(*self._random.choice((("up",), ("down",), ("up", "down"))))
        await asyncio.sleep(self._random.uniform(0.1, 4.0))
        link.heal()

    async def _cut(self) -> None:
        links = self._random.sample(list(self._network.signers.values()), self._random.randint(1, 3))
        for link in links:
            link.cut()
        await asyncio.sleep(self._random.uniform(0.1, 4.0))
        for link in links:
            link.heal()

    async def _slow(self) -> None:
        link = self._link()
        link.set(Weather(delay_ms=self._random.uniform(20, 200), jitter_ms=100, bytes_per_s=200_000))
        await asyncio.sleep(self._random.uniform(1.0, 5.0))
        link.heal()

    async def _kill_signer(self) -> None:
        name = self._random.choice(self._network.cluster.signers)
        self._network.cluster.signer(name).kill()
        await asyncio.sleep(self._random.uniform(0.0, 2.0))
        await asyncio.to_thread(self._network.cluster.deployment.start_signer, name)

    async def _kill_coordinator(self) -> None:
        self._network.cluster.coordinator.kill()
        await asyncio.sleep(self._random.uniform(0.0, 1.0))
        await asyncio.to_thread(self._network.cluster.deployment.start_coordinator)


async def soak(network: BadNetwork, seed: int, minutes: float) -> None:
    """Run one soak to its end."""
    one = Soak(network, seed, minutes)
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        await one.run(people)
    troubles = ", ".join(f"{count} x {what}" for what, count in sorted(one.troubles.items()))
    one.say(f"{one.paid} orders, each paid exactly once; one history, no alarm, audit verified. Troubles: {troubles}")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long trouble lasts (default 10)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats the order of the troubles")
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}; starting a coordinator and five signers\n")
    sys.stdout.flush()
    with bad_network("soak") as network:
        try:
            asyncio.run(soak(network, options.seed, options.minutes))
        except KeyboardInterrupt:
            sys.stdout.write("interrupted: no verdict\n")
            return 130
        except BaseException:
            sys.stderr.write(network.cluster.logs(lines=200))
            raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
