"""An order on the terminal and as JSON: what is proven first, what is the coordinator's word apart from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from strongroom.ledger.records import OrderState
from strongroom.ledger.rules import Code
from strongroom.ledger.signed_messages import Verb, Verdict
from strongroom.model.quantities import time_text
from strongroom_client.answers import OrderStatus, SignerView
from strongroom_client.cli.output import wants_json
from strongroom_client.display import OrderSheet
from strongroom_client.order_kinds import kind_of
from strongroom_client.plain_text import counted, plain

__all__ = ["UNVERIFIED", "order_row", "orders_table", "sheet_data", "sheet_parts", "show"]

UNVERIFIED: Final = "unverified (coordinator's word)"
_VERDICTS: Final = {
    Verdict.WOULD_SIGN: ("would sign", "green"),
    Verdict.WAITING: ("waits", "yellow"),
    Verdict.WOULD_REFUSE: ("would refuse", "red"),
    Verdict.UNKNOWN_ORDER: ("does not know this order", "red"),
}
_STATES: Final = {
    OrderState.OPEN: "open",
    OrderState.PLANNED: "PAYABLE UNTIL EXCLUDED: it has a plan, and no expiry stops that",
    OrderState.REJECTED: "rejected for ever",
    OrderState.CANCELLED: "cancelled: never will be paid",
    OrderState.EXCLUDING: "being cancelled: payable until the cancellation's transaction confirms",
    OrderState.DONE: "done",
    OrderState.SCHEDULED: "approved: it acts by itself when its time comes",
    OrderState.LAPSED: "lapsed: it could no longer act when its time came",
}


def show(parts: Iterable[RenderableType]) -> None:
    """Print for people: on standard output, or on standard error when that is kept for JSON."""
    console = Console(stderr=wants_json(), highlight=False, soft_wrap=True)
    for part in parts:
        console.print(part)


def sheet_parts(sheet: OrderSheet) -> list[RenderableType]:
    """The order for people."""
    title = Text(f"{kind_of(sheet.status.order).title}   fingerprint {sheet.fingerprint}", style="bold")
    parts: list[RenderableType] = [title, Text("Decoded from the exact bytes that are signed:", style="dim")]
    parts.append(_pairs((fact.label, Text(fact.text, style="bold")) for fact in sheet.facts))
    parts += [Text(), Text("Proven by the pinned charter and a certified state:", style="dim")]
    parts.append(_pairs(_proven(sheet)))
    if sheet.explanation is not None:
        parts += [Text(), Text("What each signer says, under its own signature:", style="dim")]
        parts.append(_pairs((item.signer, _view(item, sheet)) for item in sheet.explanation.views))
    parts += [Text(), Text(f"{UNVERIFIED.capitalize()}:", style="dim")]
    parts.append(_pairs(_told(sheet)))
    parts += [Text(f"Warning: {warning}", style="bold yellow") for warning in sheet.warnings]
    return parts


def _proven(sheet: OrderSheet) -> Iterable[tuple[str, Text]]:
    judgement = sheet.judgement
    approvals = ", ".join(f"{said.person} ({time_text(said.time_ms)})" for said in sheet.approvals) or "none yet"
    yield "State", Text(_state_text(sheet), style="bold red" if sheet.is_payable else "")
    yield "Initiated by", Text(sheet.initiator)
    yield "Approved by", Text(approvals)
    if sheet.rejected_by:
        yield "Rejected by", Text(sheet.rejected_by, style="bold red")
    if judgement.rule:
        yield "Rule", Text(f"{judgement.rule}: {'passes' if judgement.allowed else 'closest, does not pass yet'}")
    # That an order has acted is its state, and nothing that it lacks.
    for line in () if judgement.code is Code.DONE else judgement.missing:
        yield "Missing", Text(line, style="yellow")
    for line in judgement.tried:
        if not line.startswith(f'"{judgement.rule}":'):
            yield "Also tried", Text(line)
    if sheet.kind == "withdraw":
        yield "Limits", Text("what limits over time leave is not in this proof: see below", style="dim")
    yield "Seen at", Text(f"{counted(sheet.certified_size, 'entry')} of the log, of {time_text(sheet.state_time_ms)}")


def _state_text(sheet: OrderSheet) -> str:
    """The state for people; only a withdrawal ever waits for a plan."""
    if sheet.kind == "withdraw" and sheet.state is OrderState.OPEN:
        return "open: it has no plan"
    if sheet.is_lost:
        return "ENDED BY A RESTART OF THE LOG, AND PAYABLE: a transaction that was lost may pay it"
    return _STATES[sheet.state]


def _told(sheet: OrderSheet) -> Iterable[tuple[str, Text]]:
    status, explanation = sheet.status, sheet.explanation
    waits = f": {plain(status.waits_for)}" if status.waits_for else ""
    yield "Status", Text(status.status.replace("_", " ") + waits)
    if explanation is not None:
        verdict = "passes" if explanation.allowed else "; ".join(map(plain, explanation.missing)) or "does not pass"
        rule = f"{plain(explanation.rule)}: " if explanation.rule else ""
        yield "Judgement", Text(f"{rule}{verdict}")
    for plan in status.plans:
        confirmed = f", {plan.confirmations} confirmations" if plan.confirmations else ""
        fee = f", fee {plain(plan.fee)} sat" if plan.fee else ""
        yield "Transaction", Text(f"{plan.txid[::-1].hex()} {plain(plan.stage)}{confirmed}{fee}")
        for refusal in plan.refusals:
            yield "Refused", Text(plain(refusal), style="red")


def _view(item: SignerView, sheet: OrderSheet) -> Text:
    words, colour = _VERDICTS[item.view.verdict]
    if sheet.judgement.code is Code.DONE and item.view.verdict is Verdict.WAITING:
        words, colour = "says", ""  # it has nothing to sign, and nothing is awaited
    text = Text(words, style=colour)
    reasons = [plain(reason) for reason in item.view.reasons]
    # Signers add why each rule they tried does not pass; for the closest one that is said already.
    said = reasons[0].partition(": ")[2] if reasons else ""
    told = [reason for position, reason in enumerate(reasons) if position == 0 or not said or said not in reason]
    if told:
        text.append(": " + "; ".join(told), style="")
    return text


def _pairs(rows: Iterable[tuple[str, Text]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(label, text)
    return table


def sheet_data(sheet: OrderSheet) -> dict[str, Any]:
    """The order for programs; what is under `coordinator` is its word."""
    judgement, explanation = sheet.judgement, sheet.explanation
    return {
        **order_row(sheet.status),
        "fingerprint": sheet.fingerprint,
        "facts": _facts_data(sheet),
        "initiator": sheet.initiator,
        "approved_by": [said.person for said in sheet.approvals],
        "rejected_by": sheet.rejected_by or None,
        "final": sheet.final,
        "certified_size": sheet.certified_size,
        "payable_until_excluded": sheet.is_payable,
        "judgement": {
            "allowed": judgement.allowed,
            "code": judgement.code.value,
            "rule": judgement.rule,
            "missing": list(judgement.missing),
            "tried": list(judgement.tried),
            "limits_included": False,
        },
        "signers": [
            {
                "signer": item.signer,
                "verdict": item.view.verdict.name.lower(),
                "reasons": [plain(reason) for reason in item.view.reasons],
                "head_size": item.view.head_size,
            }
            for item in (explanation.views if explanation else ())
        ],
        "warnings": list(sheet.warnings),
        "coordinator": {
            "status": sheet.status.status,
            "waits_for": plain(sheet.status.waits_for),
            "rule": plain(explanation.rule) if explanation else None,
            "missing": [plain(line) for line in explanation.missing] if explanation else [],
            "plans": [
                {
                    "txid": plan.txid[::-1].hex(),
                    "stage": plain(plan.stage),
                    "confirmations": plan.confirmations,
                    "fee": plain(plan.fee),
                    "refusals": [plain(refusal) for refusal in plan.refusals],
                }
                for plan in sheet.status.plans
            ],
        },
    }


def _facts_data(sheet: OrderSheet) -> dict[str, str]:
    """The facts by key; several of one key, as the changes of an amendment, stand on lines of their own."""
    found: dict[str, str] = {}
    for fact in sheet.facts:
        found[fact.key] = f"{found[fact.key]}\n{fact.text}" if fact.key in found else fact.text
    return found


def order_row(status: OrderStatus) -> dict[str, Any]:
    """One order in a list, for programs: `status` and `waits_for` are the coordinator's word."""
    record = status.proven.record
    return {
        "order": status.hash.hex(),
        "id": status.order.id.hex(),
        "kind": kind_of(status.order).word,
        "state": record.state.name.lower(),
        "approvals": sum(said.verb is Verb.APPROVE for said in record.endorsements),
        "status": status.status,
    }


def orders_table(rows: Iterable[tuple[OrderStatus, str, str]]) -> Table:
    """A list of orders for people: each with what it asks for and to whom."""
    table = Table(box=None, pad_edge=False)
    for name in ("order", "asks for", "to", "approvals", "state", UNVERIFIED):
        table.add_column(name, overflow="fold", no_wrap=name == "order")
    for status, asks, to in rows:
        data = order_row(status)
        cells = (data["order"][:16], asks, to, str(data["approvals"]), data["state"])
        table.add_row(*map(Text, cells), Text(status.status.replace("_", " ")))
    return table
