"""From a host key and recovery data to the share of one epoch."""

from __future__ import annotations

from strongroom.crypto import chilldkg, redistribution
from strongroom.crypto.chilldkg_errors import RecoveryDataError
from strongroom.crypto.secret import SecretScalar
from strongroom.ledger.recovery import GeneratedRecovery, decode_recovery

__all__ = ["share_of"]


def share_of(host_key: SecretScalar, data: bytes) -> SecretScalar:
    """Get the share of the holder with this host key back; the caller wipes it, and compares its public share.

    Args:
        host_key: The holder's host secret key; stays the caller's.
        data: Canonical recovery data, at most 40,000 bytes.

    Raises:
        NotCanonical: the data is malformed.
        RecoveryDataError: it does not hold together, or has no share for this key.
        HostSeckeyError: the key belongs to none of the holders.
    """
    source = decode_recovery(data).source
    if not isinstance(source, GeneratedRecovery):
        return redistribution.recover(host_key, source.transcript)
    output, _ = chilldkg.recover(host_key, source.data)
    if output.secshare is None:
        raise RecoveryDataError("the recovery data has no share for this host key")
    return output.secshare
