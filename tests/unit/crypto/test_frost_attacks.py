"""Attacks on BIP-445 signing, by name, and the checks that stop them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from frost_groups import fixed_bytes, group_of
from strongroom.crypto import bip340, frost
from strongroom.crypto.curve import ORDER, Point
from strongroom.crypto.errors import (
    InvalidContribution,
    InvalidInput,
    InvalidSignature,
    NonceAlreadyUsed,
    SelfCheckFailed,
)
from strongroom.crypto.frost import SecretNonce, Session, SignersContext, Tweak
from strongroom.crypto.secret import SecretScalar

MESSAGE = b"pay 1 coin to Alice"
GROUP = group_of(2, 3)


def open_session(
    ids: tuple[int, ...] = (0, 1), message: bytes = MESSAGE, tweaks: tuple[Tweak, ...] = (), label: object = 0
) -> tuple[Session, list[SecretNonce]]:
    nonces = GROUP.nonces(ids, label)
    session = Session.from_public_nonces([public for _, public in nonces], GROUP.context(ids), tweaks, message)
    return session, [secret for secret, _ in nonces]


@pytest.mark.attack(
    line="coordinator",
    title="one nonce, two messages",
    origin="nonce reuse (sBTC, sig-net): two messages under one nonce give the share",
)
def test_nonce_reuse_two_messages_under_one_nonce_are_refused() -> None:
    session, (nonce, _) = open_session()
    frost.sign(nonce, GROUP.share(0), 0, session)
    assert nonce.used
    other = Session(session.aggnonce, session.signers, (), b"pay 1000 coins to Mallory")
    with pytest.raises(NonceAlreadyUsed):
        frost.sign(nonce, GROUP.share(0), 0, other)
    with pytest.raises(NonceAlreadyUsed):
        frost.sign(nonce, GROUP.share(0), 0, session)


def test_nonce_reuse_would_reveal_the_share() -> None:
    """Why the check above matters: two signatures under one nonce and two messages are two equations in one share."""
    bare = group_of(1, 1)
    raw = b"".join(scalar.expose() for scalar in bare.nonces((0,))[0][0].take())
    sessions = [
        Session.from_public_nonces([SecretNonce.from_bytes(raw).public], bare.context((0,)), (), message)
        for message in (b"a", b"b", b"c")
    ]
    equations = []
    for session in sessions:
        psig = frost.sign(SecretNonce.from_bytes(raw), bare.share(0), 0, session)
        values = session.values()
        sign_of_nonce = ORDER - 1 if values.nonce_is_odd else 1
        sign_of_key = 1 if values.key.point.has_even_y else ORDER - 1
        equations.append(
            (
                sign_of_nonce,
                sign_of_nonce * values.binding % ORDER,
                values.challenge * sign_of_key * values.key.gacc % ORDER,
                int.from_bytes(psig, "big"),
            )
        )
    share = solve_for_last(equations)
    assert Point.generator_times(share).serialise() == bare.outputs[0].pubshares[0]


def solve_for_last(rows: list[tuple[int, int, int, int]]) -> int:
    """The third unknown of three linear equations modulo the group order, by Cramer's rule."""

    def determinant(columns: tuple[int, int, int]) -> int:
        (a, b, c), (d, e, f), (g, h, i) = [tuple(row[column] for column in columns) for row in rows]
        return (a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)) % ORDER

    return determinant((0, 1, 3)) * pow(determinant((0, 1, 2)), -1, ORDER) % ORDER


def test_nonce_reuse_two_threads_cannot_both_take_one_nonce() -> None:
    def attempt(nonce: SecretNonce, start: threading.Barrier) -> bool:
        start.wait(timeout=10)
        try:
            nonce.take()
        except NonceAlreadyUsed:
            return False
        return True

    with ThreadPoolExecutor(max_workers=4) as pool:
        for label in range(50):
            _, (nonce, _) = open_session(label=label)
            start = threading.Barrier(4)
            assert sum(pool.map(attempt, [nonce] * 4, [start] * 4)) == 1


def test_a_nonce_is_gone_even_when_the_session_is_refused() -> None:
    session, (nonce, _) = open_session()
    with pytest.raises(InvalidInput, match="not among the signers"):
        frost.sign(nonce, GROUP.share(2), 2, session)
    with pytest.raises(NonceAlreadyUsed):
        frost.sign(nonce, GROUP.share(0), 0, session)


def test_an_all_zero_nonce_is_refused() -> None:
    with pytest.raises(NonceAlreadyUsed):
        SecretNonce.from_bytes(bytes(64))


