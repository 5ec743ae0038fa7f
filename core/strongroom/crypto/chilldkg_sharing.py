"""Polynomials, encrypted shares and tweaked commitments of ChillDKG."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

from strongroom.crypto.bip340 import secret_tagged_hash, tagged_hash, tagged_hash_int
from strongroom.crypto.chilldkg_errors import FaultyCoordinatorError, FaultyParticipantOrCoordinatorError
from strongroom.crypto.chilldkg_params import SessionParams
from strongroom.crypto.curve import Point, ecdh
from strongroom.crypto.errors import InvalidPoint
from strongroom.crypto.secret import SecretScalar

__all__ = [
    "POP_PREFIX",
    "commit_to_no_script",
    "decryption_pads",
    "derive",
    "encryption_pads",
    "evaluate",
    "evaluate_commitments",
    "pop_message",
]

POP_PREFIX: Final = "BIP DKG/pop message"


def derive(tag: str, *data: Any) -> SecretScalar:
    """A secret scalar from a hash under one of ChillDKG's tags."""
    return secret_tagged_hash(f"BIP DKG/{tag}", *data)


def pop_message(participant: int) -> bytes:
    """What the proof of possession signs: the participant, so that no proof can be replayed by another."""
    return participant.to_bytes(4, "big")


def evaluate(coefficients: Sequence[SecretScalar], participant: int) -> SecretScalar:
    """The polynomial's value for a participant, at participant + 1, by Horner's rule in constant time."""
    value = coefficients[-1].clone()
    for coefficient in reversed(coefficients[:-1]):
        value.multiply_public(participant + 1)
        value.add(coefficient)
    return value


def evaluate_commitments(commitments: Sequence[Point], participant: int) -> Point:
    """The public share that commitments to the coefficients give a participant."""
    value = commitments[-1]
    for commitment in reversed(commitments[:-1]):
        value = value * (participant + 1) + commitment
    return value


def commit_to_no_script(commitments: Sequence[Point]) -> tuple[tuple[Point, ...], int]:
    """Tweak the constant term so that the key provably has no taproot script path.

    The tweak is added to the point as it is, without making its y even first.

    Returns:
        The tweaked commitments and the tweak, to be added to every share.

    Raises:
        FaultyCoordinatorError: the constant term is infinity, which valid proofs of possession exclude.
    """
    if commitments[0].is_infinity:
        raise FaultyCoordinatorError("the commitments to the constant term cancel out")
    tweak = tagged_hash_int("TapTweak", commitments[0].xonly())
    return (commitments[0].plus_generator_times(tweak), *commitments[1:]), tweak


def _self_pad(hostseckey: SecretScalar, pubnonce: bytes, me: int, context: bytes) -> SecretScalar:
    return derive("encaps_multi self_pad", hostseckey.view(), pubnonce, me.to_bytes(4, "big"), context)


def _ecdh_pad(secret: SecretScalar, peer: Point, binding: bytes) -> SecretScalar:
    with ecdh(secret, peer) as shared:
        return derive("encpedpop ecdh", shared.view(), binding)


def encryption_pads(
    secnonce: SecretScalar, hostseckey: SecretScalar, params: SessionParams, me: int
) -> list[SecretScalar]:
    """One-time pads for the shares that participant `me` deals to each participant. The caller wipes them."""
    context = params.encode()
    pubnonce = secnonce.public()
    pads = []
    for receiver, (key, encoded) in enumerate(zip(params.validated(), params.hostpubkeys, strict=True)):
        if receiver == me:
            pads.append(_self_pad(hostseckey, pubnonce, me, context))
        else:
            pads.append(_ecdh_pad(secnonce, key, pubnonce + encoded + receiver.to_bytes(4, "big") + context))
    return pads


def decryption_pads(
    hostseckey: SecretScalar, params: SessionParams, me: int, pubnonces: Sequence[bytes]
) -> list[SecretScalar]:
    """One-time pads of the shares that participant `me` gets from each participant. The caller wipes them.

    Raises:
        FaultyParticipantOrCoordinatorError: the public nonce of that participant is malformed.
    """
    context = params.encode()
    my_binding = params.hostpubkeys[me] + me.to_bytes(4, "big") + context
    pads = []
    with ExitStack() as cleanup:
        for sender, pubnonce in enumerate(pubnonces):
            if sender == me:
                pad = _self_pad(hostseckey, pubnonce, me, context)
            else:
                try:
                    peer = Point.parse(pubnonce)
                except InvalidPoint:
                    raise FaultyParticipantOrCoordinatorError(sender, "its public nonce is malformed") from None
                pad = _ecdh_pad(hostseckey, peer, pubnonce + my_binding)
            cleanup.callback(pad.wipe)
            pads.append(pad)
        cleanup.pop_all()
    return pads


def decrypt_sum(
    hostseckey: SecretScalar, params: SessionParams, me: int, pubnonces: Sequence[bytes], encrypted: int
) -> SecretScalar:
    """The sum of all shares dealt to participant `me`, from the sum of their encryptions.

    Raises:
        FaultyParticipantOrCoordinatorError: a public nonce is malformed.
        InvalidScalar: the share is zero.
    """
    pads = decryption_pads(hostseckey, params, me, pubnonces)
    try:
        share = pads[0].clone()
        for pad in pads[1:]:
            share.add(pad)
        share.negate()
        share.add_public(encrypted)
        return share
    finally:
        for pad in pads:
            pad.wipe()


def seed_hash(hostseckey: SecretScalar, random32: bytes, params: SessionParams) -> SecretScalar:
    """The seed of everything that a participant draws in one session."""
    return derive("encpedpop seed", hostseckey.view(), random32, params.encode())


def auxiliary_randomness(seed: SecretScalar) -> bytes:
    """Auxiliary randomness of the proof of possession, 32 bytes."""
    return tagged_hash("BIP DKG/simplpedpop aux", seed.view())
