"""What people see of an order before they sign: decoded from the exact bytes they sign, and judged here.

Amounts, addresses, caps and expiry come from the order's bytes. Names, rules and counts come from the charter behind
the pinned log id and from the proven record, and are judged by the code that signers run. Signers' views carry their
vote keys' signatures. Everything else is the coordinator's word, and stands apart under that name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import starmap
from typing import Final

from strongroom.ledger.charter import Charter
from strongroom.ledger.charter_book import book_of
from strongroom.ledger.judge import endorsed, lapsed_line, quorum_of, rejected_by, withdrawal_of
from strongroom.ledger.key_changes import KeyChange
from strongroom.ledger.order_messages import (
    AddDestination,
    AmendCharter,
    BreakGlass,
    CancelWithdraw,
    CreateVault,
    Freeze,
    Order,
    RefreshShares,
    ReinstateSigner,
    RemoveDestination,
    ReshareVault,
    Scope,
    SweepVault,
    Unfreeze,
    Withdraw,
)
from strongroom.ledger.records import DestinationRecord, EndorsementRecord, FreezeRecord, OrderState, VaultRecord
from strongroom.ledger.rules import Code, Judgement, judge_quorum, judge_withdrawal
from strongroom.ledger.signed_messages import Verb, Verdict, View
from strongroom.model.ids import OrderHash
from strongroom.model.quantities import duration_text, time_text
from strongroom.protocol.voter_state import Alarm
from strongroom_client.answers import ExplainedOrder, OrderStatus, frozen_by
from strongroom_client.display_charter import acted_facts, amendment_facts
from strongroom_client.display_recovery import box_line, entry_text, judged_recovery, recovery_facts
from strongroom_client.display_shares import earliest_text, judged_key_change, key_change_facts
from strongroom_client.order_kinds import kind_of
from strongroom_client.orders import fingerprint
from strongroom_client.plain_text import counted, plain
from strongroom_client.trust import Trust

__all__ = [
    "Fact",
    "OrderSheet",
    "amount_text",
    "facts_of",
    "freeze_holds",
    "judged_here",
    "make_sheet",
    "same_payment",
    "twin_warnings",
    "twins_of",
]

SOON_MS: Final = 15 * 60_000
STALE_MS: Final = 10 * 60_000
_TWO_HISTORIES: Final = "the coordinator may show different histories"
_OF_TWO_HISTORIES: Final = (Alarm.CERTIFICATES_CONFLICT, Alarm.FINAL_HEAD_CONTRADICTED)
"""With which a signer stops that was shown two."""
_ENDED: Final = frozenset({Code.REJECTED, Code.CANCELLED, Code.DONE, Code.LAPSED, Code.ORDER_EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line about an order: a stable key for programs, a label and a text for people."""

    key: str
    label: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSheet:
    """One order as an approver sees it. `explanation` but for its signed views, and `status`, are the coordinator's."""

    hash: OrderHash
    fingerprint: str
    kind: str
    facts: tuple[Fact, ...]
    initiator: str
    approvals: tuple[EndorsementRecord, ...]
    rejected_by: str
    state: OrderState
    judgement: Judgement
    final: bool
    certified_size: int
    state_time_ms: int
    status: OrderStatus
    explanation: ExplainedOrder | None
    freezes: tuple[FreezeRecord, ...]
    twins: tuple[OrderStatus, ...]
    """Orders with the same payment that can still pay, as far as is proven."""
    warnings: tuple[str, ...]

    @property
    def has_ended(self) -> bool:
        """Whether no approval can make it act any more."""
        return self.judgement.code in _ENDED

    @property
    def is_payable(self) -> bool:
        """Whether a plan may pay it that nothing proven excludes, whatever expires: its own, or one that was lost."""
        return self.kind == "withdraw" and (bool(self.status.proven.record.plans) or self.is_lost)

    @property
    def is_lost(self) -> bool:
        """Whether it is a payment that a restart of the log ended: nobody can show that it was not made."""
        return self.kind == "withdraw" and self.state is OrderState.LAPSED