@pytest.mark.parametrize("random32", [bytes(32), bytes(31), b""])
def test_a_broken_random_source_is_refused(random32: bytes) -> None:
    with pytest.raises(InvalidInput, match="randomness"):
        frost.nonce_gen(random32)


@pytest.mark.attack(
    line="coordinator",
    title="parallel sessions (Wagner, ROS): binding",
    origin="Drijvers and others 2018, ROS 2020: parallel sessions without binding forge signatures",
)
def test_wagner_ros_every_parallel_session_has_its_own_binding_factor() -> None:
    """The attack adds up partial signatures of hundreds of open sessions; it needs nonces that are not bound."""
    nonces = GROUP.nonces((0, 1))
    publics = [public for _, public in nonces]
    bindings = {
        Session.from_public_nonces(publics, GROUP.context((0, 1)), (), index.to_bytes(4, "big")).values().binding
        for index in range(300)
    }
    assert len(bindings) == 300


def test_wagner_ros_binding_covers_nonces_signers_key_and_message() -> None:
    session, _ = open_session()
    variants = [
        session,
        open_session(label=1)[0],
        open_session(message=b"pay 1 coin to Bob")[0],
        open_session(tweaks=(Tweak(fixed_bytes("tweak"), False),))[0],
        open_session(tweaks=(Tweak(fixed_bytes("other tweak"), True),))[0],
        # The same sum of nonces under another signer set: only the hashed identifiers tell these two apart.
        Session(session.aggnonce, GROUP.context((0, 2)), (), MESSAGE),
        Session(session.aggnonce, GROUP.context((0, 1, 2)), (), MESSAGE),
    ]
    assert len({variant.values().binding for variant in variants}) == len(variants)
    assert len({variant.values().nonce_point for variant in variants}) == len(variants)


@pytest.mark.attack(
    line="coordinator",
    title="signer set chosen after the nonces",
    origin="Drijvers and others 2018, ROS 2020: parallel sessions without binding forge signatures",
)
def test_signer_set_substitution_a_share_does_not_carry_over() -> None:
    session, (nonce, _) = open_session()
    psig = frost.sign(nonce, GROUP.share(0), 0, session)
    assert frost.partial_sig_verify(psig, 0, session)
    publics = [public for _, public in GROUP.nonces((0, 1), 0)]
    for context in (GROUP.context((0, 2)), GROUP.context((2, 0))):
        other = Session.from_public_nonces(publics, context, (), MESSAGE)
        assert not frost.partial_sig_verify(psig, 0, other)


def test_commitment_substitution_is_seen_by_the_signer_and_blames_the_coordinator() -> None:
    nonces = GROUP.nonces((0, 1))
    replaced = [GROUP.nonces((0,), "other")[0][1], nonces[1][1]]
    session = Session.from_public_nonces(replaced, GROUP.context((0, 1)), (), MESSAGE)
    with pytest.raises(InvalidContribution) as blamed:
        frost.sign(nonces[0][0], GROUP.share(0), 0, session)
    assert (blamed.value.signer_index, blamed.value.contrib) == (None, "pubnonce")


@pytest.mark.parametrize("culprit", [0, 1])
def test_a_wrong_share_is_blamed_on_its_sender(culprit: int) -> None:
    session, nonces = open_session()
    psigs = [frost.sign(nonce, GROUP.share(holder), holder, session) for holder, nonce in enumerate(nonces)]
    psigs[culprit] = psigs[culprit][:-1] + bytes((psigs[culprit][-1] ^ 1,))
    with pytest.raises(InvalidContribution) as blamed:
        frost.aggregate(psigs, session)
    assert (blamed.value.signer_index, blamed.value.contrib) == (culprit, "psig")


def test_shares_that_lie_in_opposite_directions_still_make_a_signature() -> None:
    """Blame needs a broken result: errors that cancel out harm nobody, and the result is an honest signature."""
    session, nonces = open_session()
    psigs = [frost.sign(nonce, GROUP.share(holder), holder, session) for holder, nonce in enumerate(nonces)]
    shifted = [
        ((int.from_bytes(psig, "big") + delta) % ORDER).to_bytes(32, "big")
        for psig, delta in zip(psigs, (1, -1), strict=True)
    ]
    assert frost.aggregate(shifted, session) == frost.aggregate(psigs, session)
    assert not frost.partial_sig_verify(shifted[0], 0, session)


