"""Keys that administrators revoked by hand at the signers, for the kit to count no more.

A revocation that a coordinator keeps out of the log is not in its export. Whoever has the file that was handed to the
signers gives it to the kit as well. It can only take approvals away: nobody can give a revoked key back, so it does not
matter when it was made, nor whether it has expired.

Spec: docs/protocol/recovery-kit.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from strongroom.ledger import codec
from strongroom.ledger.charter import decode_charter
from strongroom.ledger.charter_changes import revoked_keys
from strongroom.ledger.judgement import Endorsed
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.rules import judge_quorum, person_key_known
from strongroom.ledger.signed_messages import Endorsement, Signed, Verb
from strongroom.ledger.state import State, decode_order
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.signed import SignedBody, open_body

__all__ = ["RevocationRefused", "revoked_by_hand"]


class RevocationRefused(StrongroomError):
    """A file is no revocation by the administrators of this log: nothing is taken away by it."""

    reason = "KIT_REVOCATION_REFUSED"
    kind = Kind.PERMISSION_DENIED


def revoked_by_hand(state: State, order: bytes, endorsements: Sequence[Signed]) -> frozenset[bytes]:
    """Public keys (32 bytes each) that an amendment takes away, which the admin quorum of the log approved.

    Args:
        state: The state at the end of the exported log.
        order: Canonical bytes of the amendment's order.
        endorsements: What was said of it, as it was handed in.

    Raises:
        RevocationRefused: it is of another log, takes no key away, or the administrators did not approve it.
    """
    try:
        read = decode_order(order)
        if read.log_id != state.log_id or not isinstance(read.action, AmendCharter):
            raise RevocationRefused("the order in the file does not amend the charter of this log")
        keys = revoked_keys(state.charter, decode_charter(read.action.charter))
        said = [_read(state, signed, hashlib.sha256(order).digest()) for signed in endorsements]
    except RevocationRefused:
        raise
    except StrongroomError as error:
        raise RevocationRefused(f"the revocation does not hold: {error.message}") from error
    if not keys:
        raise RevocationRefused("the amendment in the file takes no key of this log's charter away")
    judgement = judge_quorum(state.charter, state.charter.admin, said, at_ms=0, is_begun=True)
    if not judgement.allowed:
        raise RevocationRefused(f"the administrators have not approved it: {'; '.join(judgement.missing)}")
    return keys


def _read(state: State, signed: Signed, order_hash: bytes) -> Endorsed:
    claimed = codec.decode(Endorsement, signed.body)
    if not person_key_known(state.charter, claimed.person, claimed.key):
        raise RevocationRefused(f"the charter has no such key of {claimed.person}")
    said = open_body("endorsement", Endorsement, SignedBody.of(signed), log_id=state.log_id, public_key=claimed.key)
    if said.order_hash != order_hash or said.verb not in (Verb.INITIATE, Verb.APPROVE):
        raise RevocationRefused(f"beside the amendment lies something else by {said.person} than its approval")
    return Endorsed(person=said.person, key=said.key, verb=said.verb, expires_ms=said.expires_ms, time_ms=0)
