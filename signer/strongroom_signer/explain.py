"""This signer's own view of an order, for the person who looks at it before approving.

Spec: FORMATS "Proofs for reads"; the view is signed with the vote key and relayed, never logged.
"""

from __future__ import annotations

from typing import Final

from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger.judge import judge_order, vault_of
from strongroom.ledger.judgement import Code
from strongroom.ledger.order_messages import BreakGlass
from strongroom.ledger.records import OrderRecord
from strongroom.ledger.signed_messages import Verdict, View
from strongroom.ledger.state import State, decode_order
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom_signer.clock import Clock
from strongroom_signer.inbox import Inbox
from strongroom_signer.log_copy import LogCopy
from strongroom_signer.refusals import printable
from strongroom_signer.retirement import require_vote_key
from strongroom_signer.voting import Voting

__all__ = ["Explainer"]

_MAX_REASONS: Final = 20
_MAX_REASON: Final = 200
_MAY_PASS_LATER: Final = frozenset(
    {Code.APPROVALS_MISSING, Code.DELAY_RUNNING, Code.COOLING_OFF, Code.OVER_LIMIT, Code.FROZEN, Code.DONE}
)


class Explainer:
    """Judges orders for people."""

    def __init__(
        self, copy: LogCopy, voting: Voting, inbox: Inbox, *, name: str, vote_key: SigningKey, clock: Clock
    ) -> None:
        self._copy = copy
        self._voting = voting
        self._inbox = inbox
        self._name = name
        self._key = vote_key
        self._clock = clock

    def view(self, order_hash: bytes) -> SignedBody:
        """Say how this signer sees the order now, and sign it.

        Raises:
            Retired: the vote key is erased.
        """
        require_vote_key(self._key)
        now = self._clock.wall_ms()
        size = self._copy.size
        verdict, reasons = self._judge(order_hash, now)
        view = View(
            log_id=self._copy.log_id,
            order_hash=order_hash,
            head_size=size,
            head_root=(self._copy.replica.root_at(size) or b"") if size else b"",
            verdict=verdict,
            reasons=tuple(printable(reason)[:_MAX_REASON] for reason in reasons if reason)[:_MAX_REASONS],
            signer=self._name,
            time_ms=now,
        )
        return sign_body("view", view, self._key)

    def _judge(self, order_hash: bytes, now_ms: int) -> tuple[Verdict, tuple[str, ...]]:
        state = self._copy.newest()
        record = state.order(order_hash) if self._copy.size else None
        # A signer that stopped takes no more entries: that is why it does not know what came after.
        stopped = self._voting.state.alarm
        why = (f"this signer has stopped: {stopped}",) if stopped else ()
        if record is None:
            return Verdict.UNKNOWN_ORDER, why
        if stopped:
            return Verdict.WOULD_REFUSE, why
        by_hand = self._forbidden_by_hand(state, record)
        if by_hand:
            return Verdict.WOULD_REFUSE, (by_hand,)
        judgement = judge_order(self._inbox.without_revoked(state), record, max(now_ms, state.time_ms))
        if judgement.allowed:
            return Verdict.WOULD_SIGN, ()
        lines = (*(f"{judgement.code}: {line}" for line in judgement.missing), *judgement.tried)
        verdict = Verdict.WAITING if judgement.code in _MAY_PASS_LATER else Verdict.WOULD_REFUSE
        return verdict, lines

    def _forbidden_by_hand(self, state: State, record: OrderRecord) -> str:
        order = decode_order(record.order)
        person = self._inbox.rejection_of(record.hash, order)
        if person is not None:
            return f"REJECTED: {person} handed a rejection to this signer"
        vault = vault_of(state, order)
        if vault is None:
            return ""
        handed, local = self._inbox.handed_freeze_of(vault), self._inbox.local_freeze_of(vault)
        if handed is not None and not isinstance(order.action, BreakGlass):
            return f"FROZEN: a freeze was handed to this signer: {handed}"
        return "" if local is None else f"LOCAL_FREEZE: this signer's operator froze {vault}: {local}"