@pytest.mark.parametrize("ids", [(-1, 0), (0, 3), (0, 2**32), (0, ORDER), (1, ORDER + 1)])
def test_index_tricks_identifiers_out_of_range_are_refused(ids: tuple[int, int]) -> None:
    pubshares = GROUP.context((0, 1)).pubshares
    context = SignersContext(3, 2, ids, pubshares, GROUP.threshold_pubkey)
    with pytest.raises(InvalidInput, match="out of range"):
        context.validated()


@pytest.mark.attack(
    line="coordinator",
    title="identifiers 0, out of range, twice",
    origin="mpcsec: identifiers 0 or twice leak the secret",
)
def test_index_tricks_duplicates_are_refused() -> None:
    context = SignersContext(3, 2, (1, 1), GROUP.context((1, 1)).pubshares, GROUP.threshold_pubkey)
    with pytest.raises(InvalidInput, match="repeat"):
        context.validated()


def test_index_tricks_a_signer_cannot_take_anothers_place() -> None:
    session, (nonce, _) = open_session()
    with pytest.raises(InvalidInput, match="not that of signer 0"):
        frost.sign(nonce, GROUP.share(1), 0, session)


def test_mixed_epochs_public_shares_of_another_key_are_refused() -> None:
    other = group_of(2, 4)
    mixed = (GROUP.outputs[0].pubshares[0], other.outputs[0].pubshares[1])
    with pytest.raises(InvalidInput, match="do not belong"):
        SignersContext(3, 2, (0, 1), mixed, GROUP.threshold_pubkey).validated()


def test_fewer_signers_than_the_threshold_are_refused() -> None:
    with pytest.raises(InvalidInput, match="between 2 and 3"):
        GROUP.context((0,)).validated()
    with pytest.raises(InvalidInput, match="public shares for"):
        SignersContext(3, 2, (0, 1), GROUP.context((0,)).pubshares, GROUP.threshold_pubkey).validated()
    with pytest.raises(InvalidInput, match="threshold must be between"):
        SignersContext(3, 4, (0, 1), GROUP.context((0, 1)).pubshares, GROUP.threshold_pubkey).validated()


def test_nonces_that_cancel_out_are_blamed_by_partial_verification() -> None:
    """The last signer can make the sum of nonces vanish; the session goes on so that it can be found out."""
    nonces = GROUP.nonces((0, 1))
    first = nonces[0][1]
    negated = (-Point.parse(first[:33])).serialise() + (-Point.parse(first[33:])).serialise()
    session = Session.from_public_nonces([first, negated], GROUP.context((0, 1)), (), MESSAGE)
    assert session.aggnonce == bytes(66)
    psig = frost.sign(nonces[0][0], GROUP.share(0), 0, session)
    assert frost.partial_sig_verify(psig, 0, session)
    forged = frost.sign(nonces[1][0], GROUP.share(1), 1, Session(bytes(66), session.signers, (), MESSAGE))
    assert not frost.partial_sig_verify(forged, 1, session)
    with pytest.raises(InvalidContribution) as blamed:
        frost.aggregate([psig, forged], session)
    assert blamed.value.signer_index == 1


def test_a_fault_in_memory_releases_nothing() -> None:
    session, (nonce, _) = open_session()
    damaged = GROUP.share(0).clone()
    damaged.public()
    damaged.pointer[31] ^= 1
    with pytest.raises(SelfCheckFailed):
        frost.sign(nonce, damaged, 0, session)
    with pytest.raises(SelfCheckFailed):
        bip340.sign(damaged, MESSAGE, bytes(32))
    with pytest.raises(SelfCheckFailed):
        bip340.sign_with_prefix(damaged, MESSAGE, bytes(32), "prefix")


def test_partial_verification_needs_the_full_list_of_nonces() -> None:
    session, (nonce, _) = open_session()
    psig = frost.sign(nonce, GROUP.share(0), 0, session)
    with pytest.raises(InvalidInput, match="only the aggregate"):
        frost.partial_sig_verify(psig, 0, Session(session.aggnonce, session.signers, (), MESSAGE))
    for index in (-1, 2):
        with pytest.raises(InvalidInput, match="no signer at position"):
            frost.partial_sig_verify(psig, index, session)


@pytest.mark.parametrize("psig", [b"", bytes(31), bytes(33), ORDER.to_bytes(32, "big"), b"\xff" * 32])
def test_malformed_partial_signatures_are_refused_and_blamed(psig: bytes) -> None:
    session, (_, nonce) = open_session()
    good = frost.sign(nonce, GROUP.share(1), 1, session)
    assert not frost.partial_sig_verify(psig, 0, session)
    with pytest.raises(InvalidContribution) as blamed:
        frost.aggregate([psig, good], session)
    assert blamed.value.signer_index == 0


