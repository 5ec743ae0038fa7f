"""A revocation handed in: an approved amendment that takes keys of people away, and that the log does not hold yet.

At this signer the keys count no more from then on, whatever else the log says: nobody can give a revoked key back. The
rest of the amendment waits for the log.

Spec: design, "Withheld messages".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from strongroom.ledger import codec
from strongroom.ledger.charter import Charter, decode_charter
from strongroom.ledger.charter_book import book_of
from strongroom.ledger.charter_changes import changes, loosens, revoked_keys, without_keys
from strongroom.ledger.codec import message
from strongroom.ledger.entry_messages import Endorse, OrderEntry
from strongroom.ledger.handlers.amending import check_amendment
from strongroom.ledger.handlers.witnesses import changes_witnesses
from strongroom.ledger.judge import endorsed_beside
from strongroom.ledger.judgement import Endorsed
from strongroom.ledger.order_messages import AmendCharter, Order
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import OrderState
from strongroom.ledger.rules import judge_quorum, person_key_known
from strongroom.ledger.signed_messages import Endorsement, Signed, Verb
from strongroom.ledger.state import State, decode_order
from strongroom.model.errors import Kind, StrongroomError

__all__ = ["MAX_REVOCATIONS", "HandedRevocation", "NoRevocation", "Revoked", "revocation"]

MAX_REVOCATIONS: Final = 100
"""Each was approved by the admin quorum; more of them at one time is no organisation's life."""


class NoRevocation(StrongroomError):
    """What was handed in is no approved amendment that takes a key away and loosens nothing."""

    reason = "NOT_A_REVOCATION"
    kind = Kind.INVALID_ARGUMENT


@message
class HandedRevocation:
    """What the inbox keeps of one."""

    order: OrderEntry = codec.embedded(1, OrderEntry)
    """The order, and the endorsements handed in with it."""
    keys: tuple[bytes, ...] = codec.repeated_fixed(2, 32, minimum=1, maximum=1_024)
    """Public keys of people that it takes, ascending."""

    @property
    def order_hash(self) -> bytes:
        """The order's hash, 32 bytes."""
        return hashlib.sha256(self.order.order).digest()

    def is_held(self, state: State) -> bool:
        """Whether the log has decided it, or the keys are gone from the charter by another amendment.

        One that lapsed, because another amendment came first or the log was founded anew, decides nothing about a key.
        """
        record = state.order(self.order_hash)
        decided = record is not None and record.state in (OrderState.DONE, OrderState.REJECTED)
        book = book_of(state.charter)
        return decided or not any(key in own for own in book.keys.values() for key in self.keys)

    def lacking(self, state: State) -> tuple[OrderEntry | Endorse, ...]:
        """Entry bodies that would bring it into the log as it is: the order, or words about it that it lacks."""
        record = state.order(self.order_hash)
        if record is None:
            return (self.order,)
        # A word by a key that the charter has lost is taken anew by another one.
        logged = [one for one in record.endorsements if person_key_known(state.charter, one.person, one.key)]
        known = {(one.person, one.verb) for one in logged}
        # Where the word that brought the order in has expired, another may take its place, and must for it to act.
        is_initiated = any(one.verb is Verb.INITIATE and state.time_ms < one.expires_ms for one in logged)
        read = [(signed, codec.decode(Endorsement, signed.body)) for signed in self.order.endorsements]
        return tuple(
            Endorse(endorsement=signed)
            for signed, said in read
            if (said.person, said.verb) not in known and not (is_initiated and said.verb is Verb.INITIATE)
        )

    def is_overtaken(self, state: State) -> bool:
        """Whether the log can never take it up any more, and those who approved it are no quorum there by now.

        Expiry does not matter: nobody can give a revoked key back. But who approved it by a key that was revoked
        itself, perhaps a stolen one, has revoked nothing. A word for the log before this one was founded anew ends so
        only when all its approvals are here: those that the log held may be gone with entries that were dropped.
        """
        order = decode_order(self.order.order)
        match order.action:
            case AmendCharter(charter=wanted) if decode_charter(wanted).version <= state.charter.version:
                pass
            case _:
                return False
        read = [codec.decode(Endorsement, signed.body) for signed in self.order.endorsements]
        said = endorsed_beside(state.charter, state.order(self.order_hash), read, 0)
        if order.log_id != state.log_id and len(_approvers(said)) < state.charter.admin.count:
            return False
        return not judge_quorum(state.charter, state.charter.admin, said, at_ms=0, is_begun=True).allowed


