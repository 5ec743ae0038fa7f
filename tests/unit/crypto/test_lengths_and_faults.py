"""What a library reads beyond or cuts off, and what faulty memory makes, is refused before it can verify or leave."""

from __future__ import annotations

import pytest

from frost_groups import group_of
from strongroom.crypto import bip340, ed25519, frost
from strongroom.crypto.curve import ORDER, Point
from strongroom.crypto.ed25519 import SigningKey
from strongroom.crypto.errors import InvalidContribution, InvalidInput, SelfCheckFailed
from strongroom.crypto.frost import Session, SignersContext, Tweak
from strongroom.crypto.frost_session import tweaked_key
from strongroom.crypto.secret import SecretBytes, SecretScalar

SEED = bytes(range(32))


def test_what_lies_behind_an_ed25519_key_or_signature_is_no_part_of_it() -> None:
    """The library reads 32 and 64 bytes, wherever they end: each longer form would verify as well."""
    key = SigningKey(SecretBytes(SEED))
    message = b"\x00 pays"
    signature = key.sign(message)
    assert ed25519.verify(key.public, message, signature)
    assert not ed25519.verify(key.public + b"\x00", message, signature)
    assert not ed25519.verify(key.public, message[1:], signature + message[:1])
    assert ed25519.is_public_key(key.public)
    assert not ed25519.is_public_key(key.public + b"\x00")


def test_an_ed25519_signature_by_another_key_than_the_public_one_never_leaves() -> None:
    key = SigningKey(SecretBytes(SEED))
    key._public = SigningKey(SecretBytes(bytes(32))).public
    with pytest.raises(SelfCheckFailed):
        key.sign(b"message")


def test_an_ed25519_key_says_whether_it_is_wiped() -> None:
    key = SigningKey(SecretBytes(SEED))
    assert not key.is_wiped
    key.wipe()
    assert key.is_wiped


def test_a_prefixed_signature_has_one_length() -> None:
    secret = SecretScalar.from_bytes(SEED)
    signature = bip340.sign_with_prefix(secret, b"message", bytes(32), "test")
    assert bip340.verify_with_prefix(secret.public()[1:], b"message", signature, "test")
    longer = signature[:32] + b"\x00" + signature[32:]
    assert not bip340.verify_with_prefix(secret.public()[1:], b"message", longer, "test")


def test_a_partial_signature_has_one_length() -> None:
    group = group_of(2, 3)
    nonces = group.nonces((0, 1))
    session = Session.from_public_nonces([public for _, public in nonces], group.context((0, 1)), (), b"message")
    first, second = (
        frost.sign(secret, group.share(holder), holder, session) for holder, (secret, _) in enumerate(nonces)
    )
    assert frost.partial_sig_verify(first, 0, session)
    assert not frost.partial_sig_verify(b"\x00" + first, 0, session)
    with pytest.raises(InvalidContribution):
        frost.partial_sig_agg([first, b"\x00" + second], session)
    assert frost.partial_sig_agg([first, second], session)


def test_a_nonce_says_whether_it_is_used() -> None:
    nonce, _ = frost.nonce_gen(SEED)
    assert not nonce.used
    nonce.wipe()
    assert nonce.used


def test_public_shares_that_interpolate_to_infinity_are_the_shares_of_no_key() -> None:
    """Shares of holders 0 and 1 count two and minus one times, so s and 2s cancel out."""
    one = Point.generator_times(7)
    shares = (one.serialise(), (one + one).serialise())
    for key in (one.serialise(), bytes(33)):
        with pytest.raises(InvalidInput, match="do not belong"):
            SignersContext(2, 2, (0, 1), shares, key).validated()


def test_a_tweak_that_cancels_the_key_is_refused() -> None:
    key = Point.generator_times(7).serialise()
    with pytest.raises(InvalidInput, match="infinity"):
        tweaked_key(key, (Tweak((ORDER - 7).to_bytes(32, "big"), False),))