def test_a_zero_partial_signature_is_well_formed_and_wrong() -> None:
    session, _ = open_session()
    assert not frost.partial_sig_verify(bytes(32), 0, session)


@pytest.mark.parametrize("data", [b"", bytes(65), bytes(67), bytes(66)])
def test_malformed_public_nonces_are_blamed_by_position(data: bytes) -> None:
    publics = [public for _, public in GROUP.nonces((0, 1))]
    with pytest.raises(InvalidContribution) as blamed:
        Session.from_public_nonces([publics[0], data], GROUP.context((0, 1)), (), MESSAGE)
    assert (blamed.value.signer_index, blamed.value.contrib) == (1, "pubnonce")


def test_lists_of_other_lengths_are_refused() -> None:
    publics = [public for _, public in GROUP.nonces((0, 1))]
    with pytest.raises(InvalidInput, match="public nonces for"):
        Session.from_public_nonces(publics[:1], GROUP.context((0, 1)), (), MESSAGE)
    with pytest.raises(InvalidInput, match="no public nonce"):
        frost.nonce_agg([])
    with pytest.raises(InvalidContribution) as blamed:
        Session(bytes(65), GROUP.context((0, 1)), (), MESSAGE).values()
    assert blamed.value.signer_index is None


@pytest.mark.parametrize(
    ("field", "value"), [("pubshare", bytes(32)), ("thresh_pk_xonly", bytes(33)), ("thresh_pk_xonly", b"")]
)
def test_nonce_inputs_of_other_lengths_are_refused(field: str, value: bytes) -> None:
    arguments = {field: value}
    with pytest.raises(InvalidInput, match=f"not {len(value)}"):
        frost.nonce_gen(fixed_bytes("random"), **arguments)  # type: ignore[arg-type]


def test_every_nonce_input_changes_the_nonce() -> None:
    share = GROUP.share(0)
    base: dict[str, object] = dict.fromkeys(("secshare", "pubshare", "thresh_pk_xonly", "message", "extra"))
    variants: list[dict[str, object]] = [
        base,
        base | {"secshare": share},
        base | {"secshare": GROUP.share(1)},
        base | {"pubshare": share.public()},
        base | {"thresh_pk_xonly": share.public()[1:]},
        base | {"message": b""},
        base | {"message": b"m"},
        base | {"extra": b"m"},
    ]
    publics = {frost.nonce_gen(fixed_bytes("random"), **variant)[1] for variant in variants}  # type: ignore[arg-type]
    assert len(publics) == len(variants)


def test_signer_and_aggregator_see_the_same_share_under_a_clone() -> None:
    clone = GROUP.share(0).clone()
    assert clone == GROUP.share(0)
    assert clone != GROUP.share(1)
    assert isinstance(clone, SecretScalar)


def test_an_unused_nonce_can_be_destroyed() -> None:
    session, (nonce, _) = open_session()
    nonce.wipe()
    nonce.wipe()
    assert nonce.used
    with pytest.raises(NonceAlreadyUsed):
        frost.sign(nonce, GROUP.share(0), 0, session)


def test_a_nonce_of_another_length_is_refused() -> None:
    with pytest.raises(InvalidInput, match="64 bytes, not 63"):
        SecretNonce.from_bytes(bytes(63))


def test_an_aggregate_that_fails_though_all_shares_hold_is_never_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """No input can bring this about; a verifier that errs stands in for the defect."""
    session, nonces = open_session()
    psigs = [frost.sign(nonce, GROUP.share(holder), holder, session) for holder, nonce in enumerate(nonces)]
    monkeypatch.setattr(bip340, "verify", lambda *_: False)
    with pytest.raises(InvalidSignature):
        frost.aggregate(psigs, session)


def test_malleability_a_share_has_one_encoding() -> None:
    """A share plus the group order satisfies the same equation; here an equation is made that a tiny share solves."""
    nonces = [Point.generator_times(3).serialise() + Point.generator_times(2).serialise()] * 2
    session = Session.from_public_nonces(nonces, GROUP.context((0, 1)), (), MESSAGE)
    object.__setattr__(session, "_values", session.values()._replace(binding=1, challenge=0, nonce_is_odd=False))
    assert frost.partial_sig_verify((5).to_bytes(32, "big"), 0, session)
    assert not frost.partial_sig_verify((5 + ORDER).to_bytes(32, "big"), 0, session)
