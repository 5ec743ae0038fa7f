"""Handing a vault's key on to its next epoch: the signer's side, and what the coordinator checks as signers do.

Old holders deal (`deal`), new holders check and open what was dealt to them (`receive`), state so, and try the new
shares. Refresh, reshare and repair differ in who the new holders are, and in nothing else.

Nothing of it is stored by a signer. A dealing, once given, leaves no state; a receiver's share is a function of the
dealings and its host key, and stays in memory for the trials. When the epoch's entry is final, every new holder
computes its share again from its host key and the recovery data. So a kill at any step is harmless.

What a dealing is for follows from the own log and charter (`RedistributionTerms`), never from a request.

Spec: docs/protocol/redistribution.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from strongroom.crypto import redistribution as crypto
from strongroom.crypto.ed25519 import SigningKey
from strongroom.crypto.redistribution import Transcript
from strongroom.crypto.redistribution_errors import FaultyDealingsError
from strongroom.crypto.secret import SecretScalar
from strongroom.ledger.recovery import recovery_of_redistribution
from strongroom.ledger.signed_messages import Dealing, KeyMaterial
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.keygen import SILENCE_MS, MadeKey
from strongroom.protocol.redistribution_terms import RedistributionRefused, RedistributionTerms
from strongroom.protocol.signed import SignedBody, decode_claimed, open_body, sign_body
from strongroom.protocol.trials import Subset, Trier

__all__ = [
    "DealerFault",
    "DealingsDisputed",
    "Holding",
    "RedistributionRefused",
    "RedistributionTerms",
    "Stated",
    "deal",
    "has_expired",
    "made_of",
    "open_dealing",
    "receive",
    "trial_commit",
    "trial_sign",
    "wipe",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DealerFault:
    """What is wrong with a dealing that its dealer signed.

    Attributes:
        dealer: Its name.
        problem: What is wrong, for people.
        is_public: Whether the signed dealing shows it to everybody. Otherwise it is proven to the receiver alone.
    """

    dealer: str
    problem: str
    is_public: bool


class DealingsDisputed(StrongroomError):
    """Dealings hold no good share for this receiver; their dealers signed them. The others are good.

    Attributes:
        faults: One for each bad dealing.
    """

    reason = "DEALINGS_DISPUTED"
    kind = Kind.ABORTED

    def __init__(self, faults: Sequence[DealerFault]) -> None:
        self.faults = tuple(faults)
        named = "; ".join(f"{fault.dealer}: {fault.problem}" for fault in self.faults)
        super().__init__(f"leave these dealers out: {named}", dealers=",".join(fault.dealer for fault in self.faults))


# --- dealing ---------------------------------------------------------------------------------------------------------


def deal(
    terms: RedistributionTerms, *, signer: str, share: SecretScalar, vote_key: SigningKey, random32: bytes
) -> SignedBody:
    """Deal the own old share to all new holders, signed with the vote key. Nothing of it is kept.

    Args:
        terms: What is handed on, from the own log.
        signer: The own name.
        share: The own share of the epoch in force; stays the caller's.
        vote_key: The own vote key.
        random32: 32 bytes of fresh randomness.

    Raises:
        RedistributionRefused: this signer is no old holder that may deal, or the terms cannot end.
        InvalidInput: the share is not that of the epoch in force, or another argument of the caller is wrong.
    """
    terms.checked()
    if signer not in terms.candidates:
        raise RedistributionRefused(f"{signer} is no holder that deals in epoch {terms.epoch} of {terms.vault}")
    made = crypto.deal(share, terms.params, terms.holders.index(signer), random32)
    body = Dealing(
        log_id=terms.log_id,
        order_hash=terms.order_hash,
        vault=terms.vault,
        attempt=terms.attempt,
        epoch=terms.epoch,
        terms_hash=terms.hash,
        commitments=made.commitments,
        pubnonce=made.pubnonce,
        encrypted_shares=made.encrypted_shares,
        signer=signer,
    )
    return sign_body("dealing", body, vote_key)


def open_dealing(
    terms: RedistributionTerms, dealing: SignedBody, vote_keys: Mapping[str, bytes]
) -> tuple[int, crypto.Dealing]:
    """Verify whose dealing it is and that it is for these terms; what it deals is not looked at.

    Args:
        terms: What is handed on.
        dealing: A signed body of kind `dealing`.
        vote_keys: Vote keys of the charter in force, 32 bytes, by signer.

    Returns:
        The dealer's identifier among the old holders, and the dealing.

    Raises:
        BadSignedBody: the signature or the form is wrong; whoever sent it is at fault, not the dealer it names.
        RedistributionRefused: it is genuine, and of another redistribution or of somebody who does not deal here.
    """
    signer = decode_claimed(Dealing, "dealing", dealing).signer
    if signer not in terms.candidates:
        raise RedistributionRefused(f"{signer} is no holder that deals in epoch {terms.epoch} of {terms.vault}")
    body = open_body("dealing", Dealing, dealing, log_id=terms.log_id, public_key=vote_keys.get(signer, b""))
    named = (body.order_hash, body.vault, body.attempt, body.epoch, body.terms_hash)
    if named != (terms.order_hash, terms.vault, terms.attempt, terms.epoch, terms.hash):
        raise RedistributionRefused(f"the dealing of {signer} is of another redistribution", signer=signer)
    dealt = crypto.Dealing(commitments=body.commitments, pubnonce=body.pubnonce, encrypted_shares=body.encrypted_shares)
    return terms.holders.index(signer), dealt


# --- receiving -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A new share in memory, for the trials of one epoch."""

    terms: RedistributionTerms
    trier: Trier
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What a new holder answers to good dealings: its statement and what it is about.

    Attributes:
        signature: Under its EpochStatement, by its vote key, 64 bytes.
        recovery_hash: SHA-256 of the recovery data, 32 bytes.
        key_hash: SHA-256 of the new KeyMaterial, 32 bytes.
    """

    signature: bytes
    recovery_hash: bytes
    key_hash: bytes


def made_of(terms: RedistributionTerms, transcript: Transcript) -> MadeKey:
    """The public side of the new epoch, and its recovery data."""
    return MadeKey(
        key=KeyMaterial(
            threshold=terms.threshold,
            commitments=transcript.commitments,
            host_keys=terms.host_keys,
            chain_code=terms.chain_code,
        ),
        recovery=recovery_of_redistribution(terms.vault, terms.epoch, terms.chain_code, transcript),
    )


def receive(
    terms: RedistributionTerms,
    dealings: Sequence[SignedBody],
    *,
    signer: str,
    host_key: SecretScalar,
    vote_key: SigningKey,
    vote_keys: Mapping[str, bytes],
    now_ms: int,
) -> tuple[Holding, Stated]:
    """Check every dealing, get the own new share, and state so.

    Args:
        terms: What is handed on, from the own log.
        dealings: Signed bodies of kind `dealing`, each of another dealer.
        signer: The own name.
        host_key: The own host secret key; stays the caller's.
        vote_key: The own vote key.
        vote_keys: Vote keys of the charter in force, 32 bytes, by signer.
        now_ms: The time.

    Raises:
        DealingsDisputed: these dealers are at fault.
        BadSignedBody, RedistributionRefused: a dealing is not of these terms, or twice there; the coordinator is at
            fault, not the dealer it names. Or this signer has nothing to receive.
        TooFewDealersError: fewer dealings than the old threshold; the coordinator is at fault.
        CommitmentsCancelError: all are good alone, and together of lower degree: dealers worked together.
        HostSeckeyError: the charter's host key is not this signer's.
    """
    terms.checked()
    if signer not in terms.required:
        raise RedistributionRefused(f"{signer} gets no share in epoch {terms.epoch} of {terms.vault}")
    opened: dict[int, crypto.Dealing] = {}
    for dealing in dealings:
        dealer, dealt = open_dealing(terms, dealing, vote_keys)
        if dealer in opened:
            raise RedistributionRefused(f"two dealings of {terms.holders[dealer]} were sent")
        opened[dealer] = dealt
    me = terms.signers.index(signer)
    if host_key.public() != terms.host_keys[me]:
        raise RedistributionRefused(f"the charter has another host key of {signer} than this signer's")
    try:
        transcript, share = crypto.receive(host_key, terms.params, opened)
    except FaultyDealingsError as error:
        raise DealingsDisputed(
            [
                DealerFault(dealer=terms.holders[fault.dealer], problem=fault.problem, is_public=fault.is_public)
                for fault in error.faults
            ]
        ) from error
    made = made_of(terms, transcript)
    statement = terms.statement(signer, made)
    trier = Trier(terms=terms, made=made, share=share, identifier=me, subsets=terms.subsets, session=terms.hash)
    stated = Stated(
        signature=sign_body("epoch", statement, vote_key).signature,
        recovery_hash=statement.recovery_hash,
        key_hash=statement.key_hash,
    )
    return Holding(terms=terms, trier=trier, since_ms=now_ms), stated


# --- trials ----------------------------------------------------------------------------------------------------------


def trial_commit(holding: Holding, subset: Subset, *, random32: bytes, now_ms: int) -> tuple[Holding, bytes]:
    """Commit for the trial of one subset; returns the public nonce, 66 bytes.

    Raises:
        RedistributionRefused: the share was in memory for too long without being asked for.
        TrialRefused: it is none of the subsets this signer tries.
    """
    _require_fresh(holding, now_ms)
    trier, public = holding.trier.commit(subset, random32)
    return replace(holding, trier=trier, since_ms=now_ms), public


def trial_sign(holding: Holding, subset: Subset, nonces: tuple[bytes, ...], *, now_ms: int) -> tuple[Holding, bytes]:
    """Give the trial signature share of one subset, 32 bytes.

    Raises:
        RedistributionRefused: the share was in memory for too long without being asked for.
        TrialRefused: it is none of its subsets, or there is no unused nonce for it.
        InvalidInput, InvalidContribution: the nonces are malformed, or do not hold the own one.
    """
    _require_fresh(holding, now_ms)
    trier, share = holding.trier.sign(subset, nonces)
    return replace(holding, trier=trier, since_ms=now_ms), share


def has_expired(holding: Holding, now_ms: int) -> bool:
    """Whether nobody has asked for this share for so long that it is dropped; the dealings bring it back."""
    return now_ms - holding.since_ms > SILENCE_MS


def wipe(holding: Holding) -> None:
    """Destroy the share and the nonces. Wiping twice is harmless."""
    holding.trier.wipe()


def _require_fresh(holding: Holding, now_ms: int) -> None:
    if has_expired(holding, now_ms):
        raise RedistributionRefused("nobody asked for this share for too long: send the dealings again")
