"""A new epoch: the same key in new shares, which all new holders state that they have, and have tried.

What was dealt is not looked at here. The commitments fix every public share, and the holders vouch that the recovery
data beside the log gives them their shares of exactly these.
"""

from __future__ import annotations

from dataclasses import replace

from strongroom.ledger import codec
from strongroom.ledger.charter import CharterSigner
from strongroom.ledger.entry_messages import Epoch
from strongroom.ledger.handlers.holder_proofs import check_statements, check_trials
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.judge import judge_order
from strongroom.ledger.key_changes import KeyChange, NewHolders, new_holders, problem_of_wanted, vaults_of
from strongroom.ledger.key_material import key_hash, public_shares, trial_message
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.order_messages import RefreshShares, ReshareVault
from strongroom.ledger.pae import pae
from strongroom.ledger.reasons import refused
from strongroom.ledger.records import OrderRecord, OrderState, VaultRecord
from strongroom.ledger.signed_messages import EpochStatement
from strongroom.ledger.state import State, decode_order

__all__ = ["apply_epoch"]


def apply_epoch(state: MutableState, body: Epoch, at: Position) -> None:
    """Check the certificate of a new epoch and record it; the order has acted when all its vaults have theirs."""
    record, action, vault = _order(state, body, at)
    wanted = new_holders(action, vault)
    holders = _holders(state, vault, wanted)
    key = body.key
    if key.host_keys != tuple(holder.host_key for holder in holders) or key.threshold != wanted.threshold:
        raise refused("VAULT_KEY", "the shares were made for other holders, or with another threshold")
    if (key.commitments[0], key.chain_code) != (vault.group_key, vault.chain_code):
        raise refused("VAULT_KEY", f"these are shares of another key than that of {vault.name}")
    shares = public_shares(key)
    present = tuple(holder for holder in holders if holder.name not in wanted.absent)
    check_statements(body.statements, present, lambda name: _statement(state, body, vault, name))
    check_trials(
        body.trials,
        lambda subset: trial_message(state.log_id, body.order_hash, body.recovery_hash, subset),
        group_key=vault.group_key,
        present=[position for position, name in enumerate(wanted.signers) if name not in wanted.absent],
        threshold=wanted.threshold,
    )
    state.change_vault(
        replace(
            vault,
            signers=wanted.signers,
            threshold=wanted.threshold,
            public_shares=shares,
            epoch=vault.epoch + 1,
            recovery_hash=body.recovery_hash,
            host_keys=key.host_keys,
            key_hash=key_hash(key),
            epoch_order=record.hash,
            epoch_ms=at.time_ms,
            changing=b"",
        )
    )
    if all(_has_acted(state, name, record) for name in vaults_of(action)):
        state.change_order(replace(record, state=OrderState.DONE, ended_ms=at.time_ms))


def _order(state: State, body: Epoch, at: Position) -> tuple[OrderRecord, KeyChange, VaultRecord]:
    record = state.order(body.order_hash)
    if record is None:
        raise refused("ORDER_UNKNOWN", f"the ledger has no order {body.order_hash.hex()}")
    action, vault = decode_order(record.order).action, state.vault(body.vault)
    mismatch = refused(
        "EPOCH_ORDER_MISMATCH", f"order {body.order_hash.hex()} does not ask for new shares of {body.vault}"
    )
    if not isinstance(action, RefreshShares | ReshareVault) or vault is None or vault.name not in vaults_of(action):
        raise mismatch
    # The vault's own note of an approved order says that it has not acted on it.
    has_vault = vault.changing == record.hash
    if record.approved_ms and not has_vault:
        raise mismatch
    judgement = judge_order(state, record, at.time_ms)
    if not judgement.allowed:
        raise refused(judgement.code.value, f"the order does not pass: {'; '.join(judgement.missing)}")
    if not has_vault:
        # It passes by a charter that asks for fewer than the one under which its words were taken.
        raise mismatch
    return record, action, vault


def _holders(state: State, vault: VaultRecord, wanted: NewHolders) -> tuple[CharterSigner, ...]:
    """Return the signers that are to hold the key, as the charter in force has them.

    The order was checked when it was accepted, and both the charter and its witness set may have changed since.
    """
    problem = problem_of_wanted(state, vault, wanted)
    if problem is not None:
        raise refused("VAULT_SIGNERS", f"the new shares cannot be used: {problem}")
    signers = {signer.name: signer for signer in state.charter.signers}
    return tuple(signers[name] for name in wanted.signers)


def _statement(state: State, body: Epoch, vault: VaultRecord, name: str) -> bytes:
    statement = EpochStatement(
        log_id=state.log_id,
        order_hash=body.order_hash,
        vault=vault.name,
        epoch=vault.epoch + 1,
        recovery_hash=body.recovery_hash,
        key_hash=key_hash(body.key),
        signer=name,
    )
    return pae("epoch", codec.encode(statement))


def _has_acted(state: State, name: str, record: OrderRecord) -> bool:
    vault = state.vault(name)
    # Another order may have given it newer shares since.
    return vault is not None and vault.changing != record.hash
