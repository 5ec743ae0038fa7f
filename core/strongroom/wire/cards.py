"""Enrolment cards: how a person, a machine or a signer hands its public keys to whoever writes the charter.

A card is a JSON file of version 1:

    {"v": 1, "role": "person", "name": "alice", "keys": {"person": hex}, "certificate_request": PEM,
     "signatures": {"person": hex}}

Each key signs the whole card but the signatures, so nobody can put another key on a card, or another TLS key beside it:
Ed25519 over PAE("card", c), and a signer's secp256k1 host key BIP340 over SHA-256 of that, where c is the card without
"signatures" as JSON in ASCII with sorted names and no spaces. A card says nothing about who may be trusted: people
compare keys on a second channel, and the charter is what counts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from strongroom.crypto import bip340, ed25519
from strongroom.crypto.curve import Point
from strongroom.crypto.ed25519 import SigningKey
from strongroom.crypto.errors import InvalidPoint
from strongroom.crypto.secret import SecretScalar
from strongroom.ledger.charter import CharterSigner, Person, PersonKey
from strongroom.ledger.pae import pae
from strongroom.ledger.signed_messages import KeyType
from strongroom.model.errors import Kind, StrongroomError

__all__ = ["Card", "CardInvalid", "Role", "make_person_card", "make_signer_card", "parse_card"]

VERSION: Final = 1
MAX_CARD_LETTERS: Final = 16_384
MAX_REQUEST_LETTERS: Final = 4_096
_PARTS: Final = {"v", "role", "name", "keys", "certificate_request", "signatures"}
_NAME: Final = re.compile(r"[a-z0-9-]{1,40}")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+")
_REQUEST: Final = re.compile(
    r"-----BEGIN CERTIFICATE REQUEST-----\n(?:[A-Za-z0-9+/]{1,64}={0,2}\n)+-----END CERTIFICATE REQUEST-----\n"
)
_PERSON: Final = "person"
_HOST: Final = "host"
_VOTE: Final = "vote"
_WITNESS: Final = "witness"


class Role(StrEnum):
    """Whose card it is. A machine is a person of the charter that is marked as one."""

    PERSON = "person"
    MACHINE = "machine"
    SIGNER = "signer"


_KEY_SIZES: Final[Mapping[Role, Mapping[str, int]]] = {
    Role.PERSON: {_PERSON: 32},
    Role.MACHINE: {_PERSON: 32},
    Role.SIGNER: {_HOST: 33, _VOTE: 32, _WITNESS: 32},
}


class CardInvalid(StrongroomError):
    """The card is malformed or one of its keys did not sign it; ask its owner for the file again."""

    reason = "CARD_INVALID"
    kind = Kind.INVALID_ARGUMENT
    remedy = "ask its owner to make the card again, and give the file as it is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card whose own signatures all verified.

    Attributes:
        role: what the owner is to be.
        name: the owner's name, `[a-z0-9-]{1,40}`.
        keys: public keys by use: "person" (32 bytes), or "host" (33), "vote" and "witness" (32 each).
        certificate_request: PKCS #10 in PEM, for the TLS certificate; its own proof of possession is not checked here.
    """

    role: Role
    name: str
    keys: Mapping[str, bytes]
    certificate_request: str

    def as_person(self) -> Person:
        """Return the charter's entry for a person or a machine.

        Raises:
            CardInvalid: it is the card of a signer.
        """
        if self.role is Role.SIGNER:
            raise CardInvalid(f"the card of {self.name} is a signer's: give the card of a person or a machine")
        key = PersonKey(type=KeyType.ED25519, public=self.keys[_PERSON])
        return Person(name=self.name, keys=(key,), machine=self.role is Role.MACHINE)

    def as_signer(self) -> CharterSigner:
        """Return the charter's entry for a signer.

        Raises:
            CardInvalid: it is not the card of a signer.
        """
        if self.role is not Role.SIGNER:
            raise CardInvalid(f"the card of {self.name} is a {self.role}'s: give the card of a signer")
        return CharterSigner(
            name=self.name, host_key=self.keys[_HOST], vote_key=self.keys[_VOTE], witness_key=self.keys[_WITNESS]
        )


def make_person_card(name: str, key: SigningKey, certificate_request: str, *, machine: bool = False) -> str:
    """Write the card of a person, or of a machine.

    Args:
        name: `[a-z0-9-]{1,40}`.
        key: The person key; signs the card.
        certificate_request: PKCS #10 in PEM for the owner's TLS key.
        machine: The owner is an integrator's server.

    Raises:
        CardInvalid: the name or the request has not the form of a card.
    """
    role = Role.MACHINE if machine else Role.PERSON
    content = _content(role, name, {_PERSON: key.public}, certificate_request)
    return _written(content, {_PERSON: key.sign(_signed_bytes(content))})


