"""The published BIP-445 vectors: nonce generation and aggregation, signing, verification, tweaks, aggregation.

Deterministic signing is not built: a signer that restarts would have to be trusted never to repeat a message with other
co-signers' nonces, and nothing here needs it. Its file is kept unread, and a test says that nothing offers it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from crypto_vector_files import load, pick, unhex
from strongroom.crypto import bip340, frost
from strongroom.crypto.errors import InvalidContribution, InvalidInput
from strongroom.crypto.frost import SecretNonce, Session, SignersContext, Tweak
from strongroom.crypto.secret import SecretScalar

FOLDER = "bip445-frost-signing"
SIGN_VERIFY = load(FOLDER, "sign_verify_vectors.json")["test_groups"]
TWEAK = load(FOLDER, "tweak_vectors.json")["test_groups"]
SIG_AGG = load(FOLDER, "sig_agg_vectors.json")["test_groups"]
NONCE_GEN = load(FOLDER, "nonce_gen_vectors.json")
NONCE_AGG = load(FOLDER, "nonce_agg_vectors.json")

# What the messages of the specification's reference map to here; each fragment tells its cause from all others.
CAUSES = {
    "The signer's id must be present in the participant identifier list.": "is not among the signers",
    "The participant identifier list contains duplicate elements.": "repeat",
    "The signer's pubshare must be included in the list of pubshares.": "the secret share is not that of signer",
    "Invalid pubshare at index 0.": "the public share at position 0 is not a point",
    "Invalid pubshare at index 1.": "the public share at position 1 is not a point",
    "The participant identifier at index 0 is out of range.": "the signer identifier at position 0 is out of range",
    "The provided key material is incorrect.": "do not belong to the threshold public key",
    "first secnonce value is out of range.": "was used before",
    "second secnonce value is out of range.": "at least 1 and below the group order",
    "The number of signers must be between t and n.": "the number of signers must be between",
    "The signer's secret share value is out of range.": "at least 1 and below the group order",
    "The tweak value is out of range.": "not below the group order",
    "The result of tweaking cannot be infinity.": "infinity",
    "The tweaks and is_xonly arrays must have the same length.": "zip",
    "The tweak must be a 32-byte array.": "a tweak must be 32 bytes",
    "The psigs and ids arrays must have the same length.": "partial signatures for",
}


def cases(groups: list[dict[str, Any]], kind: str) -> list[Any]:
    return [
        pytest.param(group, case, id=f"{group['tg_id']}-{case['tc_id']}") for group in groups for case in group[kind]
    ]


def tweaks_of(group: dict[str, Any], case: dict[str, Any]) -> tuple[Tweak, ...]:
    values = pick(group["tweaks"], case["tweak_indices"])
    return tuple(Tweak(value, is_xonly) for value, is_xonly in zip(values, case["is_xonly"], strict=True))


def context_of(group: dict[str, Any], case: dict[str, Any]) -> SignersContext:
    pubshares = pick(group["pubshares"], case["pubshare_indices"])
    return SignersContext(group["n"], group["t"], tuple(case["ids"]), pubshares, bytes.fromhex(group["thresh_pk"]))


def session_of(group: dict[str, Any], case: dict[str, Any], tweaks: tuple[Tweak, ...] = ()) -> Session:
    return Session(bytes.fromhex(case["aggnonce"]), context_of(group, case), tweaks, bytes.fromhex(case["msg"]))


def full_session_of(group: dict[str, Any], case: dict[str, Any], tweaks: tuple[Tweak, ...] = ()) -> Session:
    nonces = pick(group["pubnonces"], case["pubnonce_indices"])
    return Session.from_public_nonces(nonces, context_of(group, case), tweaks, bytes.fromhex(case["msg"]))


def run_sign(group: dict[str, Any], case: dict[str, Any], session: Session) -> bytes:
    nonce = SecretNonce.from_bytes(bytes.fromhex(group["secnonces"][case["secnonce_index"]]))
    share = SecretScalar.from_bytes(bytes.fromhex(group["secshares"][case["secshare_index"]]))
    return frost.sign(nonce, share, case["my_id"], session)


def expect(error: dict[str, Any], call: Callable[[], object]) -> None:
    """The call fails with the error that the vector names: its class, and its fields or its cause."""
    if error["type"] == "InvalidContributionError":
        with pytest.raises(InvalidContribution) as blamed:
            call()
        assert blamed.value.signer_index == error["signer_index"]
        assert blamed.value.contrib == error["contrib"]
        return
    assert error["type"] == "ValueError"
    cause = CAUSES[error["message"]]
    with pytest.raises(ValueError, match=cause) as refused:
        call()
    assert cause == "zip" or isinstance(refused.value, InvalidInput)


def test_every_published_case_is_present() -> None:
    def count(groups: list[dict[str, Any]], kind: str) -> int:
        return sum(len(group[kind]) for group in groups)

    assert len(NONCE_GEN["valid_tests"]) == 5
    assert (len(NONCE_AGG["valid_tests"]), len(NONCE_AGG["error_tests"])) == (2, 3)
    assert count(SIGN_VERIFY, "valid_tests") == 25
    assert count(SIGN_VERIFY, "sign_error_tests") == 48
    assert count(SIGN_VERIFY, "verify_fail_tests") == 12
    assert count(SIGN_VERIFY, "verify_error_tests") == 8
    assert (count(TWEAK, "valid_tests"), count(TWEAK, "error_tests")) == (28, 16)
    assert (count(SIG_AGG, "valid_tests"), count(SIG_AGG, "error_tests")) == (14, 8)


@pytest.mark.parametrize("case", NONCE_GEN["valid_tests"], ids=lambda case: str(case["tc_id"]))
def test_nonce_generation_matches(case: dict[str, Any]) -> None:
    share = None if case["secshare"] is None else SecretScalar.from_bytes(bytes.fromhex(case["secshare"]))
    secret, public = frost.nonce_gen(
        bytes.fromhex(case["rand_"]),
        secshare=share,
        pubshare=unhex(case["pubshare"]),
        thresh_pk_xonly=unhex(case["thresh_pk"]),
        message=unhex(case["msg"]),
        extra=unhex(case["extra_in"]),
    )
    first, second = secret.take()
    assert (first.expose() + second.expose()).hex().upper() == case["expected"][0]
    assert public.hex().upper() == case["expected"][1]


@pytest.mark.parametrize("case", NONCE_AGG["valid_tests"], ids=lambda case: str(case["tc_id"]))
def test_nonce_aggregation_matches(case: dict[str, Any]) -> None:
    aggregate = frost.nonce_agg(pick(NONCE_AGG["pubnonces"], case["pubnonce_indices"]))
    assert aggregate.hex().upper() == case["expected"]


@pytest.mark.parametrize("case", NONCE_AGG["error_tests"], ids=lambda case: str(case["tc_id"]))
def test_nonce_aggregation_blames(case: dict[str, Any]) -> None:
    expect(case["error"], lambda: frost.nonce_agg(pick(NONCE_AGG["pubnonces"], case["pubnonce_indices"])))


@pytest.mark.parametrize(("group", "case"), cases(SIGN_VERIFY, "valid_tests"))
def test_signing_matches_and_verifies(group: dict[str, Any], case: dict[str, Any]) -> None:
    from_list = full_session_of(group, case)
    from_aggregate = session_of(group, case)
    assert from_list.aggnonce == from_aggregate.aggnonce
    assert run_sign(group, case, from_aggregate).hex().upper() == case["expected"]
    assert run_sign(group, case, from_list).hex().upper() == case["expected"]
    assert frost.partial_sig_verify(bytes.fromhex(case["expected"]), case["ids"].index(case["my_id"]), from_list)


@pytest.mark.parametrize(("group", "case"), cases(SIGN_VERIFY, "sign_error_tests"))
def test_signing_refuses(group: dict[str, Any], case: dict[str, Any]) -> None:
    expect(case["error"], lambda: run_sign(group, case, session_of(group, case)))


@pytest.mark.parametrize(("group", "case"), cases(SIGN_VERIFY, "verify_fail_tests"))
def test_verification_says_no(group: dict[str, Any], case: dict[str, Any]) -> None:
    psig = bytes.fromhex(case["psig"])
    assert frost.partial_sig_verify(psig, case["signer_index"], full_session_of(group, case)) is False


@pytest.mark.parametrize(("group", "case"), cases(SIGN_VERIFY, "verify_error_tests"))
def test_verification_refuses(group: dict[str, Any], case: dict[str, Any]) -> None:
    psig = bytes.fromhex(case["psig"])
    expect(
        case["error"],
        lambda: frost.partial_sig_verify(psig, case["signer_index"], full_session_of(group, case)),
    )


@pytest.mark.parametrize(("group", "case"), cases(TWEAK, "valid_tests"))
def test_signing_under_tweaks_matches(group: dict[str, Any], case: dict[str, Any]) -> None:
    session = full_session_of(group, case, tweaks_of(group, case))
    assert session.aggnonce.hex().upper() == case["aggnonce"]
    psig = run_sign(group, case, session)
    assert psig.hex().upper() == case["expected"]
    assert frost.partial_sig_verify(psig, case["ids"].index(case["my_id"]), session)


@pytest.mark.parametrize(("group", "case"), cases(TWEAK, "error_tests"))
def test_signing_under_tweaks_refuses(group: dict[str, Any], case: dict[str, Any]) -> None:
    expect(case["error"], lambda: run_sign(group, case, session_of(group, case, tweaks_of(group, case))))


@pytest.mark.parametrize(("group", "case"), cases(SIG_AGG, "valid_tests"))
def test_aggregation_matches(group: dict[str, Any], case: dict[str, Any]) -> None:
    session = session_of(group, case, tweaks_of(group, case))
    signature = frost.partial_sig_agg([bytes.fromhex(psig) for psig in case["psigs"]], session)
    assert signature.hex().upper() == case["expected"]
    assert bip340.verify(session.values().key.point.xonly(), session.message, signature)


@pytest.mark.parametrize(("group", "case"), cases(SIG_AGG, "error_tests"))
def test_aggregation_refuses(group: dict[str, Any], case: dict[str, Any]) -> None:
    psigs = [bytes.fromhex(psig) for psig in case["psigs"]]
    expect(case["error"], lambda: frost.partial_sig_agg(psigs, session_of(group, case, tweaks_of(group, case))))


def test_deterministic_signing_is_not_offered() -> None:
    assert not [name for name in frost.__all__ if "determin" in name.lower()]
