"""Plans that the chain has not settled yet, and those that it settled against: in memory, found by what they spend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from strongroom.chains.bitcoin.policy import CHANGE_BRANCH, fee_rate
from strongroom.chains.bitcoin.spend import spend_weight
from strongroom.chains.bitcoin.transaction import parse
from strongroom.ledger.entry_messages import Change, Plan
from strongroom.ledger.records import PlanRecord
from strongroom_coordinator.coins import Coin

__all__ = ["Claims", "Outpoint", "PlanBook", "TrackedPlan"]

MAX_CHAIN: Final = 20
"""Longest chain of unconfirmed plans built on purpose: nodes relay 25 ancestors and 25 descendants."""

Outpoint = tuple[bytes, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Coins that a plan spends and that are not, or not known to be, what it says of them."""

    doubtful: frozenset[Outpoint] = frozenset()
    """Nothing is known of them yet."""
    false: frozenset[Outpoint] = frozenset()
    """They have another amount or another script, or a plan makes them that can never confirm."""
    missing: frozenset[Outpoint] = frozenset()
    """The chain node does not have them; a transaction that makes them may still be published."""


@dataclass(slots=True, eq=False, kw_only=True)
class TrackedPlan:
    """One plan that no block has settled."""

    record: PlanRecord
    plan: Plan
    raw_transaction: bytes | None = None
    is_broadcast: bool = False
    """The node took it into its mempool, as far as we know."""
    problem: str = ""
    """What the node said against it last."""
    claims: Claims = Claims()
    is_invalid: bool = False
    """The node says that no block can ever hold its final transaction."""
    since_ms: int = 0
    """When it was logged, signed or taken by the node, whichever came last."""
    outpoints: frozenset[Outpoint] = field(init=False)
    change: tuple[Coin, ...] = field(init=False)
    _weight: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.outpoints = frozenset((item.txid, item.vout) for item in self.plan.inputs)
        self.change = tuple(
            Coin(
                txid=self.record.txid,
                vout=position,
                amount_sat=output.target.amount_sat,
                branch=CHANGE_BRANCH,
                index=output.target.index,
                is_confirmed=False,
            )
            for position, output in enumerate(self.plan.outputs)
            if isinstance(output.target, Change)
        )

    @property
    def hash(self) -> bytes:
        """The plan's hash."""
        return self.record.hash

    @property
    def can_never_confirm(self) -> bool:
        """Whether no chain can ever hold its transaction: signatures commit to amounts and scripts as claimed."""
        return self.is_invalid or bool(self.claims.false)

    @property
    def is_dead(self) -> bool:
        """Whether its transaction cannot confirm as the chain is; with missing coins only, that may change."""
        return self.can_never_confirm or bool(self.claims.missing)

    @property
    def is_sound(self) -> bool:
        """Whether its transaction can confirm, as far as its own coins go."""
        return not self.is_dead and (self.is_broadcast or not self.claims.doubtful)

    @property
    def why_dead(self) -> str:
        """One line for people; empty for a plan that may confirm."""
        if self.claims.false:
            return f"coin {_named(self.claims.false)} is not what the plan says of it"
        if self.is_invalid:
            return f"the node calls its transaction invalid: {self.problem}"
        return f"coin {_named(self.claims.missing)} does not exist" if self.claims.missing else ""

    @property
    def fee_rate_sat_per_vb(self) -> int:
        """Its fee rate, rounded up; as if every payment went to the longest script while it is unsigned."""
        if self.raw_transaction is None:
            return fee_rate(self.record.fee_sat, spend_weight(len(self.plan.inputs), [34] * len(self.plan.outputs)))
        if not self._weight:
            self._weight = parse(self.raw_transaction).weight
        return fee_rate(self.record.fee_sat, self._weight)

    @property
    def txid(self) -> bytes:
        """Id of its transaction."""
        return self.record.txid


