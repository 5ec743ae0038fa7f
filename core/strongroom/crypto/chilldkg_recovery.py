"""Recovery: a host secret key and the public recovery data give a share back."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from strongroom.crypto import bip340
from strongroom.crypto.chilldkg_certificate import first_invalid_signature, group_points
from strongroom.crypto.chilldkg_errors import (
    ProtocolError,
    RecoveryDataError,
    SessionParamsError,
)
from strongroom.crypto.chilldkg_messages import Transcript, parse_recovery_data, signed_bytes
from strongroom.crypto.chilldkg_params import DKGOutput, SessionParams
from strongroom.crypto.chilldkg_sharing import decrypt_sum
from strongroom.crypto.errors import InvalidScalar
from strongroom.crypto.secret import SecretScalar

__all__ = ["recover", "recovery_acknowledgement_sign", "recovery_acknowledgement_verify", "transcript_bytes"]

_LABEL: Final = "BIP DKG/recovery acknowledgment"


def _certified(recovery_data: bytes) -> Transcript:
    transcript, signatures = parse_recovery_data(recovery_data)
    try:
        transcript.params.validated()
    except SessionParamsError as error:
        raise RecoveryDataError(f"the session parameters in the recovery data are invalid: {error.message}") from None
    culprit = first_invalid_signature(transcript, signatures)
    if culprit is not None:
        raise RecoveryDataError(f"the signature of participant {culprit} in the recovery data is invalid")
    return transcript


def transcript_bytes(recovery_data: bytes) -> bytes:
    """The signed transcript in certified recovery data (4 + 33t + 98n bytes), as `chain_code` takes it.

    Raises:
        RecoveryDataError: malformed or not certified.
    """
    return _certified(recovery_data).encode()


def recover(hostseckey: SecretScalar | None, recovery_data: bytes) -> tuple[DKGOutput, SessionParams]:
    """Get the result of a key generation back.

    Args:
        hostseckey: A participant's host secret key, or None to get only the public part.
        recovery_data: 4 + 33t + 162n bytes from any participant or the coordinator.

    Raises:
        RecoveryDataError: malformed, or not signed by all participants, or the share in it is not the participant's.
        HostSeckeyError: the key belongs to none of the participants.
    Spec: ChillDKG, participant_recover and coordinator_recover.
    """
    transcript = _certified(recovery_data)
    output, tweak = _public_output(transcript)
    if hostseckey is not None:
        output = replace(output, secshare=_share_of(hostseckey, transcript, tweak, output))
    return output, transcript.params


def _public_output(transcript: Transcript) -> tuple[DKGOutput, int]:
    """The public part and the tweak of every share."""
    try:
        points = group_points(transcript)
        return points.output(None), points.tweak
    except ProtocolError as error:
        raise RecoveryDataError(f"the recovery data holds no usable key: {error.message}") from None


def _share_of(hostseckey: SecretScalar, transcript: Transcript, tweak: int, output: DKGOutput) -> SecretScalar:
    """Decrypt, tweak and check the share of a participant."""
    params = transcript.params
    me = params.id_of(hostseckey.public())
    try:
        secshare = decrypt_sum(hostseckey, params, me, transcript.pubnonces, transcript.encrypted_shares[me])
        secshare.add_public(tweak)
    except (ProtocolError, InvalidScalar) as error:
        raise RecoveryDataError(f"the share in the recovery data cannot be decrypted: {error.message}") from None
    if secshare.public() != output.pubshares[me]:
        secshare.wipe()
        raise RecoveryDataError("the share in the recovery data does not match the participant's public share")
    return secshare


def recovery_acknowledgement_sign(hostseckey: SecretScalar, recovery_data: bytes, aux32: bytes) -> bytes:
    """Say that this participant holds the recovery data and can recover its share from it; 64 bytes.

    The share is recovered and dropped first, so that the statement is true.

    Raises:
        RecoveryDataError, HostSeckeyError: as `recover`.
        InvalidInput: aux32 is not 32 bytes.
    Spec: ChillDKG, recovery acknowledgment.
    """
    transcript = _certified(recovery_data)
    output, tweak = _public_output(transcript)
    _share_of(hostseckey, transcript, tweak, output).wipe()
    participant = transcript.params.id_of(hostseckey.public())
    return bip340.sign(hostseckey, signed_bytes(_LABEL, participant, recovery_data), aux32)


def recovery_acknowledgement_verify(
    params: SessionParams, participant: int, recovery_data: bytes, signature: bytes
) -> bool:
    """Whether a participant acknowledged exactly this recovery data; anything malformed is False."""
    if not 0 <= participant < params.n:
        return False
    hostpubkey = params.hostpubkeys[participant]
    return bip340.verify(hostpubkey[1:], signed_bytes(_LABEL, participant, recovery_data), signature)
