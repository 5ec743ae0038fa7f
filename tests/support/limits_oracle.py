"""Limits added up anew from the accepted entries, by code that shares nothing with the ledger's but its messages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from strongroom.ledger import codec
from strongroom.ledger.charter import Charter, Rule
from strongroom.ledger.entry_messages import Change, Endorse, Entry, OrderEntry, Plan
from strongroom.ledger.order_messages import Order, Withdraw
from strongroom.ledger.signed_messages import Endorsement, Signed, Verb

__all__ = ["LimitsOracle"]


@dataclass
class LimitsOracle:
    """Reads entries in order; raises at the first plan that no rule, window or fee cap can have let through."""

    charter: Charter
    orders: dict[bytes, Order] = field(default_factory=dict)
    approvals: dict[bytes, set[str]] = field(default_factory=dict)
    plans: dict[bytes, tuple[Plan, int]] = field(default_factory=dict)
    """Accepted plans by hash, each with its fee."""
    paid: list[tuple[int, str, int]] = field(default_factory=list)
    """Time, vault and amount of each order when it was first planned."""
    fees: list[tuple[int, str, int]] = field(default_factory=list)

    def read(self, entries: Iterable[bytes]) -> LimitsOracle:
        """Take entries that the ledger accepted."""
        for data in entries:
            entry = codec.decode(Entry, data)
            match entry.body:
                case OrderEntry():
                    name = hashlib.sha256(entry.body.order).digest()
                    self.orders[name] = codec.decode(Order, entry.body.order)
                    for said in entry.body.endorsements:
                        self._said(said)
                case Endorse():
                    self._said(entry.body.endorsement)
                case Plan():
                    self._plan(entry.body, entry.time_ms)
        return self

    def _said(self, signed: Signed) -> None:
        said = codec.decode(Endorsement, signed.body)
        if said.verb is Verb.APPROVE:
            self.approvals.setdefault(said.order_hash, set()).add(said.person)

    def _plan(self, plan: Plan, now: int) -> None:
        planned_before = {name for known, _ in self.plans.values() for name in known.order_hashes}
        for name in plan.order_hashes:
            action = self.orders[name].action
            if isinstance(action, Withdraw) and name not in planned_before:
                assert any(self._passes(rule, name, action, now) for rule in self.charter.rules), "no rule lets it pass"
                self.paid.append((now, action.vault, action.amount))
        fee = self._fee(plan)
        earlier = self.plans[plan.bumps][1] if plan.bumps else 0
        self.fees.append((now, plan.vault, fee - earlier))
        caps = self.charter.fees
        assert fee <= caps.per_plan
        assert self._total(self.fees, caps.window_ms, now, (plan.vault,)) <= caps.per_vault, "fees over the window"
        self.plans[hashlib.sha256(codec.encode(plan)).digest()] = plan, fee

    def _passes(self, rule: Rule, name: bytes, action: Withdraw, now: int) -> bool:
        most = {item.asset: item.amount for item in rule.maximum}
        if not any(fnmatchcase(action.vault, glob) for glob in rule.vaults) or action.amount > most[action.asset]:
            return False
        for quorum in rule.approvals:
            members = next(group.members for group in self.charter.groups if group.name == quorum.group)
            if len(self.approvals.get(name, set()) & set(members)) < quorum.count:
                return False
        return all(
            self._total(self.paid, limit.window_ms, now, rule.vaults) + action.amount <= item.amount
            for limit in rule.limits
            for item in limit.amounts
        )

    @staticmethod
    def _total(items: list[tuple[int, str, int]], window_ms: int, now: int, globs: tuple[str, ...]) -> int:
        return sum(
            amount
            for at, vault, amount in items
            if now - window_ms < at <= now and any(fnmatchcase(vault, glob) for glob in globs)
        )

    def _fee(self, plan: Plan) -> int:
        spent = sum(coin.amount_sat for coin in plan.inputs)
        for output in plan.outputs:
            target = output.target
            if isinstance(target, Change):
                spent -= target.amount_sat
            else:
                action = self.orders[plan.order_hashes[target.position]].action
                assert isinstance(action, Withdraw)
                spent -= action.amount
        return spent
