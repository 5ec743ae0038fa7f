"""Whose votes count: the signers of the charter in force, their vote keys, and how many votes make a certificate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from strongroom.ledger.charter import Charter
from strongroom.ledger.messages import Certificate
from strongroom.model.ids import LogId
from strongroom.protocol.certificates import verify_certificate

__all__ = ["Electorate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Electorate:
    """The log id, the vote keys (32 bytes) by signer, and w."""

    log_id: LogId
    vote_keys: Mapping[str, bytes]
    witness_quorum: int

    @classmethod
    def of(cls, charter: Charter, log_id: LogId) -> Electorate:
        """Whose votes count under this charter."""
        keys = {signer.name: signer.vote_key for signer in charter.signers}
        return cls(log_id=log_id, vote_keys=keys, witness_quorum=charter.witness_quorum)

    def verify(self, certificate: Certificate) -> None:
        """Check a certificate.

        Raises:
            BadCertificate: it does not hold; whoever sent it is at fault.
        """
        verify_certificate(
            certificate, log_id=self.log_id, vote_keys=self.vote_keys, witness_quorum=self.witness_quorum
        )
