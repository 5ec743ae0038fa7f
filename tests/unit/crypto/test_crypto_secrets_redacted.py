"""Secrets of the secp256k1 core: never printed, never copied, wiped when done."""

from __future__ import annotations

import copy
import dataclasses
import gc
import pickle
from collections.abc import Callable, Iterator

import pytest
from coincurve._libsecp256k1 import ffi

from frost_groups import fixed_bytes, group_of, host_keys
from strongroom.crypto import chilldkg, frost
from strongroom.crypto.chilldkg import SessionParams
from strongroom.crypto.chilldkg_errors import UnknownFaultyParticipantOrCoordinatorError
from strongroom.crypto.errors import InvalidScalar, SecretWiped
from strongroom.crypto.secret import ORDER, SecretBytes, SecretScalar

VALUE = fixed_bytes("a secret")
GROUP = group_of(2, 3)


def holders() -> Iterator[tuple[str, object, list[bytes]]]:
    """Every kind of object that holds or comes near a secret, with the bytes that it must not show."""
    share = GROUP.share(0).expose()
    yield "scalar", SecretScalar.from_bytes(VALUE), [VALUE]
    yield "short bytes", SecretBytes(VALUE), [VALUE]
    yield "long bytes", SecretBytes(VALUE * 40), [VALUE]
    nonce, _ = frost.nonce_gen(fixed_bytes("random"), secshare=GROUP.share(0))
    yield "nonce", nonce, [frost_nonce_bytes()]
    yield "output", GROUP.outputs[0], [share]
    seckeys = host_keys(3)
    params = SessionParams(tuple(key.public() for key in seckeys), 2)
    made = [chilldkg.participant_step1(key, params, fixed_bytes(holder)) for holder, key in enumerate(seckeys)]
    _, cmsg1 = chilldkg.coordinator_step1([message for _, message in made], params)
    state2, _ = chilldkg.participant_step2(seckeys[0], made[0][0], cmsg1, bytes(32))
    assert state2.output.secshare is not None
    yield "state 1", made[0][0], [seckeys[0].expose()]
    yield "state 2", state2, [state2.output.secshare.expose()]


def frost_nonce_bytes() -> bytes:
    nonce, _ = frost.nonce_gen(fixed_bytes("random"), secshare=GROUP.share(0))
    return nonce.take()[0].expose()


HOLDERS = [pytest.param(holder, hidden, id=name) for name, holder, hidden in holders()]


@pytest.mark.parametrize(("holder", "hidden"), HOLDERS)
def test_nothing_prints_a_secret(holder: object, hidden: list[bytes]) -> None:
    shown = f"{holder!r} {holder!s} {holder}"
    for secret in hidden:
        assert secret.hex() not in shown.lower()
        assert repr(secret)[2:-1] not in shown
        assert str(int.from_bytes(secret, "big")) not in shown


@pytest.mark.parametrize(("holder", "hidden"), HOLDERS)
@pytest.mark.parametrize("attempt", [pickle.dumps, copy.deepcopy], ids=["pickle", "deepcopy"])
def test_nothing_copies_a_secret(attempt: Callable[[object], object], holder: object, hidden: list[bytes]) -> None:
    with pytest.raises(TypeError, match=r"cannot be copied|cannot pickle"):
        attempt(holder)


@pytest.mark.parametrize("name", ["scalar", "short bytes", "nonce"])
def test_secrets_refuse_shallow_copies(name: str) -> None:
    holder = next(holder for found, holder, _ in holders() if found == name)
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.copy(holder)


def test_data_classes_that_hold_secrets_are_not_turned_into_dictionaries() -> None:
    with pytest.raises(TypeError, match="cannot be copied"):
        dataclasses.asdict(GROUP.outputs[0])


def test_a_failed_key_generation_carries_no_secret() -> None:
    seckeys = host_keys(3)
    params = SessionParams(tuple(key.public() for key in seckeys), 2)
    made = [chilldkg.participant_step1(key, params, fixed_bytes(holder)) for holder, key in enumerate(seckeys)]
    _, cmsg1 = chilldkg.coordinator_step1([message for _, message in made], params)
    with pytest.raises(UnknownFaultyParticipantOrCoordinatorError) as unknown:
        chilldkg.participant_step2(seckeys[0], made[0][0], cmsg1[:-96] + bytes(31) + b"\x01" + cmsg1[-64:], bytes(32))
    for field in dataclasses.fields(unknown.value.investigation):
        value = getattr(unknown.value.investigation, field.name)
        assert not isinstance(value, SecretScalar | SecretBytes)
    assert seckeys[0].expose().hex() not in f"{unknown.value!r}{unknown.value.investigation!r}{unknown.value.facts}"


@pytest.mark.parametrize("size", [0, 1, 32, 33, 64, 65, 256, 257, 5000])
def test_secret_bytes_keep_every_length_and_wipe_it(size: int) -> None:
    data = bytes(index % 251 + 1 for index in range(size))
    secret = SecretBytes(data)
    assert (len(secret), secret.expose(), bytes(secret.view())) == (size, data, data)
    slot = secret._slot
    assert slot is not None
    secret.wipe()
    assert bytes(slot.view) == bytes(slot.size)
    assert secret.wiped
    secret.wipe()
    with pytest.raises(SecretWiped):
        secret.expose()