def amount_text(charter: Charter, asset: str, amount: int) -> str:
    """An amount with the symbol that the charter gives its asset, and in smallest units."""
    text = book_of(charter).amount(asset, amount)
    return text if "smallest units" in text else f"{text} ({amount:,} smallest units)"


def facts_of(
    order: Order, charter: Charter, *, target: Order | None = None, vaults: Sequence[VaultRecord] = ()
) -> tuple[Fact, ...]:
    """Every field of an order, for people.

    Args:
        order: The order.
        charter: The charter in force.
        target: The order that a cancellation ends.
        vaults: Proven records, for an order for new shares.
    """
    return (*_action_facts(order, charter, target, vaults), *_common_facts(order))


def _common_facts(order: Order) -> Iterable[Fact]:
    yield Fact(key="expires", label="Expires", text=time_text(order.expires_ms))
    if order.note:
        yield Fact(key="note", label="Note", text=order.note)
    yield Fact(key="id", label="Order id", text=order.id.hex())


def _action_facts(
    order: Order, charter: Charter, target: Order | None, vaults: Sequence[VaultRecord] = ()
) -> Iterable[Fact]:
    match order.action:
        case Withdraw() as action:
            yield Fact(key="amount", label="Amount", text=amount_text(charter, action.asset, action.amount))
            yield Fact(key="destination", label="To address", text=action.destination)
            yield Fact(key="vault", label="From vault", text=action.vault)
            yield Fact(key="max_fee", label="Fee cap", text=f"{action.max_fee:,} sat")
            yield Fact(key="asset", label="Asset", text=action.asset)
        case CancelWithdraw() as action:
            yield Fact(key="cancels", label="Cancels order", text=action.order_hash.hex())
            if target is not None:
                for fact in _action_facts(target, charter, None):
                    yield Fact(key=f"cancelled_{fact.key}", label=f"  its {fact.label.lower()}", text=fact.text)
            yield Fact(key="max_fee", label="Fee cap", text=f"{action.max_fee:,} sat")
        case CreateVault() as action:
            yield Fact(key="vault", label="New vault", text=action.name)
            yield Fact(key="class", label="Custody class", text=action.custody_class.name.lower())
            yield Fact(key="chain", label="Chain", text=action.chain)
            yield Fact(key="signers", label="Share holders", text=", ".join(action.signers))
            yield Fact(
                key="threshold", label="Threshold", text=f"{action.threshold} of {len(action.signers)} must sign"
            )
        case Freeze() as action:
            stops = "all vaults" if action.scope is Scope.ALL else f"vault {action.vault}"
            yield Fact(key="scope", label="Stops", text=stops)
            yield Fact(key="why", label="Because", text=action.why)
        case Unfreeze() as action:
            yield Fact(key="freeze", label="Lifts freeze", text=action.freeze.hex())
        case ReinstateSigner() as action:
            yield Fact(key="signer", label="Signs again", text=action.signer)
            yield Fact(key="evidence", label="Settles evidence", text=action.evidence_hash.hex())
        case (
            RefreshShares()
            | ReshareVault()
            | AmendCharter()
            | AddDestination()
            | RemoveDestination()
            | BreakGlass()
            | SweepVault()
        ):
            yield from _told(order.action, charter, vaults)


def _told(
    action: KeyChange | AmendCharter | AddDestination | RemoveDestination | BreakGlass | SweepVault,
    charter: Charter,
    vaults: Sequence[VaultRecord],
) -> Iterable[Fact]:
    if isinstance(action, RefreshShares | ReshareVault):
        return starmap(_fact, key_change_facts(action, charter, vaults))
    told = amendment_facts(action, charter) if isinstance(action, AmendCharter) else recovery_facts(action, charter)
    return starmap(_fact, told)


def _fact(key: str, label: str, text: str) -> Fact:
    return Fact(key=key, label=label, text=text)


