"""The Bitcoin networks: address prefixes and the CAIP names of the chain and of its coin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from strongroom.crypto.bip32 import MAINNET_VERSION, TESTNET_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One Bitcoin network.

    Attributes:
        name: the name used in configuration and in charters.
        hrp: human-readable part of segwit addresses (BIP-173).
        p2pkh_version: base58check version byte of pay-to-public-key-hash addresses.
        p2sh_version: base58check version byte of pay-to-script-hash addresses.
        xpub_version: 4-byte version of serialised extended public keys (BIP-32).
        genesis_hash: hash of block 0 as displayed, 64 hex digits.
    """

    name: str
    hrp: str
    p2pkh_version: int
    p2sh_version: int
    xpub_version: bytes
    genesis_hash: str

    @property
    def caip2(self) -> str:
        """Chain id: `bip122:` and the first 32 hex digits of the genesis block's hash (CAIP-2, BIP-122 namespace)."""
        return f"bip122:{self.genesis_hash[:32]}"

    @property
    def asset_id(self) -> str:
        """CAIP-19 asset id of the network's own coin."""
        return f"{self.caip2}/slip44:0"


MAINNET: Final = Network(
    name="mainnet",
    hrp="bc",
    p2pkh_version=0x00,
    p2sh_version=0x05,
    xpub_version=MAINNET_VERSION,
    genesis_hash="000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
)
TESTNET4: Final = Network(
    name="testnet4",
    hrp="tb",
    p2pkh_version=0x6F,
    p2sh_version=0xC4,
    xpub_version=TESTNET_VERSION,
    genesis_hash="00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
)
SIGNET: Final = Network(
    name="signet",
    hrp="tb",
    p2pkh_version=0x6F,
    p2sh_version=0xC4,
    xpub_version=TESTNET_VERSION,
    genesis_hash="00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
)
REGTEST: Final = Network(
    name="regtest",
    hrp="bcrt",
    p2pkh_version=0x6F,
    p2sh_version=0xC4,
    xpub_version=TESTNET_VERSION,
    genesis_hash="0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
)

NETWORKS: Final = (MAINNET, TESTNET4, SIGNET, REGTEST)
BY_NAME: Final = {network.name: network for network in NETWORKS}
BY_CAIP2: Final = {network.caip2: network for network in NETWORKS}
