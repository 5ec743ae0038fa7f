"""Orders for new shares: who may make and approve them, and that a vault has one approved at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from strongroom.ledger.handlers.acts import WaitsWhileOpen
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.judge import endorsed
from strongroom.ledger.key_changes import KeyChange, new_holders, problem_of_wanted, vaults_of
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.reasons import refused
from strongroom.ledger.records import OrderRecord, OrderState, VaultRecord
from strongroom.ledger.rules import judge_quorum, quorum_members
from strongroom.ledger.state import State, decode_order

__all__ = ["ChangeShares"]


@dataclass(frozen=True, slots=True)
class ChangeShares(WaitsWhileOpen):
    """Waits for the admin quorum, perhaps a delay, and then for an entry that begins a new epoch of each vault."""

    action: KeyChange

    def check(self, state: State, at: Position) -> None:
        """Refuse an order that could not end, or that another one is in the way of."""
        vaults = self._vaults(state)
        named = set(self.action.absent)
        _check_names("absent holder", self.action.absent)
        for vault in vaults:
            self._check_holders(state, vault)
            named -= {*vault.signers, *new_holders(self.action, vault).signers}
        if named:
            raise refused("VAULT_SIGNERS", f"absent, and no holder: {', '.join(sorted(named))}")

    def may_initiate(self, state: State, person: str) -> bool:
        """The members of the admin quorum's group may."""
        return person in quorum_members(state.charter, state.charter.admin)

    def is_approver(self, state: State, person: str) -> bool:
        """The members of the admin quorum's group are."""
        return person in quorum_members(state.charter, state.charter.admin)

    def settle(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """With the quorum, take the vaults for this order; one that another approved order has keeps this one out.

        Raises:
            Refused: VAULT_CHANGING, the word that would complete the quorum comes too early; or the order could not
                end any more.
        """
        if record.state is not OrderState.OPEN or record.approved_ms:
            return record
        if not judge_quorum(state.charter, state.charter.admin, endorsed(record), at_ms=at.time_ms).allowed:
            return record
        self.check(state, at)
        vaults = self._vaults(state)
        for vault in vaults:
            _check_not_changing(state, vault, at)
        for vault in vaults:
            state.change_vault(replace(vault, changing=record.hash))
        return replace(record, approved_ms=at.time_ms)

    def _vaults(self, state: State) -> tuple[VaultRecord, ...]:
        names = vaults_of(self.action)
        _check_names("vault", names)
        found = []
        for name in names:
            vault = state.vault(name)
            if vault is None:
                raise refused("VAULT_UNKNOWN", f"there is no vault {name}", vault=name)
            found.append(vault)
        return tuple(found)

    def _check_holders(self, state: State, vault: VaultRecord) -> None:
        wanted = new_holders(self.action, vault)
        problem = problem_of_wanted(state, vault, wanted)
        if problem is not None:
            raise refused("VAULT_SIGNERS", f"vault {vault.name}: {problem}", vault=vault.name)
        known = {signer.name for signer in state.charter.signers}
        dealers = [name for name in vault.signers if name in known and name not in wanted.absent]
        if len(dealers) < vault.threshold:
            raise refused(
                "VAULT_SIGNERS", f"{len(dealers)} holders of {vault.name} can deal, {vault.threshold} have to"
            )


def _check_names(what: str, names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise refused("VAULT_SIGNERS", f"a {what} is named twice")


def _check_not_changing(state: State, vault: VaultRecord, at: Position) -> None:
    """One approved order at a time: what one generation of shares is made from must not move under it."""
    record = state.order(vault.changing) if vault.changing else None
    if record is None or record.state is not OrderState.OPEN:
        return
    if at.time_ms < decode_order(record.order).expires_ms:
        raise refused(
            "VAULT_CHANGING",
            f"order {record.hash.hex()} is approved and gives {vault.name} new shares: reject it, or wait for it",
            vault=vault.name,
        )
