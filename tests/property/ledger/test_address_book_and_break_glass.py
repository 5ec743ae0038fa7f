"""Whatever the order of things: the address book pays cooled, standing entries only, break-glass one address only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

import charter_builder as builder
from ledger_world import HOUR_MS, World
from strongroom.chains.bitcoin.address import address_of
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger.judge import judge_release
from strongroom.ledger.plans import payee_script, spend_of
from strongroom.ledger.reasons import Refused

VAULT = "customer-1"
COOLING_MS, DELAY_MS, BOX_MS = 24 * HOUR_MS, HOUR_MS, 6 * HOUR_MS
ADDRESSES = tuple(address_of(b"\x00\x14" + bytes([number]) * 20, REGTEST) for number in range(3))
RECOVERY = payee_script(builder.RECOVERY, REGTEST)

steps = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 2)),
    st.tuples(st.just("remove"), st.integers(0, 2)),
    st.tuples(st.just("pay"), st.integers(0, 2)),
    st.tuples(st.just("wait"), st.sampled_from([1, COOLING_MS // 2, COOLING_MS - 1, COOLING_MS])),
)


@dataclass
class Book:
    """What the address book must hold, kept apart from the ledger's own code."""

    usable_ms: dict[int, int] = field(default_factory=dict)

    def pays(self, number: int, now_ms: int) -> bool:
        return number in self.usable_ms and self.usable_ms[number] <= now_ms


def refused(step: Callable[..., object], *args: object) -> bool:
    try:
        step(*args)
    except Refused:
        return True
    return False


@given(script=st.lists(steps, min_size=4, max_size=14))
@settings(max_examples=40, deadline=None)
def test_only_a_cooled_and_standing_entry_is_paid(script: list[tuple[str, int]]) -> None:
    world, book = World.started(**builder.recovery_parts()), Book()
    world.make_vault(VAULT)
    planned = []
    for act, value in script:
        match act:
            case "wait":
                world.later(value)
            case "add":
                assert refused(world.add_destination, ADDRESSES[value]) == (value in book.usable_ms)
                book.usable_ms.setdefault(value, world.time_ms + COOLING_MS)
            case "remove":
                assert refused(world.remove_destination, ADDRESSES[value]) == (value not in book.usable_ms)
                book.usable_ms.pop(value, None)
            case _:
                passes = book.pays(value, world.time_ms)
                try:
                    order = world.pay(VAULT, 10_000, "alice", destination=ADDRESSES[value])
                    planned.append((value, world.planned([order], [world.coin(50_000)])))
                except Refused:
                    assert not passes
                else:
                    assert passes
        for number, plan in planned:
            # A plan that was accepted is released only as long as the entry stands.
            allowed = judge_release(world.state, plan, world.time_ms).allowed
            assert not allowed or book.pays(number, world.time_ms)


sweeps = st.tuples(
    st.sampled_from(["alice bob", "alice bob carol", "bob carol alice"]),
    st.sampled_from([0, 1, DELAY_MS - 1, DELAY_MS, DELAY_MS + BOX_MS - 1, DELAY_MS + BOX_MS]),
    st.booleans(),
    st.integers(1, 3),
)


@given(orders=st.lists(sweeps, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_break_glass_pays_the_recovery_address_alone_and_in_its_box_alone(
    orders: list[tuple[str, int, bool, int]],
) -> None:
    world = World.started(**builder.recovery_parts())
    world.make_vault(VAULT)
    for approvers, wait_ms, is_frozen, coins in orders:
        if is_frozen:
            world.freeze("alice")
        order = world.break_glass(VAULT, *approvers.split())
        world.later(wait_ms)
        plan = world.sweep(order, [world.coin(60_000) for _ in range(coins)])
        may = len(approvers.split()) == 3 and DELAY_MS <= wait_ms < DELAY_MS + BOX_MS
        assert refused(world.log, plan) is not may
        outputs = spend_of(world.state, plan).outputs
        assert [output.script for output in outputs] == [RECOVERY]
