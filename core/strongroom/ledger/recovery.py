"""Recovery data: what lies beside the log so that a host key gives the share of a vault's current epoch back.

The log holds its SHA-256 alone, so that the data of an epoch that is over can be deleted everywhere. Nothing in it is
secret: shares are encrypted to their holders' host keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from strongroom.crypto import chilldkg
from strongroom.crypto.chilldkg import DKGOutput
from strongroom.crypto.redistribution import Transcript
from strongroom.ledger import codec
from strongroom.ledger.codec import message
from strongroom.ledger.entry_messages import MAX_RECOVERY_BYTES
from strongroom.ledger.order_messages import MAX_HOLDERS
from strongroom.ledger.records import VaultRecord
from strongroom.ledger.signed_messages import KeyMaterial
from strongroom.ledger.state import VAULTS, record_key

__all__ = [
    "GeneratedRecovery",
    "RecoveryData",
    "RedistributedRecovery",
    "decode_recovery",
    "hashes_written",
    "key_of_generation",
    "key_of_redistribution",
    "recovery_hash",
    "recovery_of_generation",
    "recovery_of_redistribution",
]


@message
class GeneratedRecovery:
    """Of the first epoch: ChillDKG's own recovery data, signed by all holders."""

    data: bytes = codec.data(1, max_length=MAX_RECOVERY_BYTES)


@message
class RedistributedRecovery:
    """Of a later epoch: what the dealings of a redistribution add up to."""

    vault: str = codec.name(1)
    epoch: int = codec.u64(2)
    context: bytes = codec.fixed(3, 32)
    """Tagged hash of the DealingTerms; all encryption is bound to it."""
    threshold: int = codec.u64(4)
    chain_code: bytes = codec.fixed(5, 32)
    host_keys: tuple[bytes, ...] = codec.repeated_fixed(6, 33, minimum=1, maximum=MAX_HOLDERS)
    """Of the new holders, in participant order."""
    dealers: tuple[int, ...] = codec.repeated_u64(7, minimum=1, maximum=MAX_HOLDERS)
    """BIP-445 identifiers of the dealers among the old holders, ascending."""
    pubnonces: tuple[bytes, ...] = codec.repeated_fixed(8, 33, minimum=1, maximum=MAX_HOLDERS)
    """Encryption nonce of each dealer."""
    commitments: tuple[bytes, ...] = codec.repeated_fixed(9, 33, minimum=1, maximum=MAX_HOLDERS)
    """Weighted sums of the dealers' commitments, as many as the threshold; the first is the group key."""
    encrypted_shares: tuple[bytes, ...] = codec.repeated_fixed(10, 32, minimum=1, maximum=MAX_HOLDERS)
    """Weighted sums of the encrypted shares, one for each new holder."""

    @property
    def transcript(self) -> Transcript:
        """The same as the cryptography takes it, not yet checked."""
        return Transcript(
            context=self.context,
            receivers=chilldkg.SessionParams(self.host_keys, self.threshold),
            dealers=self.dealers,
            pubnonces=self.pubnonces,
            commitments=self.commitments,
            encrypted_shares=self.encrypted_shares,
        )


@message
class RecoveryData:
    """The recovery data of one epoch of one vault."""

    source: GeneratedRecovery | RedistributedRecovery = codec.oneof({1: GeneratedRecovery, 2: RedistributedRecovery})


def recovery_hash(data: bytes) -> bytes:
    """SHA-256 of recovery data as it is stored, 32 bytes."""
    return sha256(data).digest()


def decode_recovery(data: bytes) -> RecoveryData:
    """Decode recovery data.

    Raises:
        NotCanonical: it is longer than 40,000 bytes, or malformed; whoever sent it is at fault.
    """
    return codec.decode(RecoveryData, data, max_size=MAX_RECOVERY_BYTES)


def hashes_written(writes: Mapping[bytes, bytes]) -> frozenset[bytes]:
    """Hashes of the recovery data of every vault record among these writes to a state."""
    place = record_key(VAULTS, 0)[:-8]
    return frozenset(
        codec.decode(VaultRecord, data).recovery_hash for key, data in writes.items() if key.startswith(place)
    )


def recovery_of_generation(data: bytes) -> bytes:
    """ChillDKG's recovery data in the form in which it is stored and hashed."""
    return codec.encode(RecoveryData(source=GeneratedRecovery(data=data)))


def key_of_generation(output: DKGOutput, params: chilldkg.SessionParams, data: bytes) -> KeyMaterial:
    """The public side of a key that ChillDKG generated.

    Args:
        output: The result of the generation.
        params: Its session parameters.
        data: ChillDKG's recovery data.

    Raises:
        RecoveryDataError: the recovery data is not certified.
    """
    return KeyMaterial(
        threshold=params.t,
        commitments=output.commitments,
        host_keys=params.hostpubkeys,
        chain_code=chilldkg.chain_code(chilldkg.transcript_bytes(data)),
    )


def recovery_of_redistribution(vault: str, epoch: int, chain_code: bytes, transcript: Transcript) -> bytes:
    """The transcript of a redistribution in the form in which it is stored and hashed."""
    source = RedistributedRecovery(
        vault=vault,
        epoch=epoch,
        context=transcript.context,
        threshold=transcript.receivers.t,
        chain_code=chain_code,
        host_keys=transcript.receivers.hostpubkeys,
        dealers=transcript.dealers,
        pubnonces=transcript.pubnonces,
        commitments=transcript.commitments,
        encrypted_shares=transcript.encrypted_shares,
    )
    return codec.encode(RecoveryData(source=source))


def key_of_redistribution(source: RedistributedRecovery) -> KeyMaterial:
    """The public side of the key in the epoch that this recovery data is of."""
    return KeyMaterial(
        threshold=source.threshold,
        commitments=source.commitments,
        host_keys=source.host_keys,
        chain_code=source.chain_code,
    )
