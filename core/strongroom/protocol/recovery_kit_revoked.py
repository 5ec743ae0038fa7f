"""Keys that administrators revoked by hand at the signers, for the kit to count no more.

A revocation that a coordinator keeps out of the log is not in its export. Whoever has the file that was handed to the
signers gives it to the kit as well. It can only take approvals away: nobody can give a revoked key back, so it does not
matter when it was made, nor whether it has expired since. The words on it must have been alive together once, though:
an approval that ran out unused is no part of a revocation that somebody completes years later.

Spec: docs/protocol/recovery-kit.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from strongroom.ledger import codec
from strongroom.ledger.charter import Charter, decode_charter
from strongroom.ledger.charter_changes import revoked_keys, without_keys
from strongroom.ledger.handlers.endorsing import MAX_ENDORSEMENT_LIFE_MS
from strongroom.ledger.judgement import Endorsed, endorsed
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.records import OrderState
from strongroom.ledger.rules import judge_quorum, person_key_known, quorum_members
from strongroom.ledger.signed_messages import Endorsement, Signed, Verb
from strongroom.ledger.state import State, decode_order
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId
from strongroom.protocol.recovery_kit_files import SweepOrderFile
from strongroom.protocol.signed import SignedBody, open_body

__all__ = [
    "CharterInForce",
    "PersonsKey",
    "RevocationRefused",
    "RevokedByHand",
    "charters_in_force",
    "revoked_by_files",
    "revoked_by_hand",
]


class RevocationRefused(StrongroomError):
    """A file is no revocation by the administrators of this log: nothing is taken away by it."""

    reason = "KIT_REVOCATION_REFUSED"
    kind = Kind.PERMISSION_DENIED


@dataclass(frozen=True, slots=True, kw_only=True)
class CharterInForce:
    """A charter, and the id that the log had when it came into force."""

    log_id: LogId
    charter: Charter


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PersonsKey:
    """A person's name, and a public key of theirs (32 bytes)."""

    person: str
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedByHand:
    """What one amendment takes.

    Attributes:
        order_hash: SHA-256 of its order's bytes.
        taken: The keys with whose they were, in ascending order; none when the log has put the amendment in force, so
            that they are gone already.
        approvers: The administrators whose approvals counted, and by which key, in ascending order.
    """

    order_hash: bytes
    taken: tuple[PersonsKey, ...] = ()
    approvers: tuple[PersonsKey, ...] = ()

    @property
    def keys(self) -> frozenset[bytes]:
        """The public keys that it takes."""
        return frozenset(one.key for one in self.taken)

    def takes_from(self, other: RevokedByHand) -> tuple[PersonsKey, ...]:
        """The approvers of another one whose keys this one takes."""
        keys = self.keys
        return tuple(one for one in other.approvers if one.key in keys)


def charters_in_force(state: State, founded: Iterable[CharterInForce]) -> tuple[CharterInForce, ...]:
    """Every charter that a log has had, the oldest first: those that it began with, and its amendments.

    Looks at every order of the log: do it once.

    Args:
        state: The state at the end of the exported log.
        founded: The charters that the log began with, and began with again, each with the id that it then had.
    """
    found = list(founded)
    for record in (state.order_at(sequence) for sequence in range(state.orders_count)):
        if record.state is not OrderState.DONE:
            continue
        order = decode_order(record.order)
        if isinstance(order.action, AmendCharter):
            # No order outlives the id of its log without a plan, so an amendment acted under the id that it names.
            found.append(CharterInForce(log_id=LogId(order.log_id), charter=decode_charter(order.action.charter)))
    return tuple(sorted(found, key=lambda one: one.charter.version))


def revoked_by_files(
    state: State, files: Sequence[SweepOrderFile], *, charters: Sequence[CharterInForce]
) -> tuple[RevokedByHand, ...]:
    """What each of several files takes, in the order in which signers got them.

    Of the keys that one takes, none approves a later one. Two that take keys of each other's approvers are both
    refused: one of them may be the work of a stolen key, and no file can tell which.

    Args:
        state: The state at the end of the exported log.
        files: What was handed in, not judged yet.
        charters: Every charter that the log has had, `charters_in_force`.

    Raises:
        RevocationRefused: one of them is no revocation, does not hold after those before it, or contradicts another.
    """

    def judged(file: SweepOrderFile, revoked: Collection[bytes]) -> RevokedByHand:
        return revoked_by_hand(state, file.order, file.approvals, charters=charters, revoked=revoked)

    alone = [judged(file, ()) for file in files]
    for one, other in combinations(alone, 2):
        _check_agree(one, other)
    found: list[RevokedByHand] = []
    for file, by_itself in zip(files, alone, strict=True):
        earlier = [one for one in found if one.order_hash != by_itself.order_hash]
        try:
            found.append(judged(file, {key for one in earlier for key in one.keys}))
        except RevocationRefused as error:
            lost = {who.person: one for one in earlier for who in one.takes_from(by_itself)}
            why = "; ".join(f"amendment {one.order_hash.hex()} takes a key of {person}" for person, one in lost.items())
            raise RevocationRefused(
                f"amendment {by_itself.order_hash.hex()} does not hold after those before it: {why}. Give the files in "
                "the order in which signers got them"
            ) from error
    return tuple(found)


