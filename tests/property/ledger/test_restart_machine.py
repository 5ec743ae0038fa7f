"""A log founded anew at any place: nothing that a lost entry may have done can be done again, and it replays."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition
from hypothesis.stateful import rule as step

import charter_builder as builder
from charter_builder import HOUR_MS
from ledger_world import World
from restart_world import RestartWorld
from strongroom.ledger.electorate import Electorate
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.order_messages import RefreshShares, Unfreeze
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import OrderState, WitnessPhase
from strongroom.ledger.replica import Replica
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.state import decode_order
from strongroom.ledger.view import MemoryStore

VAULT = "customer-1"
WAITING = (OrderState.OPEN, OrderState.SCHEDULED)


class RestartMachine(RuleBasedStateMachine):
    """Orders of many kinds in many states, changes of the witness set, and restarts between them."""

    @initialize()
    def start(self) -> None:
        parts = builder.recovery_parts(rules=(builder.rule(), builder.book_rule()))
        self.world = RestartWorld(World.started(**parts))
        self.world.world.make_vault(VAULT)
        self.foundings = 0
        self.voters: tuple[str, ...] = ("s1", "s2")

    def tried(self, action: object) -> None:
        """Refused or not, both are what a log does."""
        try:
            action()  # type: ignore[operator]
        except Refused:
            return

    @step(approvers=st.sampled_from([("alice",), ("alice", "bob")]))
    def pay(self, approvers: tuple[str, ...]) -> None:
        self.tried(lambda: self.world.world.pay(VAULT, 100_000, *approvers))

    @step(place=st.integers(0, 20))
    def plan(self, place: int) -> None:
        orders = [record.hash for record in self.world.state.open_orders()]
        if orders:
            world = self.world.world
            self.tried(lambda: world.log_plan([orders[place % len(orders)]], [world.coin(300_000)]))

    @step(place=st.integers(0, 20))
    def cancel(self, place: int) -> None:
        state = self.world.state
        order = state.order_at(place % state.orders_count).hash
        self.tried(lambda: self.world.world.cancel(order))

    @step()
    def amend(self) -> None:
        fees = replace(self.world.state.charter.fees, per_plan=self.world.state.charter.fees.per_plan + 1)
        self.tried(lambda: self.world.world.amend("alice", "bob", initiator="carol", fees=fees))

    @step(joint=st.booleans())
    @precondition(lambda self: self.foundings == 0 and self.world.state.witnesses.phase is WitnessPhase.STEADY)
    def want_witnesses(self, joint: bool) -> None:
        signers = (*self.world.state.charter.signers[:2], builder.signer("s4"))
        self.tried(lambda: self.world.want(self.world.next_charter(*signers, quorum=2)))
        if joint and self.world.state.witnesses.phase is WitnessPhase.WANTED:
            self.world.world.log(self.world.first(("s1", "s2", "s4")))

    @step()
    def refresh(self) -> None:
        action = RefreshShares(vaults=(VAULT,), absent=())
        self.tried(lambda: self.world.world.submit(action, "alice", "bob", "carol"))

    @step()
    def break_glass(self) -> None:
        self.tried(lambda: self.world.world.break_glass(VAULT))

    @step()
    def freeze(self) -> None:
        self.tried(lambda: self.world.world.freeze("dave"))

    @step(place=st.integers(0, 5))
    def thaw(self, place: int) -> None:
        freezes = self.world.state.freezes()
        if freezes:
            freeze = freezes[place % len(freezes)].id
            self.tried(lambda: self.world.world.submit(Unfreeze(freeze=freeze), "dave", "alice", "bob"))

    @step(place=st.integers(0, 20))
    def reject(self, place: int) -> None:
        state = self.world.state
        order = state.order_at(place % state.orders_count).hash
        self.tried(lambda: self.world.world.log(self.world.world.endorse("carol", Verb.REJECT, order)))

    @step(hours=st.sampled_from([1, 25, 60, 800]))
    def wait(self, hours: int) -> None:
        self.world.world.later(hours * HOUR_MS)
        self.world.world.log(Tick())

    @step(lost=st.sampled_from([("s2",), ("s3",), ("s2", "s3")]))
    def found_anew(self, lost: tuple[str, ...]) -> None:
        before = self.world.state
        wanted = before.witnesses
        voters = tuple(self._label(one.name, one.vote_key) for one in wanted.current.signers)
        if wanted.phase is WitnessPhase.JOINT:
            voters = ("s1", "s2", "s4")
        quorum = voters if wanted.phase is WitnessPhase.JOINT else voters[: wanted.current.quorum]
        self.foundings += 1
        states = {one.hash: one.state for one in map(before.order_at, range(before.orders_count))}
        self.world.found(self.world.restart(self.world.new_charter(lost=lost, key=f"k{self.foundings}"), voters=quorum))
        self._nothing_waits(states)

    def _label(self, name: str, key: bytes) -> str:
        labels = [name, *(f"{name}-k{number}" for number in range(1, self.foundings + 1))]
        label = next(one for one in labels if builder.signing_key(f"{one} vote").public == key)
        return name if label == name else f"{name}:{label}"

    def _nothing_waits(self, before: dict[bytes, OrderState]) -> None:
        state = self.world.state
        for record in map(state.order_at, range(state.orders_count)):
            order = decode_order(record.order)
            expired = order.expires_ms <= state.time_ms
            assert record.state not in WAITING or expired
            if record.state is not before[record.hash]:
                assert record.state is OrderState.LAPSED
                assert before[record.hash] in WAITING
        # One that expired and is not listed any more may stay open: no plan of it is taken.
        assert not list(state.break_glass_orders())
        assert state.next_due_ms is None
        assert not state.next_charter

    @invariant()
    def signers_are_those_of_the_charter(self) -> None:
        state = self.world.state
        assert state.log_id == self.world.world.log_id
        if state.witnesses.phase is WitnessPhase.STEADY:
            assert Electorate.of(state.witnesses) == Electorate.of_charter(state.charter)
        assert state.electorates()[0][0] == 0
        assert sum(one.person == one.signer == "" for one in state.freezes()) == self.foundings

    def teardown(self) -> None:
        """A replay from the genesis comes to the same state."""
        replayed = Replica(MemoryStore(), log_id=self.world.world.log_id, genesis_id=self.world.genesis_id)
        for batch in self.world.world.batches:
            replayed.push(replayed.preview(batch))
        replayed.require_founded()
        assert replayed.head() == self.world.world.replica.head()
        assert replayed.state().founded_size == self.world.state.founded_size


RestartMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestRestartMachine = RestartMachine.TestCase
