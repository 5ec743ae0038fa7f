"""Key generation works for every size, and one altered byte anywhere makes somebody refuse."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frost_groups import fixed_bytes, group_of, run_key_generation
from strongroom.crypto import bip340, chilldkg
from strongroom.crypto.chilldkg_errors import ProtocolError, RecoveryDataError
from strongroom.crypto.curve import Point, lagrange_coefficients
from strongroom.crypto.errors import InvalidInput

pytestmark = pytest.mark.slow

sizes = st.integers(min_value=1, max_value=5).flatmap(
    lambda n: st.tuples(st.integers(min_value=1, max_value=n), st.just(n))
)


@given(sizes, st.integers())
@settings(max_examples=25, deadline=None)
def test_every_size_gives_shares_of_one_key(size: tuple[int, int], label: int) -> None:
    t, n = size
    group = run_key_generation(t, n, label)
    for holder, output in enumerate(group.outputs):
        assert group.share(holder).public() == output.pubshares[holder]
    key = Point.parse(group.threshold_pubkey)
    for ids in combinations(range(n), t):
        points = [Point.parse(group.outputs[0].pubshares[holder]) for holder in ids]
        factors = lagrange_coefficients(ids)
        assert Point.sum(point * factor for point, factor in zip(points, factors, strict=True)) == key


@given(sizes, st.integers())
@settings(max_examples=15, deadline=None)
def test_seed_and_public_recovery_data_give_every_share_back(size: tuple[int, int], label: int) -> None:
    group = run_key_generation(*size, label)
    for holder, seckey in enumerate(group.seckeys):
        output, params = chilldkg.recover(seckey, group.recovery_data)
        assert params == group.params
        assert output == group.outputs[holder]
    public, _ = chilldkg.recover(None, group.recovery_data)
    assert public.secshare is None
    assert public.pubshares == group.outputs[0].pubshares


@given(st.integers())
@settings(max_examples=8, deadline=None)
def test_every_set_of_threshold_size_signs_right_after_key_generation(label: int) -> None:
    group = run_key_generation(2, 4, label)
    for ids in combinations(range(4), 2):
        message = fixed_bytes("trial", ids)
        assert bip340.verify(group.threshold_pubkey[1:], message, group.sign(ids, message))


MESSAGE_LENGTHS = {
    "pmsg1": 33 * 2 + 32 * 3 + 97,
    "cmsg1": 162 * 3 + 33,
    "pmsg2": 64,
    "cmsg2": 64 * 3,
}


@st.composite
def flips(draw: st.DrawFn) -> tuple[str, int, int, int]:
    kind = draw(st.sampled_from(sorted(MESSAGE_LENGTHS)))
    position = draw(st.integers(min_value=0, max_value=MESSAGE_LENGTHS[kind] - 1))
    return kind, draw(st.integers(min_value=0, max_value=2)), position, draw(st.integers(min_value=1, max_value=255))


@given(flips())
@settings(max_examples=250, deadline=None)
def test_one_flipped_byte_in_any_message_makes_somebody_refuse(flip: tuple[str, int, int, int]) -> None:
    kind, participant, position, mask = flip
    altered = []

    def alter(found: str, whose: int, data: bytes) -> bytes:
        if (found, whose) != (kind, participant):
            return data
        assert len(data) == MESSAGE_LENGTHS[kind]
        damaged = bytearray(data)
        damaged[position] ^= mask
        altered.append(kind)
        return bytes(damaged)

    with pytest.raises((ProtocolError, InvalidInput)):
        run_key_generation(2, 3, "flips", alter)
    assert altered == [kind]


@given(st.integers(min_value=0, max_value=4 + 33 * 2 + 162 * 3 - 1), st.integers(min_value=1, max_value=255))
@settings(max_examples=150, deadline=None)
def test_one_flipped_byte_in_recovery_data_is_refused(position: int, mask: int) -> None:
    group = group_of(2, 3)
    assert len(group.recovery_data) == 4 + 33 * 2 + 162 * 3
    damaged = bytearray(group.recovery_data)
    damaged[position] ^= mask
    with pytest.raises(RecoveryDataError):
        chilldkg.recover(group.seckeys[0], bytes(damaged))


@given(st.sampled_from(sorted(MESSAGE_LENGTHS)), st.integers(min_value=0, max_value=2), st.binary(max_size=600))
@settings(max_examples=150, deadline=None)
def test_arbitrary_bytes_instead_of_any_message_make_somebody_refuse(kind: str, participant: int, data: bytes) -> None:
    def alter(found: str, whose: int, sent: bytes) -> bytes:
        return data if (found, whose) == (kind, participant) else sent

    with pytest.raises((ProtocolError, InvalidInput)):
        run_key_generation(2, 3, "noise", alter)


@given(st.binary(max_size=700))
@settings(max_examples=150, deadline=None)
def test_arbitrary_bytes_are_never_recovery_data(data: bytes) -> None:
    with pytest.raises(RecoveryDataError):
        chilldkg.recover(None, data)
