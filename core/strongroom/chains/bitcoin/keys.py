"""The keys of a vault: unhardened BIP-32 children of the group key, each a BIP-86 taproot output key.

Every step is a tweak of the group key by a public number, so the holders sign for a child without any child private
key existing: two plain tweaks for branch and index, then the x-only tweak of BIP-86. The group key and its chain code
form an extended public key, so any wallet that reads descriptors can watch the vault.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from strongroom.chains.bitcoin.address import address_of
from strongroom.chains.bitcoin.networks import Network
from strongroom.chains.bitcoin.policy import BRANCHES, MAX_INDEX
from strongroom.crypto import bip32, bip340
from strongroom.crypto.curve import ORDER, Point
from strongroom.crypto.errors import InvalidScalar
from strongroom.crypto.frost import Tweak

_CACHED_BRANCHES: Final = 1_024
_CACHED_KEYS: Final = 65_536
_DESCRIPTOR_INPUT: Final = (
    "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
)
_DESCRIPTOR_CHECKSUM: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_DESCRIPTOR_GENERATOR: Final = (0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedKey:
    """One key of a vault.

    Attributes:
        branch: 0 for deposits, 1 for change.
        index: child number below the branch.
        tweaks: the plain tweaks of branch and index, then the x-only taproot tweak, in the order of signing.
        internal_key: x-only BIP-341 internal key, 32 bytes.
        output_key: x-only BIP-341 output key, 32 bytes.
        script: the output script, 34 bytes.
    """

    branch: int
    index: int
    tweaks: tuple[Tweak, ...]
    internal_key: bytes
    output_key: bytes
    script: bytes

    def address(self, network: Network) -> str:
        """The key's pay-to-taproot address."""
        return address_of(self.script, network)


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultKey:
    """What derives every key of a vault: the compressed group key (33 bytes) and its chain code (32 bytes).

    Public data, but whoever knows both can link all addresses of the vault.

    Raises:
        ValueError: a wrong length; the caller's fault.
    """

    group_key: bytes
    chain_code: bytes

    def __post_init__(self) -> None:
        if len(self.group_key) != 33 or len(self.chain_code) != 32:
            raise ValueError("a vault key is a 33-byte group key and a 32-byte chain code")

    def derive(self, branch: int, index: int) -> DerivedKey:
        """Derive the key at `branch`/`index`; answers are cached.

        Raises:
            ValueError: branch other than 0 and 1, or an index outside 0 to 2^31 - 1; the caller's fault.
        """
        if branch not in BRANCHES or not 0 <= index <= MAX_INDEX:
            raise ValueError(f"no key at branch {branch}, index {index}")
        return _derive(self.group_key, self.chain_code, branch, index)

    @property
    def fingerprint(self) -> bytes:
        """The 4-byte BIP-32 fingerprint of the group key, which PSBT derivation paths start with."""
        return bip32.fingerprint(self.group_key)

    def xpub(self, network: Network) -> str:
        """The group key as a serialised extended public key of depth 0 (BIP-32)."""
        mainnet = network.xpub_version == bip32.MAINNET_VERSION
        return bip32.ExtendedPublicKey.root(self.group_key, self.chain_code, mainnet=mainnet).encode()

    def descriptor(self, branch: int, network: Network) -> str:
        """Output descriptor of one branch, `tr(xpub/branch/*)` with its checksum (BIP-380, BIP-386).

        Raises:
            ValueError: branch other than 0 and 1; the caller's fault.
        """
        if branch not in BRANCHES:
            raise ValueError(f"a vault has no branch {branch}")
        return with_checksum(f"tr({self.xpub(network)}/{branch}/*)")


@lru_cache(maxsize=_CACHED_BRANCHES)
def _branch(group_key: bytes, chain_code: bytes, branch: int) -> bip32.Child:
    return bip32.child(group_key, chain_code, branch)


@lru_cache(maxsize=_CACHED_KEYS)
def _derive(group_key: bytes, chain_code: bytes, branch: int, index: int) -> DerivedKey:
    parent = _branch(group_key, chain_code, branch)
    child = bip32.child(parent.public_key, parent.chain_code, index)
    internal_key = child.public_key[1:]
    taproot_tweak, output_key = taproot_output_key(internal_key)
    return DerivedKey(
        branch=branch,
        index=index,
        tweaks=(
            Tweak(value=parent.tweak, is_xonly=False),
            Tweak(value=child.tweak, is_xonly=False),
            Tweak(value=taproot_tweak, is_xonly=True),
        ),
        internal_key=internal_key,
        output_key=output_key,
        script=b"\x51\x20" + output_key,
    )


def taproot_output_key(internal_key: bytes, merkle_root: bytes = b"") -> tuple[bytes, bytes]:
    """The tweak and the x-only output key, 32 bytes each, of an x-only internal key (BIP-341).

    Without a merkle root the key commits to having no script path (BIP-86); every vault key is of that kind.

    Raises:
        InvalidPoint: the internal key is no x coordinate of the curve.
        InvalidScalar: the tweak is not below the group order, which has no chance to be met.
    """
    tweak = bip340.tagged_hash("TapTweak", internal_key, merkle_root)
    number = int.from_bytes(tweak, "big")
    if number >= ORDER:
        raise InvalidScalar("the taproot tweak is not below the group order: this key cannot be used")
    return tweak, Point.parse_xonly(internal_key).plus_generator_times(number).xonly()


def with_checksum(descriptor: str) -> str:
    """Append `#` and the 8-letter checksum to a descriptor (BIP-380).

    Raises:
        ValueError: a letter outside the descriptor character set; the caller's fault.
    """
    state, group, pending = 1, 0, 0
    for letter in descriptor:
        value = _DESCRIPTOR_INPUT.find(letter)
        if value < 0:
            raise ValueError(f"{letter!r} does not belong in a descriptor")
        state = _polymod(state, value & 31)
        group, pending = group * 3 + (value >> 5), pending + 1
        if pending == 3:
            state, group, pending = _polymod(state, group), 0, 0
    if pending:
        state = _polymod(state, group)
    for _ in range(8):
        state = _polymod(state, 0)
    state ^= 1
    return f"{descriptor}#" + "".join(_DESCRIPTOR_CHECKSUM[(state >> 5 * (7 - place)) & 31] for place in range(8))


def _polymod(state: int, value: int) -> int:
    top = state >> 35
    state = ((state & 0x7_FFFF_FFFF) << 5) ^ value
    for bit, generator in enumerate(_DESCRIPTOR_GENERATOR):
        if top >> bit & 1:
            state ^= generator
    return state
