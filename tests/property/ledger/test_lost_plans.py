"""Plans that a restart lost, and those made since: of one order no two can ever confirm together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import hypothesis.strategies as st
from hypothesis import example, given, settings

from ledger_world import Coin
from restart_world import RestartWorld
from strongroom.ledger.order_messages import CancelWithdraw, Unfreeze
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import PlanRecord
from strongroom.ledger.state import decode_order

VAULT = "customer-1"
Outpoint = tuple[bytes, int]


@dataclass(frozen=True)
class Attempt:
    """A plan that a bad coordinator tries; the ledger may refuse it."""

    orders: tuple[int, ...]
    coins: frozenset[int]
    fee: int
    bumps: bool = False
    cancels: bool = False


attempts = st.builds(
    Attempt,
    orders=st.sampled_from([(0,), (0,), (1,), (0, 1)]),
    coins=st.sampled_from([{0, 1}, {0}, {1}, {2}, {0, 2}, {1, 2}, {3}, {4}, {0, 3}, {1, 4}]).map(frozenset),
    fee=st.integers(1, 4),
    bumps=st.sampled_from([False, False, False, True]),
    cancels=st.sampled_from([False, False, True]),
)
phase = st.lists(attempts, min_size=2, max_size=4)


class Coordinator:
    """It chooses coins as it likes, in a log that is founded anew; `spent` is what each accepted transaction spends."""

    def __init__(self) -> None:
        self.world = RestartWorld()
        self.world.world.make_vault(VAULT)
        self.coins = [self.world.world.coin(400_000) for _ in range(3)]
        self.orders = [self.world.world.pay(VAULT, 50_000), self.world.world.pay(VAULT, 50_000)]
        self.spent: dict[bytes, frozenset[Outpoint]] = {}
        self.foundings = 0

    def try_all(self, wanted: list[Attempt]) -> list[PlanRecord]:
        return [made for one in wanted if (made := self._tried(one)) is not None]

    def _tried(self, attempt: Attempt) -> PlanRecord | None:
        world = self.world.world
        orders = [self.orders[place] for place in attempt.orders]
        earlier = self.world.state.plans_of(orders[0])
        coins = [self.coins[place % len(self.coins)] for place in sorted(attempt.coins)]
        coins = list({(coin.txid, coin.vout): coin for coin in coins}.values())
        try:
            if attempt.cancels:
                orders = [world.cancel(orders[0])]
            plan = world.planned(
                orders,
                coins,
                fee_sat=1_000 * attempt.fee,
                bumps=earlier[-1].hash if attempt.bumps and earlier and not attempt.cancels else b"",
            )
        except Refused:
            return None
        self.spent[plan.txid] = frozenset((one.txid, one.vout) for one in plan.outpoints)
        rest = sum(coin.amount_sat for coin in coins) - plan.fee_sat - sum(map(world.amount_of, orders))
        self.coins.append(Coin(plan.txid, 0 if plan.is_cancel else len(orders), rest, branch=1))
        return plan

    def found_anew(self, size: int) -> None:
        self.world.lose(size)
        last = f"s2:s2-k{self.foundings}" if self.foundings else "s2"
        self.foundings += 1
        charter = self.world.new_charter(key=f"k{self.foundings}")
        self.world.found(self.world.restart(charter, voters=("s1", last)))
        self.world.world.submit(Unfreeze(freeze=self.world.world.log_id), "dave", "alice", "carol")

    def about(self, plan: PlanRecord) -> tuple[bytes, ...]:
        """The orders that a plan pays, or whose payment it excludes."""
        record = self.world.state.order(plan.order_hashes[0])
        action = None if record is None else decode_order(record.order).action
        return (action.order_hash,) if isinstance(action, CancelWithdraw) else plan.order_hashes

    def needs(self, txid: bytes) -> set[tuple[Outpoint, bytes]]:
        """Every coin that is spent where this transaction is confirmed, and by which one."""
        found = {(point, txid) for point in self.spent[txid]}
        for parent, _ in self.spent[txid]:
            if parent in self.spent:
                found |= self.needs(parent)
        return found

    def exclude_each_other(self, one: bytes, other: bytes) -> bool:
        """Whether a chain with both would spend a coin twice."""
        spent = self.needs(one) | self.needs(other)
        return len({point for point, _ in spent}) < len(spent)


def paying(*coins: int, fee: int = 1, cancels: bool = False) -> Attempt:
    return Attempt(orders=(0,), coins=frozenset(coins), fee=fee, cancels=cancels)


@example(kept=[paying(0, 1)], phases=[([paying(0)], [paying(1)])])
@example(kept=[paying(0, 1)], phases=[([paying(0)], [paying(1, cancels=True)])])
@example(kept=[paying(0, 1)], phases=[([paying(0)], [paying(0, 1, fee=2)]), ([paying(1)], [paying(1, fee=3)])])
@settings(max_examples=100, deadline=None)
@given(kept=phase, phases=st.lists(st.tuples(phase, phase), min_size=1, max_size=2))
def test_a_lost_plan_and_a_later_one_need_one_coin_for_two_transactions(
    kept: list[Attempt], phases: list[tuple[list[Attempt], list[Attempt]]]
) -> None:
    coordinator = Coordinator()
    coordinator.try_all(kept)
    lost: list[PlanRecord] = []
    for gone, since in phases:
        size = coordinator.world.state.size
        lost += [plan for plan in coordinator.try_all(gone) if not plan.is_cancel]
        coordinator.found_anew(size)
        made = coordinator.try_all(since)
        for old, new in product(lost, made):
            if set(old.order_hashes) & set(coordinator.about(new)):
                assert coordinator.exclude_each_other(old.txid, new.txid)
