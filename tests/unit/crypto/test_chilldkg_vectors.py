"""The published ChillDKG vectors, all files, valid and error cases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from crypto_vector_files import load
from strongroom.crypto import chilldkg, chilldkg_errors
from strongroom.crypto.chilldkg import DKGOutput, SessionParams
from strongroom.crypto.chilldkg_errors import UnknownFaultyParticipantOrCoordinatorError
from strongroom.crypto.errors import InvalidInput

NAMES = (
    "hostpubkey_gen",
    "params_hash",
    "participant_step1",
    "participant_step2",
    "participant_finalize",
    "participant_investigate",
    "coordinator_step1",
    "coordinator_finalize",
    "coordinator_investigate",
    "recover",
)
FILES = {name: load("chilldkg", f"{name}_vectors.json") for name in NAMES}
STATED_TOTALS = {
    "hostpubkey_gen": 4,
    "params_hash": 6,
    "participant_step1": 52,
    "participant_step2": 74,
    "participant_finalize": 16,
    "participant_investigate": 16,
    "coordinator_step1": 44,
    "coordinator_finalize": 20,
    "coordinator_investigate": 4,
    "recover": 13,
}
# The investigations' messages tell which check has to fire; elsewhere the class and the participant do.
INVESTIGATION_CAUSES = {
    "Participant sent invalid partial secshare": "its share does not match its commitments",
    "Sum of encrypted partial secshares not equal to encrypted secshare": "encrypted shares do not add up",
    "Sum of partial encrypted secshares not equal to encrypted secshare": "encrypted shares do not add up",
    "Coordinator fiddled with the share from me to myself": "the share from this participant to itself",
    "Sum of partial pubshares not equal to pubshare": "public shares do not add up",
}


def groups(name: str) -> list[dict[str, Any]]:
    content = FILES[name]
    return list(content.get("testGroups", [content]))


def cases(name: str, kind: str) -> list[Any]:
    return [
        pytest.param(group, case, id=f"{name}-{case['tcId']}") for group in groups(name) for case in group.get(kind, [])
    ]


def params_of(source: dict[str, Any]) -> SessionParams:
    given = source["params"]
    return SessionParams(tuple(bytes.fromhex(key) for key in given["hostpubkeys"]), given["t"])


def expect(expected: dict[str, Any], call: Callable[[], object]) -> Exception:
    """The call fails with the class and the participants that the vector names."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the class is compared below, exactly
        call()
    error = caught.value
    if expected["type"] == "ValueError":
        # A generic ValueError of the specification: a local error that blames nobody.
        assert isinstance(error, InvalidInput)
        assert not isinstance(error, chilldkg_errors.SessionParamsError)
    else:
        assert type(error) is getattr(chilldkg_errors, expected["type"])
    for field, attribute in (
        ("participantId", "participant"),
        ("participantId1", "participant1"),
        ("participantId2", "participant2"),
    ):
        assert getattr(error, attribute, None) == expected.get(field)
    return error


def step1(group: dict[str, Any]) -> chilldkg.ParticipantState1:
    seckey = chilldkg.hostseckey_from_bytes(bytes.fromhex(group["hostseckey"]))
    state, pmsg1 = chilldkg.participant_step1(seckey, params_of(group), bytes.fromhex(group["random"]))
    assert pmsg1.hex().upper() == group["pmsg1"]
    return state


def step2(group: dict[str, Any], cmsg1: str, case: dict[str, Any]) -> tuple[chilldkg.ParticipantState2, bytes]:
    seckey = chilldkg.hostseckey_from_bytes(bytes.fromhex(case.get("hostseckey", group["hostseckey"])))
    aux = bytes.fromhex(case.get("auxRand", group["auxRand"]))
    return chilldkg.participant_step2(seckey, step1(group), bytes.fromhex(cmsg1), aux)


def check_output(output: DKGOutput, expected: dict[str, Any]) -> None:
    share = None if output.secshare is None else output.secshare.expose().hex().upper()
    assert share == expected["secshare"]
    assert output.threshold_pubkey.hex().upper() == expected["threshPk"]
    assert [pubshare.hex().upper() for pubshare in output.pubshares] == expected["pubshares"]


@pytest.mark.parametrize("name", NAMES)
def test_every_published_case_is_present(name: str) -> None:
    found = sum(len(group.get(kind, [])) for group in groups(name) for kind in ("validTestCases", "errorTestCases"))
    assert FILES[name]["totalTests"] == STATED_TOTALS[name] == found


