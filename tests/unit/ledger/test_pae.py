from __future__ import annotations

import pytest

from strongroom.ledger.pae import KINDS, UnknownKind, pae


def test_the_encoding_is_that_of_dsse() -> None:
    """The shape of DSSE's own example: "DSSEv1 29 http://example.com/HelloWorld 11 hello world"."""
    assert pae("vote", b"hello world") == b"DSSEv1 40 application/vnd.strongroom.vote.v1+proto 11 hello world"
    assert pae("adopt", b"") == b"DSSEv1 41 application/vnd.strongroom.adopt.v1+proto 0 "


def test_no_two_kinds_or_bodies_share_signed_bytes() -> None:
    bodies = (b"", b" ", b"0 ", b"x", b"1 x")
    assert len({pae(kind, body) for kind in KINDS for body in bodies}) == len(KINDS) * len(bodies)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UnknownKind):
        pae("votes", b"")


def test_the_kinds_are_those_of_the_format() -> None:
    assert KINDS == set(
        "adopt endorsement vote newterm commitments shares vault dealing epoch".split()
        + "freeze refusal view card reinstate restart sweep-commitments sweep-shares".split()
    )
