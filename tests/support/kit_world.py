"""A log with a 2-of-3 vault, and everything that a sweep of it by the recovery kit takes, in memory.

kit = Kit.started()
opened = kit.plan()                                   # s1 and s3 sign
words = {name: kit.holder(opened, name) for name in opened.names}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import charter_builder as builder
from ledger_world import World, randomness
from strongroom.chains.bitcoin.keys import VaultKey
from strongroom.ledger import codec
from strongroom.ledger.order_messages import SweepVault
from strongroom.ledger.plans import vault_key_of
from strongroom.ledger.records import VaultRecord
from strongroom.ledger.signed_messages import Signed, Verb
from strongroom.protocol.recovery_kit_order import JudgedSweep, judge_sweep
from strongroom.protocol.recovery_kit_plan import (
    FoundCoin,
    OpenedPlan,
    OwnedCoin,
    key_in_force,
    make_plan,
    open_plan,
    own_coins,
)
from strongroom.protocol.recovery_kit_records import SweepPlan
from strongroom.protocol.recovery_kit_rounds import SweepHolder, holder_share
from strongroom.protocol.signed import SignedBody

VAULT = "customer-1"
SAFE = builder.ADDRESS
MAX_FEE = 20_000


@dataclass
class Kit:
    """The log and who sweeps."""

    world: World
    _numbers: Any = field(default_factory=count)

    @classmethod
    def started(cls, **parts: Any) -> Kit:
        world = World.started(**parts)
        world.make_vault(VAULT)
        return cls(world)

    def random(self, size: int) -> bytes:
        """Bytes that no earlier call returned."""
        return randomness(f"kit {next(self._numbers)}", size)

    @property
    def vault(self) -> VaultRecord:
        record = self.world.state.vault(VAULT)
        assert record is not None
        return record

    @property
    def key(self) -> VaultKey:
        return vault_key_of(self.vault)

    @property
    def recovery(self) -> bytes:
        return self.world.recovery_data[self.vault.recovery_hash]

    def refreshed(self) -> Kit:
        """Give the vault's holders new shares; the same kit."""
        order = self.world.refreshing(VAULT)
        self.world.log(self.world.epoch_entry(order, VAULT))
        return self

    # --- the order -------------------------------------------------------------------------------------------------

    def order(self, **parts: Any) -> bytes:
        """Bytes of an order; `parts` replace fields of what it asks for."""
        defaults: dict[str, Any] = {"vault": VAULT, "destination": SAFE, "max_fee": MAX_FEE}
        return self.world.order(SweepVault(**{**defaults, **parts}))

    def approvals(self, order: bytes, *people: str) -> tuple[Signed, ...]:
        return tuple(self.world.endorsement(name, Verb.APPROVE, order) for name in people or ("alice", "bob"))

    def judged(self, order: bytes = b"", approvals: Sequence[Signed] | None = None) -> JudgedSweep:
        data = order or self.order()
        said = self.approvals(data) if approvals is None else approvals
        return judge_sweep(self.world.state, data, said, now_ms=self.world.time_ms)

    # --- the plan --------------------------------------------------------------------------------------------------

    def coin(self, amount_sat: int, *, branch: int = 0, index: int = 0) -> FoundCoin:
        """A coin of the vault."""
        script = self.key.derive(branch, index).script
        return FoundCoin(txid=self.random(32), vout=1, amount_sat=amount_sat, script=script)

    def owned(self, *coins: FoundCoin) -> tuple[OwnedCoin, ...]:
        return own_coins(self.key, coins or (self.coin(90_000), self.coin(60_000, branch=1, index=3)), search=50)

    def plan(
        self,
        judged: JudgedSweep | None = None,
        *,
        coins: Sequence[OwnedCoin] = (),
        signers: Sequence[str] = ("s1", "s3"),
        rate: int = 5,
    ) -> OpenedPlan:
        return make_plan(
            self.vault,
            key_in_force(self.vault, self.recovery),
            judged or self.judged(),
            coins or self.owned(),
            log_id=self.world.log_id,
            signers=signers,
            rate_sat_per_vb=rate,
        )[0]

    # --- the rounds ------------------------------------------------------------------------------------------------

    def holder(self, opened: OpenedPlan, name: str, **parts: Any) -> SweepHolder:
        """A holder that has committed."""
        host = builder.host_secret(name)
        defaults: dict[str, Any] = {
            "host": host,
            "share": holder_share(self.vault, name, host, self.recovery),
            "random": self.random,
        }
        return SweepHolder(opened, name, **{**defaults, **parts})

    def signed(self, opened: OpenedPlan) -> tuple[dict[str, SignedBody], dict[str, SignedBody]]:
        """Commitments and shares of an honest round."""
        holders = {name: self.holder(opened, name) for name in opened.names}
        commitments = {name: holder.commitments for name, holder in holders.items()}
        shares = {name: holder.shares(commitments, aux32=self.random(32)) for name, holder in holders.items()}
        return commitments, shares


def changed(opened: OpenedPlan, change: Callable[[SweepPlan], SweepPlan]) -> OpenedPlan:
    """The plan with a change, opened again."""
    return open_plan(codec.encode(change(opened.plan)))
