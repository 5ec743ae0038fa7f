"""The shares of final epochs: sealed from host key and recovery data, and older ones erased with the same commit.

A share is erased only when the one that follows it is stored, or when this signer is no holder any more. A signer that
cannot open its new share keeps the old one and says so: it signs for that vault again after another refresh.
"""

from __future__ import annotations

from strongroom.ledger.records import VaultRecord
from strongroom.model.errors import StrongroomError
from strongroom.protocol.share_recovery import share_of
from strongroom_signer.keys import SignerKeys
from strongroom_signer.log_copy import LogCopy
from strongroom_signer.logs import Log
from strongroom_signer.shares import Shares

__all__ = ["Sealing"]


class Sealing:
    """Brings the stored shares to what the final state says."""

    def __init__(self, *, copy: LogCopy, shares: Shares, keys: SignerKeys, name: str, log: Log) -> None:
        self._copy = copy
        self._shares = shares
        self._keys = keys
        self._name = name
        self._log = log

    def became_final(self, _before: int, _after: int) -> None:
        """Seal and erase what these entries ask for."""
        self.bring_up_to_date()

    def bring_up_to_date(self) -> None:
        """Seal the share of every final vault that has none here, and erase what is not to be held any more."""
        if not self._copy.final_size:
            return
        for vault in self._copy.final().vaults():
            if self._name not in vault.signers:
                self._erase_all(vault)
            elif not self._shares.has(vault.name, vault.epoch):
                self._recover(vault)

    def _erase_all(self, vault: VaultRecord) -> None:
        if not self._shares.has_any(vault.name):
            return
        with self._copy.store.commit() as write:
            self._shares.erase(write, vault.name, keep=None)
        self._log.info("share.erased", vault=vault.name, epoch=vault.epoch)

    def _recover(self, vault: VaultRecord) -> None:
        data = self._copy.store.recovery(vault.recovery_hash)
        if data is None:
            # It is being fetched: without it this signer neither votes nor holds, and `bring_up_to_date` follows it.
            return
        try:
            share = share_of(self._keys.host_among(vault.host_keys), data)
        except StrongroomError as error:
            # One vault's share: the money path refuses for it, and everything else this signer does goes on.
            self._log.error("share.unrecoverable", vault=vault.name, reason=error.reason, message=error.message)
            return
        with share:
            if share.public() != vault.public_shares[vault.signers.index(self._name)]:
                self._log.error("share.mismatched", vault=vault.name)
                return
            with self._copy.store.commit() as write:
                self._shares.put(write, vault.name, vault.epoch, share)
                self._shares.erase(write, vault.name, keep=vault.epoch)
        self._log.info("share.sealed", vault=vault.name, epoch=vault.epoch)