def revoked_by_hand(
    state: State,
    order: bytes,
    endorsements: Sequence[Signed],
    *,
    charters: Sequence[CharterInForce],
    revoked: Collection[bytes] = (),
) -> RevokedByHand:
    """The keys that an amendment takes away, which the admin quorum of the log approved.

    Approvals count as at a signer: those in the file and those in the log, by keys that the charter in force has, as
    far as all of them and the order can have been alive at one time. An amendment takes the keys that the charter
    before it had and its own has not, and no key that came later. Where the one before it was dropped, because the log
    was founded anew, the newest before that which the log kept stands for it: what the dropped ones took stays taken.

    Args:
        state: The state at the end of the exported log.
        order: Canonical bytes of the amendment's order.
        endorsements: What was said of it, as it was handed in. Words by keys that count no more say nothing.
        charters: Every charter that the log has had, `charters_in_force`.
        revoked: Keys that were revoked by hand before: they revoke nobody.

    Raises:
        RevocationRefused: it is of another log, takes no key away, or the administrators did not approve it.
    """
    order_hash = hashlib.sha256(order).digest()
    record = state.order(order_hash)
    counting = without_keys(state.charter, revoked)
    try:
        read = decode_order(order)
        if read.log_id not in {one.log_id for one in charters} or not isinstance(read.action, AmendCharter):
            raise RevocationRefused("the order in the file does not amend the charter of this log")
        wanted = decode_charter(read.action.charter)
        handed = [_read(counting, signed, order_hash, LogId(read.log_id)) for signed in endorsements]
    except RevocationRefused:
        raise
    except StrongroomError as error:
        raise RevocationRefused(f"the revocation does not hold: {error.message}") from error
    if record is not None and record.state is OrderState.DONE:
        return RevokedByHand(order_hash=order_hash)
    before = _charter_before(charters, LogId(read.log_id), wanted.version)
    keys = revoked_keys(before, wanted)
    if not keys:
        raise RevocationRefused("the amendment in the file takes no key of this log's charter away")
    logged = () if record is None else endorsed(record)
    said = (*logged, *(one for one in handed if one is not None))
    return RevokedByHand(
        order_hash=order_hash,
        taken=tuple(sorted(one for one in _keys_of(before) if one.key in keys)),
        approvers=_approvers(counting, said, read.expires_ms),
    )


def _check_agree(one: RevokedByHand, other: RevokedByHand) -> None:
    theirs, ours = one.takes_from(other), other.takes_from(one)
    if one.order_hash == other.order_hash or not theirs or not ours:
        return
    raise RevocationRefused(
        f"amendment {one.order_hash.hex()} takes keys of {_names(theirs)}, who approved amendment "
        f"{other.order_hash.hex()}, and that one takes keys of {_names(ours)}, who approved the first: one may be "
        "the work of a stolen key. Ask all of them in person, and leave that file out"
    )


def _approvers(counting: Charter, said: Sequence[Endorsed], order_expires_ms: int) -> tuple[PersonsKey, ...]:
    """Who approved at any time at which the quorum can have been complete.

    A word lives for a week at most, so those that run out within a week of each other can have been alive together.
    Each approval is tried as the newest. That the author of a word chose when it runs out is no matter here: who has a
    stolen key can date a word back, to a time when others approved.

    Raises:
        RevocationRefused: the quorum never was complete.
    """
    missing: tuple[str, ...] = ()
    found: set[PersonsKey] = set()
    members = quorum_members(counting, counting.admin)
    initiators = {one.person for one in said if one.verb is Verb.INITIATE}
    moments = {one.expires_ms - MAX_ENDORSEMENT_LIFE_MS for one in said if one.verb is Verb.APPROVE}
    for moment in sorted(moments) or (0,):
        # Other words stay: who initiated or rejected it did so for ever.
        alive = [
            one
            for one in said
            if one.verb is not Verb.APPROVE or moment < one.expires_ms <= moment + MAX_ENDORSEMENT_LIFE_MS
        ]
        judgement = judge_quorum(counting, counting.admin, alive, at_ms=moment, is_begun=True)
        if judgement.allowed and moment < order_expires_ms:
            found |= {
                PersonsKey(person=one.person, key=one.key)
                for one in alive
                if one.verb is Verb.APPROVE
                and one.person in members - initiators
                and person_key_known(counting, one.person, one.key)
            }
        missing = judgement.missing or ("its order had expired by then",)
    if not found:
        raise RevocationRefused(f"the administrators have not approved it, all within a week: {'; '.join(missing)}")
    return tuple(sorted(found))


def _charter_before(charters: Sequence[CharterInForce], log_id: LogId, version: int) -> Charter:
    """The charter that an amendment with this version and log id follows, or the newest before it that the log kept.

    Never one of a later id: those came after everything that was said under an earlier one.
    """
    earlier = [one.charter for one in charters if one.log_id == log_id and one.charter.version < version]
    if not earlier:
        raise RevocationRefused(f"the log had no charter before version {version} under the id {log_id.hex()}")
    return earlier[-1]


def _read(counting: Charter, signed: Signed, order_hash: bytes, log_id: LogId) -> Endorsed | None:
    """A verified word on the amendment; None when it is by a key that counts no more."""
    claimed = codec.decode(Endorsement, signed.body)
    if not person_key_known(counting, claimed.person, claimed.key):
        return None
    said = open_body("endorsement", Endorsement, SignedBody.of(signed), log_id=log_id, public_key=claimed.key)
    if said.order_hash != order_hash or said.verb not in (Verb.INITIATE, Verb.APPROVE):
        raise RevocationRefused(f"beside the amendment lies something else by {said.person} than its approval")
    return Endorsed(person=said.person, key=said.key, verb=said.verb, expires_ms=said.expires_ms, time_ms=0)


def _keys_of(charter: Charter) -> Iterable[PersonsKey]:
    return (PersonsKey(person=one.name, key=key.public) for one in charter.people for key in one.keys)


def _names(people: Iterable[PersonsKey]) -> str:
    return ", ".join(sorted({one.person for one in people}))
