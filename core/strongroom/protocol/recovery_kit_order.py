"""The order of a sweep, judged by each holder alone: the admin quorum of the charter in force at the end of the log.

Endorsements have the form that they have in the log, so a person signs with the same key and sees the same. They count
here by the last log there is; its head in them shows a holder whose copy is older that it is.

Spec: docs/protocol/recovery-kit.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.chains.bitcoin import policy
from strongroom.chains.bitcoin.networks import BY_CAIP2
from strongroom.ledger.charter_book import book_of
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.handlers.endorsing import read_endorsement
from strongroom.ledger.handlers.orders import MAX_ORDER_LIFE_MS
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.order_messages import Order, SweepVault
from strongroom.ledger.plans import payee_script
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import VaultRecord
from strongroom.ledger.rules import quorum_members
from strongroom.ledger.signed_messages import Endorsement, Signed, Verb
from strongroom.ledger.state import State, decode_order
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import OrderHash

__all__ = [
    "MAX_APPROVALS",
    "JudgedSweep",
    "SweepOrderRefused",
    "judge_sweep",
    "may_approve",
    "read_sweep",
    "require_quorum",
]

MAX_APPROVALS: Final = 64


class SweepOrderRefused(StrongroomError):
    """The order is none by which a vault may be swept; the message says what is missing. Nothing was signed."""

    reason = "SWEEP_ORDER_REFUSED"
    kind = Kind.PERMISSION_DENIED


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSweep:
    """An order that fits the log.

    Attributes:
        order: The order.
        action: What it asks for.
        hash: SHA-256 of the order's bytes.
        vault: The vault as the log has it.
        approved: Names of the administrators whose approval counts, in ascending order.
        wanted: How many approvals the charter asks for.
    """

    order: Order
    action: SweepVault
    hash: OrderHash
    vault: VaultRecord
    approved: tuple[str, ...] = ()
    wanted: int


def read_sweep(state: State, data: bytes, *, now_ms: int) -> JudgedSweep:
    """Decode an order and judge everything of it but the approvals.

    Args:
        state: The state at the end of the exported log.
        data: Canonical bytes of the order.
        now_ms: The time of this machine, Unix milliseconds.

    Raises:
        SweepOrderRefused: it cannot be carried out by anybody's word; make a new one.
    """
    try:
        order = decode_order(data)
    except NotCanonical as error:
        raise SweepOrderRefused(f"the order is malformed: {error.message}") from error
    action = order.action
    if not isinstance(action, SweepVault):
        raise SweepOrderRefused("the order does not ask for a sweep by the recovery kit")
    if order.log_id != state.log_id:
        raise SweepOrderRefused("the order is for another log than the exported one")
    if now_ms < state.time_ms:
        raise SweepOrderRefused("this machine's clock is before the last entry of the log: set the clock")
    if order.expires_ms <= now_ms:
        raise SweepOrderRefused("the order has expired: make a new one")
    if order.expires_ms > now_ms + MAX_ORDER_LIFE_MS:
        raise SweepOrderRefused("the order is to live for more than 30 days: make a new one, and look at the clock")
    vault = state.vault(action.vault)
    if vault is None:
        raise SweepOrderRefused(f"the log has no vault {action.vault}")
    try:
        payee_script(action.destination, BY_CAIP2[vault.chain])
    except Refused as error:
        raise SweepOrderRefused(error.message) from error
    if action.max_fee > policy.MAX_MONEY_SAT:
        raise SweepOrderRefused(f"{action.max_fee} sat is no maximum of a fee")
    order_hash = OrderHash(hashlib.sha256(data).digest())
    # A quorum of nobody is one of somebody, as in the log.
    wanted = max(1, state.charter.admin.count)
    return JudgedSweep(order=order, action=action, hash=order_hash, vault=vault, wanted=wanted)


def judge_sweep(
    state: State, data: bytes, approvals: Sequence[Signed], *, now_ms: int, revoked: Collection[bytes] = ()
) -> JudgedSweep:
    """Judge an order and every approval with it; whether they are enough says `require_quorum`.

    Args:
        state: The state at the end of the exported log.
        data: Canonical bytes of the order.
        approvals: Signed endorsements.
        now_ms: The time of this machine, Unix milliseconds.
        revoked: Public keys that were revoked by hand, which the log does not know.

    Raises:
        SweepOrderRefused: the order cannot be carried out, or one of the approvals does not hold: it has expired, is of
            another order or log, by a key that the charter no longer has, or saw a longer log than this one.
    """
    read = read_sweep(state, data, now_ms=now_ms)
    if len(approvals) > MAX_APPROVALS:
        raise SweepOrderRefused(f"{len(approvals)} approvals are more than {MAX_APPROVALS}")
    members = quorum_members(state.charter, state.charter.admin)
    people: set[str] = set()
    for signed in approvals:
        said = _read(state, signed, now_ms)
        if said.order_hash != read.hash:
            raise SweepOrderRefused(f"the approval by {said.person} is of another order")
        if said.verb is not Verb.APPROVE:
            raise SweepOrderRefused(f"{said.person} does not approve the order: it is void")
        if said.key in revoked:
            raise SweepOrderRefused(f"{said.person} approves with a key that was revoked by hand: the order is void")
        if said.person not in members:
            group = state.charter.admin.group
            raise SweepOrderRefused(f"{said.person} is not of group {group}, whose approval the charter asks for")
        if said.person in people:
            raise SweepOrderRefused(f"{said.person} approves twice: each counts once")
        people.add(said.person)
    return JudgedSweep(
        order=read.order,
        action=read.action,
        hash=read.hash,
        vault=read.vault,
        approved=tuple(sorted(people)),
        wanted=read.wanted,
    )


def require_quorum(judged: JudgedSweep) -> None:
    """Check that enough administrators approve.

    Raises:
        SweepOrderRefused: approvals are missing; the message says how many.
    """
    missing = judged.wanted - len(judged.approved)
    if missing > 0:
        raise SweepOrderRefused(
            f"{missing} more of the administrators must approve the order; it has "
            f"{', '.join(judged.approved) or 'no approval'}",
            missing=str(missing),
        )


def may_approve(state: State, person: str, key: bytes) -> bool:
    """Whether a person's approval with this key (32 bytes) would count."""
    charter = state.charter
    return person in quorum_members(charter, charter.admin) and book_of(charter).has_key(person, key)


def _read(state: State, signed: Signed, now_ms: int) -> Endorsement:
    try:
        return read_endorsement(state, signed, Position(index=state.size, time_ms=now_ms))
    except Refused as error:
        hint = ""
        if error.reason == "ENDORSEMENT_HEAD":
            hint = ": it was made by a longer log or another one; take the newest exported log, all of you"
        raise SweepOrderRefused(f"{error.message}{hint}", why=error.reason) from error
