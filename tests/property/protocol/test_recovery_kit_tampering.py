"""Whatever becomes of the files of a sweep on the way, out comes the transaction that people signed, or none."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import charter_builder as builder
from kit_world import Kit
from strongroom.crypto import bip340
from strongroom.protocol.recovery_kit_files import SweepFileInvalid, read_plan_file, write_plan_file
from strongroom.protocol.recovery_kit_plan import OpenedPlan, SweepPlanRefused, open_plan
from strongroom.protocol.recovery_kit_rounds import SweepLiar, SweepSetMismatch, combine
from strongroom.protocol.recovery_kit_words import COMMITMENTS, SHARES, BadWord, word_hash
from strongroom.protocol.signed import SignedBody

Words = dict[str, SignedBody]


@lru_cache(maxsize=1)
def honest() -> tuple[Kit, OpenedPlan, Words, Words]:
    kit = Kit.started()
    opened = kit.plan()
    return kit, opened, *kit.signed(opened)


def flipped(data: bytes, bit: int) -> bytes:
    at = bit % (8 * len(data))
    changed = bytearray(data)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


@given(
    kind=st.sampled_from([COMMITMENTS, SHARES]),
    name=st.sampled_from(["s1", "s3"]),
    bit=st.integers(0, 2**16),
    signs_again=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_a_changed_word_gives_no_transaction(kind: str, name: str, bit: int, signs_again: bool) -> None:
    _, opened, commitments, shares = honest()
    words = commitments if kind == COMMITMENTS else shares
    body = flipped(words[name].body, bit)
    changed = replace(words[name], body=body)
    if signs_again:
        signature = bip340.sign(builder.host_secret(name), word_hash(kind, body), bytes(32))
        changed = SignedBody(body=body, signature=signature)
    given_words = {**words, name: changed}
    with pytest.raises((BadWord, SweepSetMismatch, SweepLiar)) as caught:
        combine(opened, given_words if kind == COMMITMENTS else commitments, given_words if kind == SHARES else shares)
    if isinstance(caught.value, SweepLiar):
        assert signs_again
        assert caught.value.culprits == {name}


@given(bit=st.integers(0, 2**16))
@settings(max_examples=80, deadline=None)
def test_a_changed_plan_file_is_refused_or_holds_the_same_plan(bit: int) -> None:
    _, opened, _, _ = honest()
    try:
        read = read_plan_file(flipped(write_plan_file(opened), bit))
    except (SweepFileInvalid, SweepPlanRefused):
        return
    assert read.data == opened.data


@given(bit=st.integers(0, 2**16))
@settings(max_examples=80, deadline=None)
def test_a_changed_plan_that_still_is_one_combines_nothing(bit: int) -> None:
    _, opened, commitments, shares = honest()
    try:
        other = open_plan(flipped(opened.data, bit))
    except SweepPlanRefused:
        return
    with pytest.raises((BadWord, SweepSetMismatch)):
        combine(other, commitments, shares)
