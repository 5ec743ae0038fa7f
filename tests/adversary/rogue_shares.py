"""Signature shares as a coordinator collects them, and the finished transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from cheat_report import NothingToCheatWith
from rogue_leader import RogueLeader

from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Plan
from strongroom.ledger.plans import plan_hash, resolve
from strongroom.ledger.records import VaultRecord
from strongroom.protocol.commitments import NonceSet, verify_commitments
from strongroom.protocol.release import SigningSet, aggregate, open_set, verify_shares
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.signing_task import SigningTask, task_of
from strongroom_signer.money_path import group_of


class Holder(Protocol):
    """A holder whose share the cheater has."""

    name: str

    def nonces(self, plan: Plan, index: int) -> NonceSet:
        """Nonces for a plan."""

    def signs(self, chosen: SigningSet, nonces: NonceSet, plan: Plan, certificate: Certificate) -> SignedBody:
        """Its signature shares."""


def vault_of(rogue: RogueLeader, plan: Plan) -> VaultRecord:
    """The vault that a plan pays from."""
    vault = rogue.state.vault(plan.vault)
    if vault is None:
        raise NothingToCheatWith(f"the log has no vault {plan.vault}")
    return vault


def task_at(rogue: RogueLeader, plan: Plan, index: int) -> SigningTask:
    """What the signers sign for a plan at an index."""
    vault = vault_of(rogue, plan)
    return task_of(
        resolve(rogue.state, plan).spend,
        log_id=rogue.log_id,
        term=rogue.term,
        entry_index=index,
        plan_hash=plan_hash(codec.encode(plan)),
        vault_epoch=vault.epoch,
        group=group_of(vault),
    )


def in_vault_order(rogue: RogueLeader, plan: Plan, given: Mapping[str, SignedBody]) -> list[SignedBody]:
    """What some holders gave, in the order in which a set lists them."""
    return [given[name] for name in vault_of(rogue, plan).signers if name in given]


async def finished(
    rogue: RogueLeader,
    plan: Plan,
    index: int,
    given: Mapping[str, SignedBody],
    certificate: Certificate,
    *,
    stolen: Collection[Holder] = (),
) -> bytes:
    """The transaction of a plan, signed by honest holders who committed to it, and by stolen shares.

    Args:
        rogue: the cheater.
        plan: what is paid.
        index: its place in the log.
        given: commitments of the honest ones, who give a share for it.
        certificate: what they are shown for it.
        stolen: who completes the set.
    """
    nonces = {holder.name: holder.nonces(plan, index) for holder in stolen}
    listed = in_vault_order(rogue, plan, {**given, **{name: one.signed for name, one in nonces.items()}})
    task, keys = task_at(rogue, plan, index), rogue.electorate.vote_keys
    chosen = open_set(task, [verify_commitments(one, task=task, vote_keys=keys) for one in listed])
    shares = await rogue.release(index, listed, to=list(given), certificate=certificate, honest=True)
    shares |= {holder.name: holder.signs(chosen, nonces[holder.name], plan, certificate) for holder in stolen}
    verified = [verify_shares(chosen, signed, vote_keys=keys) for signed in shares.values()]
    signatures = aggregate(chosen, {one.signer: one for one in verified})
    return resolve(rogue.state, plan).spend.finalise(signatures)
