"""Vaults, new shares, amendments and handovers in any order: no charter ever comes that cannot serve a vault."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant
from hypothesis.stateful import rule as step

import charter_builder as builder
from charter_builder import HOUR_MS
from handover_world import HandoverWorld
from ledger_world import World
from strongroom.ledger.charter import Charter
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.handlers.decoding import decode_inner
from strongroom.ledger.order_messages import CreateVault
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import OrderState, WitnessPhase
from strongroom.ledger.state import decode_order
from strongroom.ledger.vault_fit import vault_problems
from strongroom.protocol.redistribution import RedistributionRefused
from strongroom.protocol.redistribution_orders import key_change_of

SETS = (("s1", "s2", "s3"), ("s1", "s2"), ("s2", "s3"), ("s1", "s2", "s3", "s4"), ("s3", "s4"), ("s1", "s4", "s5"))
VAULTS = ("customer-1", "customer-2")
ALL = ("s1", "s2", "s3", "s4", "s5")


class HandoverMachine(RuleBasedStateMachine):
    """Whatever the ledger refuses is refused; what it takes leaves every vault with its holders."""

    @initialize()
    def start(self) -> None:
        self.handover = HandoverWorld(World.started(loosening_delay_ms=HOUR_MS))
        self.births: list[bytes] = []
        self.epochs: list[bytes] = []

    @property
    def world(self) -> World:
        return self.handover.world

    def try_to_log(self, *bodies: Any) -> bool:
        try:
            self.world.log(*bodies)
        except Refused:
            return False
        return True

    @step(name=st.sampled_from(VAULTS), holders=st.sampled_from(SETS), threshold=st.integers(1, 2))
    def order_a_vault(self, name: str, holders: tuple[str, ...], threshold: int) -> None:
        order = self.world.order(self.world.creation(name, holders, threshold))
        entry = self.world.order_entry(order, "carol", "alice", "bob")
        if self.try_to_log(entry):
            self.births.append(self.world.state.order_at(self.world.state.orders_count - 1).hash)

    @step()
    def bear_a_vault(self) -> None:
        if not self.births:
            return
        record = self.world.state.order(self.births.pop(0))
        assert record is not None
        wanted = decode_order(record.order).action
        assert isinstance(wanted, CreateVault)
        if record.state is OrderState.OPEN:
            self.try_to_log(self.world.vault_entry(record.hash, label=f"{wanted.name} {wanted.signers}"))

    @step(name=st.sampled_from(VAULTS), holders=st.sampled_from(SETS), threshold=st.integers(1, 2))
    def order_other_holders(self, name: str, holders: tuple[str, ...], threshold: int) -> None:
        try:
            self.epochs.append(self.world.resharing(holders, threshold, vault=name))
        except Refused:
            return

    @step()
    def begin_an_epoch(self) -> None:
        if not self.epochs:
            return
        record = self.world.state.order(self.epochs[0])
        assert record is not None
        action = key_change_of(record)
        assert action is not None
        try:
            entry = self.world.epoch_entry(record.hash, action.vault)  # type: ignore[union-attr]
        except (RedistributionRefused, KeyError):
            self.epochs.pop(0)
            return
        if self.try_to_log(entry):
            self.epochs.pop(0)

    @step(signers=st.sampled_from(SETS), quorum=st.integers(1, 4))
    def want_other_witnesses(self, signers: tuple[str, ...], quorum: int) -> None:
        charter = self.handover.next_charter(*(builder.signer(name) for name in signers), quorum=quorum)
        try:
            self.handover.want(charter, for_ms=12 * HOUR_MS)
        except Refused:
            return

    @step()
    def hand_over(self) -> None:
        record = self.world.state.witnesses
        if record.next is None:
            return
        names = {one.name for part in (record.current, record.next) for one in part.signers}
        if record.phase is WitnessPhase.WANTED:
            self.try_to_log(self.handover.first(names))
        else:
            # Nothing may stand in the way of the end: both sets would rule for ever.
            self.world.log(self.handover.second(names))

    @step(hours=st.integers(0, 14))
    def let_time_pass(self, hours: int) -> None:
        self.world.later(hours * HOUR_MS)
        self.world.log(Tick())

    @invariant()
    def every_vault_can_sign(self) -> None:
        state = self.world.state
        charters = [state.charter]
        if state.witnesses.phase is WitnessPhase.JOINT:
            charters.append(decode_inner(Charter, state.next_charter))
        for vault in state.vaults():
            parts = {"signers": vault.signers, "threshold": vault.threshold, "chain": vault.chain}
            assert not [problem for charter in charters for problem in vault_problems(charter, vault.name, **parts)]


TestVaultsKeepHolders = HandoverMachine.TestCase
TestVaultsKeepHolders.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
