"""What is to be signed: one plan at one place of the log, by the holders of one vault's key.

Both sides compute it from the plan in their own log; nothing of it is taken from a request.

Spec: BIP-445 for identifiers and contexts; design, "The ledger", round 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from strongroom.chains.bitcoin.spend import Spend
from strongroom.crypto.frost import SignersContext, Tweak
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId

__all__ = ["BadContribution", "Group", "SigningTask", "key_of", "task_of"]


class BadContribution(StrongroomError):
    """A signer's commitments or shares do not fit what it was asked for, or are malformed.

    Attributes:
        signer: The name under which they came; proven only when the message is signed by it.
    """

    reason = "SIGNING_CONTRIBUTION_INVALID"
    kind = Kind.ABORTED

    def __init__(self, signer: str, problem: str) -> None:
        super().__init__(f"contribution of {signer}: {problem}", signer=signer)
        self.signer = signer


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The holders of a vault's key in one epoch.

    Attributes:
        signers: Names in participant order: a position is the BIP-445 identifier.
        threshold: How many of them sign.
        public_shares: Public share of each, 33 bytes.
        group_key: Threshold public key, 33 bytes, untweaked.
    """

    signers: tuple[str, ...]
    threshold: int
    public_shares: tuple[bytes, ...]
    group_key: bytes

    def position(self, signer: str) -> int:
        """The BIP-445 identifier of a holder.

        Raises:
            BadContribution: it is no holder.
        """
        try:
            return self.signers.index(signer)
        except ValueError:
            raise BadContribution(signer, "it holds no share of this vault") from None

    def context(self, signers: Sequence[str]) -> SignersContext:
        """The BIP-445 signers context of a set of holders, given in participant order."""
        ids = tuple(self.position(name) for name in signers)
        return SignersContext(
            n=len(self.signers),
            t=self.threshold,
            ids=ids,
            pubshares=tuple(self.public_shares[item] for item in ids),
            thresh_pk=self.group_key,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningTask:
    """One plan to sign, at its place in the log.

    Attributes:
        log_id: The log.
        term: The term in which every share of the signatures is made.
        entry_index: Index of the plan's entry.
        plan_hash: SHA-256 of the plan's canonical bytes.
        vault_epoch: Generation of the vault's shares.
        group: The holders.
        digests: The 32-byte message of each input.
        tweaks: The tweaks of each input's key, in order.
    """

    log_id: LogId
    term: int
    entry_index: int
    plan_hash: bytes
    vault_epoch: int
    group: Group
    digests: tuple[bytes, ...]
    tweaks: tuple[tuple[Tweak, ...], ...]

    @property
    def place(self) -> tuple[int, int, bytes, int]:
        """Term, entry index, plan hash and epoch: what every message of this task names."""
        return self.term, self.entry_index, self.plan_hash, self.vault_epoch


def task_of(
    spend: Spend, *, log_id: LogId, term: int, entry_index: int, plan_hash: bytes, vault_epoch: int, group: Group
) -> SigningTask:
    """The signing task of a Bitcoin spend: the BIP-341 digest and the derivation tweaks of each input."""
    return SigningTask(
        log_id=log_id,
        term=term,
        entry_index=entry_index,
        plan_hash=plan_hash,
        vault_epoch=vault_epoch,
        group=group,
        digests=spend.digests(),
        tweaks=spend.tweaks,
    )


def key_of(signer: str, group: Group, vote_keys: Mapping[str, bytes]) -> bytes:
    """The vote key of a holder.

    Raises:
        BadContribution: it holds no share of the vault, or is no signer of the charter.
    """
    group.position(signer)
    key = vote_keys.get(signer)
    if key is None:
        raise BadContribution(signer, "it is no signer of this charter")
    return key