def judged_here(
    trust: Trust,
    status: OrderStatus,
    now_ms: int,
    destination: DestinationRecord | None = None,
    vaults: Sequence[VaultRecord] = (),
) -> Judgement:
    """Judge an order by the pinned charter and proven records; limits over time are left out.

    Args:
        trust: The pinned charter.
        status: The order with its proven record.
        now_ms: Unix milliseconds.
        destination: For a withdrawal, the proven entry of its destination in the address book.
        vaults: For new shares, the proven records of the vaults: they say whether a delay must be waited out.
    """
    record, charter = status.proven.record, trust.charter
    ended = _ended(status, now_ms)
    if ended is not None:
        return ended
    match status.order.action:
        case Withdraw() as action:
            payment = withdrawal_of(action, destination)
            return judge_withdrawal(charter, payment, endorsed(record), at_ms=now_ms, window_total=None)
        case Freeze():
            return judge_quorum(charter, charter.unfreeze, endorsed(record), at_ms=now_ms)
        case RefreshShares() | ReshareVault() as action:
            return judged_key_change(action, charter, record, vaults, now_ms)
        case CreateVault() | Unfreeze() | ReinstateSigner() | AmendCharter() as action:
            return judge_quorum(charter, quorum_of(charter, action), endorsed(record), at_ms=now_ms)
        case AddDestination() | BreakGlass() as action:
            return judged_recovery(charter, action, record, now_ms)
        case SweepVault():
            return _no(Code.DENIED, "no log takes an order for the recovery kit")
        case CancelWithdraw() | RemoveDestination():
            return Judgement(allowed=True, code=Code.ALLOWED, rule=None, missing=(), tried=())


def _ended(status: OrderStatus, now_ms: int) -> Judgement | None:
    """Why no word counts any more; None while words do."""
    record = status.proven.record
    person = rejected_by(record)
    if person is not None or record.state is OrderState.REJECTED:
        return _no(Code.REJECTED, f"{person} rejected it, which is for ever")
    if record.state in {OrderState.CANCELLED, OrderState.EXCLUDING}:
        return _no(Code.CANCELLED, "the order was cancelled")
    if record.state is OrderState.DONE and not isinstance(status.order.action, Freeze):  # approvals make it last
        return _no(Code.DONE, "the order has acted")
    if record.state is OrderState.LAPSED:
        return _no(Code.LAPSED, lapsed_line(status.order))
    if record.state is OrderState.SCHEDULED:
        when = f"at {time_text(record.due_ms)}" if record.due_ms else "when what it began is finished"
        return _no(Code.DELAY_RUNNING, f"it has its quorum and acts by itself {when}")
    if status.order.expires_ms <= now_ms and not record.plans:
        return _no(Code.ORDER_EXPIRED, "the order has expired: make a new one")
    return None


def _with_freezes(judgement: Judgement, standing: Sequence[FreezeRecord]) -> Judgement:
    """The judgement while these freezes stand: what has not ended waits for them, beside what it lacks anyway."""
    if not standing or judgement.code in _ENDED:
        return judgement
    lines = tuple(_freeze_text(freeze) for freeze in standing)
    return replace(judgement, allowed=False, code=Code.FROZEN, missing=(*lines, *judgement.missing))


def _freeze_text(freeze: FreezeRecord) -> str:
    stops = "everything" if freeze.scope is Scope.ALL else f"vault {freeze.vault}"
    return f"{frozen_by(freeze)} froze {stops}: {freeze.why}"


def _no(code: Code, line: str) -> Judgement:
    return Judgement(allowed=False, code=code, rule=None, missing=(line,), tried=())


def freeze_holds(freeze: FreezeRecord, now_ms: int) -> bool:
    """Whether a freeze stands at this time."""
    return not freeze.lifted and (freeze.lapses_ms == 0 or now_ms < freeze.lapses_ms)


def same_payment(one: Order, other: Order) -> bool:
    """Whether two orders pay the same amount of the same asset to the same address."""
    a, b = one.action, other.action
    return (
        isinstance(a, Withdraw)
        and isinstance(b, Withdraw)
        and (a.asset, a.amount, a.destination) == (b.asset, b.amount, b.destination)
    )


