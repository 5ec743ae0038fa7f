"""Enrolment cards: what is written reads back, and nothing that was changed does."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter_builder import host_secret, seed, signing_key
from strongroom.ledger.charter import CharterSigner, Person
from strongroom.wire.cards import CardInvalid, Role, make_person_card, make_signer_card, parse_card

REQUEST = "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\nAAA=\n-----END CERTIFICATE REQUEST-----\n"
OTHER = REQUEST.replace("MIIB", "MIIC")


def person_card(*, machine: bool = False) -> str:
    return make_person_card("alice", signing_key("alice"), REQUEST, machine=machine)


def signer_card(witness: str = "s1 witness") -> str:
    return make_signer_card(
        "s1",
        host=host_secret("s1"),
        vote=signing_key("s1 vote"),
        witness=signing_key(witness),
        certificate_request=REQUEST,
        aux32=seed("aux"),
    )


def test_a_person_card_reads_back() -> None:
    card = parse_card(person_card())
    assert (card.role, card.name, card.certificate_request) == (Role.PERSON, "alice", REQUEST)
    person = card.as_person()
    assert isinstance(person, Person)
    assert (person.keys[0].public, person.machine) == (signing_key("alice").public, False)
    with pytest.raises(CardInvalid, match="card of a signer"):
        card.as_signer()


def test_a_machine_card_makes_a_person_marked_as_machine() -> None:
    assert parse_card(person_card(machine=True)).as_person().machine


def test_a_signer_card_reads_back() -> None:
    card = parse_card(signer_card())
    assert card.as_signer() == CharterSigner(
        name="s1",
        host_key=host_secret("s1").public(),
        vote_key=signing_key("s1 vote").public,
        witness_key=signing_key("s1 witness").public,
    )
    with pytest.raises(CardInvalid, match="card of a person"):
        card.as_person()


def changed(text: str, change: Callable[[dict[str, Any]], None]) -> str:
    content = json.loads(text)
    change(content)
    return json.dumps(content)


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "another name": lambda card: card.update(name="mallory"),
    "another TLS request": lambda card: card.update(certificate_request=OTHER),
    "another role": lambda card: card.update(role="machine"),
    "another key": lambda card: card["keys"].update(person=signing_key("mallory").public.hex()),
    "another signature": lambda card: card["signatures"].update(person="00" * 64),
    "a key that is none": lambda card: card["keys"].update(person="01" + "00" * 31),
    "no signature": lambda card: card["signatures"].clear(),
    "a signature more": lambda card: card["signatures"].update(vote="00" * 64),
    "a part more": lambda card: card.update(comment="hello"),
    "a part less": lambda card: card.pop("name"),
    "another version": lambda card: card.update(v=2),
    "a version that is true": lambda card: card.update(v=True),
    "an unknown role": lambda card: card.update(role="admin"),
    "a role that is no text": lambda card: card.update(role=["person"]),
    "a name with capitals": lambda card: card.update(name="Alice"),
    "hex in capitals": lambda card: card["keys"].update(person=card["keys"]["person"].upper()),
    "a request that is no PEM": lambda card: card.update(certificate_request="-----BEGIN"),
    "a request too long": lambda card: card.update(certificate_request=REQUEST.replace("MIIB\n", "MIIB\n" * 1_000)),
    "keys that are a list": lambda card: card.update(keys=[]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_person_card_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(CardInvalid):
        parse_card(changed(person_card(), change))


@pytest.mark.parametrize("use", ["host", "vote", "witness"])
def test_every_key_of_a_signer_must_have_signed(use: str) -> None:
    def forge(card: dict[str, Any]) -> None:
        card["signatures"][use] = card["signatures"][use][:-2] + (
            "00" if card["signatures"][use][-2:] != "00" else "01"
        )

    with pytest.raises(CardInvalid, match=f"the {use} key of s1 did not sign"):
        parse_card(changed(signer_card(), forge))


def test_a_host_key_of_the_other_parity_is_another_key() -> None:
    def flip(card: dict[str, Any]) -> None:
        host = card["keys"]["host"]
        card["keys"]["host"] = ("03" if host[:2] == "02" else "02") + host[2:]

    with pytest.raises(CardInvalid):
        parse_card(changed(signer_card(), flip))


def test_one_key_for_two_uses_is_refused() -> None:
    with pytest.raises(CardInvalid, match="twice"):
        parse_card(signer_card(witness="s1 vote"))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{", '{"v": 1, "v": 1}', '{"v": 1.0}', '{"v": NaN}', "[" * 8_000, "x" * 16_385, "1" * 5_000],
)
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(CardInvalid):
        parse_card(text)


@given(position=st.integers(0, 10_000), letter=st.sampled_from('"{}[],:0af\\n\\ \u00e9\ud800'), cut=st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_card_changed_anywhere_is_the_same_card_or_refused(position: int, letter: str, cut: bool) -> None:
    text = signer_card()
    at = position % len(text)
    changed_text = text[:at] + ("" if cut else letter) + text[at + 1 :]
    with suppress(CardInvalid):
        assert parse_card(changed_text) == parse_card(text)


def test_a_card_with_other_spacing_is_the_same_card() -> None:
    assert parse_card(json.dumps(json.loads(signer_card()))) == parse_card(signer_card())


@pytest.mark.parametrize(("name", "request_pem"), [("Alice", REQUEST), ("", REQUEST), ("alice", "x")])
def test_no_card_is_made_that_would_not_read(name: str, request_pem: str) -> None:
    with pytest.raises(CardInvalid):
        make_person_card(name, signing_key("alice"), request_pem)
