"""The adoption of a genesis charter: files of single adoptions, and the genesis entry they make together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from strongroom.ledger import codec
from strongroom.ledger.charter import decode_charter, log_id_of
from strongroom.ledger.entry_messages import Genesis
from strongroom.ledger.rules import person_key_known, quorum_members
from strongroom.ledger.signed_messages import Adopt, Signed
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.signed import SignedBody, decode_claimed, open_body

__all__ = ["AdoptionInvalid", "AdoptionsMissing", "adoption_text", "make_genesis", "parse_adoption"]

_MAX_ADOPTIONS = 64


class AdoptionInvalid(StrongroomError):
    """A file is no adoption of this charter by one of its administrators; ask its author to adopt again."""

    reason = "ADOPTION_INVALID"
    kind = Kind.INVALID_ARGUMENT
    remedy = "ask its author to adopt this very charter again"


class AdoptionsMissing(StrongroomError):
    """Fewer administrators adopted the charter than its admin quorum."""

    reason = "ADOPTIONS_MISSING"
    kind = Kind.FAILED_PRECONDITION
    remedy = "collect the adoptions of more administrators"


def adoption_text(signed: Signed) -> str:
    """Write an adoption as a JSON file."""
    content = {"kind": "adopt", "body": signed.body.hex(), "signature": signed.signature.hex()}
    return json.dumps(content, indent=2) + "\n"


def parse_adoption(text: str, where: str) -> Signed:
    """Read an adoption file; nothing in it is verified yet.

    Raises:
        AdoptionInvalid: it is no such file.
    """
    try:
        content: Any = json.loads(text)
        if type(content) is not dict or set(content) != {"kind", "body", "signature"} or content["kind"] != "adopt":
            raise ValueError("wrong parts")
        return Signed(body=bytes.fromhex(content["body"]), signature=bytes.fromhex(content["signature"]))
    except (ValueError, TypeError, RecursionError, codec.NotCanonical) as error:
        raise AdoptionInvalid(f"{where} is not an adoption file", file=where) from error


def make_genesis(charter_bytes: bytes, adoptions: Sequence[tuple[str, Signed]]) -> tuple[Genesis, tuple[str, ...]]:
    """Make the genesis of the log from the charter and verified adoptions, each with the name of its file.

    Returns:
        The genesis, adoptions in order of name, and the names of who adopted.

    Raises:
        NotCanonical: the bytes are not a charter.
        AdoptionInvalid: an adoption is for another charter, is not signed by a key of its author, or is given twice.
        AdoptionsMissing: the admin quorum is not reached.
    """
    charter, log_id = decode_charter(charter_bytes), log_id_of(charter_bytes)
    if charter.version != 1:
        raise AdoptionInvalid(f"the charter is version {charter.version}: a log begins with version 1")
    administrators = quorum_members(charter, charter.admin)
    adopted: dict[str, Signed] = {}
    for where, signed in adoptions:
        body = SignedBody.of(signed)
        try:
            claimed = decode_claimed(Adopt, "adopt", body)
            opened = open_body("adopt", Adopt, body, log_id=log_id, public_key=claimed.key)
        except StrongroomError as error:
            raise AdoptionInvalid(f"{where} does not adopt this charter: {error.message}", file=where) from error
        if opened.person not in administrators or not person_key_known(charter, opened.person, opened.key):
            group = charter.admin.group
            raise AdoptionInvalid(f"{where} is not by a key of someone in group {group} of this charter", file=where)
        if opened.person in adopted:
            raise AdoptionInvalid(f"{where} is a second adoption by {opened.person}: give each once", file=where)
        adopted[opened.person] = signed
    wanted = charter.admin.count
    if not wanted <= len(adopted) <= _MAX_ADOPTIONS:
        others = ", ".join(sorted(administrators - adopted.keys()))
        raise AdoptionsMissing(f"{len(adopted)} of {wanted} adoptions: ask for more, from {others or 'nobody left'}")
    names = tuple(sorted(adopted))
    return Genesis(charter=charter_bytes, adoptions=tuple(adopted[name] for name in names)), names
