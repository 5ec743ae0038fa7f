"""Clients of a log that was founded anew: they stop, a person compares and accepts, and an audit says what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import charter_builder as builder
from fake_treasury import CertifiedWorld, Office, act, open_office, sign
from restart_world import RestartWorld
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Restart, Tick
from strongroom.ledger.founding import read_founding, restart_entry, restart_log_id, statement_of
from strongroom.ledger.signed_messages import Vote
from strongroom.model.fingerprints import Compared, spoken
from strongroom.model.ids import LogId
from strongroom.protocol.evidence_records import two_votes
from strongroom.protocol.signed import sign_body
from strongroom.wire.restart_file import encode_restart_file
from strongroom_client.audit import AuditFailed, Auditor, AuditSummary
from strongroom_client.errors import LogRestarted, PinMismatch
from strongroom_client.orders import Seen
from strongroom_client.profile import Memory, load_profile
from strongroom_client.trust import Trust

KEYS = {"s2": "s2-new", "s3": "s3-new"}


def restarted(world: CertifiedWorld, **keys: str) -> Restart:
    """Found the world's log anew, with new vote keys of s2 and s3."""
    maker = RestartWorld(world)
    restart = maker.restart(certificate=world.newest)
    world.found(restart, **(keys or KEYS))
    return restart


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Alice has looked at a log with a vault and an open order; then it was restarted."""
    world = CertifiedWorld.started()
    world.make_vault("customer-1")
    world.make_vault("customer-2")
    world.settle(Tick())
    opened, server = open_office(tmp_path, world)
    act(opened, "alice", "status")
    sign(opened, "alice", "withdraw", "create", "--vault", "customer-1", "--to", DESTINATION, "--amount", "0.5")
    world.log(Tick())
    restart = restarted(world)
    (tmp_path / "restart.bin").write_bytes(encode_restart_file(restart))
    world.settle(Tick())
    yield opened
    server.stop(0)


DESTINATION = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def said(office: Office, *words: str, code: int = 0) -> Any:
    result = act(office, "alice", *words, "--json", code=code)
    return json.loads(result.stdout or result.stderr)


def accept(office: Office, *more: str, code: int = 0) -> Any:
    return said(office, "restart", "accept", *more, code=code)


# --- clients stop ---


@pytest.mark.parametrize("words", [("status",), ("withdraw", "list"), ("freezes",), ("charter", "status")])
def test_every_command_stops_and_says_what_to_do(office: Office, words: tuple[str, ...]) -> None:
    refused = said(office, *words, code=4)["error"]
    assert refused["reason"] == "LOG_RESTARTED"
    assert "strongroom restart accept" in refused["message"]
    assert refused["facts"]["served"] == office.world.log_id.hex()


def test_a_restart_of_another_log_is_no_restart_of_this_one(office: Office) -> None:
    other = CertifiedWorld.started(organisation="evil")
    entry = codec.encode(restart_entry(restarted(other)))
    with pytest.raises(PinMismatch):
        Trust.from_founding_entry(entry, pinned=load_profile(office.person("alice")).log_id)


def test_any_part_of_the_restart_is_behind_the_pin(office: Office) -> None:
    world = office.world
    trust = Trust.from_founding_entry(world.founding_entry, pinned=world.log_id)
    assert trust.charter.version == 2
    body = restart_of(world.founding_entry)
    fewer = replace(body, approvals=body.approvals[:1])
    with pytest.raises(PinMismatch):
        Trust.from_founding_entry(codec.encode(restart_entry(fewer)), pinned=world.log_id)


def restart_of(entry: bytes) -> Restart:
    body = read_founding(entry).body
    assert isinstance(body, Restart)
    return body


def test_a_log_that_was_restarted_again_is_not_followed(office: Office) -> None:
    world = office.world
    accept(office, "--fingerprint", world.log_id.hex())
    again = RestartWorld(world)
    restart = again.restart(again.new_charter(lost=("s3",), key="third"), certificate=world.newest)
    with pytest.raises(LogRestarted):
        Trust.from_founding_entry(codec.encode(restart_entry(restart)), pinned=world.log_id)


# --- a person accepts ---


def test_the_compared_fingerprint_is_pinned(office: Office) -> None:
    old, new = load_profile(office.person("alice")).log_id, office.world.log_id
    done = accept(office, "--fingerprint", spoken(Compared.CHARTER, new))
    assert (done["replaced"], done["log_id"], done["restarted_once"]) == (old.hex(), new.hex(), True)
    assert load_profile(office.person("alice")).log_id == new
    said(office, "status")
    assert accept(office, "--fingerprint", new.hex())["replaced"] is None


def test_a_file_is_enough(office: Office) -> None:
    office.treasury.starting = True
    accept(office, str(office.root / "restart.bin"), "--fingerprint", office.world.log_id.hex())
    assert load_profile(office.person("alice")).log_id == office.world.log_id


@pytest.mark.attack(
    line="coordinator",
    title="a client led into another restart than the compared one",
    origin="on paper: who can swap what a client follows chooses the history it believes",
)
@pytest.mark.parametrize("source", ["file", "coordinator"])
def test_another_fingerprint_pins_nothing(office: Office, source: str) -> None:
    old = load_profile(office.person("alice")).log_id
    files = [str(office.root / "restart.bin")] if source == "file" else []
    refused = accept(office, *files, "--fingerprint", spoken(Compared.CHARTER, LogId(bytes(32))), code=4)
    assert "compare again" in refused["error"]["message"]
    assert load_profile(office.person("alice")).log_id == old


def test_an_unfinished_file_has_another_log_id(office: Office) -> None:
    body = restart_of(office.world.founding_entry)
    (office.root / "short").write_bytes(encode_restart_file(replace(body, approvals=body.approvals[:1])))
    accept(office, str(office.root / "short"), "--fingerprint", office.world.log_id.hex(), code=4)


def test_entries_that_this_machine_saw_final_are_not_given_up_in_silence(office: Office) -> None:
    profile = office.person("alice")
    kept = restart_of(office.world.founding_entry)
    old = load_profile(profile).log_id
    Memory.beside(profile, old).remember(Seen(size=10_000, root=bytes(32)))
    refused = accept(office, "--fingerprint", office.world.log_id.hex(), code=4)
    assert "10000 entries were final" in refused["error"]["message"]
    assert load_profile(profile).log_id == old
    accept(office, "--fingerprint", restart_log_id(kept).hex(), "--despite-lost-entries")
    assert load_profile(profile).log_id == office.world.log_id


def test_another_history_of_as_many_entries_is_never_accepted(office: Office) -> None:
    profile = office.person("alice")
    size = Trust.from_founding_entry(office.world.founding_entry, pinned=office.world.log_id).restarted_at
    Memory.beside(profile, load_profile(profile).log_id).remember(Seen(size=size, root=bytes(32)))
    accept(office, "--fingerprint", office.world.log_id.hex(), "--despite-lost-entries", code=4)


def test_a_genesis_is_not_accepted_as_a_restart(office: Office) -> None:
    world = CertifiedWorld.started(organisation="evil")
    office.treasury.world = world
    refused = accept(office, "--fingerprint", world.log_id.hex(), code=4)
    assert "login --replace-pin" in refused["error"]["message"]


# --- what was before ---


def test_a_payment_ended_by_the_restart_is_warned_of_when_it_is_ordered_from_another_vault(
    office: Office,
) -> None:
    accept(office, "--fingerprint", office.world.log_id.hex())
    (ended,) = [one for one in said(office, "withdraw", "list")["orders"] if one["kind"] == "withdraw"]
    words = ("withdraw", "create", "--vault", "customer-2", "--to", DESTINATION, "--amount", "0.5")
    assert any(ended["order"][:16] in line for line in sign(office, "alice", *words)["warnings"])
    # So it is behind any number of newer orders, none of which can be paid: their pages are empty.
    for why in ("one", "two"):
        sign(office, "dave", "freeze", "--vault", "customer-1", "--why", why)
    office.treasury.looked_at_a_page = 1
    assert any(ended["order"][:16] in line for line in sign(office, "alice", *words)["warnings"])


def test_evidence_of_the_log_before_is_checked_by_the_id_that_the_restart_names(office: Office) -> None:
    old = statement_of(restart_of(office.world.founding_entry)).head.log_id
    first, second = (
        sign_body(
            "vote",
            Vote(
                log_id=old, term=9, size=7, root=root, state_digest=b"d" * 32, held_term=0, held_size=0, held_head=b""
            ),
            builder.signing_key("s1 vote"),
        )
        for root in (b"a" * 32, b"b" * 32)
    )
    record = two_votes(charter=office.world.charter_bytes, signer="s1", votes=(first, second))
    office.treasury.evidence = [record]
    accept(office, "--fingerprint", office.world.log_id.hex())
    (listed,) = said(office, "signers", "evidence")["evidence"]
    assert (listed["checked"], listed["signer"], listed["log_id"]) == (True, "s1", old.hex())
    assert listed["detail"].endswith(f"in the log before, {old.hex()}")


def test_orders_of_before_are_shown_as_ended_and_cannot_be_approved(office: Office) -> None:
    accept(office, "--fingerprint", office.world.log_id.hex())
    (listed,) = [one for one in said(office, "withdraw", "list")["orders"] if one["kind"] == "withdraw"]
    assert (listed["state"], listed["status"]) == ("lapsed", "payable")
    assert sign(office, "bob", "withdraw", "approve", listed["order"], code=4) is None
    assert "the restart of the log" in act(office, "alice", "freezes").stdout


def old_id(office: Office) -> LogId:
    return load_profile(office.person("alice")).log_id


# --- audits ---


def replayed(world: CertifiedWorld, pinned: LogId) -> AuditSummary:
    auditor = Auditor(pinned)
    for part in world.logged():
        auditor.take(*part)
    return auditor.finish()


def test_an_audit_goes_over_the_restart_and_says_so(office: Office) -> None:
    world = office.world
    summary = replayed(world, world.log_id)
    (found,) = summary.restarts
    assert found.entry_index == Trust.from_founding_entry(world.founding_entry, pinned=world.log_id).restarted_at
    assert (found.old_log_id, found.new_log_id) == (old_id(office), world.log_id)
    assert found.approved_by == ("alice", "bob")
    assert summary.entries == world.replica.size
    (office.root / "log").write_bytes(world.exported())
    words = ("audit", "verify", "--from-file", str(office.root / "log"), "--log-id", world.log_id.hex())
    assert "does not span this entry" in " ".join(act(office, "alice", *words).stdout.split())
    assert said(office, *words)["restarts"][0]["approved_by"] == ["alice", "bob"]


def test_a_log_that_ends_with_its_restart_is_whole(office: Office) -> None:
    world = CertifiedWorld.started()
    world.settle(Tick())
    restarted(world)
    assert replayed(world, world.log_id).entries == world.replica.size


def test_who_pinned_the_log_before_is_told_to_compare(office: Office) -> None:
    with pytest.raises(AuditFailed, match="founds the pinned log anew"):
        replayed(office.world, old_id(office))


def test_a_certificate_of_the_log_before_says_nothing_in_the_new_one(office: Office) -> None:
    world = office.world
    batches = world.logged()
    old = next(certificate for _, _, certificate in batches if certificate)
    auditor = Auditor(world.log_id)
    for first, entries, certificate in batches[:-1]:
        auditor.take(first, entries, certificate)
    with pytest.raises(AuditFailed, match="for another log"):
        auditor.take(*batches[-1][:2], old)


def test_votes_of_the_lost_keys_certify_nothing_in_the_new_log(tmp_path: Path) -> None:
    world = CertifiedWorld.started()
    world.settle(Tick())
    restarted(world, s2="s2", s3="s3")
    world.settle(Tick())
    with pytest.raises(AuditFailed, match="does not verify under its vote key"):
        replayed(world, world.log_id)
