"""Looking at an order, and initiating, approving or rejecting one: the steps that all kinds of orders share."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rich.text import Text

from strongroom.ledger.key_changes import vaults_of
from strongroom.ledger.order_messages import (
    CancelWithdraw,
    Order,
    RefreshShares,
    ReinstateSigner,
    ReshareVault,
    Withdraw,
)
from strongroom.ledger.records import DestinationRecord, VaultRecord
from strongroom.ledger.signed_messages import Verb
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import LogId, OrderHash
from strongroom.protocol.signed import SignedBody
from strongroom_client.answers import Receipt
from strongroom_client.cli.ceremony import Watching
from strongroom_client.cli.other_payments import others_of
from strongroom_client.cli.output import Refused, emit, wants_json
from strongroom_client.cli.replaced_charter import replaced_charter
from strongroom_client.cli.shared import BadOption, Session, now_ms, patiently, run, session
from strongroom_client.cli.shared_sheet import sheet_data, sheet_parts, show
from strongroom_client.cli.shared_signing import (
    confirm,
    deliver,
    hand_in_text,
    rejected,
    report_delivery,
    report_logged,
    sign,
    unlock,
    write_hand_in,
)
from strongroom_client.dealers import lost_dealers
from strongroom_client.display import OrderSheet, facts_of, make_sheet, twin_warnings, twins_of
from strongroom_client.errors import DeadlineExceeded, Unavailable
from strongroom_client.evidence import evidence_warnings
from strongroom_client.order_kinds import kind_of
from strongroom_client.orders import Action, DraftedOrder, Seen, draft, fingerprint
from strongroom_client.person_key import PersonKey
from strongroom_client.precautions import precautions_of
from strongroom_client.profile import Memory, Profile, load_profile
from strongroom_client.trust import Trust
from strongroom_client.vault_warnings import threshold_warnings

__all__ = ["Looked", "Unlogged", "approve", "check_key", "initiate", "look", "offline_seen", "reject", "show_order"]

Unlogged = Callable[[Trust, bytes, SignedBody, StrongroomError], bool]
"""Takes the charter in force, an order's bytes, one signed word on it, and why that is not proven to be logged."""

