"""Evidence on the command line: checked offline, listed, fetched, and settled by an order."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import charter_builder as builder
from docs_text import ROOT
from evidence_world import Case, flipped
from fake_treasury import Office, act, sign
from strongroom.ledger import codec
from strongroom.ledger.charter import log_id_of
from strongroom.ledger.order_messages import ReinstateSigner
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Vote
from strongroom.ledger.state import decode_order
from strongroom.model.fingerprints import Compared, spoken
from strongroom.model.ids import LogId
from strongroom.protocol.evidence import verify_evidence
from strongroom.protocol.evidence_file import read_evidence_file, write_evidence_file
from strongroom.protocol.evidence_records import evidence_hash, malformed_commitments, two_votes
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom_client.cli import main


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


def votes_of(case: Case, signer: str = "s1") -> bytes:
    pair = (case.vote(signer), case.vote(signer, root=b"x" * 32))
    return two_votes(charter=case.world.charter_bytes, signer=signer, votes=pair)


def vote_in(log_id: LogId, signer: str, root: bytes) -> SignedBody:
    said = Vote(
        log_id=log_id, term=9, size=7, root=root, state_digest=b"d" * 32, held_term=0, held_size=0, held_head=b""
    )
    return sign_body("vote", said, builder.signing_key(f"{signer} vote"))


def blame(tmp_path: Path, case: Case, data: bytes, *words: str) -> Result:
    file = tmp_path / "evidence.json"
    file.write_bytes(write_evidence_file(data))
    return CliRunner().invoke(main, ["audit", "blame", str(file), "--log-id", case.world.log_id.hex(), *words])


def test_blame_takes_the_log_id_as_it_is_read_aloud(tmp_path: Path, case: Case) -> None:
    file = tmp_path / "spoken.json"
    file.write_bytes(write_evidence_file(case.wrong_share()))
    words = ["audit", "blame", str(file), "--json", "--log-id"]
    digits = spoken(Compared.CHARTER, case.world.log_id)
    shown = CliRunner().invoke(main, [*words, digits])
    assert json.loads(shown.stdout)["log_id"] == case.world.log_id.hex()
    assert CliRunner().invoke(main, [*words, digits[::-1]]).exit_code == 4


def test_the_example_of_the_guide_holds_and_with_one_digit_changed_does_not(tmp_path: Path) -> None:
    example = (ROOT / "docs/examples/evidence.example.json").read_text()
    [log_id] = re.findall(r"`([0-9a-f]{64})`", (ROOT / "docs/auditors.md").read_text())
    shown = CliRunner().invoke(
        main, ["audit", "blame", str(ROOT / "docs/examples/evidence.example.json"), "--log-id", log_id]
    )
    assert (shown.exit_code, "Proven: signer s2 gave a wrong signature share." in shown.output) == (0, True)
    record = read_evidence_file(example.encode())
    altered = tmp_path / "altered.json"
    altered.write_bytes(write_evidence_file(record[:-1] + bytes([record[-1] ^ 1])))
    assert CliRunner().invoke(main, ["audit", "blame", str(altered), "--log-id", log_id]).exit_code == 4


def test_blame_says_what_is_proven_and_what_is_not(tmp_path: Path, case: Case) -> None:
    shown = blame(tmp_path, case, case.wrong_share())
    assert shown.exit_code == 0
    assert "Proven: signer s2 gave a wrong signature share." in shown.output
    assert "NOT proven:" in shown.output
    assert "who used the key, or why" in shown.output
    assert case.plan_hash.hex() in shown.output


def test_two_votes_prove_a_key_used_twice_and_no_intent(tmp_path: Path, case: Case) -> None:
    answer: dict[str, Any] = json.loads(blame(tmp_path, case, votes_of(case), "--json").stdout)
    assert (answer["holds"], answer["signer"], answer["fault"], answer["plan"]) == (True, "s1", "two-votes", None)
    assert any("restored from an old copy" in line for line in answer["not_proven"])


def test_every_fault_has_its_words(tmp_path: Path, case: Case) -> None:
    signed = case.malformed(lambda nonces: nonces[:1])
    record = malformed_commitments(charter=case.world.charter_bytes, commitments=signed, plan=case.plan_bytes)
    assert "s3 signed malformed nonce commitments" in blame(tmp_path, case, record).output


def test_a_record_that_does_not_hold_has_an_exit_code_of_its_own(tmp_path: Path, case: Case) -> None:
    data = votes_of(case)
    refused = blame(tmp_path, case, flipped(data, 8 * len(data) - 1))
    assert refused.exit_code == 4
    assert "EVIDENCE_INVALID" in refused.stderr
    told = blame(tmp_path, case, flipped(data, 8 * len(data) - 1), "--json")
    assert json.loads(told.stderr)["error"]["reason"] == "EVIDENCE_INVALID"


def test_a_file_of_another_kind_is_another_failure(tmp_path: Path, case: Case) -> None:
    (tmp_path / "other.json").write_text("{}")
    words = ["audit", "blame", str(tmp_path / "other.json"), "--log-id", case.world.log_id.hex()]
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code == 1
    assert "EVIDENCE_FILE_INVALID" in refused.stderr
    assert "other.json: the file must hold" in refused.stderr


def test_without_a_profile_the_log_id_can_be_typed(tmp_path: Path) -> None:
    words = ["audit", "blame", str(tmp_path / "other.json"), "--profile", str(tmp_path / "none")]
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code == 1
    assert "--log-id" in refused.stderr


def test_evidence_is_listed_checked_and_written(office: Office, case: Case) -> None:
    office.treasury.evidence = [votes_of(case), votes_of(case, "s2")]
    listed = json.loads(act(office, "alice", "signers", "evidence", "--json").stdout)["evidence"]
    assert [(one["signer"], one["fault"]) for one in listed] == [("s2", "two-votes"), ("s1", "two-votes")]
    shown = act(office, "alice", "signers", "evidence", "--out", "found").output
    assert "quarantined, still missing: its operator's word and an order of the unfreeze quorum" in shown
    for data in office.treasury.evidence:
        file = Path("found") / f"{evidence_hash(data).hex()}.json"
        kept = read_evidence_file(file.read_bytes())
        assert verify_evidence(kept, log_id=office.world.log_id).hash == evidence_hash(data)
    act(office, "alice", "signers", "evidence", "--out", "found")
    shown = act(office, "alice", "signers", "list").output
    assert shown.count("two-votes") == 2


@pytest.mark.attack(
    line="coordinator", title="evidence listed against another signer", origin="on paper: a coordinator that accuses"
)
def test_evidence_that_says_something_else_is_not_shown(office: Office, case: Case) -> None:
    office.treasury.evidence = [votes_of(case)]

    def accuse(response: Any) -> Any:
        response.evidence[0].signer = "s3"
        return response

    office.treasury.lies["ListEvidence"] = accuse
    assert "NOT_PROVEN" in act(office, "alice", "signers", "evidence", code=4).output

    def swap(response: Any) -> Any:
        response.chunk = response.chunk[:-1] + b"\x00"
        return response

    office.treasury.lies = {"GetEvidence": swap}
    assert "NOT_PROVEN" in act(office, "alice", "signers", "evidence", code=4).output


def test_no_evidence_is_said_so(office: Office) -> None:
    assert "No evidence against any signer." in act(office, "alice", "signers", "evidence").output


def test_a_reinstatement_is_ordered_and_approved_by_the_quorum(office: Office, case: Case) -> None:
    office.treasury.evidence = [votes_of(case)]
    name = evidence_hash(votes_of(case)).hex()
    order = sign(office, "dave", "signers", "reinstate", "s1", name)["order"]
    shown = act(
        office,
        "alice",
        *("signers", "reinstate", order, "--approve", "--passphrase-file", str(office.passphrase_file)),
        typed="y\n",
    ).output
    assert all(words in shown for words in ("Return of a signer", "s1", name))
    assert "Warning" not in shown
    sign(office, "bob", "signers", "reinstate", order, "--approve")
    record = office.world.state.order(bytes.fromhex(order))
    assert record is not None
    assert record.state is OrderState.DONE
    assert decode_order(record.order).action == ReinstateSigner(signer="s1", evidence_hash=bytes.fromhex(name))


def test_who_settles_evidence_that_nobody_has_or_that_names_another_signer_is_warned(
    office: Office, case: Case
) -> None:
    phrase = ("--passphrase-file", str(office.passphrase_file))
    name = evidence_hash(votes_of(case)).hex()
    shown = act(office, "dave", "signers", "reinstate", "s1", name, *phrase, code=1, typed="n\n").output
    assert f"Warning: the coordinator has no evidence {name}" in " ".join(shown.split())
    office.treasury.evidence = [votes_of(case)]
    shown = act(office, "dave", "signers", "reinstate", "s2", name, *phrase, code=1, typed="n\n").output
    assert f"Warning: evidence {name} is against s1" in " ".join(shown.split())
    order = sign(office, "dave", "signers", "reinstate", "s2", name)["order"]
    shown = act(office, "alice", "signers", "reinstate", order, "--approve", *phrase, code=1, typed="n\n").output
    assert f"Warning: evidence {name} is against s1" in " ".join(shown.split())


def test_a_time_that_no_clock_shows_is_no_answer(office: Office, case: Case) -> None:
    office.treasury.evidence = [votes_of(case)]

    def never(response: Any) -> Any:
        response.evidence[0].find_time.seconds = 10**15
        return response

    office.treasury.lies["ListEvidence"] = never
    assert "NOT_PROVEN" in act(office, "alice", "signers", "evidence", code=4).output


@pytest.mark.parametrize("words", [("s9", "00" * 32), ("s1", "abc"), ("s1",)])
def test_what_names_no_signer_or_no_evidence_is_not_ordered(office: Office, words: tuple[str, ...]) -> None:
    phrase = ("--yes", "--passphrase-file", str(office.passphrase_file))
    assert "BAD_OPTION" in act(office, "dave", "signers", "reinstate", *words, *phrase, code=1).output
    assert "SubmitOrder" not in office.treasury.calls


def test_a_record_of_another_log_is_listed_unchecked_and_the_others_beside_it(office: Office, case: Case) -> None:
    charter = builder.charter(organisation="other")
    other = codec.encode(charter)
    roots = (b"a" * 32, b"b" * 32)
    first, second = (vote_in(log_id_of(other), "s1", root) for root in roots)
    foreign = two_votes(charter=other, signer="s1", votes=(first, second))
    office.treasury.evidence = [foreign, votes_of(case, "s2")]
    listed = json.loads(act(office, "alice", "signers", "evidence", "--json").stdout)["evidence"]
    assert {one["signer"]: one["checked"] for one in listed} == {"s2": True, "s1": False}
    shown = " ".join(act(office, "alice", "signers", "evidence", "--out", "found").output.split())
    assert "NOT CHECKED: listed against s1, of another log." in shown
    assert f"--log-id {log_id_of(other).hex()}" in shown
    assert (Path("found") / f"{evidence_hash(foreign).hex()}.json").exists()
    phrase = ("--passphrase-file", str(office.passphrase_file))
    name = evidence_hash(foreign).hex()
    shown = act(office, "dave", "signers", "reinstate", "s1", name, *phrase, code=1, typed="n\n").output
    assert "which this machine cannot check" in " ".join(shown.split())
