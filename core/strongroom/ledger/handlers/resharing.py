"""Orders for new shares: who may make and approve them, and that a vault has one of them at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from strongroom.ledger.handlers.acts import WaitsWhileOpen
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.key_changes import KeyChange, new_holders, problem_of_wanted, vaults_of
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.reasons import refused
from strongroom.ledger.records import OrderRecord, OrderState, VaultRecord
from strongroom.ledger.rules import quorum_members
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
            _check_not_changing(state, vault, at)
        if named:
            raise refused("VAULT_SIGNERS", f"absent, and no holder: {', '.join(sorted(named))}")

    def may_initiate(self, state: State, person: str) -> bool:
        """The members of the admin quorum's group may: an open order keeps others for the same vault out."""
        return person in quorum_members(state.charter, state.charter.admin)

    def is_approver(self, state: State, person: str) -> bool:
        """The members of the admin quorum's group are."""
        return person in quorum_members(state.charter, state.charter.admin)

    def begin(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """Take the vaults for this order."""
        for vault in self._vaults(state):
            state.change_vault(replace(vault, changing=record.hash))
        return record

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
    """One order for new shares at a time: what one generation of shares is made from must not move under it."""
    record = state.order(vault.changing) if vault.changing else None
    if record is None or record.state is not OrderState.OPEN:
        return
    if at.time_ms < decode_order(record.order).expires_ms:
        raise refused(
            "VAULT_CHANGING",
            f"order {record.hash.hex()} already asks for new shares of {vault.name}: reject it, or wait for it",
            vault=vault.name,
        )
