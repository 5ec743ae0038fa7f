"""How long a word is kept that the log can no longer take up: none acts, or fills the disk, for ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from strongroom.ledger import codec
from strongroom.ledger.entry_messages import OrderEntry
from strongroom.ledger.handlers.endorsing import MAX_ENDORSEMENT_LIFE_MS
from strongroom.ledger.handlers.orders import MAX_ORDER_LIFE_MS
from strongroom.ledger.order_messages import Freeze, Scope
from strongroom.ledger.signed_messages import Endorsement, Verb
from strongroom.ledger.state import decode_order
from strongroom_signer.store import InboxItem, StoreFailed

__all__ = ["MAX_OF_PERSON", "UNKNOWN_ORDER_KEPT_MS", "HandedFreeze", "handed_freeze"]

UNKNOWN_ORDER_KEPT_MS: Final = MAX_ORDER_LIFE_MS + MAX_ENDORSEMENT_LIFE_MS
"""A rejection came out of a log that held its order. After this time no log takes that order any more."""

MAX_OF_PERSON: Final = 1_000
"""Words of one person up to which dropped entries add to the inbox; whoever leads the log decides how many it drops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedFreeze:
    """An officer's freeze in the inbox.

    Attributes:
        action: What is frozen, and why.
        person: Who initiated it.
        since_ms: When it came, by the own clock.
        loggable_until_ms: When the order, or the last initiator's endorsement of it, expires. No endorsement that the
            log takes lives longer than seven days, so one that claims to does not hold the freeze up.
    """

    action: Freeze
    person: str
    since_ms: int
    loggable_until_ms: int

    def stops(self, vault: str) -> bool:
        """Whether it is about this vault."""
        return self.action.scope is Scope.ALL or self.action.vault == vault

    def acts(self, now_ms: int, lapse_ms: int) -> bool:
        """While the log can take it up, and at least as long as it would act there from its receipt on.

        Args:
            now_ms: The time to ask for.
            lapse_ms: The charter's time after which a freeze lapses.
        """
        return now_ms < max(self.loggable_until_ms, self.since_ms + lapse_ms)


def handed_freeze(item: InboxItem) -> HandedFreeze:
    """Read a freeze of the inbox.

    Raises:
        StoreFailed: it is none.
    """
    body = codec.decode(OrderEntry, item.body)
    order = decode_order(body.order)
    said = [codec.decode(Endorsement, signed.body) for signed in body.endorsements]
    initiations = [one for one in said if one.verb is Verb.INITIATE]
    if not isinstance(order.action, Freeze) or not initiations:
        raise StoreFailed(f"word {item.id.hex()} of the inbox is kept as a freeze and is none: the database is damaged")
    return HandedFreeze(
        action=order.action,
        person=initiations[0].person,
        since_ms=item.since_ms,
        loggable_until_ms=min(
            order.expires_ms,
            max(one.expires_ms for one in initiations),
            item.since_ms + MAX_ENDORSEMENT_LIFE_MS,
        ),
    )
