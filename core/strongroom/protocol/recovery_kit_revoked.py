"""Keys that administrators revoked by hand at the signers, for the kit to count no more.

A revocation that a coordinator keeps out of the log is not in its export. Whoever has the file that was handed to the
signers gives it to the kit as well. It can only take approvals away: nobody can give a revoked key back, so it does not
matter when it was made, nor whether it has expired.

Spec: docs/protocol/recovery-kit.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from strongroom.ledger import codec
from strongroom.ledger.charter import Charter, decode_charter
from strongroom.ledger.charter_changes import revoked_keys, without_keys
from strongroom.ledger.judge import endorsed_beside
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.records import OrderState
from strongroom.ledger.rules import judge_quorum, person_key_known
from strongroom.ledger.signed_messages import Endorsement, Signed, Verb
from strongroom.ledger.state import State, decode_order
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId
from strongroom.protocol.signed import SignedBody, open_body

__all__ = ["RevocationRefused", "revoked_by_hand"]


class RevocationRefused(StrongroomError):
    """A file is no revocation by the administrators of this log: nothing is taken away by it."""

    reason = "KIT_REVOCATION_REFUSED"
    kind = Kind.PERMISSION_DENIED


def revoked_by_hand(
    state: State,
    order: bytes,
    endorsements: Sequence[Signed],
    *,
    revoked: Collection[bytes] = (),
    founded: Sequence[Charter] = (),
    log_ids: Collection[LogId] = (),
) -> frozenset[bytes]:
    """Public keys (32 bytes each) that an amendment takes away, which the admin quorum of the log approved.

    Approvals count as at a signer: those in the file and those in the log, by keys that the charter in force has. An
    amendment takes the keys that the charter before it had and its own has not, and no key that came later.

    Args:
        state: The state at the end of the exported log.
        order: Canonical bytes of the amendment's order.
        endorsements: What was said of it, as it was handed in. Words by keys that count no more say nothing.
        revoked: Keys that were revoked by hand before: they revoke nobody.
        founded: The charters that the log began with, and began with again.
        log_ids: The log's ids before it was founded anew.

    Returns:
        The keys; none when the log has put the amendment in force, so that they are gone already.

    Raises:
        RevocationRefused: it is of another log, takes no key away, or the administrators did not approve it.
    """
    order_hash = hashlib.sha256(order).digest()
    record = state.order(order_hash)
    counting = without_keys(state.charter, revoked)
    try:
        read = decode_order(order)
        if read.log_id not in (state.log_id, *log_ids) or not isinstance(read.action, AmendCharter):
            raise RevocationRefused("the order in the file does not amend the charter of this log")
        wanted = decode_charter(read.action.charter)
        handed = [_read(counting, signed, order_hash, LogId(read.log_id)) for signed in endorsements]
    except RevocationRefused:
        raise
    except StrongroomError as error:
        raise RevocationRefused(f"the revocation does not hold: {error.message}") from error
    if record is not None and record.state is OrderState.DONE:
        return frozenset()
    keys = revoked_keys(_charter_before(state, wanted, founded), wanted)
    if not keys:
        raise RevocationRefused("the amendment in the file takes no key of this log's charter away")
    said = endorsed_beside(record, [one for one in handed if one is not None], 0)
    judgement = judge_quorum(counting, counting.admin, said, at_ms=0, is_begun=True)
    if not judgement.allowed:
        raise RevocationRefused(f"the administrators have not approved it: {'; '.join(judgement.missing)}")
    return keys


def _charter_before(state: State, wanted: Charter, founded: Sequence[Charter]) -> Charter:
    """The charter that an amendment follows: the one in force, one that the log began with, or one that was amended."""
    version = wanted.version - 1
    found = next((one for one in (state.charter, *founded) if one.version == version), None)
    if found is not None:
        return found
    for sequence in range(state.orders_count):
        record = state.order_at(sequence)
        action = decode_order(record.order).action
        if record.state is OrderState.DONE and isinstance(action, AmendCharter):
            charter = decode_charter(action.charter)
            if charter.version == version:
                return charter
    raise RevocationRefused(f"the log has no charter of version {version}, which the amendment in the file follows")


def _read(counting: Charter, signed: Signed, order_hash: bytes, log_id: LogId) -> Endorsement | None:
    """A verified word on the amendment; None when it is by a key that counts no more."""
    claimed = codec.decode(Endorsement, signed.body)
    if not person_key_known(counting, claimed.person, claimed.key):
        return None
    said = open_body("endorsement", Endorsement, SignedBody.of(signed), log_id=log_id, public_key=claimed.key)
    if said.order_hash != order_hash or said.verb not in (Verb.INITIATE, Verb.APPROVE):
        raise RevocationRefused(f"beside the amendment lies something else by {said.person} than its approval")
    return said