def _approvers(said: Sequence[Endorsed]) -> frozenset[str]:
    """Who approved, by whatever keys."""
    initiators = frozenset(one.person for one in said if one.verb is Verb.INITIATE)
    return frozenset(one.person for one in said if one.verb is Verb.APPROVE) - initiators


def revocation(
    state: State,
    order: Order,
    data: bytes,
    said: Sequence[Endorsement],
    signed: Sequence[Signed],
    *,
    counting: Charter,
    now_ms: int,
) -> HandedRevocation:
    """Take an amendment that was handed in, if the admin quorum approved it and it only takes away.

    Args:
        state: The newest state.
        order: The order, of this log.
        data: Its bytes.
        said: The endorsements handed in, their signatures verified with keys of the charter in force.
        signed: The same as signed.
        counting: The charter in force without keys that were revoked here before: they revoke nobody.
        now_ms: The own clock.

    Raises:
        NoRevocation: why it is none.
    """
    action = order.action
    if not isinstance(action, AmendCharter):
        raise NoRevocation("the order does not amend the charter")
    if order.expires_ms <= now_ms:
        raise NoRevocation("the amendment has expired: propose it again")
    order_hash = hashlib.sha256(data).digest()
    if any(one.order_hash != order_hash or one.verb is Verb.REJECT for one in said):
        raise NoRevocation("beside the amendment lies something else than its initiation and approvals")
    old, new = state.charter, _charter(action.charter)
    try:
        check_amendment(state, new)
    except Refused as error:
        raise NoRevocation(f"the amendment cannot follow the charter in force: {error.message}") from None
    if loosens(changes(old, new)) or changes_witnesses(state, new):
        raise NoRevocation("the amendment does more than to tighten: only the log can put it in force")
    keys = revoked_keys(old, new)
    if not keys:
        raise NoRevocation("the amendment takes no key away: only the log can put it in force")
    record = state.order(order_hash)
    if record is not None and record.state is not OrderState.OPEN:
        raise NoRevocation(f"the log has decided this amendment: it is {record.state.name}")
    words = endorsed_beside(old, record, said, now_ms)
    judgement = judge_quorum(counting, counting.admin, words, at_ms=now_ms)
    if not judgement.allowed:
        raise NoRevocation(f"the administrators have not approved it: {'; '.join(judgement.missing)}")
    return HandedRevocation(order=OrderEntry(order=data, endorsements=tuple(signed)), keys=tuple(sorted(keys)))


def _charter(data: bytes) -> Charter:
    try:
        return decode_charter(data)
    except codec.NotCanonical as error:
        raise NoRevocation(f"the charter that the order proposes is not canonical: {error.message}") from None


class Revoked:
    """The keys that count no more at this signer, and states as they look without them."""

    def __init__(self) -> None:
        self._keys: frozenset[bytes] = frozenset()
        self._before: Charter | None = None
        self._after: Charter | None = None

    def set_keys(self, keys: frozenset[bytes]) -> None:
        """Count none of these from now on."""
        self._keys = keys
        self._before = None

    def without(self, state: State) -> State:
        """The same state, judged as if its charter had none of the keys."""
        if not self._keys or state.charter_record is None:
            return state
        charter = state.charter
        # Books of charters are kept by identity, so the reduced one must stay the same object.
        if self._before is not charter or self._after is None:
            self._before, self._after = charter, without_keys(charter, self._keys)
        return state.judged_by(self._after)
