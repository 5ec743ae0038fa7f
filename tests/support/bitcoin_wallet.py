"""A vault whose whole key a test holds, so that it can sign without a signing group."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from coincurve import PrivateKey

from strongroom.chains.bitcoin.keys import DerivedKey, VaultKey
from strongroom.chains.bitcoin.spend import Spend, SpendInput, SpendOutput
from strongroom.crypto.curve import ORDER


class PlainVault:
    """A vault with a known private key, derived from a seed text."""

    def __init__(self, seed: str = "plain vault") -> None:
        self._secret = int.from_bytes(hashlib.sha256(f"{seed}/key".encode()).digest(), "big") % ORDER
        self.key = VaultKey(
            group_key=PrivateKey.from_int(self._secret).public_key.format(),
            chain_code=hashlib.sha256(f"{seed}/chain code".encode()).digest(),
        )

    def private_key(self, key: DerivedKey) -> PrivateKey:
        """The private key of an output key, by applying the tweaks one by one."""
        secret = self._secret
        for tweak in key.tweaks:
            if tweak.is_xonly and PrivateKey.from_int(secret).public_key.format()[0] == 3:
                secret = ORDER - secret
            secret = (secret + int.from_bytes(tweak.value, "big")) % ORDER
        return PrivateKey.from_int(secret)

    def sign(self, spend: Spend) -> list[bytes]:
        """One BIP-340 signature per input."""
        return [
            self.private_key(key).sign_schnorr(digest) for key, digest in zip(spend.keys, spend.digests(), strict=True)
        ]

    def spend(self, inputs: Sequence[SpendInput], outputs: Sequence[SpendOutput]) -> Spend:
        return Spend(vault_key=self.key, inputs=tuple(inputs), outputs=tuple(outputs))

    def signed(self, inputs: Sequence[SpendInput], outputs: Sequence[SpendOutput]) -> bytes:
        """The finished transaction."""
        spend = self.spend(inputs, outputs)
        return spend.finalise(self.sign(spend))