class PlanBook:
    """All unsettled plans."""

    def __init__(self) -> None:
        self._plans: dict[bytes, TrackedPlan] = {}
        self._by_txid: dict[bytes, TrackedPlan] = {}
        self._spending: dict[Outpoint, dict[bytes, TrackedPlan]] = {}
        self.conflicted: dict[bytes, bytes] = {}
        """Plans that a block excludes -> the transaction that does."""

    def __iter__(self) -> Iterator[TrackedPlan]:
        return iter(self._plans.values())

    def __len__(self) -> int:
        return len(self._plans)

    def get(self, plan_hash: bytes) -> TrackedPlan | None:
        """An unsettled plan by its hash."""
        return self._plans.get(plan_hash)

    def by_txid(self, txid: bytes) -> TrackedPlan | None:
        """An unsettled plan by its transaction id."""
        return self._by_txid.get(txid)

    def change_of(self, vault: str, txid: bytes) -> list[Coin]:
        """A vault's change of an unsettled plan that can confirm as the chain is."""
        plan = self._by_txid.get(txid)
        return list(plan.change) if plan is not None and plan.record.vault == vault and not plan.is_dead else []

    def spending(self, outpoint: Outpoint) -> Iterable[TrackedPlan]:
        """Unsettled plans that spend a coin."""
        return tuple(self._spending.get(outpoint, {}).values())

    def is_reserved(self, outpoint: Outpoint) -> bool:
        """Whether an unsettled plan spends this coin, and can confirm as the chain is."""
        return any(not plan.is_dead for plan in self._spending.get(outpoint, {}).values())

    def add(self, plan: TrackedPlan) -> None:
        """Track a plan; one that is known already stays as it is."""
        if plan.hash in self._plans:
            return
        self._plans[plan.hash] = plan
        self._by_txid[plan.txid] = plan
        for outpoint in plan.outpoints:
            self._spending.setdefault(outpoint, {})[plan.hash] = plan

    def remove(self, plan_hash: bytes) -> None:
        """Stop tracking a plan: a block settled it, or a term change took it out of the log."""
        plan = self._plans.pop(plan_hash, None)
        if plan is None:
            return
        self._by_txid.pop(plan.txid, None)
        for outpoint in plan.outpoints:
            spenders = self._spending[outpoint]
            del spenders[plan_hash]
            if not spenders:
                del self._spending[outpoint]

    def children(self, plan: TrackedPlan) -> list[TrackedPlan]:
        """Unsettled plans that spend this plan's change."""
        found = {child.hash: child for coin in plan.change for child in self.spending(coin.outpoint)}
        return list(found.values())

    def descendants(self, plan: TrackedPlan) -> dict[bytes, TrackedPlan]:
        """All unsettled plans that cannot confirm unless this one does."""
        found: dict[bytes, TrackedPlan] = {}
        queue = [plan]
        while queue:
            for child in self.children(queue.pop()):
                if child.hash not in found:
                    found[child.hash] = child
                    queue.append(child)
        return found

    def ancestors(self, plan: TrackedPlan) -> dict[bytes, TrackedPlan]:
        """All unsettled plans that must confirm before this one."""
        found: dict[bytes, TrackedPlan] = {}
        queue = [plan]
        while queue:
            for txid, _ in queue.pop().outpoints:
                parent = self._by_txid.get(txid)
                if parent is not None and parent.hash not in found:
                    found[parent.hash] = parent
                    queue.append(parent)
        return found

    def spendable_change(self) -> Iterator[tuple[str, Coin]]:
        """Unconfirmed change that another plan may spend: of signed plans whose coins exist, within what nodes relay.

        The change of a cancellation is left alone: the orders that it displaces may need it to be planned again.
        """
        for plan in self._plans.values():
            if plan.raw_transaction is None or plan.record.is_cancel or plan.problem or not plan.is_sound:
                continue
            free = [coin for coin in plan.change if not self.is_reserved(coin.outpoint)]
            if not free:
                continue
            before = self.ancestors(plan)
            if not all(one.is_sound for one in before.values()):
                continue
            longest = max((len(self.descendants(one)) for one in (plan, *before.values())), default=0)
            if len(before) + 1 < MAX_CHAIN and longest + 1 < MAX_CHAIN:
                for coin in free:
                    yield plan.record.vault, coin


def _named(points: frozenset[Outpoint]) -> str:
    """The first coin as people write it, and how many others there are."""
    txid, vout = min(points)
    more = f" and {len(points) - 1} more" if len(points) > 1 else ""
    return f"{txid[::-1].hex()}:{vout}{more}"
