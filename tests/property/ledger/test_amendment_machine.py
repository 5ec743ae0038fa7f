"""Amendments in any order: what is in force was approved, waited if it loosens, and replays to the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition
from hypothesis.stateful import rule as step

from charter_builder import BTC, COIN, HOUR_MS, person, rule
from ledger_world import World
from strongroom.ledger.charter import AssetAmount, Charter
from strongroom.ledger.charter_changes import changes, loosens
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.judge import charter_of
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.replica import Replica
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.state import decode_order
from strongroom.ledger.view import MemoryStore

ADMINS = ("alice", "bob", "carol")
PEOPLE = (*ADMINS, "dave", "shop")
DELAYS = (1 * HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS)


def _paying(coins: int) -> Any:
    return rule(maximum=(AssetAmount(asset=BTC, amount=coins * COIN),))


PARTS: tuple[dict[str, Any], ...] = (
    *({"rules": (_paying(coins),)} for coins in (1, 2, 3)),
    *({"loosening_delay_ms": delay} for delay in DELAYS),
    *({"freeze_lapse_ms": hours * HOUR_MS} for hours in (12, 24, 36)),
    {"rules": (_paying(1),), "freeze_lapse_ms": 12 * HOUR_MS},
    {"officers": "admins"},
    {"officers": "treasury"},
)


def _without(charter: Charter, name: str) -> dict[str, Any]:
    groups = tuple(replace(one, members=tuple(who for who in one.members if who != name)) for one in charter.groups)
    return {"people": tuple(one for one in charter.people if one.name != name), "groups": groups}


def _with(charter: Charter, name: str, label: str) -> dict[str, Any]:
    groups = tuple(
        replace(one, members=(*one.members, name)) if one.name == "treasury" else one for one in charter.groups
    )
    return {"people": (*charter.people, replace(person(name), keys=person(label).keys)), "groups": groups}


class AmendmentMachine(RuleBasedStateMachine):
    """Proposals, words, time and dropped batches; a model of its own says which charter may be in force."""

    @initialize()
    def start(self) -> None:
        self.world = World.started(loosening_delay_ms=DELAYS[0])
        self.orders: list[bytes] = []
        self.added = 0

    @property
    def charter(self) -> Charter:
        return self.world.state.charter

    def try_to_log(self, *bodies: Any) -> None:
        before, charter = self.world.replica.head(), self.charter
        try:
            self.world.log(*bodies)
        except Refused:
            assert self.world.replica.head() == before
            assert self.charter == charter

    def propose(
        self, initiator: str, approvers: tuple[str, ...], version: int = 0, then_ms: int = 0, **parts: Any
    ) -> None:
        """Log a proposal; then let so much time pass."""
        named = {"version": version} if version else {}
        order = self.world.order(self.world.amendment(**named, **parts))
        self.try_to_log(self.world.order_entry(order, initiator, *approvers))
        if then_ms:
            self.world.later(then_ms)
            self.world.log(Tick())
        self.orders = [record.hash for record in self.records()]

    def records(self) -> list[OrderRecord]:
        state = self.world.state
        return [state.order_at(number) for number in range(state.orders_count)]

    @step(
        parts=st.sampled_from(PARTS),
        initiator=st.sampled_from(PEOPLE),
        approvers=st.sampled_from([("alice", "bob"), ("bob", "carol"), ADMINS, ("alice",), ()]),
        version=st.sampled_from([0, 0, 0, 0, 1, 2, 3, 4]),
        then_ms=st.sampled_from([0, HOUR_MS - 1, HOUR_MS]),
    )
    def amend(
        self, parts: dict[str, Any], initiator: str, approvers: tuple[str, ...], version: int, then_ms: int
    ) -> None:
        self.propose(initiator, approvers, version, then_ms, **parts)

    @step(name=st.sampled_from(["carol", "dave"]), approvers=st.sampled_from([("alice", "bob"), ("alice",)]))
    def remove(self, name: str, approvers: tuple[str, ...]) -> None:
        self.propose("shop", approvers, **_without(self.charter, name))

    @step(name=st.sampled_from(["dave", "erin"]), fresh=st.booleans())
    def add(self, name: str, fresh: bool) -> None:
        self.added += 1
        label = f"{name}-{self.added}" if fresh else name
        self.propose(
            "shop", ("alice", "bob"), then_ms=self.charter.loosening_delay_ms, **_with(self.charter, name, label)
        )

    @precondition(lambda self: self.orders)
    @step(data=st.data(), name=st.sampled_from(PEOPLE), verb=st.sampled_from([Verb.APPROVE, Verb.REJECT]))
    def say(self, data: st.DataObject, name: str, verb: Verb) -> None:
        self.try_to_log(self.world.endorse(name, verb, data.draw(st.sampled_from(self.orders))))

    @step(minutes=st.sampled_from([1, 30, 60, 120]), ticks=st.booleans())
    def wait(self, minutes: int, ticks: bool) -> None:
        self.world.later(minutes * 60_000)
        if ticks:
            self.world.log(Tick())

    @precondition(lambda self: len(self.world.replica.batch_borders()) > 3)
    @step(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        size = data.draw(st.sampled_from(self.world.replica.batch_borders()[1:]))
        self.world.replica.truncate(size)
        del self.world.previews[len([one for one in self.world.previews if one.size <= size]) :]
        self.orders = [record.hash for record in self.records()]

    @invariant()
    def each_version_follows_the_one_before(self) -> None:
        acted = self.acted()
        assert self.charter.version == 1 + len(acted)
        versions = [charter_of(record)[1].version for record in acted]
        assert versions == list(range(2, len(acted) + 2))
        assert self.charter == (charter_of(acted[-1])[1] if acted else self.world.charter)

    @invariant()
    def what_loosens_waited_and_what_tightens_did_not(self) -> None:
        before = self.world.charter
        for record in self.acted():
            after = charter_of(record)[1]
            approved = sorted(
                one.time_ms for one in record.endorsements if one.verb is Verb.APPROVE and one.person in ADMINS
            )
            since = approved[before.admin.count - 1]
            if loosens(changes(before, after)):
                assert record.ended_ms >= since + before.loosening_delay_ms
            else:
                assert record.ended_ms == since
            before = after

    @invariant()
    def what_acted_had_the_quorum_and_no_rejection(self) -> None:
        before = self.world.charter
        for record in self.acted():
            group = next(one for one in before.groups if one.name == before.admin.group)
            said = {verb: {one.person for one in record.endorsements if one.verb is verb} for verb in Verb}
            counted = (said[Verb.APPROVE] - said[Verb.INITIATE]) & set(group.members)
            assert len(counted) >= before.admin.count
            assert not said[Verb.REJECT]
            before = charter_of(record)[1]

    @invariant()
    def no_key_ever_has_two_owners(self) -> None:
        owners: dict[bytes, str] = {}
        gone: set[bytes] = set()
        held: set[bytes] = set()
        for charter in (self.world.charter, *(charter_of(record)[1] for record in self.acted())):
            now = {key.public: one.name for one in charter.people for key in one.keys}
            gone |= held - set(now)
            assert not gone & set(now)
            assert all(owners.setdefault(key, name) == name for key, name in now.items())
            held = set(now)

    @invariant()
    def what_is_scheduled_is_not_over(self) -> None:
        state = self.world.state
        due = [record.due_ms for record in state.scheduled_orders()]
        assert due == sorted(due)
        assert all(ms > state.time_ms for ms in due)
        assert {record.hash for record in state.scheduled_orders()} == {
            record.hash for record in self.records() if record.state is OrderState.SCHEDULED
        }

    def acted(self) -> list[OrderRecord]:
        """The amendments that are, or were, in force, in that order."""
        done = [
            record
            for record in self.records()
            if record.state is OrderState.DONE and isinstance(decode_order(record.order).action, AmendCharter)
        ]
        return sorted(done, key=lambda record: charter_of(record)[1].version)

    def teardown(self) -> None:
        """A replay from the first entry comes to the same state, and to the same charter."""
        replayed = Replica(MemoryStore(), log_id=self.world.log_id)
        for batch in self.world.batches:
            replayed.push(replayed.preview(batch))
        assert replayed.head() == self.world.replica.head()
        assert replayed.state().charter == self.charter


AmendmentMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestAmendmentMachine = AmendmentMachine.TestCase
