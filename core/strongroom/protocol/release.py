"""Round 2: signature shares, what each is bound to, and what blame proves.

A share is given over the whole context of its task, the signer set, and the hash of everybody's signed commitments.
So a share is bad only under the context that its own sender signed, and whoever holds the messages can check the blame.

Spec: BIP-445, Sign and PartialSigAgg; design, "The ledger", round 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from strongroom.crypto import frost
from strongroom.crypto.ed25519 import SigningKey
from strongroom.crypto.secret import SecretScalar
from strongroom.ledger.signed_messages import Shares
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import SignerName
from strongroom.protocol.commitments import NonceSet, VerifiedCommitments, commitments_hash, verify_commitments
from strongroom.protocol.signed import BadSignedBody, SignedBody, decode_claimed, open_body, sign_body
from strongroom.protocol.signing_task import BadContribution, SigningTask, key_of

__all__ = [
    "ShareEvidence",
    "SharesDoNotSign",
    "SigningSet",
    "VerifiedShares",
    "aggregate",
    "evidence_holds",
    "make_shares",
    "open_set",
    "shares_are_valid",
    "verify_shares",
]


@dataclass(frozen=True, kw_only=True)
class SigningSet:
    """A task, the chosen holders in participant order, and the commitments of each."""

    task: SigningTask
    commitments: tuple[VerifiedCommitments, ...]

    @property
    def signers(self) -> tuple[SignerName, ...]:
        """Names in participant order."""
        return tuple(item.signer for item in self.commitments)

    @cached_property
    def hash(self) -> bytes:
        """Hash of the signed commitments, which every share of the set is bound to; 32 bytes."""
        return commitments_hash([item.signed for item in self.commitments])

    @cached_property
    def sessions(self) -> tuple[frost.Session, ...]:
        """The BIP-445 session of each input.

        Raises:
            BadContribution: a commitment is no pair of points; its signer is at fault.
        """
        task = self.task
        context = task.group.context(self.signers)
        opened = []
        for position, (digest, tweaks) in enumerate(zip(task.digests, task.tweaks, strict=True)):
            nonces = [item.message.nonces[position] for item in self.commitments]
            try:
                opened.append(frost.Session.from_public_nonces(nonces, context, tweaks, digest))
            except frost.InvalidContribution as error:
                culprit = self.signers[error.signer_index or 0]
                raise BadContribution(culprit, f"its commitment for input {position} is no pair of points") from error
        return tuple(opened)


def open_set(task: SigningTask, commitments: Sequence[VerifiedCommitments]) -> SigningSet:
    """Open a signer set: exactly t different holders in participant order, every commitment a pair of points.

    Raises:
        BadContribution: the order or the number is wrong (who chose the set is at fault), or a commitment is malformed
            (its signer is).
    """
    chosen = SigningSet(task=task, commitments=tuple(commitments))
    positions = [task.group.position(name) for name in chosen.signers]
    if len(positions) != task.group.threshold or positions != sorted(set(positions)):
        raise BadContribution("coordinator", f"a set is {task.group.threshold} different holders in participant order")
    _ = chosen.sessions
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedShares:
    """Shares whose signature and context were checked; whether they are right is seen when they are added up."""

    signer: SignerName
    message: Shares
    signed: SignedBody


def make_shares(
    chosen: SigningSet,
    nonces: NonceSet,
    *,
    signer: str,
    share: SecretScalar,
    key: SigningKey,
    certified_size: int,
) -> SignedBody:
    """Make the signature share of every input, and sign them with their context.

    The caller has made every check of the money path, and has durably marked the nonces as used, before this. Whatever
    happens here, the nonces are gone.

    Args:
        chosen: The opened set; it must hold exactly the commitments that `nonces` made.
        nonces: The own nonces; emptied first.
        signer: The own name.
        share: The own secret share, untweaked; stays the caller's.
        key: The own vote key.
        certified_size: Size of the certificate held that covers the plan.

    Raises:
        NonceAlreadyUsed: the nonces are gone already.
        BadContribution: the own commitments are not in the set as they were sent; the coordinator is at fault.
        SelfCheckFailed: a share made here does not verify: faulty hardware. Nothing is released.
    """
    secrets = nonces.take()
    try:
        own = {item.signer: item.signed.body for item in chosen.commitments}.get(SignerName(signer))
        if own != nonces.signed.body:
            raise BadContribution("coordinator", f"the set does not hold the commitments that {signer} sent last")
        task = chosen.task
        my_id = task.group.position(signer)
        made = tuple(
            frost.sign(secret, share, my_id, session) for secret, session in zip(secrets, chosen.sessions, strict=True)
        )
    finally:
        for secret in secrets:
            secret.wipe()
    message = Shares(
        log_id=task.log_id,
        term=task.term,
        certified_size=certified_size,
        entry_index=task.entry_index,
        plan_hash=task.plan_hash,
        vault_epoch=task.vault_epoch,
        signers=chosen.signers,
        commitments_hash=chosen.hash,
        shares=made,
        signer=signer,
    )
    return sign_body("shares", message, key)


def verify_shares(chosen: SigningSet, signed: SignedBody, *, vote_keys: Mapping[str, bytes]) -> VerifiedShares:
    """Check that shares are signed by a member of the set and bound to exactly this set and task.

    Raises:
        BadSignedBody: not canonical, or not signed by the signer it names: nobody can be blamed.
        BadContribution: signed under another context; no proof that the shares are bad.
    """
    task = chosen.task
    claimed = decode_claimed(Shares, "shares", signed)
    message = open_body(
        "shares", Shares, signed, log_id=task.log_id, public_key=key_of(claimed.signer, task.group, vote_keys)
    )
    if (
        message.term,
        message.entry_index,
        message.plan_hash,
        message.vault_epoch,
    ) != task.place or message.certified_size <= task.entry_index:
        raise BadContribution(message.signer, "the shares are for another term, entry, plan or epoch")
    if message.signers != chosen.signers or message.signer not in chosen.signers:
        raise BadContribution(message.signer, "the shares are for another signer set")
    if message.commitments_hash != chosen.hash or len(message.shares) != len(task.digests):
        raise BadContribution(message.signer, "the shares are for other commitments")
    return VerifiedShares(signer=SignerName(message.signer), message=message, signed=signed)


def shares_are_valid(chosen: SigningSet, shares: VerifiedShares) -> bool:
    """Whether every share of a signer is right under the commitments of the set."""
    index = chosen.signers.index(shares.signer)
    return all(
        frost.partial_sig_verify(share, index, session)
        for share, session in zip(shares.message.shares, chosen.sessions, strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareEvidence:
    """Proof that a signer's vote key signed a wrong share: its own words, and the commitments they are bound to.

    It proves that the key was used so, not why: a faulty machine does the same. `evidence_holds` checks it again.
    """

    signer: SignerName
    shares: SignedBody
    commitments: tuple[SignedBody, ...]


class SharesDoNotSign(StrongroomError):
    """The shares of a set do not add up to valid signatures.

    Attributes:
        evidence: One record for each signer that gave a wrong share.
    """

    reason = "SIGNATURE_SHARE_INVALID"
    kind = Kind.ABORTED

    def __init__(self, evidence: tuple[ShareEvidence, ...]) -> None:
        names = ", ".join(item.signer for item in evidence)
        super().__init__(f"wrong signature shares of {names}: leave them out and sign with others", culprits=names)
        self.evidence = evidence


def aggregate(chosen: SigningSet, shares: Mapping[SignerName, VerifiedShares]) -> tuple[bytes, ...]:
    """Add the shares of the whole set up to one BIP340 signature (64 bytes) per input, verified.

    Single shares are looked at only when a signature does not verify.

    Raises:
        SharesDoNotSign: wrong shares, with evidence against every signer that gave one.
        InvalidSignature: every share is right and a signature is not: a defect of ours.
    """
    ordered = [shares[name] for name in chosen.signers]
    try:
        return tuple(
            frost.aggregate([item.message.shares[position] for item in ordered], session)
            for position, session in enumerate(chosen.sessions)
        )
    except frost.InvalidContribution as error:
        commitments = tuple(item.signed for item in chosen.commitments)
        raise SharesDoNotSign(
            tuple(
                ShareEvidence(signer=item.signer, shares=item.signed, commitments=commitments)
                for item in ordered
                if not shares_are_valid(chosen, item)
            )
        ) from error


def evidence_holds(evidence: ShareEvidence, *, task: SigningTask, vote_keys: Mapping[str, bytes]) -> bool:
    """Check blame again from the messages alone: the named signer signed this context, and a share in it is wrong.

    Args:
        evidence: What is claimed.
        task: The task, computed by the checker from the log.
        vote_keys: Vote keys of the charter in force at the plan, old ones included.
    """
    try:
        commitments = [verify_commitments(item, task=task, vote_keys=vote_keys) for item in evidence.commitments]
        chosen = open_set(task, commitments)
        shares = verify_shares(chosen, evidence.shares, vote_keys=vote_keys)
    except (BadContribution, BadSignedBody):
        return False
    return shares.signer == evidence.signer and not shares_are_valid(chosen, shares)
