"""Words handed to this signer directly: people's rejections, freezes and revocations, its operator's own freezes.

They act here at once, survive restarts and term changes, and leave the inbox when they are final in the log, or when it
cannot take them up any more and would have let them lapse. When the log could have taken one up for ten minutes and has
not, the signer stops voting until it does: a coordinator cannot keep quiet about them for long.

Spec: design, "Withheld messages".
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from strongroom.crypto import ed25519
from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger import codec
from strongroom.ledger.charter import decode_charter
from strongroom.ledger.entry_messages import Endorse, Entry, OrderEntry, SignerFreeze
from strongroom.ledger.judge import quorum_of, withdrawal_of
from strongroom.ledger.order_messages import (
    AddDestination,
    AmendCharter,
    BreakGlass,
    CreateVault,
    Freeze,
    Order,
    RefreshShares,
    ReinstateSigner,
    ReshareVault,
    Scope,
    Unfreeze,
    Withdraw,
)
from strongroom.ledger.pae import pae
from strongroom.ledger.reasons import Refused
from strongroom.ledger.rules import named_approver, officers_of, person_key_known, quorum_members
from strongroom.ledger.signed_messages import Endorsement, FreezeStatement, Signed, Verb
from strongroom.ledger.state import State, decode_order
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom_signer.alarms import WordsWithheld
from strongroom_signer.clock import Clock
from strongroom_signer.kept_words import log_id_of_word
from strongroom_signer.log_copy import CannotJudge, LogCopy
from strongroom_signer.offline_freeze import UNSIGNED
from strongroom_signer.retirement import require_vote_key
from strongroom_signer.revocations import MAX_REVOCATIONS, HandedRevocation, Revoked, revocation
from strongroom_signer.store import InboxItem, LocalFreeze, Store
from strongroom_signer.word_life import MAX_OF_PERSON, UNKNOWN_ORDER_KEPT_MS, HandedFreeze
from strongroom_signer.words import body_of, holds, person_in, said_in, salvaged_from

__all__ = ["GRACE_MS", "BadWord", "Inbox", "Raise"]

GRACE_MS: Final = 600_000
"""How long the log may go without a word before the signer stops voting."""
_WRONG_WORDS: Final = frozenset(
    {
        "ALREADY_KNOWN",
        "ENDORSEMENTS_FULL",
        "ENDORSEMENT_MISMATCH",
        "ENTRY_MALFORMED",
        "INITIATOR_CANNOT_APPROVE",
        "INITIATOR_NOT_ALLOWED",
        "NOT_AN_APPROVER",
        "VERB_NOT_ALLOWED",
    }
)
"""Why the ledger takes no new order with certain words, whatever the time.

