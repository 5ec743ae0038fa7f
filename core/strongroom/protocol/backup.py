"""Whether the words on paper, with what lies beside the log, give a signer's share of a vault: proven by a signature.

The partial signature is under the vault's own key, over a message that only this check has, and never leaves the
machine: with no partner in the session it would be of no use to anybody anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from strongroom.crypto import bip340, frost
from strongroom.crypto.errors import SelfCheckFailed
from strongroom.crypto.secret import SecretScalar
from strongroom.ledger.records import VaultRecord
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.share_recovery import share_of

__all__ = ["ShareNotRecovered", "prove_backup", "recovered_share"]

_TAG: Final = "strongroom/backup-check"


class ShareNotRecovered(StrongroomError):
    """The host key and the recovery data do not give the share that the log says this signer has."""

    reason = "SHARE_NOT_RECOVERED"
    kind = Kind.FAILED_PRECONDITION


def recovered_share(host_key: SecretScalar, vault: VaultRecord, recovery: bytes) -> SecretScalar:
    """The share of the vault's current epoch that belongs to a host key; the caller wipes it.

    Args:
        host_key: A holder's host secret key; stays the caller's.
        vault: The vault as the log has it.
        recovery: What is said to be its recovery data.

    Raises:
        ShareNotRecovered: the host key is not of a holder of this epoch, or the data gives no share or another one.
    """
    where = f"vault {vault.name}, epoch {vault.epoch}"
    if host_key.public() not in vault.host_keys:
        raise ShareNotRecovered(f"{where} has no holder with this host key: the words are of another time or signer")
    if sha256(recovery).digest() != vault.recovery_hash:
        raise ShareNotRecovered(f"{where}: the recovery data is not the one that the log names")
    try:
        share = share_of(host_key, recovery)
    except StrongroomError as error:
        raise ShareNotRecovered(f"{where}: the recovery data gives no share ({error.message})") from error
    if share.public() != vault.public_shares[vault.host_keys.index(host_key.public())]:
        share.wipe()
        raise ShareNotRecovered(f"{where}: the recovery data gives another share than the log says")
    return share


def prove_backup(
    host_key: SecretScalar, vault: VaultRecord, recovery: bytes, *, random: Callable[[int], bytes]
) -> None:
    """Recover a share, make a partial signature with it, check that against the public share, and drop both.

    Raises:
        ShareNotRecovered: the backup is not good for this vault.
    """
    me = vault.host_keys.index(host_key.public()) if host_key.public() in vault.host_keys else 0
    with recovered_share(host_key, vault, recovery) as share:
        others = [number for number in range(len(vault.host_keys)) if number != me]
        subset = tuple(sorted([me, *others[: vault.threshold - 1]]))
        context = frost.SignersContext(
            n=len(vault.host_keys),
            t=vault.threshold,
            ids=subset,
            pubshares=tuple(vault.public_shares[number] for number in subset),
            thresh_pk=vault.group_key,
        )
        # The others' nonces are made here as well: this session has no partners, and ends with the check.
        nonces = {number: frost.nonce_gen(random(32)) for number in subset}
        message = bip340.tagged_hash(_TAG, vault.recovery_hash + me.to_bytes(4, "big"))
        session = frost.Session.from_public_nonces([nonces[n][1] for n in subset], context, (), message)
        try:
            partial = frost.sign(nonces[me][0], share, me, session)
        except SelfCheckFailed as error:
            raise ShareNotRecovered(f"vault {vault.name}: {error.message}") from error
        finally:
            for secret, _ in nonces.values():
                secret.wipe()
        if not frost.partial_sig_verify(partial, subset.index(me), session):
            raise ShareNotRecovered(f"vault {vault.name}: a partial signature of the recovered share does not verify")
