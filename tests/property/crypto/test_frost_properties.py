"""Any t signers make one ordinary BIP340 signature, under any tweaks, and an independent library agrees."""

from __future__ import annotations

import coincurve
import pytest
from ecc.ecc import frost as other_frost
from ecc.ecc import ssa as other_ssa
from hypothesis import given, settings
from hypothesis import strategies as st

from frost_groups import fixed_bytes, group_of
from strongroom.crypto import bip32, bip340, frost
from strongroom.crypto.curve import ORDER, Point, lagrange_coefficients
from strongroom.crypto.errors import InvalidContribution
from strongroom.crypto.frost import Session, Tweak

SIZES = [(1, 1), (1, 3), (2, 2), (2, 3), (3, 3), (3, 5), (4, 6)]

scalars = st.integers(min_value=0, max_value=ORDER - 1).map(lambda value: value.to_bytes(32, "big"))
tweak_lists = st.lists(st.builds(Tweak, scalars, st.booleans()), max_size=4)


@st.composite
def signer_sets(draw: st.DrawFn) -> tuple[int, int, list[int]]:
    t, n = draw(st.sampled_from(SIZES))
    count = draw(st.integers(min_value=t, max_value=n))
    return t, n, draw(st.permutations(range(n)))[:count]


@given(signer_sets(), tweak_lists, st.binary(max_size=100), st.integers())
@settings(max_examples=80, deadline=None)
def test_every_signer_set_signs_under_every_tweak(
    signers: tuple[int, int, list[int]], tweaks: list[Tweak], message: bytes, label: int
) -> None:
    t, n, ids = signers
    group = group_of(t, n)
    signature = group.sign(ids, message, tweaks, label)
    key = frost.tweaked_key(group.threshold_pubkey, tuple(tweaks)).point
    assert bip340.verify(key.xonly(), message, signature)
    assert coincurve.PublicKeyXOnly(key.xonly()).verify(signature, message)
    assert not bip340.verify(key.xonly(), message + b"\x00", signature)


@given(signer_sets(), tweak_lists, st.binary(min_size=32, max_size=32))
@settings(max_examples=25, deadline=None)
def test_an_independent_library_computes_the_same_session(
    signers: tuple[int, int, list[int]], tweaks: list[Tweak], message: bytes
) -> None:
    """The other library follows a later draft, which hashes the number of signers into the binding factor and an
    identifier into the nonce. Nonces and binding factor are handed to it; the rest it computes on plain integers.
    """
    t, n, ids = signers
    group = group_of(t, n)
    nonces = group.nonces(ids, message)
    publics = [public for _, public in nonces]
    session = Session.from_public_nonces(publics, group.context(ids), tweaks, message)
    values = session.values()
    assert other_frost.nonce_agg_var(publics) == session.aggnonce
    other = other_frost.thresh_pubkey_and_tweak_var(
        group.threshold_pubkey, [tweak.value for tweak in tweaks], [tweak.is_xonly for tweak in tweaks]
    )
    assert other.plain_pub_key == values.key.point.serialise()
    assert (other.gacc, other.tacc) == (values.key.gacc % ORDER, values.key.tacc % ORDER)
    context = other_frost.SessionContext(
        n,
        t,
        ids,
        session.signers.pubshares,
        group.threshold_pubkey,
        session.aggnonce,
        [tweak.value for tweak in tweaks],
        [tweak.is_xonly for tweak in tweaks],
        message,
    )
    theirs = other_frost.session_values(context)
    assert values.key.point.xonly() == theirs.Q[0].to_bytes(32, "big")
    shared = other_frost.SessionValues(
        theirs.Q, theirs.gacc, theirs.tacc, values.binding, affine(values.nonce_point), values.challenge
    )
    object.__setattr__(context, "_values", shared)
    psigs = []
    for (nonce, _), holder in zip(nonces, ids, strict=True):
        first, second = nonce.take()
        raw = first.expose() + second.expose()
        expected = other_frost.sign(bytearray(raw), group.share(holder).expose(), holder, context)
        psig = frost.sign(frost.SecretNonce.from_bytes(raw), group.share(holder), holder, session)
        assert psig == expected
        psigs.append(psig)
    signature = frost.aggregate(psigs, session)
    assert other_frost.partial_sig_agg(psigs, context).serialize() == signature
    assert other_ssa.verify_(message, values.key.point.xonly(), signature)