def test_taking_over_a_bytearray_clears_it() -> None:
    source = bytearray(VALUE)
    secret = SecretBytes.take_over(source)
    assert source == bytes(32)
    assert secret.expose() == VALUE
    assert secret == SecretBytes(VALUE)
    assert secret != SecretBytes(VALUE[:-1])
    assert secret != VALUE


def test_generated_bytes_have_the_length_asked_for() -> None:
    assert SecretBytes.generate(16, lambda size: b"r" * size).expose() == b"r" * 16
    with pytest.raises(InvalidScalar, match="gave 15 bytes"):
        SecretBytes.generate(16, lambda size: b"r" * (size - 1))


def test_a_wiped_scalar_is_zero_in_memory_and_useless() -> None:
    secret = SecretScalar.from_bytes(VALUE)
    pointer = secret.pointer
    secret.public()
    with secret as same:
        assert same is secret
    assert bytes(ffi.buffer(pointer, 32)) == bytes(32)
    assert secret.wiped
    for use in (
        secret.expose,
        secret.public,
        secret.view,
        secret.clone,
        secret.negate,
        lambda: secret.add_public(1),
        lambda: secret == SecretScalar.from_bytes(VALUE),
    ):
        with pytest.raises(SecretWiped):
            use()


def test_a_forgotten_scalar_is_wiped_when_it_is_collected() -> None:
    secret = SecretScalar.from_bytes(VALUE)
    pointer = secret.pointer
    del secret
    gc.collect()
    assert bytes(ffi.buffer(pointer, 32)) == bytes(32)


def test_two_live_scalars_never_share_memory() -> None:
    scalars = [SecretScalar.from_bytes(fixed_bytes(index)) for index in range(1200)]
    for scalar in scalars[::2]:
        scalar.wipe()
    scalars = scalars[1::2] + [SecretScalar.from_bytes(fixed_bytes("new", index)) for index in range(700)]
    assert len({int(ffi.cast("uintptr_t", scalar.pointer)) for scalar in scalars}) == len(scalars)
    assert scalars[0].expose() == fixed_bytes(1)


@pytest.mark.parametrize(
    "data",
    [b"", bytes(31), bytes(33), bytes(32), ORDER.to_bytes(32, "big"), b"\xff" * 32],
    ids=["empty", "31 bytes", "33 bytes", "zero", "the order", "above the order"],
)
def test_scalars_out_of_range_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidScalar):
        SecretScalar.from_bytes(data)


def test_a_broken_random_source_makes_no_key() -> None:
    draws = iter([bytes(32), b"\xff" * 32, VALUE])
    assert SecretScalar.generate(lambda size: next(draws)).expose() == VALUE
    with pytest.raises(InvalidScalar, match="16 draws"):
        SecretScalar.generate(bytes)


def test_scalars_have_no_constructor_and_no_hash() -> None:
    with pytest.raises(TypeError, match="from_bytes"):
        SecretScalar()
    with pytest.raises(TypeError, match="unhashable"):
        hash(SecretScalar.from_bytes(VALUE))
    with pytest.raises(TypeError, match="unhashable"):
        hash(SecretBytes(VALUE))


def test_scalar_arithmetic_agrees_with_integers() -> None:
    a, b = int.from_bytes(VALUE, "big"), int.from_bytes(fixed_bytes("other"), "big")
    secret, other = SecretScalar.from_bytes(VALUE), SecretScalar.from_bytes(fixed_bytes("other"))
    secret.multiply(other)
    secret.add(other)
    secret.multiply_public(3)
    secret.add_public(-7)
    secret.negate()
    assert int.from_bytes(secret.expose(), "big") == -((a * b + b) * 3 - 7) % ORDER


@pytest.mark.parametrize("operation", ["add", "multiply_public"])
def test_a_result_of_zero_is_refused_and_wiped(operation: str) -> None:
    secret = SecretScalar.from_bytes(VALUE)
    opposite = secret.clone()
    opposite.negate()
    with pytest.raises(InvalidScalar, match="zero"):
        secret.add(opposite) if operation == "add" else secret.multiply_public(ORDER)
    assert secret.wiped


@pytest.mark.parametrize(
    "change",
    [
        SecretScalar.negate,
        lambda secret: secret.add_public(1),
        lambda secret: secret.multiply_public(2),
        lambda secret: secret.add(SecretScalar.from_bytes(VALUE)),
        lambda secret: secret.multiply(SecretScalar.from_bytes(VALUE)),
    ],
    ids=["negate", "add_public", "multiply_public", "add", "multiply"],
)
def test_the_remembered_public_key_follows_the_value(change: Callable[[SecretScalar], None]) -> None:
    secret = SecretScalar.from_bytes(VALUE)
    before = secret.public()
    change(secret)
    assert secret.public() != before
    assert secret.public() == SecretScalar.from_bytes(secret.expose()).public()