def make_sheet(
    trust: Trust,
    status: OrderStatus,
    *,
    now_ms: int,
    explanation: ExplainedOrder | None = None,
    freezes: Sequence[FreezeRecord] = (),
    others: Iterable[OrderStatus] = (),
    target: Order | None = None,
    newest_size: int = 0,
    destination: DestinationRecord | None = None,
    vaults: Sequence[VaultRecord] = (),
    parent: Charter | None = None,
) -> OrderSheet:
    """Put together what is known of an order.

    Args:
        trust: The pinned charter.
        status: The order with its proven record.
        now_ms: This machine's clock.
        explanation: Signers' signed views, and the coordinator's own judgement.
        freezes: The whole proven table.
        others: Orders among which one with the same payment is looked for.
        target: The order that a cancellation ends, out of its own proven record.
        newest_size: Size of the newest certified head that the coordinator showed, after the signers' views.
        destination: The proven entry of a withdrawal's destination in the address book.
        vaults: The proven records of the vaults that get new shares.
        parent: The proven charter that an amendment replaced when it acted.
    """
    record = status.proven.record
    standing = tuple(freeze for freeze in freezes if freeze_holds(freeze, now_ms) and _concerns(freeze, status.order))
    sheet = OrderSheet(
        hash=status.hash,
        fingerprint=fingerprint(status.hash),
        kind=kind_of(status.order).word,
        facts=(
            *_facts(status, trust.charter, target, vaults, parent),
            *_earliest_facts(trust, status, vaults, now_ms),
            *_book_facts(status.order, destination, now_ms),
        ),
        initiator=next((said.person for said in record.endorsements if said.verb is Verb.INITIATE), ""),
        approvals=tuple(said for said in record.endorsements if said.verb is Verb.APPROVE),
        rejected_by=rejected_by(record) or "",
        state=record.state,
        judgement=_with_freezes(judged_here(trust, status, now_ms, destination, vaults), standing),
        final=status.proven.final,
        certified_size=status.proven.certified_size,
        state_time_ms=status.proven.state_time_ms,
        status=status,
        explanation=explanation,
        freezes=standing,
        twins=twins_of(status.order, (other for other in others if other.hash != status.hash), now_ms),
        warnings=(),
    )
    warnings = tuple(_warnings(sheet, trust, now_ms, max(newest_size, sheet.certified_size)))
    return OrderSheet(**{**{name: getattr(sheet, name) for name in OrderSheet.__slots__}, "warnings": warnings})


def _facts(
    status: OrderStatus, charter: Charter, target: Order | None, vaults: Sequence[VaultRecord], parent: Charter | None
) -> Iterable[Fact]:
    """The order's own facts. What an amendment changed, once it acted, is no difference to the charter in force."""
    order = status.order
    if isinstance(order.action, AmendCharter) and status.proven.record.state is OrderState.DONE:
        yield from starmap(_fact, acted_facts(order.action, charter, parent))
        yield from _common_facts(order)
    else:
        yield from facts_of(order, charter, target=target, vaults=vaults)


def _earliest_facts(trust: Trust, status: OrderStatus, vaults: Sequence[VaultRecord], now_ms: int) -> Iterable[Fact]:
    action = status.order.action
    if isinstance(action, RefreshShares | ReshareVault) and _ended(status, now_ms) is None:
        text = earliest_text(action, trust.charter, status.proven.record, vaults, now_ms)
        if text:
            yield Fact(key="earliest", label="Begins", text=text)


def _book_facts(order: Order, destination: DestinationRecord | None, now_ms: int) -> Iterable[Fact]:
    """What the address book says of the address that a withdrawal pays."""
    if isinstance(order.action, Withdraw) and destination is not None:
        yield Fact(
            key="address_book", label="Address book", text=f"{destination.label}: {entry_text(destination, now_ms)}"
        )


def twins_of(order: Order, others: Iterable[OrderStatus], now_ms: int) -> tuple[OrderStatus, ...]:
    """Other orders with the same payment that can still pay, as far as is proven."""
    return tuple(other for other in others if _may_still_pay(other, now_ms) and same_payment(other.order, order))


