"""A revocation that the coordinator does not log: a file that acts at every signer it is handed to.

It holds the amendment and the words signed on it so far. Each administrator adds an own approval; with the admin quorum
in it, or in the log, the operators of the signers hand it in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from strongroom.crypto import ed25519
from strongroom.ledger import codec
from strongroom.ledger.charter import Charter, decode_charter
from strongroom.ledger.charter_changes import changes, loosens, revoked_keys
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.order_messages import AmendCharter, Order
from strongroom.ledger.pae import pae
from strongroom.ledger.rules import person_key_known, quorum_members
from strongroom.ledger.signed_messages import Endorsement, Verb
from strongroom.ledger.state import decode_order
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import LogId, OrderHash
from strongroom.protocol.signed import SignedBody
from strongroom_client.cli.output import Refused, emit
from strongroom_client.cli.shared import BadOption, run, session
from strongroom_client.cli.shared_orders import check_key
from strongroom_client.cli.shared_sheet import show
from strongroom_client.cli.shared_signing import confirm, hand_in_text, sign, unlock, write_hand_in
from strongroom_client.display import facts_of
from strongroom_client.errors import RemoteError
from strongroom_client.files import read_text
from strongroom_client.orders import Seen, fingerprint
from strongroom_client.profile import load_profile
from strongroom_client.trust import Trust

__all__ = ["approve_handed", "read_handed", "unlogged"]


def revokes(now: Charter, order: Order) -> bool:
    """Whether an order is an amendment that signers obey when handed to them: it takes a key, and only tightens."""
    if not isinstance(order.action, AmendCharter):
        return False
    proposed = decode_charter(order.action.charter)
    return bool(revoked_keys(now, proposed)) and not loosens(changes(now, proposed))


def unlogged(trust: Trust, data: bytes, word: SignedBody, error: StrongroomError) -> bool:
    """Write the file for a word on a revocation that nothing proves to be logged, and end with exit code 1.

    Returns:
        False for any other order: then the error is the answer.
    """
    if not revokes(trust.charter, decode_order(data)):
        return False
    reason = error.remote_reason if isinstance(error, RemoteError) else error.reason
    _write(trust.charter, data, (word,), out=None, problem=f"{error.message} ({reason})")
    click.get_current_context().exit(1)


def approve_handed(
    profile_file: Path, file: Path, *, out: Path | None, yes: bool, passphrase_file: Path | None
) -> None:
    """Show the revocation of a file, ask, and write another file with an approval more."""
    profile = load_profile(profile_file)
    trust, seen = run(_newest(profile_file))
    data, words = read_handed(file, trust.charter, profile.log_id)
    order, order_hash = decode_order(data), OrderHash(sha256(data).digest())
    if not revokes(trust.charter, order):
        raise Refused("nothing was signed: the order of this file takes no key away, or does more than to tighten")
    text = Text(f"Amendment, fingerprint {fingerprint(order_hash)}\n", style="bold")
    for fact in facts_of(order, trust.charter):
        text.append(f"  {fact.label}: ", style="cyan")
        text.append(f"{fact.text}\n", style="")
    show([text])
    confirm("Approve exactly this?", yes=yes)
    with unlock(profile, passphrase_file) as key:
        check_key(trust, key)
        word = sign(key, Verb.APPROVE, order_hash, log_id=profile.log_id, seen=seen)
    _write(trust.charter, data, (*words, word), out=out, problem="")


def _write(now: Charter, data: bytes, words: Sequence[SignedBody], *, out: Path | None, problem: str) -> None:
    order_hash = sha256(data).digest()
    path = write_hand_in(out, "revocation", order_hash, hand_in_text(data, words))
    said = [codec.decode(Endorsement, one.body) for one in words]
    approved = sorted({one.person for one in said if one.verb is Verb.APPROVE} & quorum_members(now, now.admin))
    facts: dict[str, Any] = {
        "order": order_hash.hex(),
        "delivered": False,
        "file": str(path),
        "approved_by": approved,
        "needs": now.admin.count,
    }
    emit({**facts, "problem": problem or None}, [])
    lines = [Text("Revocation: NOT DELIVERED. Nothing proves that the log holds it.", style="bold red")]
    if problem:
        lines.append(Text(f"Why: {problem}"))
    needed = f"{now.admin.count} of group {now.admin.group}"
    lines += [
        Text(f"{path} has the approvals of {', '.join(approved) or 'nobody'}; it takes {needed}, here or in the log."),
        Text(f"The next administrator runs: strongroom charter approve --handed {path.name}"),
        Text("With all of them, give it to the operators of the signers, by any way you trust. Each of them runs:"),
        Text(
            f"strongroom-signer hand-in --data FOLDER {path.name}. The keys count no more there at once.",
            style="bold red",
        ),
    ]
    show(lines)


def read_handed(file: Path, now: Charter, log_id: LogId) -> tuple[bytes, tuple[SignedBody, ...]]:
    """The order and the verified words of a file.

    Raises:
        BadOption: it is no such file, or of another log.
    """
    try:
        content = json.loads(read_text(file))
        data = bytes.fromhex(content["order"])
        words = tuple(
            SignedBody(body=bytes.fromhex(one["body"]), signature=bytes.fromhex(one["signature"]))
            for one in content["endorsements"]
        )
        order = decode_order(data)
        said = [codec.decode(Endorsement, one.body) for one in words]
    except (ValueError, KeyError, TypeError, RecursionError, NotCanonical):
        raise BadOption(f"{file} is no file for handing in that this program wrote") from None
    order_hash = sha256(data).digest()
    if order.log_id != log_id or any(one.log_id != log_id or one.order_hash != order_hash for one in said):
        raise BadOption(f"{file} is about another log or another order")
    for one, signed in zip(said, words, strict=True):
        known = person_key_known(now, one.person, one.key)
        if not known or not ed25519.verify(one.key, pae("endorsement", signed.body), signed.signature):
            raise BadOption(f"{file} has a word in the name of {one.person} that is not theirs")
    return data, words


async def _newest(profile_file: Path) -> tuple[Trust, Seen]:
    async with session(profile_file) as opened:
        return await opened.client.trust(), await opened.seen()
