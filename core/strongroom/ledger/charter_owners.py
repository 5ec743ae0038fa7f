"""Whose each key of a charter is. A key belongs to one owner and one use, for ever, and nobody changes their kind."""

from __future__ import annotations

from strongroom.ledger.charter import Charter

__all__ = ["key_owners", "person_kinds"]


def key_owners(charter: Charter) -> dict[bytes, str]:
    """Return the owner and use of every key: 32 bytes each, of a host key its x coordinate.

    By x coordinate because a secret and its negation are one secret.
    """
    owners = {key.public: f"person {person.name}" for person in charter.people for key in person.keys}
    for signer in charter.signers:
        owners[signer.host_key[1:]] = f"signer {signer.name} (host key)"
        owners[signer.vote_key] = f"signer {signer.name} (vote key)"
        owners[signer.witness_key] = f"signer {signer.name} (witness key)"
    return owners


def person_kinds(charter: Charter) -> dict[str, bytes]:
    """Return for each name of a person or machine which of the two it is: `person` or `machine`."""
    return {person.name: b"machine" if person.machine else b"person" for person in charter.people}
