"""A coordinator and three real signers in one process, one of them a liar: what a lie costs, and who is named for it.

    async with lying_site(tmp_path) as site:         # s1 and s2 are honest, s3 lies when it is told to
        site.lie = "share-wrong"
        await site.pay_until_told()

The signers are whole, over real mutual TLS; only the processes are missing. The main lies are told to real daemons too.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import structlog

from coordinator_world import Site
from ledger_world import DESTINATION
from strongroom.chains.bitcoin.address import script_of
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.chains.bitcoin.transaction import parse

ADVERSARY = str(Path(__file__).parents[1] / "adversary")
if ADVERSARY not in sys.path:
    sys.path.append(ADVERSARY)

VAULT = "customer-1"
LIAR = "s3"
HONEST = ("s1", "s2")
SIGNED_WITHIN_S = 15.0
"""From the last approval to the final transaction, whatever one of three signers does, on a machine that is busy."""
TOLD_WITHIN_S = 120.0
HARMLESS = frozenset({"SIGNER_FAILED", "SIGNER_LINK_BROKEN"})
"""Said of a signer that is still behind, or whose link just ended; such a line accuses nobody."""


class LyingSite(Site):
    """A site whose signer s3 tells a lie wherever it can."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        # Imported here, for the path that leads there is this module's to add.
        import rogue_signer  # noqa: F401, PLC0415 - enters every lie into the list
        from lies_of_signers import corrupt  # noqa: PLC0415

        self.lie = ""
        self.log: list[Any] = []
        self.slowest_s = 0.0
        self._amounts = count(100_001)
        self._paid: list[int] = []
        self.corrupted[LIAR] = lambda signer: corrupt(signer, lambda: self.lie)

    # --- what happened -----------------------------------------------------------------------------------------------

    @property
    def told(self) -> int:
        """How often the lie in force was told."""
        running = self.signers.get(LIAR)
        return 0 if running is None else running.signer.service._liar.told  # type: ignore[attr-defined]

    def lines_about(self, signer: str, *levels: str) -> list[Any]:
        """What the coordinator logged about a signer."""
        wanted = levels or ("warning", "error")
        return [line for line in self.log if line["log_level"] in wanted and _is_about(line, signer)]

    def payments(self) -> Counter[int]:
        """How often each amount was paid by a final transaction of any coordinator."""
        script = script_of(DESTINATION, REGTEST)
        raws = {raw for coordinator in self.coordinators for raw in coordinator.signed.values()}
        return Counter(out.amount_sat for raw in raws for out in parse(raw).outputs if out.script == script)

    # --- acts --------------------------------------------------------------------------------------------------------

    async def pay_one(self) -> None:
        """An approved payment, signed within the bound."""
        amount = next(self._amounts)
        self._paid.append(amount)
        begun = time.monotonic()
        order = await self.pay(VAULT, amount)
        await self.signed(order, SIGNED_WITHIN_S)
        self.slowest_s = max(self.slowest_s, time.monotonic() - begun)

    async def pay_until_told(self, event: str = "") -> None:
        """Payments, until the liar has lied in one of them and a line of this event says so, and one more.

        A payment may be signed by others before a lie is looked at, and whoever was late on a busy machine is asked
        last for some seconds.
        """
        before, deadline = self.told, time.monotonic() + TOLD_WITHIN_S
        while not (self.told > before and self.said(event)) and time.monotonic() < deadline:
            await self.pay_one()
            # Holders take turns by the plan's place in the log; a pause lets a tick come in between, and shifts it.
            await asyncio.sleep(0.2 * random.random())
        assert self.told > before, f"{self.lie} was never told"
        await self.pay_one()

    def said(self, event: str) -> bool:
        """Whether a warning of this event is about the liar; true where none is expected."""
        return not event or event in {line["event"] for line in self.lines_about(LIAR)}

    async def lead_anew(self, folder: str = "coordinator") -> None:
        """Stop the coordinator and start one on this folder at the same address, so that a term is opened."""
        await self._start_anew(folder)
        await self._leads()

    async def lead_anew_with_the_liars_log(self) -> None:
        """Start a coordinator without a database that must ask the liar first: nobody else there has the newest head.

        One honest signer was away when that was certified, the other one comes back when the lie has been told.
        """
        behind, away = HONEST
        await self.stop_signer(behind)
        await self.pay_one()
        await self.stop_signer(away)
        await self._start_anew("empty")
        self.start_signer(behind)
        await self.until(lambda: self.told > 0)
        self.start_signer(away)
        await self._leads()

    async def _start_anew(self, folder: str) -> None:
        port = self.coordinator.port
        earlier = self.coordinators[-1]
        await earlier.stop()
        self.coordinators.remove(earlier)
        await self.start_coordinator(folder, port=port)
        self.coordinator.signed.update(earlier.signed)

    async def _leads(self) -> None:
        sequencer = self.side.sequencer
        await self.until(lambda: sequencer.certificate is not None and sequencer.term > 0, 90)

    async def dial_anew(self) -> None:
        """The liar connects again."""
        await self.stop_signer(LIAR)
        self.start_signer(LIAR)

    def check_paid_once(self) -> None:
        """Every payment that was ordered here was made, exactly once."""
        assert self.payments() == Counter(self._paid)

    def check_nobody_else_named(self) -> None:
        """No line of warning or worse says that an honest signer sent something wrong."""
        named = [line for name in HONEST for line in self.lines_about(name) if line.get("reason") not in HARMLESS]
        assert named == [], named

    def check_standing(self) -> None:
        """The coordinator and the honest signers run, without an alarm."""
        assert not any(task.done() for task in self.coordinator.tasks)
        assert not any(self.signers[name].task.done() for name in HONEST)
        assert [self.signers[name].signer.alarm() for name in HONEST] == [("", "")] * len(HONEST)


def _is_about(line: Any, signer: str) -> bool:
    named = {line.get("signer"), *(line.get("signers") or ())}
    return signer in named


@asynccontextmanager
async def lying_site(root: Path) -> AsyncIterator[LyingSite]:
    """A site with a vault of all three signers; nothing was lied yet."""
    with structlog.testing.capture_logs() as log:
        async with LyingSite(root) as site:
            await site.start_coordinator()
            await site.start_signers()
            await site.genesis_logged()
            await site.make_vault(VAULT)
            await site.until(lambda: len(site.side.terms.ready) == 3)
            site.log = log
            log.clear()
            yield site
