"""BIP32 for public keys: unhardened children and extended public keys.

Private derivation is missing on purpose: no child private key ever exists, so that the known danger of unhardened
derivation (a child private key reveals its parent) has nothing to bite on.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from strongroom.crypto.curve import ORDER, Point
from strongroom.crypto.errors import InvalidEncoding, InvalidInput, InvalidPoint
from strongroom.crypto.ripemd160 import ripemd160

__all__ = [
    "HARDENED",
    "Child",
    "ExtendedPublicKey",
    "InvalidChild",
    "InvalidExtendedKey",
    "base58check_decode",
    "base58check_encode",
    "child",
    "fingerprint",
]

HARDENED: Final = 1 << 31
MAINNET_VERSION: Final = bytes.fromhex("0488b21e")
TESTNET_VERSION: Final = bytes.fromhex("043587cf")
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_CHECKSUM_BYTES: Final = 4
_SERIALISED_BYTES: Final = 78
_MAX_LETTERS: Final = 200


class InvalidChild(InvalidInput):
    """There is no child of this index: it is hardened, or one of the 2^-127 that give no key. Take the next."""

    reason: ClassVar[str] = "BIP32_CHILD_INVALID"


class InvalidExtendedKey(InvalidEncoding):
    """A string is not an extended public key; whoever wrote it is at fault."""

    reason: ClassVar[str] = "EXTENDED_KEY_INVALID"


class Child(NamedTuple):
    """A child key and how it came about.

    Attributes:
        tweak: What was added to the parent key, 32 bytes: a plain tweak when a group signs for the child.
        public_key: 33 bytes.
        chain_code: 32 bytes.
    """

    tweak: bytes
    public_key: bytes
    chain_code: bytes


def child(public_key: bytes, chain_code: bytes, index: int) -> Child:
    """Derive the unhardened child `index`, 0 to 2^31 - 1.

    Raises:
        InvalidChild: the index is hardened or out of range, or gives no key.
        InvalidPoint: the public key does not parse.
        InvalidInput: the chain code is not 32 bytes.
    Spec: BIP32, CKDpub.
    """
    if not 0 <= index < HARDENED:
        raise InvalidChild(f"index {index} has no unhardened child: take 0 to {HARDENED - 1}")
    if len(chain_code) != 32:
        raise InvalidInput(f"a chain code must be 32 bytes, not {len(chain_code)}")
    parent = Point.parse(public_key)
    digest = hmac.digest(chain_code, public_key + index.to_bytes(4, "big"), "sha512")
    tweak = digest[:32]
    scalar = int.from_bytes(tweak, "big")
    derived = parent.plus_generator_times(scalar)
    if scalar >= ORDER or derived.is_infinity:
        raise InvalidChild(f"index {index} gives no key: take the next")
    return Child(tweak, derived.serialise(), digest[32:])


def fingerprint(public_key: bytes) -> bytes:
    """The first 4 bytes of RIPEMD-160(SHA-256(public key))."""
    return ripemd160(hashlib.sha256(public_key).digest())[:4]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedPublicKey:
    """A public key with all that its children need (xpub or tpub).

    Attributes:
        version: 4 bytes, of mainnet or of the test networks.
        depth: 0 for a root.
        parent_fingerprint: 4 bytes; zero for a root.
        index: Child number; zero for a root. 2^31 and above is hardened.
        chain_code: 32 bytes.
        public_key: 33 bytes.
    """

    version: bytes
    depth: int
    parent_fingerprint: bytes
    index: int
    chain_code: bytes
    public_key: bytes

    def __post_init__(self) -> None:
        if self.version not in (MAINNET_VERSION, TESTNET_VERSION):
            raise InvalidExtendedKey(f"{self.version.hex()} is not the version of an extended public key")
        if not 0 <= self.depth <= 255 or not 0 <= self.index < 2 * HARDENED:
            raise InvalidExtendedKey("depth or child number out of range")
        if len(self.parent_fingerprint) != 4 or len(self.chain_code) != 32:
            raise InvalidExtendedKey("fingerprint or chain code of the wrong length")
        if self.depth == 0 and (self.parent_fingerprint != bytes(4) or self.index != 0):
            raise InvalidExtendedKey("a key of depth 0 can have neither a parent fingerprint nor a child number")
        try:
            Point.parse(self.public_key)
        except InvalidPoint:
            raise InvalidExtendedKey("the public key in it is not a compressed point") from None

    @classmethod
    def root(cls, public_key: bytes, chain_code: bytes, *, mainnet: bool) -> ExtendedPublicKey:
        """A key without a parent, such as a group key."""
        return cls(
            version=MAINNET_VERSION if mainnet else TESTNET_VERSION,
            depth=0,
            parent_fingerprint=bytes(4),
            index=0,
            chain_code=chain_code,
            public_key=public_key,
        )

    @classmethod
    def parse(cls, text: str) -> ExtendedPublicKey:
        """Parse an xpub or tpub.

        Raises:
            InvalidExtendedKey: wrong letters, length, checksum or version (private keys included), or invalid content.
        """
        payload = base58check_decode(text)
        if len(payload) != _SERIALISED_BYTES:
            raise InvalidExtendedKey(f"an extended key must be {_SERIALISED_BYTES} bytes, not {len(payload)}")
        return cls(
            version=payload[:4],
            depth=payload[4],
            parent_fingerprint=payload[5:9],
            index=int.from_bytes(payload[9:13], "big"),
            chain_code=payload[13:45],
            public_key=payload[45:],
        )

    def encode(self) -> str:
        """The xpub or tpub string."""
        return base58check_encode(
            b"".join(
                (
                    self.version,
                    bytes((self.depth,)),
                    self.parent_fingerprint,
                    self.index.to_bytes(4, "big"),
                    self.chain_code,
                    self.public_key,
                )
            )
        )

    def child(self, index: int) -> ExtendedPublicKey:
        """The unhardened child `index`. Raises InvalidChild, also below depth 255."""
        if self.depth == 255:
            raise InvalidChild("a key of depth 255 has no children")
        derived = child(self.public_key, self.chain_code, index)
        return ExtendedPublicKey(
            version=self.version,
            depth=self.depth + 1,
            parent_fingerprint=fingerprint(self.public_key),
            index=index,
            chain_code=derived.chain_code,
            public_key=derived.public_key,
        )


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:_CHECKSUM_BYTES]


def base58check_encode(payload: bytes) -> str:
    """Encode bytes with their checksum; each leading zero byte becomes a leading 1."""
    data = payload + _checksum(payload)
    number = int.from_bytes(data, "big")
    letters = []
    while number:
        number, digit = divmod(number, 58)
        letters.append(_ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\x00"))
    return "1" * zeros + "".join(reversed(letters))


def base58check_decode(text: str) -> bytes:
    """Decode a base58check string of at most 200 letters; the payload without its checksum.

    Raises:
        InvalidExtendedKey: a letter, the length or the checksum is wrong.
    """
    if len(text) > _MAX_LETTERS:
        raise InvalidExtendedKey(f"the string is longer than {_MAX_LETTERS} letters")
    number = 0
    for letter in text:
        if letter not in _DIGITS:
            raise InvalidExtendedKey(f"{letter!r} is no base58 letter")
        number = number * 58 + _DIGITS[letter]
    zeros = len(text) - len(text.lstrip("1"))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    payload, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if len(data) < _CHECKSUM_BYTES or _checksum(payload) != checksum:
        raise InvalidExtendedKey("the checksum does not match: a letter is wrong")
    return payload
