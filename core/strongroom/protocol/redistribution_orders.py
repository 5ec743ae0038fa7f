"""From an order for new shares to the terms of the redistribution: the same at every party that reads the same log."""

from __future__ import annotations

from strongroom.ledger.key_changes import KeyChange, new_holders, problem_of_wanted, vaults_of
from strongroom.ledger.order_messages import RefreshShares, ReshareVault
from strongroom.ledger.records import OrderRecord, VaultRecord
from strongroom.ledger.state import State, decode_order
from strongroom.model.ids import OrderHash
from strongroom.protocol.redistribution_terms import RedistributionRefused, RedistributionTerms

__all__ = ["key_change_of", "redistribution_terms", "waiting_vaults"]


def key_change_of(record: OrderRecord) -> KeyChange | None:
    """Return what an order for new shares asks for; None for an order of another kind."""
    action = decode_order(record.order).action
    return action if isinstance(action, RefreshShares | ReshareVault) else None


def waiting_vaults(state: State, record: OrderRecord) -> tuple[VaultRecord, ...]:
    """Return the vaults on which an order for new shares has not acted yet, in its own sequence."""
    action = key_change_of(record)
    found = (state.vault(name) for name in (() if action is None else vaults_of(action)))
    return tuple(vault for vault in found if vault is not None and vault.changing == record.hash)


def redistribution_terms(state: State, record: OrderRecord, vault: str, attempt: int) -> RedistributionTerms:
    """Return what one attempt hands on. Whether the order has passed is the caller's to judge.

    Holders that the charter no longer has are absent: nobody could tell their words from a stranger's.

    Raises:
        RedistributionRefused: the order does not ask for new shares of this vault, has acted on it, or names a new
            threshold or holders with whom the witnesses could not serve the vault any more.
    """
    action = key_change_of(record)
    found = next((one for one in waiting_vaults(state, record) if one.name == vault), None)
    if action is None or found is None:
        raise RedistributionRefused(f"order {record.hash.hex()} asks for no new shares of {vault}, or has acted")
    wanted, signers = new_holders(action, found), {signer.name: signer for signer in state.charter.signers}
    problem = problem_of_wanted(state, found, wanted)
    if problem is not None:
        raise RedistributionRefused(f"order {record.hash.hex()} cannot act on {vault} any more: {problem}")
    gone = tuple(name for name in found.signers if name not in signers and name not in wanted.absent)
    return RedistributionTerms(
        log_id=state.log_id,
        order_hash=OrderHash(record.hash),
        vault=found.name,
        attempt=attempt,
        epoch=found.epoch + 1,
        holders=found.signers,
        public_shares=found.public_shares,
        threshold_before=found.threshold,
        group_key=found.group_key,
        chain_code=found.chain_code,
        key_hash=found.key_hash,
        signers=wanted.signers,
        host_keys=tuple(signers[name].host_key for name in wanted.signers),
        threshold=wanted.threshold,
        absent=(*wanted.absent, *gone),
    )