_NEVER_SEEN: Final = Seen(size=1, root=bytes(32))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beside:
    """What stands beside a new order: the order that it cancels, and what speaks for thinking twice."""

    target: Order | None
    warnings: tuple[str, ...]
    vaults: tuple[VaultRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was looked at: the sheet that is shown, and the head that an endorsement will name."""

    sheet: OrderSheet
    seen: Seen
    trust: Trust
    data: bytes
    """The order's bytes."""
    warnings: tuple[str, ...] = ()
    """Beyond those of the sheet."""


async def look(profile_file: Path, text: str) -> Looked:
    """Gather everything about the order that is meant, proven as far as it can be."""
    async with session(profile_file) as opened:
        trust, seen = await opened.client.trust(), await opened.seen()
        status = await opened.find(text)
        target = None
        if isinstance(status.order.action, CancelWithdraw):
            target = (await opened.client.order(OrderHash(status.order.action.order_hash))).order
        explanation = await opened.client.explain(status.hash)
        others, unseen = await others_of(opened, status.order)
        sheet = make_sheet(
            trust,
            status,
            now_ms=now_ms(),
            newest_size=trust.certificate((await opened.client.ledger()).certificate).head.size,
            explanation=explanation,
            freezes=await opened.client.freezes(),
            others=others,
            target=target,
            destination=await _destination(opened, status.order),
            vaults=await _vaults(opened, status.order.action),
            parent=await replaced_charter(opened, trust, status),
        )
        warnings = (
            *await _about_evidence(opened, status.order),
            *threshold_warnings(trust.charter, status.order.action),
        )
        sheet = replace(sheet, warnings=(*sheet.warnings, *unseen))
        return Looked(sheet=sheet, seen=seen, trust=trust, data=status.proven.record.order, warnings=warnings)


async def _about_evidence(opened: Session, order: Order) -> tuple[str, ...]:
    action = order.action
    return (
        await evidence_warnings(opened.client, action, await opened.client.trust())
        if isinstance(action, ReinstateSigner)
        else ()
    )


async def _destination(opened: Session, order: Order) -> DestinationRecord | None:
    """What the address book has of the address that a withdrawal pays, proven."""
    if not isinstance(order.action, Withdraw):
        return None
    proven = await opened.client.destination(order.action.asset.partition("/")[0], order.action.destination)
    return None if proven is None else proven.record


async def _vaults(opened: Session, action: Action) -> tuple[VaultRecord, ...]:
    """The records of the vaults that get new shares, proven."""
    if not isinstance(action, RefreshShares | ReshareVault):
        return ()
    return tuple(one.record for one in await opened.client.vaults() if one.record.name in vaults_of(action))


def show_order(profile_file: Path, text: str) -> None:
    """Show one order."""
    looked = run(look(profile_file, text))
    emit(sheet_data(looked.sheet), sheet_parts(looked.sheet))


def approve(
    profile_file: Path,
    text: str,
    *,
    kinds: Sequence[str],
    yes: bool,
    passphrase_file: Path | None,
    unlogged: Unlogged | None = None,
) -> None:
    """Show an order, ask, sign an approval of exactly what was shown, and prove that it is logged.

    Args:
        profile_file: The profile.
        text: Which order is meant.
        kinds: Kinds of orders that this command is for.
        yes: Whether to sign without asking.
        passphrase_file: Where the passphrase is.
        unlogged: Called with the signed word when nothing proves that it is logged; says whether it dealt with that.
    """
    looked = run(look(profile_file, text))
    sheet = _shown(looked, kinds, Verb.APPROVE)
    _refuse_useless(sheet)
    confirm("Approve exactly this?", yes=yes)
    profile = load_profile(profile_file)
    with unlock(profile, passphrase_file) as key:
        check_key(looked.trust, key)
        try:
            receipt = run(_endorse(profile_file, key, Verb.APPROVE, sheet.hash, looked.seen))
        except StrongroomError as error:
            word = sign(key, Verb.APPROVE, sheet.hash, log_id=profile.log_id, seen=looked.seen)
            if unlogged is None or not unlogged(looked.trust, looked.data, word, error):
                raise
            return
        report_logged(
            f"Approval by {key.name} of order {sheet.hash.hex()[:16]}",
            receipt,
            {"order": sheet.hash.hex(), "verb": "approve", "person": key.name, "fingerprint": sheet.fingerprint},
        )


def reject(
    profile_file: Path,
    text: str,
    *,
    kinds: Sequence[str],
    yes: bool,
    passphrase_file: Path | None,
    offline: bool,
    out: Path | None,
) -> None:
    """Reject an order: proven delivered, or a file for the operators of the signers."""
    profile = load_profile(profile_file)
    if offline:
        _reject_offline(profile_file, profile, text, yes=yes, passphrase_file=passphrase_file, out=out)
        return
    try:
        looked = run(look(profile_file, text))
    except StrongroomError:
        hint = "It can be rejected all the same: give the whole hash and --offline, and hand the file to the operators."
        show([Text(hint, style="bold yellow")])
        raise
    sheet = _shown(looked, kinds, Verb.REJECT)
    confirm("Reject this for ever?", yes=yes)
    with unlock(profile, passphrase_file) as key:
        check_key(looked.trust, key)
        signed = sign(key, Verb.REJECT, sheet.hash, log_id=profile.log_id, seen=looked.seen)

        async def send(opened: Session) -> Receipt:
            return await opened.client.endorse(signed)

        delivery = run(deliver(profile_file, sheet.hash, send, rejected(key.name)))
        report_delivery(
            f"Rejection by {key.name} of order {sheet.hash.hex()[:16]}",
            delivery,
            {"order": sheet.hash.hex(), "verb": "reject", "person": key.name},
            lambda: write_hand_in(out, "reject", sheet.hash, hand_in_text(b"", [signed])),
        )
        if sheet.is_payable and not sheet.is_lost and delivery.is_final:
            show(
                [
                    Text(
                        "The order had a plan before: no further share is given for it, but a transaction that is "
                        "signed already can still be broadcast. Only `strongroom withdraw cancel` excludes it.",
                        style="bold yellow",
                    )
                ]
            )


def _reject_offline(
    profile_file: Path, profile: Profile, text: str, *, yes: bool, passphrase_file: Path | None, out: Path | None
) -> None:
    try:
        key_hash = OrderHash(bytes.fromhex(text))
    except ValueError:
        key_hash = OrderHash(b"")
    if len(key_hash) != 32:
        raise BadOption("without a coordinator an order is named by its whole hash: 64 hexadecimal digits")
    seen = offline_seen(profile_file, profile.log_id)
    confirm(f"Reject order {fingerprint(key_hash)} for ever, without seeing it?", yes=yes)
    with unlock(profile, passphrase_file) as key:
        signed = sign(key, Verb.REJECT, key_hash, log_id=profile.log_id, seen=seen)
        path = write_hand_in(out, "reject", key_hash, hand_in_text(b"", [signed]))
        emit(
            {"order": key_hash.hex(), "verb": "reject", "person": key.name, "delivered": False, "file": str(path)},
            f"Wrote {path}. It is NOT delivered: give it to the operators of the signers.\n"
            f"Each of them runs: strongroom-signer hand-in --data FOLDER {path.name}. It acts there at once.",
        )


def offline_seen(profile_file: Path, log_id: LogId) -> Seen:
    """The newest head this machine proved; one that no log has when it never proved any, with a warning."""
    seen = Memory.beside(profile_file, log_id).head()
    if seen is None:
        show(
            [
                Text(
                    "This machine has never seen the log: every signer that gets the file obeys it at once, but the "
                    "log cannot take it up. Sign again with a coordinator when one can be reached.",
                    style="bold yellow",
                )
            ]
        )
    return seen or _NEVER_SEEN


def initiate(
    profile_file: Path,
    action: Callable[[Trust], Action],
    *,
    life_ms: int,
    note: str,
    yes: bool,
    passphrase_file: Path | None,
    unlogged: Unlogged | None = None,
    watching: Watching | None = None,
) -> None:
    """Draft an order, show its bytes decoded, ask, sign, submit, and prove that it is logged; as for `approve`.

    An order for a ceremony may then be watched to its end; that is the command's result.
    """
    if watching is not None:
        watching.require_new_files()
    profile = load_profile(profile_file)
    trust, seen, drafted, extra = run(_prepare(profile_file, action, life_ms=life_ms, note=note))
    show([] if yes else [_draft_text(drafted, trust, extra)])
    # A program that signs unasked finds them in the answer, and standard error is its for errors alone.
    _warn(() if yes and wants_json() else extra.warnings)
    confirm("Sign and submit this order?", yes=yes)
    with unlock(profile, passphrase_file) as key:
        check_key(trust, key)
        signed = sign(key, Verb.INITIATE, drafted.hash, log_id=profile.log_id, seen=seen)

        async def send() -> Receipt:
            async with session(profile_file) as opened:
                return await opened.client.submit(drafted.data, [signed])

        try:
            receipt = run(_named_if_unanswered(drafted.hash, patiently(send())))
        except StrongroomError as error:
            if unlogged is None or not unlogged(trust, drafted.data, signed, error):
                raise
            return
        title = f"Order {drafted.hash.hex()}\nfingerprint {fingerprint(drafted.hash)}"
        data = {
            "order": drafted.hash.hex(),
            "id": drafted.order.id.hex(),
            "kind": kind_of(drafted.order).word,
            "fingerprint": fingerprint(drafted.hash),
            "expires_ms": drafted.order.expires_ms,
            "warnings": list(extra.warnings),
        }
    if watching is None or not watching.wanted:
        report_logged(title, receipt, data)
        return
    if not wants_json():
        show([Text(f"{title}\nlogged as entry {receipt.index}; now others approve it, and the holders go to work.")])
    watching.follow(profile_file, drafted.hash.hex(), warnings=extra.warnings)


async def _named_if_unanswered(order: OrderHash, sending: Awaitable[Receipt]) -> Receipt:
    """Name the order in an error that leaves open whether it is logged: ordered again, it would be another order."""
    try:
        return await sending
    except (Unavailable, DeadlineExceeded) as error:
        raise type(error)(
            f"{error.message}\nThe order may be logged all the same: look for {order.hex()} before you order again",
            remote_reason=error.remote_reason,
            **{**error.facts, "order": order.hex()},
        ) from error


async def _prepare(
    profile_file: Path, action: Callable[[Trust], Action], *, life_ms: int, note: str
) -> tuple[Trust, Seen, DraftedOrder, _Beside]:
    async with session(profile_file) as opened:
        trust, seen = await opened.client.trust(), await opened.seen()
        drafted = draft(
            action(trust),
            log_id=trust.log_id,
            expires_ms=now_ms() + life_ms,
            random=secrets.token_bytes,
            note=note,
        )
        wanted, target = drafted.order.action, None
        if isinstance(wanted, CancelWithdraw):
            target = (await opened.client.order(OrderHash(wanted.order_hash))).order
        others, unseen = await others_of(opened, drafted.order)
        twins = (*twin_warnings(twins_of(drafted.order, others, now_ms())), *unseen)
        about = (
            *await _about_evidence(opened, drafted.order),
            *await _stopping(opened, wanted),
            *threshold_warnings(trust.charter, wanted),
            *await lost_dealers(opened.client, wanted),
        )
        return (
            trust,
            seen,
            drafted,
            _Beside(target=target, warnings=(*twins, *about), vaults=await _vaults(opened, wanted)),
        )


async def _stopping(opened: Session, action: Action) -> tuple[str, ...]:
    """Freezes and boxes of break-glass that concern the vault of a withdrawal."""
    if not isinstance(action, Withdraw):
        return ()
    return tuple((await precautions_of(opened.client, now_ms())).lines(action.vault))


def _warn(warnings: Sequence[str]) -> None:
    show(Text(f"Warning: {line}", style="bold yellow") for line in warnings)


def _draft_text(drafted: DraftedOrder, trust: Trust, beside: _Beside) -> Text:
    text = Text(f"New order, fingerprint {fingerprint(drafted.hash)}\n", style="bold")
    for fact in facts_of(drafted.order, trust.charter, target=beside.target, vaults=beside.vaults):
        text.append(f"  {fact.label}: ", style="cyan")
        text.append(f"{fact.text}\n", style="")
    return text


async def _endorse(profile_file: Path, key: PersonKey, verb: Verb, order: OrderHash, seen: Seen) -> Receipt:
    async with session(profile_file) as opened:
        signed = sign(key, verb, order, log_id=opened.profile.log_id, seen=seen)
        return await patiently(opened.client.endorse(signed))


def _shown(looked: Looked, kinds: Sequence[str], verb: Verb) -> OrderSheet:
    """Show what is about to be signed, if it is of the kind this command is for."""
    sheet = looked.sheet
    show(sheet_parts(sheet))
    _warn(looked.warnings)
    if sheet.kind not in kinds:
        short = sheet.hash.hex()[:16]
        raise BadOption(f"order {short} is of the kind {sheet.kind}: use `{_command_for(sheet, verb)}`")
    return sheet


def _command_for(sheet: OrderSheet, verb: Verb) -> str:
    """What people use for this act on an order of this kind; where that is an option, with the order."""
    kind = kind_of(sheet.status.order)
    command = kind.command
    if verb is Verb.REJECT and kind.word == "unfreeze":
        command = command.replace("--approve", "--reject")
    return f"{command} {sheet.hash.hex()[:16]}" if "--" in command else command


def _refuse_useless(sheet: OrderSheet) -> None:
    """Refuse to approve what can never act.

    Raises:
        Refused: it is rejected, cancelled, expired or done.
    """
    if sheet.has_ended:
        raise Refused(f"nothing was signed: {'; '.join(sheet.judgement.missing)}")


def check_key(trust: Trust, key: PersonKey) -> None:
    """Refuse to sign with a key that the charter does not know.

    Raises:
        Refused: it does not.
    """
    known = next((person for person in trust.charter.people if person.name == key.name), None)
    if known is None or all(one.public != key.public for one in known.keys):
        raise Refused(f"nothing was signed: the charter of {trust.charter.organisation} does not list this key")