def make_signer_card(
    name: str,
    *,
    host: SecretScalar,
    vote: SigningKey,
    witness: SigningKey,
    certificate_request: str,
    aux32: bytes,
) -> str:
    """Write the card of a signer, signed by all three of its keys.

    Args:
        name: `[a-z0-9-]{1,40}`.
        host: ChillDKG host key.
        vote: Key for votes and statements.
        witness: Key for C2SP cosignatures.
        certificate_request: PKCS #10 in PEM for the signer's TLS key.
        aux32: 32 fresh random bytes for the BIP340 signature.

    Raises:
        CardInvalid: the name or the request has not the form of a card.
    """
    keys = {_HOST: host.public(), _VOTE: vote.public, _WITNESS: witness.public}
    content = _content(Role.SIGNER, name, keys, certificate_request)
    message = _signed_bytes(content)
    signatures = {
        _HOST: bip340.sign(host, _host_message(message), aux32),
        _VOTE: vote.sign(message),
        _WITNESS: witness.sign(message),
    }
    return _written(content, signatures)


def parse_card(text: str) -> Card:
    """Read a card and verify every signature on it.

    Raises:
        CardInvalid: not a card of version 1, a key that is not one, or a signature that does not verify.
    """
    if len(text) > MAX_CARD_LETTERS:
        raise CardInvalid(f"a card is at most {MAX_CARD_LETTERS} letters, not {len(text)}")
    content = _exactly(_json(text), "the card", _PARTS)
    signatures = content.pop("signatures")
    if type(content["v"]) is not int or content["v"] != VERSION:
        raise CardInvalid(f"cards of version {VERSION} are known here, not the version this card names")
    role = next((role for role in Role if role.value == content["role"]), None)
    if role is None:
        raise CardInvalid("the card's role must be person, machine or signer")
    sizes = _KEY_SIZES[role]
    listed = _exactly(content["keys"], "keys", set(sizes))
    keys = {use: _bytes(listed[use], f"keys.{use}", size) for use, size in sizes.items()}
    _check_form(content["name"], content["certificate_request"])
    message = _signed_bytes(content)
    signed = _exactly(signatures, "signatures", set(sizes))
    for use, public in keys.items():
        if not _verifies(use, public, message, _bytes(signed[use], f"signatures.{use}", 64)):
            raise CardInvalid(
                f"the {use} key of {content['name']} did not sign this card: it was changed or made wrongly"
            )
    if len(set(keys.values())) < len(keys):
        raise CardInvalid(f"the card of {content['name']} uses one key twice")
    return Card(role=role, name=content["name"], keys=keys, certificate_request=content["certificate_request"])


def _content(role: Role, name: str, keys: Mapping[str, bytes], certificate_request: str) -> dict[str, Any]:
    _check_form(name, certificate_request)
    return {
        "v": VERSION,
        "role": role.value,
        "name": name,
        "keys": {use: public.hex() for use, public in keys.items()},
        "certificate_request": certificate_request,
    }


def _written(content: Mapping[str, Any], signatures: Mapping[str, bytes]) -> str:
    card = {**content, "signatures": {use: signature.hex() for use, signature in signatures.items()}}
    return json.dumps(card, indent=2) + "\n"


def _signed_bytes(content: Mapping[str, Any]) -> bytes:
    return pae("card", json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii"))


def _host_message(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()


def _verifies(use: str, public: bytes, message: bytes, signature: bytes) -> bool:
    if use != _HOST:
        return ed25519.is_public_key(public) and ed25519.verify(public, message, signature)
    try:
        Point.parse(public)
    except InvalidPoint:
        return False
    return bip340.verify(public[1:], _host_message(message), signature)


def _check_form(name: Any, certificate_request: Any) -> None:
    if type(name) is not str or not _NAME.fullmatch(name):
        raise CardInvalid("a name must be 1 to 40 characters of a-z, 0-9 and '-'")
    request_fits = type(certificate_request) is str and len(certificate_request) <= MAX_REQUEST_LETTERS
    if not request_fits or not _REQUEST.fullmatch(certificate_request):
        raise CardInvalid(f"the certificate request of {name} is not PEM of a PKCS #10 request")


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_float=_no_number, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise CardInvalid("the card is not JSON") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise CardInvalid("the card names a part twice")
    return found


def _no_number(_: str) -> Any:
    raise CardInvalid("the card holds a number that is not an integer")


def _exactly(value: Any, where: str, names: set[str]) -> dict[str, Any]:
    if type(value) is not dict or set(value) != names:
        raise CardInvalid(f"{where} must be an object of exactly {', '.join(sorted(names))}")
    return dict(value)


def _bytes(value: Any, where: str, size: int) -> bytes:
    if type(value) is not str or len(value) != 2 * size or not _HEX.fullmatch(value):
        raise CardInvalid(f"{where} must be {size} bytes of lowercase hex")
    return bytes.fromhex(value)
