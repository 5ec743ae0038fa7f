"""What a redistribution is about: who hands which key on to whom, and how both sides name it.

Every party makes these terms from its own final log and charter. Their hash is in every dealing and in every pad.

Spec: docs/protocol/redistribution.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from strongroom.crypto import redistribution as crypto
from strongroom.crypto.bip340 import tagged_hash
from strongroom.crypto.chilldkg_params import SessionParams
from strongroom.crypto.errors import InvalidInput
from strongroom.crypto.redistribution import RedistributionParams
from strongroom.ledger import codec
from strongroom.ledger.key_material import key_hash
from strongroom.ledger.signed_messages import Dealing, DealingTerms, EpochStatement
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId, OrderHash
from strongroom.protocol.keygen import MadeKey
from strongroom.protocol.trials import Subset, covering_sets

__all__ = ["RedistributionRefused", "RedistributionTerms", "problem_under", "terms_hash"]

_TERMS_TAG: Final = "strongroom/redistribution/terms"


class RedistributionRefused(StrongroomError):
    """A message does not fit the redistribution it came for, or the share for a trial is not in memory any more.

    No dealer is to blame. Send the dealings again.
    """

    reason = "REDISTRIBUTION_REFUSED"
    kind = Kind.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True, kw_only=True)
class RedistributionTerms:
    """What is handed on: taken by each side from its own log and charter, never from a request.

    Attributes:
        log_id: The log.
        order_hash: The final and approved order.
        vault: Name of the vault.
        attempt: 1 and rising; what was dealt in one attempt serves in no other.
        epoch: The epoch that is to begin: one more than the vault's.
        holders: Old holders, in participant order.
        public_shares: Public share of each old holder, 33 bytes.
        threshold_before: How many old holders sign.
        group_key: Group key, 33 bytes; it stays.
        chain_code: Chain code, 32 bytes; it stays.
        key_hash: SHA-256 of the canonical KeyMaterial of the epoch in force, 32 bytes.
        signers: New holders, in participant order.
        host_keys: Host public key of each new holder, 33 bytes, as the charter in force has it.
        threshold: How many of them sign.
        absent: Holders, old or new, that the order says may be missing: they are not asked and not waited for.
    """

    log_id: LogId
    order_hash: OrderHash
    vault: str
    attempt: int
    epoch: int
    holders: tuple[str, ...]
    public_shares: tuple[bytes, ...]
    threshold_before: int
    group_key: bytes
    chain_code: bytes
    key_hash: bytes
    signers: tuple[str, ...]
    host_keys: tuple[bytes, ...]
    threshold: int
    absent: tuple[str, ...] = ()

    @property
    def hash(self) -> bytes:
        """The 32 bytes to which every dealing and every pad is bound."""
        return terms_hash(self.encoded)

    @property
    def encoded(self) -> bytes:
        """The canonical DealingTerms whose hash this is."""
        return _encoded(self)

    @property
    def params(self) -> RedistributionParams:
        """The parameters of the cryptography."""
        return RedistributionParams(
            context=self.hash,
            group_key=self.group_key,
            threshold_before=self.threshold_before,
            public_shares=self.public_shares,
            receivers=SessionParams(self.host_keys, self.threshold),
        )

    @property
    def candidates(self) -> tuple[str, ...]:
        """Old holders that may deal, in participant order."""
        return tuple(name for name in self.holders if name not in self.absent)

    @property
    def required(self) -> tuple[str, ...]:
        """New holders that have to state and try their shares, in participant order."""
        return tuple(name for name in self.signers if name not in self.absent)

    @property
    def subsets(self) -> tuple[Subset, ...]:
        """The subsets that try the new shares: they cover all that are required."""
        present = [position for position, name in enumerate(self.signers) if name not in self.absent]
        return covering_sets(present, self.threshold)

    def checked(self) -> RedistributionTerms:
        """The terms, if a redistribution under them can end.

        Raises:
            SessionParamsError, RedistributionInputError: a threshold, a key or a number is out of range.
            RedistributionRefused: without the absent holders there are too few to deal or to sign, names repeat, or
                attempt or epoch are out of range.
        """
        self.params.validated()
        if self.attempt < 1 or self.epoch < 2:
            raise RedistributionRefused("attempts are numbered from 1, and the first epoch is made by key generation")
        if len(self.public_shares) != len(self.holders) or len(self.host_keys) != len(self.signers):
            raise RedistributionRefused("there must be one public share of each old, one host key of each new holder")
        for names in (self.holders, self.signers):
            if len(set(names)) != len(names):
                raise RedistributionRefused("a holder is named twice")
        if len(self.candidates) < self.threshold_before:
            raise RedistributionRefused(f"{len(self.candidates)} old holders may deal, {self.threshold_before} have to")
        if len(self.required) < self.threshold:
            raise RedistributionRefused(f"{len(self.required)} new holders are there, {self.threshold} have to sign")
        return self

    def statement(self, signer: str, made: MadeKey) -> EpochStatement:
        """The statement of one new holder."""
        return EpochStatement(
            log_id=self.log_id,
            order_hash=self.order_hash,
            vault=self.vault,
            epoch=self.epoch,
            recovery_hash=made.recovery_hash,
            key_hash=key_hash(made.key),
            signer=signer,
        )


@lru_cache(maxsize=64)
def terms_hash(encoded: bytes) -> bytes:
    """Return what a dealing names of canonical DealingTerms, 32 bytes."""
    return tagged_hash(_TERMS_TAG, encoded)


@lru_cache(maxsize=64)
def _encoded(terms: RedistributionTerms) -> bytes:
    body = DealingTerms(
        log_id=terms.log_id,
        order_hash=terms.order_hash,
        vault=terms.vault,
        attempt=terms.attempt,
        epoch=terms.epoch,
        key_hash=terms.key_hash,
        holders=terms.holders,
        threshold=terms.threshold,
        signers=terms.signers,
        host_keys=terms.host_keys,
    )
    return codec.encode(body)


def problem_under(terms: DealingTerms, dealing: Dealing) -> str:
    """What everybody sees to be wrong with a dealing under the terms it names; empty when nothing is."""
    dealt = crypto.Dealing(
        commitments=dealing.commitments, pubnonce=dealing.pubnonce, encrypted_shares=dealing.encrypted_shares
    )
    try:
        dealt.parsed(threshold=terms.threshold, holders=len(terms.host_keys))
    except InvalidInput as error:
        return error.message
    return ""