@pytest.mark.parametrize(("group", "case"), cases("hostpubkey_gen", "validTestCases"))
def test_host_public_key_matches(group: dict[str, Any], case: dict[str, Any]) -> None:
    seckey = chilldkg.hostseckey_from_bytes(bytes.fromhex(case["hostseckey"]))
    assert chilldkg.hostpubkey_gen(seckey).hex().upper() == case["expectedHostpubkey"]


@pytest.mark.parametrize(("group", "case"), cases("hostpubkey_gen", "errorTestCases"))
def test_host_secret_key_is_refused(group: dict[str, Any], case: dict[str, Any]) -> None:
    expect(case["expectedError"], lambda: chilldkg.hostseckey_from_bytes(bytes.fromhex(case["hostseckey"])))


@pytest.mark.parametrize(("group", "case"), cases("params_hash", "validTestCases"))
def test_params_hash_matches(group: dict[str, Any], case: dict[str, Any]) -> None:
    assert chilldkg.params_hash(params_of(case)).hex().upper() == case["expectedParamsHash"]


@pytest.mark.parametrize(("group", "case"), cases("params_hash", "errorTestCases"))
def test_params_are_refused(group: dict[str, Any], case: dict[str, Any]) -> None:
    expect(case["expectedError"], lambda: chilldkg.params_hash(params_of(case)))


@pytest.mark.parametrize(("group", "case"), cases("participant_step1", "validTestCases"))
def test_participant_step1_matches(group: dict[str, Any], case: dict[str, Any]) -> None:
    seckey = chilldkg.hostseckey_from_bytes(bytes.fromhex(case["hostseckey"]))
    _, pmsg1 = chilldkg.participant_step1(seckey, params_of(case), bytes.fromhex(case["random"]))
    assert pmsg1.hex().upper() == case["expectedPmsg1"]


@pytest.mark.parametrize(("group", "case"), cases("participant_step1", "errorTestCases"))
def test_participant_step1_refuses(group: dict[str, Any], case: dict[str, Any]) -> None:
    def call() -> object:
        seckey = chilldkg.hostseckey_from_bytes(bytes.fromhex(case["hostseckey"]))
        return chilldkg.participant_step1(seckey, params_of(case), bytes.fromhex(case["random"]))

    expect(case["expectedError"], call)


@pytest.mark.parametrize(("group", "case"), cases("participant_step2", "validTestCases"))
def test_participant_step2_matches(group: dict[str, Any], case: dict[str, Any]) -> None:
    _, pmsg2 = step2(group, case["cmsg1"], case)
    assert pmsg2.hex().upper() == case["expectedPmsg2"]


@pytest.mark.parametrize(("group", "case"), cases("participant_step2", "errorTestCases"))
def test_participant_step2_refuses(group: dict[str, Any], case: dict[str, Any]) -> None:
    expect(case["expectedError"], lambda: step2(group, case["cmsg1"], case))


@pytest.mark.parametrize(("group", "case"), cases("participant_finalize", "validTestCases"))
def test_participant_finalize_matches(group: dict[str, Any], case: dict[str, Any]) -> None:
    state2, pmsg2 = step2(group, group["cmsg1"], {})
    assert pmsg2.hex().upper() == group["pmsg2"]
    output, recovery_data = chilldkg.participant_finalize(state2, bytes.fromhex(case["cmsg2"]))
    check_output(output, case["expectedOutput"]["dkgOutput"])
    assert recovery_data.hex().upper() == case["expectedOutput"]["recoveryData"]


@pytest.mark.parametrize(("group", "case"), cases("participant_finalize", "errorTestCases"))
def test_participant_finalize_refuses(group: dict[str, Any], case: dict[str, Any]) -> None:
    state2, _ = step2(group, group["cmsg1"], {})
    expect(case["expectedError"], lambda: chilldkg.participant_finalize(state2, bytes.fromhex(case["cmsg2"])))


