"""The charter changes: a whole new one, by the admin quorum of the one in force.

What only tightens is in force with the last approval that it needs. Anything that loosens makes the whole amendment
wait, in the open, where any administrator may still reject it. It is checked when it is proposed, with every approval,
and when its time has come: a vault may have been made, or another amendment be in force, since then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from strongroom.ledger.charter import Charter, Quorum
from strongroom.ledger.charter_changes import changes, loosens
from strongroom.ledger.charter_owners import key_owners, person_kinds
from strongroom.ledger.handlers.acts import ActsInTime, done
from strongroom.ledger.handlers.decoding import check_structure, decode_inner
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.handlers.witnesses import begin_change, changes_witnesses, give_up_change
from strongroom.ledger.judge import charter_of, quorum_of
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.reasons import Refused, refused
from strongroom.ledger.records import CharterRecord, OrderRecord, OrderState, WitnessPhase
from strongroom.ledger.rules import person_key_known
from strongroom.ledger.signed_messages import Endorsement, Verb
from strongroom.ledger.state import State
from strongroom.ledger.vault_fit import problems_of_successor

__all__ = ["Amend", "check_amendment", "check_successor", "put_in_force"]


@dataclass(frozen=True, slots=True)
class Amend(ActsInTime):
    """An order that amends the charter."""

    action: AmendCharter

    def check(self, state: State, at: Position) -> None:
        """Refuse a charter that cannot follow the one in force."""
        check_amendment(state, self._charter())
        _check_handover(state, self._charter(), self.action.handover_expires_ms, at)

    def quorum(self, state: State) -> Quorum:
        """The administrators of the charter in force."""
        return quorum_of(state.charter, self.action)

    def wait_ms(self, state: State) -> int:
        """The loosening delay of the charter in force if anything loosens."""
        return state.charter.loosening_delay_ms if loosens(changes(state.charter, self._charter())) else 0

    def check_word(self, state: State, said: Endorsement, at: Position) -> None:
        """An approval must be of an amendment that can still act, a rejection by a key that it does not take."""
        if said.verb is Verb.APPROVE:
            self.check(state, at)
        elif not person_key_known(self._charter(), said.person, said.key):
            # A stolen key could else prevent its own revocation for ever.
            raise refused("REJECTION_VOID", f"the amendment takes the key by which {said.person} rejects it")

    def takes_words(self, state: State, record: OrderRecord, verb: Verb, at: Position) -> bool:
        """As others do; and a rejection while only its witness set is wanted."""
        wanted = state.witnesses.phase is WitnessPhase.WANTED and state.witnesses.amendment == record.hash
        return ActsInTime.takes_words(self, state, record, verb, at) or (wanted and verb is Verb.REJECT)

    def settle(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """As others do; a rejection takes back a wish for another witness set."""
        if record.state is OrderState.REJECTED and state.witnesses.amendment == record.hash:
            give_up_change(state, at, OrderState.REJECTED)
        return ActsInTime.settle(self, state, record, at)

    def take_effect(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """Put the charter in force, or begin to hand over to the witnesses who come into force with it."""
        if changes_witnesses(state, self._charter()):
            return begin_change(state, record, self._charter(), at, lapses_ms=self.action.handover_expires_ms)
        # A wanted charter would follow the version that ends here.
        give_up_change(state, at, OrderState.LAPSED)
        return put_in_force(state, record, at)

    def _charter(self) -> Charter:
        return decode_inner(Charter, self.action.charter)


def put_in_force(state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
    """Put the charter of an amendment in force, from this entry on; return the order's record to keep."""
    charter_bytes, charter = charter_of(record)
    state.change_charter(CharterRecord(log_id=state.log_id, charter=charter_bytes, since_ms=at.time_ms), charter)
    return done(record, at)


def check_amendment(state: State, new: Charter) -> None:
    """Check everything that makes a charter the next one of this log, the change of its witness set left out.

    Raises:
        Refused: it cannot follow the charter in force; who proposed it is at fault.
    """
    check_successor(state, new)
    if not changes(state.charter, new):
        raise refused("AMENDMENT_EMPTY", "the amendment changes nothing but the version")


def check_successor(state: State, new: Charter) -> None:
    """Check everything that makes a charter the next one of this log, even if it only has the next version.

    Raises:
        Refused: it cannot follow the charter in force; who proposed it is at fault.
    """
    old = state.charter
    if new.version != old.version + 1:
        raise refused(
            "AMENDMENT_VERSION", f"the amendment has version {new.version}, the charter in force has {old.version}"
        )
    if (new.organisation, new.salt, new.rule_set) != (old.organisation, old.salt, old.rule_set):
        raise refused("AMENDMENT_IDENTITY", "the amendment has another organisation, salt or rule set")
    check_structure(new)
    _check_owners(state, old, new)
    for problem in _vault_problems(state, new):
        raise problem


def _check_owners(state: State, old: Charter, new: Charter) -> None:
    held = key_owners(old)
    for key, owner in key_owners(new).items():
        before = state.key_owner(key)
        if before is not None and held.get(key) != owner:
            raise refused("AMENDMENT_KEY_USED", f"the key {key.hex()} of {owner} is, or was, that of {before}")
    for name, kind in person_kinds(new).items():
        was = state.person_kind(name)
        if was not in (None, kind):
            raise refused("AMENDMENT_NAME_USED", f"{name} is, or was, a {was.decode('ascii')}" if was else name)


def _vault_problems(state: State, new: Charter) -> Iterator[Refused]:
    """Every vault keeps its coin in the charter, and witnesses and holders enough to sign, as far as it has them."""
    for vault in state.vaults():
        for problem in problems_of_successor(state, new, vault):
            yield refused("AMENDMENT_VAULTS", problem, vault=vault.name)


def _check_handover(state: State, new: Charter, expires_ms: int, at: Position) -> None:
    """Refuse a charter that cannot take effect beside a change of the witness set, or cannot begin its own in time."""
    phase = state.witnesses.phase
    handing_over = changes_witnesses(state, new)
    if phase is WitnessPhase.JOINT or (handing_over and phase is not WitnessPhase.STEADY):
        raise refused("AMENDMENT_HANDOVER", "another change of the witness set is under way")
    if handing_over and expires_ms <= at.time_ms:
        raise refused("AMENDMENT_HANDOVER", "the time for the witness sets to hand over is not in the future")
    if not handing_over and expires_ms:
        raise refused("AMENDMENT_HANDOVER", "there is a time for a handover, and the witness set stays")