def affine(point: Point) -> tuple[int, int]:
    encoded = coincurve.PublicKey(point.serialise()).format(compressed=False)
    return int.from_bytes(encoded[1:33], "big"), int.from_bytes(encoded[33:], "big")


@given(st.lists(st.integers(min_value=0, max_value=2**32 - 2), min_size=1, max_size=8, unique=True))
@settings(max_examples=60, deadline=None)
def test_interpolation_agrees_with_an_independent_library(ids: list[int]) -> None:
    expected = [other_frost._derive_interpolating_value_var(ids, own) for own in ids]
    assert list(lagrange_coefficients(tuple(ids))) == expected


@given(
    st.lists(st.integers(min_value=0, max_value=bip32.HARDENED - 1), max_size=3),
    st.just(b"") | st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
)
@settings(max_examples=40, deadline=None)
def test_children_and_taproot_outputs_can_be_signed_for(path: list[int], root: bytes, message: bytes) -> None:
    group = group_of(2, 3)
    key, code = group.threshold_pubkey, fixed_bytes("chain code")
    tweaks = []
    for index in path:
        child = bip32.child(key, code, index)
        tweaks.append(Tweak(child.tweak, False))
        key, code = child.public_key, child.chain_code
    tweaks.append(Tweak(bip340.tagged_hash("TapTweak", key[1:], root), True))
    output_key = coincurve.PublicKeyXOnly(key[1:])
    output_key.tweak_add(tweaks[-1].value)
    signature = group.sign((0, 2), message, tweaks, message)
    assert bip340.verify(output_key.format(), message, signature)


@given(
    st.integers(min_value=0, max_value=2),
    st.integers(min_value=0, max_value=31),
    st.integers(min_value=1, max_value=255),
    st.binary(max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_one_flipped_byte_in_a_share_is_blamed_on_its_sender(
    culprit: int, position: int, flip: int, message: bytes
) -> None:
    group = group_of(3, 5)
    ids = (4, 1, 2)
    nonces = group.nonces(ids, message, position, flip)
    session = Session.from_public_nonces([public for _, public in nonces], group.context(ids), (), message)
    psigs = [
        frost.sign(nonce, group.share(holder), holder, session) for holder, (nonce, _) in zip(ids, nonces, strict=True)
    ]
    damaged = bytearray(psigs[culprit])
    damaged[position] ^= flip
    psigs[culprit] = bytes(damaged)
    with pytest.raises(InvalidContribution) as blamed:
        frost.aggregate(psigs, session)
    assert (blamed.value.signer_index, blamed.value.contrib) == (culprit, "psig")


@given(st.integers(min_value=0, max_value=65), st.integers(min_value=1, max_value=255))
@settings(max_examples=60, deadline=None)
def test_one_flipped_byte_in_a_public_nonce_spoils_the_session_and_is_found(position: int, flip: int) -> None:
    group = group_of(2, 3)
    nonces = group.nonces((0, 1), position, flip)
    damaged = bytearray(nonces[1][1])
    damaged[position] ^= flip
    publics = [nonces[0][1], bytes(damaged)]
    with pytest.raises(InvalidContribution) as refused:
        frost.sign(
            nonces[1][0],
            group.share(1),
            1,
            Session.from_public_nonces(publics, group.context((0, 1)), (), b"message"),
        )
    # Malformed: the list's position is named. Well-formed: only the signer itself can see that it is not its own.
    assert refused.value.signer_index in (None, 1)
    assert refused.value.contrib == "pubnonce"


@given(st.binary(max_size=80), st.binary(max_size=80))
@settings(max_examples=100, deadline=None)
def test_sessions_over_other_messages_have_other_binding_factors(first: bytes, second: bytes) -> None:
    group = group_of(2, 3)
    publics = [public for _, public in group.nonces((0, 1))]
    sessions = [
        Session.from_public_nonces(publics, group.context((0, 1)), (), message).values() for message in (first, second)
    ]
    assert (sessions[0].binding == sessions[1].binding) == (first == second)


@given(st.binary(max_size=70))
@settings(max_examples=100, deadline=None)
def test_arbitrary_bytes_are_never_taken_for_a_signature(data: bytes) -> None:
    key = group_of(2, 3).threshold_pubkey[1:]
    assert not bip340.verify(key, b"message", data)
    assert not bip340.verify_with_prefix(key, b"message", data, "prefix")
    assert not bip340.verify(data, b"message", bytes(64))
