"""A revocation that the coordinator does not log, on the command line: a file that grows to what signers obey."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from fake_treasury import Office, act, sign
from signer_world import Cluster
from strongroom.ledger.charter import Charter, encode_charter
from strongroom.protocol.signed import SignedBody
from strongroom_signer.operator_commands import parse_hand_in


def without_bob(now: Charter) -> Charter:
    groups = tuple(replace(one, members=tuple(name for name in one.members if name != "bob")) for one in now.groups)
    people = tuple(one for one in now.people if one.name != "bob")
    return replace(now, version=now.version + 1, people=people, groups=groups)


def proposed(office: Office, amended: Charter) -> dict[str, Any]:
    """dave proposes while the coordinator takes nothing."""
    Path("next.bin").write_bytes(encode_charter(amended))
    office.treasury.deaf = True
    return dict(sign(office, "dave", "charter", "propose", "next.bin", code=1))


def approved(office: Office, person: str, file: str) -> dict[str, Any]:
    return dict(sign(office, person, "charter", "approve", "--handed", file))


def test_a_withheld_revocation_becomes_a_file_that_administrators_pass_on_and_signers_obey(
    office: Office, tmp_path: Path
) -> None:
    first = proposed(office, without_bob(office.world.charter))
    assert (first["delivered"], first["approved_by"], first["needs"]) == (False, [], 2)
    second = approved(office, "alice", first["file"])
    third = approved(office, "carol", second["file"])
    assert third["approved_by"] == ["alice", "carol"]
    request = parse_hand_in(Path(third["file"]).read_bytes())
    assert len(request.endorsements) == 3
    cluster = Cluster.started(tmp_path)
    assert cluster.world.log_id == office.world.log_id
    words = [SignedBody(body=one.body, signature=one.signature) for one in request.endorsements]
    assert "counts no approval" in cluster.signers["s1"].inbox.hand_in(request.order, words)
    cluster.close()


def test_the_last_approval_that_is_not_logged_becomes_a_file_too(office: Office) -> None:
    Path("next.bin").write_bytes(encode_charter(without_bob(office.world.charter)))
    order = sign(office, "dave", "charter", "propose", "next.bin")["order"]
    sign(office, "alice", "charter", "approve", order)
    office.treasury.deaf = True
    phrase = ("--passphrase-file", str(office.passphrase_file), "--yes")
    told = act(office, "carol", "charter", "approve", order, *phrase, code=1).output
    assert "NOT DELIVERED" in told
    content = json.loads(Path(f"revocation-{order[:16]}.json").read_text())
    assert (len(content["endorsements"]), bool(content["order"])) == (1, True)


def test_an_amendment_that_does_more_gives_an_error_and_no_file(office: Office) -> None:
    looser = replace(without_bob(office.world.charter), freeze_lapse_ms=1_000)
    Path("next.bin").write_bytes(encode_charter(looser))
    office.treasury.deaf = True
    phrase = ("--passphrase-file", str(office.passphrase_file), "--yes")
    assert "NOT_READY" in act(office, "dave", "charter", "propose", "next.bin", *phrase, code=1).output
    assert not list(Path().glob("revocation-*"))


def test_files_that_are_none_are_not_signed(office: Office) -> None:
    file = proposed(office, without_bob(office.world.charter))["file"]
    good = json.loads(Path(file).read_text())
    phrase = ("--passphrase-file", str(office.passphrase_file), "--yes")
    forged = {**good["endorsements"][0], "signature": "00" * 64}
    other = {**good, "order": good["order"][:-2]}
    for content in ({}, {**good, "order": "zz"}, {**good, "endorsements": [forged]}, other, []):
        Path("bad.json").write_text(json.dumps(content))
        assert act(office, "alice", "charter", "approve", "--handed", "bad.json", *phrase, code=1).output
    assert "name the order" in act(office, "alice", "charter", "approve", *phrase, code=1).output
    assert len(list(Path().glob("revocation-*"))) == 1