def twin_warnings(twins: Iterable[OrderStatus]) -> Iterable[str]:
    """What to tell about orders with the same payment."""
    for twin in twins:
        short = twin.hash.hex()[:16]
        if twin.status == "paid":
            yield f"order {short} has the same amount and address; the coordinator says it is paid (its word)"
        else:
            yield f"order {short} pays the same amount to the same address and can still be paid: both would pay"


def _may_still_pay(status: OrderStatus, now_ms: int) -> bool:
    """Whether a withdrawal may pay, or has paid, as far as is proven: that a planned one was paid is only a word.

    One that lapsed was ended by a restart of the log: a plan that was lost may pay it.
    """
    record = status.proven.record
    if record.plans or record.state is OrderState.LAPSED:
        return True
    return record.state is OrderState.OPEN and rejected_by(record) is None and status.order.expires_ms > now_ms


def _concerns(freeze: FreezeRecord, order: Order) -> bool:
    """Whether a freeze stops this withdrawal; orders that act in the ledger alone go on."""
    if not isinstance(order.action, Withdraw):
        return False
    return freeze.scope is Scope.ALL or order.action.vault == freeze.vault


def _warnings(sheet: OrderSheet, trust: Trust, now_ms: int, shown_size: int) -> Iterable[str]:
    order = sheet.status.order
    yield from twin_warnings(sheet.twins)
    if sheet.is_lost:
        yield "a transaction that was lost with the log before may pay it: this log cannot exclude that"
    elif sheet.is_payable:
        paid = (
            ", unless it is paid: the coordinator says that it is (its word)" if sheet.status.status == "paid" else ""
        )
        yield (
            "it has a plan: it is payable until excluded, and no expiry stops that any more; only a cancellation does"
            + paid
        )
    if isinstance(order.action, Withdraw) and order.action.asset not in book_of(trust.charter).assets:
        yield "the charter does not know this asset: its amount is shown in smallest units"
    if not sheet.status.proven.record.plans and sheet.state is OrderState.OPEN and order.expires_ms - now_ms < SOON_MS:
        left = max(0, order.expires_ms - now_ms) // 1000 * 1000
        yield f"it expires in {duration_text(left)}" if left else "it has expired"
    for freeze in sheet.freezes:
        yield _freeze_text(freeze)
    box = box_line(trust.charter, sheet.status.proven.record, now_ms) if sheet.kind == "break-glass" else ""
    if box:
        yield box
    if not sheet.final:
        yield "what is shown is certified but not final yet"
    yield from _signer_warnings(sheet, trust, now_ms, shown_size)


def _why_unknown(view: View, shown_size: int) -> str:
    """Why a signer may not know an order: that it stopped or lags is common, and two histories must not be missed."""
    is_behind = view.head_size < shown_size
    if view.reasons:
        told = "; ".join(plain(reason) for reason in view.reasons) + "; ask its operator why"
        has_seen_two = any(alarm.name in reason for alarm in _OF_TWO_HISTORIES for reason in view.reasons)
        return f"{told}; {_TWO_HISTORIES}" if has_seen_two or not is_behind else told
    if is_behind:
        return (
            f"it holds {counted(view.head_size, 'entry')} of the {shown_size} that are shown; it has stopped or is "
            f"behind, or {_TWO_HISTORIES}"
        )
    return _TWO_HISTORIES


def _signer_warnings(sheet: OrderSheet, trust: Trust, now_ms: int, shown_size: int) -> Iterable[str]:
    if sheet.explanation is None:
        return
    answered = {item.signer: item.view for item in sheet.explanation.views}
    silent = [signer.name for signer in trust.charter.signers if signer.name not in answered]
    if silent:
        yield f"no signed view came from {', '.join(silent)}"
    for name, view in answered.items():
        if view.verdict is Verdict.UNKNOWN_ORDER:
            yield f"signer {name} does not know this order: {_why_unknown(view, sheet.certified_size)}"
        if view.head_size > shown_size:
            yield f"signer {name} holds {view.head_size} entries, and the coordinator shows {shown_size}: look again"
        if abs(now_ms - view.time_ms) > STALE_MS:
            yield f"the view of signer {name} is of {time_text(view.time_ms)}: it is old, or a clock is wrong"
