"""Words handed to this signer directly: people's rejections and freezes, and its operator's own freezes.

They act here at once, survive restarts and term changes, and leave the inbox only when they are final in the log. When
the log could have taken one up for ten minutes and has not, the signer stops voting until it does: a coordinator cannot
keep quiet about them for long.

Spec: design, "Withheld messages".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.crypto import ed25519
from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger import codec
from strongroom.ledger.charter_book import book_of
from strongroom.ledger.judge import withdrawal_of
from strongroom.ledger.messages import (
    CreateVault,
    Endorse,
    Endorsement,
    Entry,
    Freeze,
    FreezeStatement,
    Order,
    OrderEntry,
    Scope,
    Signed,
    SignerFreeze,
    Unfreeze,
    Verb,
    Withdraw,
)
from strongroom.ledger.pae import pae
from strongroom.ledger.reasons import Refused
from strongroom.ledger.rules import named_approver, person_key_known, quorum_members
from strongroom.ledger.state import State, decode_order
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom_signer.alarms import WordsWithheld
from strongroom_signer.clock import Clock
from strongroom_signer.log_copy import LogCopy
from strongroom_signer.store import InboxItem, LocalFreeze, Store, StoreFailed

__all__ = ["GRACE_MS", "BadWord", "Inbox", "Raise"]

GRACE_MS: Final = 600_000
"""How long the log may go without a word before the signer stops voting."""

MAX_ITEMS: Final = 1_000


class BadWord(StrongroomError):
    """What was handed in is no valid rejection or freeze for this log; nothing was kept."""

    reason = "HAND_IN_REFUSED"
    kind = Kind.INVALID_ARGUMENT


class NoSuchFreeze(StrongroomError):
    """There is no local freeze of this id."""

    reason = "LOCAL_FREEZE_UNKNOWN"
    kind = Kind.NOT_FOUND


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
        self._said: dict[bytes, Endorsement | Freeze] = {}
        self._rejecters: dict[bytes, list[str]] = {}
        self._freezes = self._store.local_freezes()
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
        """Keep a person's rejection, or an officer's freeze; it acts from here on.

        Args:
            order: Canonical order bytes; for a rejection they may be empty.
            endorsements: For a rejection: that endorsement. For a freeze: the officer's, who initiates it.

        Returns:
            What this signer now does about it, for people.

        Raises:
            BadWord: why it is not one.
        """
        if not endorsements:
            raise BadWord("nothing is handed in: the file must hold a signed endorsement")
        said = [self._opened(signed) for signed in endorsements]
        if order and isinstance(_order_of(order, self._copy.log_id).action, Freeze):
            item, effect = self._freeze(order, said, endorsements)
        else:
            item, effect = self._rejection(order, said, endorsements)
        if len(self._items) >= MAX_ITEMS:
            raise BadWord(f"the inbox holds {MAX_ITEMS} words already; they all act")
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
        if not person_key_known(self._copy.newest().charter, said.person, said.key):
            raise BadWord(f"the charter knows no such key of {said.person}")
        if not ed25519.verify(said.key, pae("endorsement", signed.body), signed.signature):
            raise BadWord(f"the signature under the endorsement by {said.person} does not verify")
        if said.expires_ms <= self._clock.wall_ms():
            raise BadWord(f"the endorsement by {said.person} has expired: sign it again")
        return said

    def _freeze(self, order: bytes, said: Sequence[Endorsement], signed: Sequence[SignedBody]) -> tuple[InboxItem, str]:
        charter = self._copy.newest().charter
        order_hash = hashlib.sha256(order).digest()
        officers = book_of(charter).members(charter.officers)
        initiators = [one for one in said if one.verb is Verb.INITIATE and one.order_hash == order_hash]
        if not any(one.person in officers for one in initiators):
            raise BadWord(f"no officer of group {charter.officers} initiates this freeze")
        action = _order_of(order, self._copy.log_id).action
        where = action.vault if isinstance(action, Freeze) and action.vault else "all vaults"
        body = codec.encode(OrderEntry(order=order, endorsements=_stored(signed)))
        item = InboxItem(id=order_hash, kind="freeze", body=body, since_ms=self._clock.wall_ms())
        return item, f"This signer gives no more shares for {where}. It asks the coordinator to log the freeze."

    def _rejection(
        self, order: bytes, said: Sequence[Endorsement], signed: Sequence[SignedBody]
    ) -> tuple[InboxItem, str]:
        if len(said) != 1 or said[0].verb is not Verb.REJECT:
            raise BadWord("only one rejection, or a freeze order with its officer's endorsement, can be handed in")
        rejection = said[0]
        if order and hashlib.sha256(order).digest() != rejection.order_hash:
            raise BadWord("the rejection is of another order than the one beside it")
        record = self._copy.newest().order(rejection.order_hash)
        known = record.order if record is not None else order
        if known and not self._may_reject(rejection.person, _order_of(known, self._copy.log_id)):
            raise BadWord(f"no rule names {rejection.person} as an approver of this order")
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

    def _may_reject(self, person: str, order: Order) -> bool:
        charter = self._copy.newest().charter
        match order.action:
            case Withdraw():
                return named_approver(charter, person, withdrawal_of(order.action))
            case CreateVault():
                return person in quorum_members(charter, charter.vault_creation)
            case Unfreeze():
                return person in quorum_members(charter, charter.unfreeze)
            case _:
                return False

    def freeze(self, vault: str, why: str) -> bytes:
        """Write the operator's freeze durably; it acts from here on. An empty vault name means all vaults.

        Returns:
            Its id, 32 bytes.

        Raises:
            NotCanonical: the vault's name or the reason is not in the form the ledger takes.
        """
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
        self._freezes = self._store.local_freezes()
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
        self._freezes = self._store.local_freezes()

    # --- what they forbid --------------------------------------------------------------------------------------------

    def rejection_of(self, order_hash: bytes, order: Order) -> str | None:
        """Who rejected this order by hand, among those whom a rule names."""
        people = self._rejecters.get(order_hash, ())
        return next((person for person in people if self._may_reject(person, order)), None)

    def handed_freeze_of(self, vault: str) -> str | None:
        """Why an officer's freeze, handed in, stops this vault."""
        for said in self._said.values():
            if isinstance(said, Freeze) and (said.scope is Scope.ALL or said.vault == vault):
                return said.why
        return None

    def local_freeze_of(self, vault: str) -> str | None:
        """Why the operator's own freeze stops this vault."""
        return next((freeze.why for freeze in self._freezes if freeze.vault in {"", vault}), None)

    # --- how they get into the log -----------------------------------------------------------------------------------

    def to_raise(self) -> Raise:
        """What the newest log does not hold yet."""
        state = self._copy.newest() if self._copy.size else None
        open_items = [item for item in self._items if state is None or not _holds(state, item)]
        return Raise(
            freezes=tuple(
                SignedBody(body=freeze.body, signature=freeze.signature)
                for freeze in self._freezes
                if state is None or state.freeze(freeze.id) is None
            ),
            orders=tuple(codec.decode(OrderEntry, item.body) for item in open_items if item.kind == "freeze"),
            endorsements=tuple(
                codec.decode(Endorse, item.body).endorsement for item in open_items if item.kind == "rejection"
            ),
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
            if item.since_ms <= oldest and not _holds(after, item) and self._would_be_logged(_body_of(item)):
                raise WordsWithheld(f"the log has lacked a {item.kind} ({item.id.hex()}) for ten minutes")
        for freeze in self._freezes:
            if freeze.since_ms <= oldest and after.freeze(freeze.id) is None:
                statement = SignerFreeze(statement=Signed(body=freeze.body, signature=freeze.signature))
                if self._would_be_logged(statement):
                    raise WordsWithheld(f"the log has lacked this operator's freeze {freeze.id.hex()} for ten minutes")

    def _would_be_logged(self, body: Endorse | OrderEntry | SignerFreeze) -> bool:
        """Whether the ledger would take it now. What it would not take (expired, unknown order) is nobody's silence."""
        time_ms = max(self._clock.wall_ms(), self._copy.newest().time_ms)
        entry = codec.encode(Entry(salt=bytes(16), time_ms=time_ms, body=body))
        try:
            self._copy.preview(self._copy.size, (entry,))
        except Refused:
            return False
        return True

    def settled(self, final: State) -> tuple[bytes, ...]:
        """Words that a final state holds, to be forgotten here in the commit that makes it final."""
        return tuple(item.id for item in self._items if _holds(final, item))

    def salvaged(self, dropped: Iterable[bytes]) -> tuple[InboxItem, ...]:
        """Rejections and freezes in entries that a new term drops: they must not be lost with them."""
        now = self._clock.wall_ms()
        found = []
        for data in dropped:
            body = codec.decode(Entry, data).body
            match body:
                case Endorse():
                    said = codec.decode(Endorsement, body.endorsement.body)
                    if said.verb is Verb.REJECT:
                        identifier = hashlib.sha256(body.endorsement.body).digest()
                        found.append(InboxItem(id=identifier, kind="rejection", body=codec.encode(body), since_ms=now))
                case OrderEntry() if isinstance(decode_order(body.order).action, Freeze):
                    identifier = hashlib.sha256(body.order).digest()
                    found.append(InboxItem(id=identifier, kind="freeze", body=codec.encode(body), since_ms=now))
                case _:
                    continue
        return tuple(found)

    def reload(self) -> None:
        """Read again after a commit. Each word is decoded once: every plan is held against all of them."""
        self._items = self._store.inbox()
        self._said = {item.id: self._said.get(item.id) or _said_in(item) for item in self._items}
        self._rejecters = {}
        for said in self._said.values():
            if isinstance(said, Endorsement):
                self._rejecters.setdefault(said.order_hash, []).append(said.person)


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


def _rejection_in(item: InboxItem) -> Endorsement:
    return codec.decode(Endorsement, codec.decode(Endorse, item.body).endorsement.body)


def _said_in(item: InboxItem) -> Endorsement | Freeze:
    if item.kind == "rejection":
        return _rejection_in(item)
    action = decode_order(codec.decode(OrderEntry, item.body).order).action
    if not isinstance(action, Freeze):
        raise StoreFailed(f"word {item.id.hex()} of the inbox is kept as a freeze and is none: the database is damaged")
    return action


def _body_of(item: InboxItem) -> Endorse | OrderEntry:
    return codec.decode(OrderEntry, item.body) if item.kind == "freeze" else codec.decode(Endorse, item.body)


def _holds(state: State, item: InboxItem) -> bool:
    """Whether the state has taken this word up."""
    if item.kind == "freeze":
        return state.freeze(item.id) is not None
    said = _rejection_in(item)
    record = state.order(said.order_hash)
    return record is not None and any(
        one.verb is Verb.REJECT and one.person == said.person for one in record.endorsements
    )
