"""What people see of the address book and of break-glass: facts, judgements and where things stand, in words."""

from __future__ import annotations

from collections.abc import Iterable

from strongroom.ledger.break_glass import box_of, judge_break_glass
from strongroom.ledger.charter import Charter
from strongroom.ledger.judge import endorsed, judge_addition
from strongroom.ledger.judgement import Judgement
from strongroom.ledger.order_messages import AddDestination, BreakGlass, RemoveDestination, SweepVault
from strongroom.ledger.records import DestinationRecord, OrderRecord, OrderState
from strongroom.model.quantities import duration_text, time_text

__all__ = ["box_line", "entry_text", "judged_recovery", "recovery_facts"]


def recovery_facts(
    action: AddDestination | RemoveDestination | BreakGlass | SweepVault, charter: Charter
) -> Iterable[tuple[str, str, str]]:
    """Every field of such an order, and what the charter adds to it: key, label and text of each."""
    match action:
        case AddDestination():
            yield "address", "Adds address", action.address
            yield "label", "Known as", action.label
            yield "chain", "Chain", action.chain
            yield "proof", "Proof", "its owner signed for it" if action.proof else "none: nobody showed whose it is"
            yield "cooling_off", "Payable", f"{duration_text(charter.destination_cooling_ms)} after the last approval"
        case RemoveDestination():
            yield "address", "Removes address", action.address
            yield "chain", "Chain", action.chain
            yield "why", "Because", action.why
        case SweepVault():
            yield "vault", "Moves vault", action.vault
            yield "scope", "Moves", "everything it holds, by the recovery kit, past every rule but this quorum"
            yield "destination", "To", action.destination
            yield "max_fee", "Fee cap", f"{action.max_fee:,} sat for each transaction"
        case BreakGlass():
            yield "vault", "Moves vault", action.vault
            yield "scope", "Moves", "everything it holds, whatever freeze is in force"
            yield "destination", "To recovery", action.destination
            yield "max_fee", "Fee cap", f"{action.max_fee:,} sat for each transaction"
            rules = charter.break_glass
            if rules is not None:
                delay, lasts = duration_text(rules.delay_ms), duration_text(rules.box_ms)
                yield "box", "Box", f"opens {delay} after the last approval it needs, for {lasts}"


def judged_recovery(
    charter: Charter, action: AddDestination | BreakGlass, record: OrderRecord, now_ms: int
) -> Judgement:
    """Judge an order of these kinds by the pinned charter and its proven record."""
    if isinstance(action, BreakGlass):
        return judge_break_glass(charter, action, record, at_ms=now_ms)
    return judge_addition(charter, endorsed(record), at_ms=now_ms)


def box_line(charter: Charter, record: OrderRecord, now_ms: int) -> str:
    """When the box of an order to break the glass opens or closes; empty while its quorum does not stand."""
    box = box_of(charter, record, at_ms=now_ms)
    if box is None or record.state is not OrderState.OPEN:
        return ""
    if now_ms < box.opens_ms:
        return f"the box opens at {time_text(box.opens_ms)}"
    closes = time_text(box.closes_ms)
    return f"THE BOX IS OPEN until {closes}" if box.is_open(now_ms) else f"the box closed at {closes}"


def entry_text(entry: DestinationRecord, now_ms: int) -> str:
    """Where an entry of the address book stands, in words."""
    if entry.removed_ms:
        return f"removed by {entry.removed_by} at {time_text(entry.removed_ms)}"
    proven = ", its owner signed for it" if entry.is_proven else ""
    if now_ms < entry.usable_ms:
        return f"cooling off until {time_text(entry.usable_ms)}{proven}"
    return f"payable{proven}"