@pytest.mark.parametrize(("group", "case"), cases("participant_investigate", "errorTestCases"))
def test_participant_investigate_blames(group: dict[str, Any], case: dict[str, Any]) -> None:
    with pytest.raises(UnknownFaultyParticipantOrCoordinatorError) as unknown:
        step2(group, group["cmsg1Pool"][case["cmsg1Index"]], {})
    seckey = chilldkg.hostseckey_from_bytes(bytes.fromhex(group["hostseckey"]))
    cinv = bytes.fromhex(case["cinvMsg"])
    error = expect(case["expectedError"], lambda: chilldkg.participant_investigate(seckey, unknown.value, cinv))
    assert INVESTIGATION_CAUSES[case["expectedError"]["message"]] in str(error)


@pytest.mark.parametrize(("group", "case"), cases("coordinator_step1", "validTestCases"))
def test_coordinator_step1_matches(group: dict[str, Any], case: dict[str, Any]) -> None:
    pmsgs1 = [bytes.fromhex(group["pmsg1Pool"][index]) for index in case["pmsg1Indices"]]
    _, cmsg1 = chilldkg.coordinator_step1(pmsgs1, params_of(case))
    assert cmsg1.hex().upper() == case["expectedCmsg1"]


@pytest.mark.parametrize(("group", "case"), cases("coordinator_step1", "errorTestCases"))
def test_coordinator_step1_refuses(group: dict[str, Any], case: dict[str, Any]) -> None:
    pmsgs1 = [bytes.fromhex(group["pmsg1Pool"][index]) for index in case["pmsg1Indices"]]
    expect(case["expectedError"], lambda: chilldkg.coordinator_step1(pmsgs1, params_of(case)))


def coordinator_state(group: dict[str, Any]) -> chilldkg.CoordinatorState:
    pmsgs1 = [bytes.fromhex(message) for message in group["pmsgs1"]]
    state, cmsg1 = chilldkg.coordinator_step1(pmsgs1, params_of(group))
    assert cmsg1.hex().upper() == group["cmsg1"]
    return state


@pytest.mark.parametrize(("group", "case"), cases("coordinator_finalize", "validTestCases"))
def test_coordinator_finalize_matches(group: dict[str, Any], case: dict[str, Any]) -> None:
    pmsgs2 = [bytes.fromhex(group["pmsg2Pool"][index]) for index in case["pmsg2Indices"]]
    cmsg2, output, recovery_data = chilldkg.coordinator_finalize(coordinator_state(group), pmsgs2)
    assert cmsg2.hex().upper() == case["expectedOutput"]["cmsg2"]
    check_output(output, case["expectedOutput"]["dkgOutput"])
    assert recovery_data.hex().upper() == case["expectedOutput"]["recoveryData"]


@pytest.mark.parametrize(("group", "case"), cases("coordinator_finalize", "errorTestCases"))
def test_coordinator_finalize_refuses(group: dict[str, Any], case: dict[str, Any]) -> None:
    pmsgs2 = [bytes.fromhex(group["pmsg2Pool"][index]) for index in case["pmsg2Indices"]]
    expect(case["expectedError"], lambda: chilldkg.coordinator_finalize(coordinator_state(group), pmsgs2))


@pytest.mark.parametrize(("group", "case"), cases("coordinator_investigate", "validTestCases"))
def test_coordinator_investigate_matches(group: dict[str, Any], case: dict[str, Any]) -> None:
    pmsgs1 = [bytes.fromhex(message) for message in group["pmsgs1"]]
    messages = chilldkg.coordinator_investigate(pmsgs1, params_of(group))
    assert [message.hex().upper() for message in messages] == case["expectedCinvMsgs"]


@pytest.mark.parametrize(("group", "case"), cases("recover", "validTestCases"))
def test_recovery_matches(group: dict[str, Any], case: dict[str, Any]) -> None:
    seckey = None if case["hostseckey"] is None else chilldkg.hostseckey_from_bytes(bytes.fromhex(case["hostseckey"]))
    output, params = chilldkg.recover(seckey, bytes.fromhex(case["recoveryData"]))
    check_output(output, case["expectedOutput"]["dkgOutput"])
    assert params == params_of(case["expectedOutput"])


@pytest.mark.parametrize(("group", "case"), cases("recover", "errorTestCases"))
def test_recovery_refuses(group: dict[str, Any], case: dict[str, Any]) -> None:
    def call() -> object:
        given = case["hostseckey"]
        seckey = None if given is None else chilldkg.hostseckey_from_bytes(bytes.fromhex(given))
        return chilldkg.recover(seckey, bytes.fromhex(case["recoveryData"]))

    expect(case["expectedError"], call)