Who may initiate and approve changes with the charter: a signer that lags takes such words once it has come up.
"""


class BadWord(StrongroomError):
    """What was handed in is no valid rejection or freeze for this log; nothing was kept."""

    reason = "HAND_IN_REFUSED"
    kind = Kind.INVALID_ARGUMENT
    remedy = "ask its author to sign it again, for this log"


class NoSuchFreeze(StrongroomError):
    """There is no local freeze of this id."""

    reason = "LOCAL_FREEZE_UNKNOWN"
    kind = Kind.NOT_FOUND
    remedy = "take the id from `strongroom-signer status`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise:
    """What the coordinator is asked to log."""

    freezes: tuple[SignedBody, ...]
    orders: tuple[OrderEntry, ...]
    endorsements: tuple[Signed, ...]

    def __bool__(self) -> bool:
        return bool(self.freezes or self.orders or self.endorsements)


class Inbox:
    """The durable inbox and the local freezes, with what follows from them."""

    def __init__(
        self, copy: LogCopy, *, signer: str, vote_key: SigningKey, clock: Clock, random: Callable[[int], bytes]
    ) -> None:
        self._copy = copy
        self._store: Store = copy.store
        self._signer = signer
        self._key = vote_key
        self._clock = clock
        self._random = random
        self._items: tuple[InboxItem, ...] = ()
        self._said: dict[bytes, Endorsement | HandedFreeze | HandedRevocation] = {}
        self._rejecters: dict[bytes, list[str]] = {}
        self._revoked = Revoked()
        self._freezes = self._signed_freezes()
        self.reload()

    @property
    def items(self) -> tuple[InboxItem, ...]:
        """People's words that are not final in the log yet."""
        return self._items

    @property
    def local_freezes(self) -> tuple[LocalFreeze, ...]:
        """The operator's freezes."""
        return self._freezes

    # --- taking words in ---------------------------------------------------------------------------------------------

    def hand_in(self, order: bytes, endorsements: Sequence[SignedBody]) -> str:
        """Keep a person's rejection, an officer's freeze, or the administrators' revocation; it acts from here on.

        Args:
            order: Canonical order bytes; for a rejection they may be empty.
            endorsements: For a rejection: that endorsement. For a freeze: the officer's, who initiates it. For a
                revocation: those of its initiator and of the admin quorum that the log does not hold.

        Returns:
            What this signer now does about it, for people.

        Raises:
            BadWord, NoRevocation: why it is not one.
        """
        if not endorsements:
            raise BadWord("nothing is handed in: the file must hold a signed endorsement")
        said = [self._opened(signed) for signed in endorsements]
        action = self._known_or(order).action if order else None
        if isinstance(action, Freeze):
            item, effect = self._freeze(order, said, endorsements)
        elif isinstance(action, AmendCharter) and any(one.verb is not Verb.REJECT for one in said):
            item, effect = self._revocation(order, said, endorsements)
        else:
            item, effect = self._rejection(order, said, endorsements)
        with self._store.commit() as write:
            write.add_inbox(item)
        self.reload()
        return effect

    def _opened(self, signed: SignedBody) -> Endorsement:
        try:
            said = codec.decode(Endorsement, signed.body)
        except codec.NotCanonical as error:
            raise BadWord(f"the endorsement is not canonical: {error.message}") from None
        if said.log_id != self._copy.log_id:
            raise BadWord(f"the endorsement by {said.person} is for another log")
        if not person_key_known(self.without_revoked(self._copy.newest()).charter, said.person, said.key):
            raise BadWord(f"the charter knows no such key of {said.person}, or its revocation was handed in here")
        if not ed25519.verify(said.key, pae("endorsement", signed.body), signed.signature):
            raise BadWord(f"the signature under the endorsement by {said.person} does not verify")
        if said.expires_ms <= self._clock.wall_ms():
            raise BadWord(f"the endorsement by {said.person} has expired: sign it again")
        return said

    def _freeze(self, order: bytes, said: Sequence[Endorsement], signed: Sequence[SignedBody]) -> tuple[InboxItem, str]:
        charter = self._copy.newest().charter
        order_hash = hashlib.sha256(order).digest()
        officers = officers_of(charter)
        initiators = [one for one in said if one.verb is Verb.INITIATE and one.order_hash == order_hash]
        if not any(one.person in officers for one in initiators):
            raise BadWord(f"no officer of group {charter.officers} initiates this freeze")
        action = _order_of(order, self._copy.log_id).action
        where = action.vault if isinstance(action, Freeze) and action.vault else "all vaults"
        entry = OrderEntry(order=order, endorsements=_stored(signed))
        self._require_loggable(entry)
        item = InboxItem(id=order_hash, kind="freeze", body=codec.encode(entry), since_ms=self._clock.wall_ms())
        return item, f"This signer gives no more shares for {where}. It asks the coordinator to log the freeze."

    def _revocation(
        self, order: bytes, said: Sequence[Endorsement], signed: Sequence[SignedBody]
    ) -> tuple[InboxItem, str]:
        if sum(item.kind == "revocation" for item in self._items) >= MAX_REVOCATIONS:
            raise BadWord(f"{MAX_REVOCATIONS} revocations wait for the log already")
        wanted, now_ms = _order_of(order, self._copy.log_id), self._clock.wall_ms()
        newest = self._copy.newest()
        counting = self.without_revoked(newest).charter
        made = revocation(newest, wanted, order, said, _stored(signed), counting=counting, now_ms=now_ms)
        self._require_loggable(made.order)
        item = InboxItem(id=made.order_hash, kind="revocation", body=codec.encode(made), since_ms=now_ms)
        keys = f"{len(made.keys)} key{'' if len(made.keys) == 1 else 's'}"
        effect = (
            f"This signer counts no approval by the {keys} that the amendment takes. It asks the coordinator to log it."
        )
        return item, effect

    def _rejection(
        self, order: bytes, said: Sequence[Endorsement], signed: Sequence[SignedBody]
    ) -> tuple[InboxItem, str]:
        if len(said) != 1 or said[0].verb is not Verb.REJECT:
            raise BadWord(
                "only one rejection, a freeze order with its officer's endorsement, or an approved amendment that "
                "takes keys away can be handed in"
            )
        rejection = said[0]
        if order and hashlib.sha256(order).digest() != rejection.order_hash:
            raise BadWord("the rejection is of another order than the one beside it")
        record = self._copy.newest().order(rejection.order_hash)
        known = decode_order(record.order) if record is not None else self._known_or(order) if order else None
        if known is not None and not self._may_reject(rejection.person, known):
            raise BadWord(f"no rule names {rejection.person} as an approver of this order")
        if known is not None and _is_void(rejection, known):
            raise BadWord(f"the amendment takes the very key by which {rejection.person} rejects it")
        item = InboxItem(
            id=hashlib.sha256(signed[0].body).digest(),
            kind="rejection",
            body=codec.encode(Endorse(endorsement=_stored(signed)[0])),
            since_ms=self._clock.wall_ms(),
        )
        return item, (
            f"This signer gives no share for order {rejection.order_hash.hex()}. It asks the coordinator to log the "
            "rejection."
        )

    def _known_or(self, order: bytes) -> Order:
        """The order, of this log; one that the log holds may be of the log before it was founded anew."""
        record = self._copy.newest().order(hashlib.sha256(order).digest())
        return decode_order(record.order) if record is not None else _order_of(order, self._copy.log_id)

    def _may_reject(self, person: str, order: Order) -> bool:
        state = self._copy.newest()
        charter = state.charter
        match order.action:
            case Withdraw():
                payment = withdrawal_of(order.action, state.destination_of(order.action))
                return named_approver(charter, person, payment)
            case CreateVault() | Unfreeze() | ReinstateSigner() | AmendCharter() | RefreshShares() | ReshareVault():
                return person in quorum_members(charter, quorum_of(charter, order.action))
            case AddDestination():
                return charter.destinations is not None and person in quorum_members(charter, charter.destinations)
            case BreakGlass():
                rules = charter.break_glass
                return rules is not None and person in quorum_members(charter, rules.quorum)
            case _:
                return False

    def freeze(self, vault: str, why: str) -> bytes:
        """Write the operator's freeze durably; it acts from here on. An empty vault name means all vaults.

        Returns:
            Its id, 32 bytes.

        Raises:
            NotCanonical: the vault's name or the reason is not in the form the ledger takes.
            Retired: this signer gives no shares any more, and cannot sign a freeze.
        """
        require_vote_key(self._key)
        statement = FreezeStatement(
            log_id=self._copy.log_id,
            signer=self._signer,
            id=self._random(16),
            scope=Scope.VAULT if vault else Scope.ALL,
            vault=vault,
            why=why,
        )
        signed = sign_body("freeze", statement, self._key)
        freeze = LocalFreeze(
            id=hashlib.sha256(signed.body).digest(),
            vault=vault,
            why=why,
            body=signed.body,
            signature=signed.signature,
            since_ms=self._clock.wall_ms(),
        )
        with self._store.commit() as write:
            write.add_local_freeze(freeze)
        self._freezes = self._signed_freezes()
        return freeze.id

    def thaw(self, identifier: bytes) -> None:
        """End the operator's own freeze here. What the log holds of it needs the charter's unfreeze quorum.

        Raises:
            NoSuchFreeze: there is none of this id.
        """
        if all(freeze.id != identifier for freeze in self._freezes):
            raise NoSuchFreeze(f"there is no local freeze {identifier.hex()}: `status` lists them")
        with self._store.commit() as write:
            write.remove_local_freeze(identifier)
        self._freezes = self._signed_freezes()

    def _signed_freezes(self) -> tuple[LocalFreeze, ...]:
        """The operator's freezes; those placed while the daemon did not run are signed here, alike each time."""
        return tuple(
            freeze
            if freeze.signature != UNSIGNED or self._key.is_wiped
            else replace(freeze, signature=self._key.sign(pae("freeze", freeze.body)))
            for freeze in self._store.local_freezes()
        )

    # --- what they forbid --------------------------------------------------------------------------------------------

    def rejection_of(self, order_hash: bytes, order: Order) -> str | None:
        """Who rejected this order by hand, among those whom a rule names."""
        people = self._rejecters.get(order_hash, ())
        return next((person for person in people if self._may_reject(person, order)), None)

    def without_revoked(self, state: State) -> State:
        """The same state, judged as if the charter had none of the keys whose revocation was handed in."""
        return self._revoked.without(state)

    def handed_freeze_of(self, vault: str) -> str | None:
        """Why an officer's freeze, handed in, stops this vault."""
        now = self._clock.wall_ms()
        for said in self._said.values():
            if isinstance(said, HandedFreeze) and said.stops(vault) and self._acts(said, now):
                return said.action.why
        return None

    def _acts(self, freeze: HandedFreeze, now_ms: int) -> bool:
        if now_ms < freeze.loggable_until_ms or not self._copy.size:
            return True
        return freeze.acts(now_ms, self._copy.newest().charter.freeze_lapse_ms)

    def local_freeze_of(self, vault: str) -> str | None:
        """Why the operator's own freeze stops this vault."""
        return next((freeze.why for freeze in self._freezes if freeze.vault in {"", vault}), None)

    # --- how they get into the log -----------------------------------------------------------------------------------

    def to_raise(self) -> Raise:
        """What the newest log does not hold yet, of what was said for this log id: no other word is taken up."""
        state = self._copy.newest() if self._copy.size else None
        said_here = (item for item in self._items if log_id_of_word(item) == self._copy.log_id)
        lacking = [body for item in said_here for body in self._lacking(item, state)]
        return Raise(
            freezes=tuple(
                SignedBody(body=freeze.body, signature=freeze.signature)
                for freeze in self._freezes
                if freeze.signature != UNSIGNED and (state is None or state.freeze(freeze.id) is None)
            ),
            orders=tuple(body for body in lacking if isinstance(body, OrderEntry)),
            endorsements=tuple(body.endorsement for body in lacking if isinstance(body, Endorse)),
        )

    def check_not_withheld(self, after: State) -> None:
        """Refuse to vote for a batch after which the log still lacks a word it could have taken up ten minutes ago.

        Args:
            after: The state after the batch that is to be voted for.

        Raises:
            WordsWithheld: it lacks one.
        """
        oldest = self._clock.wall_ms() - GRACE_MS
        for item in self._items:
            if item.since_ms <= oldest and any(map(self._would_be_logged, self._lacking(item, after))):
                raise WordsWithheld(f"the log has lacked a {item.kind} ({item.id.hex()}) for ten minutes")
        for freeze in self._freezes:
            if freeze.since_ms <= oldest and after.freeze(freeze.id) is None:
                statement = SignerFreeze(statement=Signed(body=freeze.body, signature=freeze.signature))
                if self._would_be_logged(statement):
                    raise WordsWithheld(f"the log has lacked this operator's freeze {freeze.id.hex()} for ten minutes")

    def withheld(self) -> str:
        """What the newest log has lacked too long, so that this signer does not vote; empty when it lacks nothing."""
        try:
            if self._copy.size:
                self.check_not_withheld(self._copy.newest())
        except WordsWithheld as error:
            return error.message
        return ""

    def _lacking(self, item: InboxItem, state: State | None) -> tuple[Endorse | OrderEntry, ...]:
        """What of a word is not in the log as this state has it; None is the empty log's."""
        said = self._said[item.id]
        if isinstance(said, HandedRevocation):
            return (said.order,) if state is None else () if said.is_held(state) else said.lacking(state)
        return () if state is not None and holds(state, item) else (body_of(item),)

    def _would_be_logged(self, body: Endorse | OrderEntry | SignerFreeze) -> bool:
        """Whether the ledger would take it now. What it would not take (expired, unknown order) is nobody's silence.

        Nor is what this program fails over: it votes for no batch that has it, so it cannot ask for one.
        """
        return self._problem_in_log(body) is None

    def _problem_in_log(
        self, body: Endorse | OrderEntry | SignerFreeze
    ) -> Refused | codec.NotCanonical | CannotJudge | None:
        """Why the ledger would not take it now."""
        time_ms = max(self._clock.wall_ms(), self._copy.newest().time_ms)
        entry = codec.encode(Entry(salt=bytes(16), time_ms=time_ms, body=body))
        try:
            self._copy.preview(self._copy.size, (entry,))
        except (Refused, codec.NotCanonical, CannotJudge) as error:
            if isinstance(error.__cause__, MemoryError):
                # It says nothing about the word.
                raise
            return error
        return None

    def _require_loggable(self, body: OrderEntry) -> None:
        """Refuse an order with words beside it that the ledger will never take together: whoever carried it added some.

        It would act here, and the coordinator could keep silent about it for ever.

        Raises:
            BadWord: the log can never take them.
            CannotJudge: this program fails over them; perhaps not over the order with its own words alone.
        """
        if self._copy.newest().order(hashlib.sha256(body.order).digest()) is not None:
            return
        problem = self._problem_in_log(body)
        if isinstance(problem, CannotJudge):
            raise problem
        if problem is not None and (problem.reason in _WRONG_WORDS or isinstance(problem, codec.NotCanonical)):
            raise BadWord(f"the log can never take this order with these words: {problem.message}")

    def settled(self, final: State) -> tuple[bytes, ...]:
        """Words to be forgotten here in the commit that makes a state final: it holds them, or they are over.

        A word is over when the own clock and log time both say so: one of them can be wrong, and nothing brings back
        what was forgotten.
        """
        now = min(self._clock.wall_ms(), final.time_ms)
        return tuple(
            item.id for item in self._items if self._is_settled(item, final) or self._is_over(item, now, final)
        )

    def _is_settled(self, item: InboxItem, final: State) -> bool:
        said = self._said[item.id]
        return said.is_held(final) if isinstance(said, HandedRevocation) else holds(final, item)

    def _is_over(self, item: InboxItem, now_ms: int, final: State) -> bool:
        said = self._said[item.id]
        if isinstance(said, HandedFreeze):
            return not self._acts(said, now_ms)
        if isinstance(said, HandedRevocation):
            # The administrators have said it, and a key that was revoked once never comes back.
            # What it rested on may be gone with the dropped entries.
            return not item.salvaged and said.is_overtaken(final)
        kept = item.salvaged and now_ms >= item.since_ms + UNKNOWN_ORDER_KEPT_MS
        return kept and self._copy.newest().order(said.order_hash) is None

    def salvaged(self, dropped: Iterable[bytes]) -> tuple[InboxItem, ...]:
        """Rejections and freezes in entries that a new term drops: they must not be lost with them.

        Of one person as many as there is room for, the oldest first; those that are here already stay.
        """
        now = self._clock.wall_ms()
        held = Counter(said.person for said in self._said.values() if not isinstance(said, HandedRevocation))
        found: dict[bytes, InboxItem] = {}
        for data in dropped:
            item = salvaged_from(codec.decode(Entry, data).body, now)
            if item is None or item.id in self._said or item.id in found:
                continue
            person = person_in(item)
            if held[person] < MAX_OF_PERSON:
                held[person] += 1
                found[item.id] = item
        return tuple(found.values())

    def reload(self) -> None:
        """Read again after a commit. Each word is decoded once: every plan is held against all of them."""
        self._items = self._store.inbox()
        self._said = {item.id: self._said.get(item.id) or said_in(item) for item in self._items}
        self._rejecters = {}
        for said in self._said.values():
            if isinstance(said, Endorsement):
                self._rejecters.setdefault(said.order_hash, []).append(said.person)
        handed = (said for said in self._said.values() if isinstance(said, HandedRevocation))
        self._revoked.set_keys(frozenset(key for said in handed for key in said.keys))


def _is_void(rejection: Endorsement, order: Order) -> bool:
    """Whether the order amends the charter so that the key of this rejection is in it no more."""
    if not isinstance(order.action, AmendCharter):
        return False
    try:
        proposed = decode_charter(order.action.charter)
    except codec.NotCanonical as error:
        raise BadWord(f"the charter that the order proposes is not canonical: {error.message}") from None
    return not person_key_known(proposed, rejection.person, rejection.key)


def _order_of(data: bytes, log_id: bytes) -> Order:
    try:
        order = decode_order(data)
    except codec.NotCanonical as error:
        raise BadWord(f"the order is not canonical: {error.message}") from None
    if order.log_id != log_id:
        raise BadWord("the order is for another log")
    return order


def _stored(signed: Sequence[SignedBody]) -> tuple[Signed, ...]:
    return tuple(one.stored() for one in signed)
