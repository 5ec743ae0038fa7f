"""The audit replays the whole log, and finds whatever was changed in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import charter_builder as builder
from fake_treasury import CertifiedWorld, Office, act
from strongroom.ledger import codec
from strongroom.ledger.checkpoint import Checkpoint, cosign, cosigner_key, log_origin, publish
from strongroom.ledger.entry_messages import Endorse, Entry, OrderEntry, Plan, Tick
from strongroom.protocol.certificates import held_of
from strongroom_client.audit import AuditFailed, Auditor, AuditSummary
from strongroom_client.cli import main

Logged = list[tuple[int, list[bytes], bytes]]


@pytest.fixture(scope="module")
def world() -> CertifiedWorld:
    """A log with a vault, a paid withdrawal, a rejected one, a freeze, and a tick that makes all of it final."""
    world = CertifiedWorld.started()
    world.make_vault("customer-1")
    paid = world.pay("customer-1", 50_000_000)
    world.log_plan([paid], [world.coin(60_000_000)])
    other = world.submit(world.withdrawal("customer-1", 1_000_000), "shop", "carol")
    world.reject(other, "alice")
    world.freeze("dave")
    world.settle(Tick())
    return world


def logged(world: CertifiedWorld) -> Logged:
    return [
        (batch.first_index, list(batch.entries), codec.encode(world.certificates[batch.size]))
        for batch in world.batches
    ]


def replay(world: CertifiedWorld, batches: Logged, *, checkpoint: bytes = b"") -> AuditSummary:
    auditor = Auditor(world.log_id)
    for first_index, entries, certificate in batches:
        auditor.take(first_index, tuple(entries), certificate)
    return auditor.finish(checkpoint=checkpoint)


def at_entry(batches: Logged, kind: type[Any]) -> tuple[int, int, Entry]:
    """Position of the first entry of a kind: batch, place in it, and the entry."""
    for number, (_, entries, _) in enumerate(batches):
        for place, data in enumerate(entries):
            entry = codec.decode(Entry, data)
            if isinstance(entry.body, kind):
                return number, place, entry
    raise AssertionError(f"no {kind}")


def test_a_true_log_is_verified_to_its_last_digest(world: CertifiedWorld) -> None:
    summary = replay(world, logged(world))
    root, digest = world.replica.head()
    assert (summary.entries, summary.root, summary.state_digest) == (world.replica.size, root, digest)
    assert (summary.orders, summary.vaults, summary.plans, summary.freezes) == (4, 1, 1, 1)
    assert summary.final_size == world.final
    assert summary.certified_head == f"{world.replica.size}:{root.hex()}"
    assert summary.final_head == f"{world.final}:{(world.replica.root_at(world.final) or b'').hex()}"
    assert (summary.batches, summary.votes) == (len(world.batches), 2 * len(world.batches))


def test_a_certificate_may_cover_several_batches(world: CertifiedWorld) -> None:
    batches = logged(world)
    batches[3] = (*batches[3][:2], b"")
    assert replay(world, batches).certificates == len(batches) - 1


def test_a_dropped_entry_is_found(world: CertifiedWorld) -> None:
    batches = logged(world)
    number, _, _ = at_entry(batches, Endorse)
    del batches[number]
    with pytest.raises(AuditFailed, match="entries are missing"):
        replay(world, batches)


def test_a_dropped_last_batch_contradicts_the_cosigned_checkpoint(world: CertifiedWorld) -> None:
    batches = logged(world)
    assert replay(world, batches[:-1]).entries < world.replica.size
    with pytest.raises(AuditFailed, match="the log served here is shorter"):
        replay(world, batches[:-1], checkpoint=checkpoint(world, world.replica.size))


def test_a_changed_amount_is_found_at_its_entry(world: CertifiedWorld) -> None:
    batches = logged(world)
    number, place, entry = at_entry(batches, Plan)
    assert isinstance(entry.body, Plan)
    coin = replace(entry.body.inputs[0], amount_sat=entry.body.inputs[0].amount_sat + 1)
    batches[number][1][place] = codec.encode(replace(entry, body=replace(entry.body, inputs=(coin,))))
    with pytest.raises(AuditFailed, match="another root") as raised:
        replay(world, batches)
    assert raised.value.facts["field"] == "root"


def test_a_changed_order_breaks_what_people_signed(world: CertifiedWorld) -> None:
    batches = logged(world)
    number, place, entry = at_entry(batches, OrderEntry)
    assert isinstance(entry.body, OrderEntry)
    changed = bytearray(entry.body.order)
    changed[changed.index(b"customer-1") + 9] = ord("9")
    batches[number][1][place] = codec.encode(replace(entry, body=replace(entry.body, order=bytes(changed))))
    with pytest.raises(AuditFailed, match="ENDORSEMENT_MISMATCH") as raised:
        replay(world, batches)
    assert raised.value.facts["entry"] == str(batches[number][0] + place)


def test_a_plan_without_its_approval_is_found(world: CertifiedWorld) -> None:
    """The log is cut to a world in which nobody approved, and the plan of the true one is put into it."""
    other = CertifiedWorld(charter=world.charter, time_ms=world.time_ms)
    other.settle(other.genesis())
    other.make_vault("customer-1")
    order = other.submit(other.withdrawal("customer-1", 50_000_000), "shop", "alice")
    plan = other.entry(other.plan([order], [other.coin(60_000_000)]))
    batches = [*logged(other), (other.replica.size, [plan], b"")]
    with pytest.raises(AuditFailed, match="APPROVALS_MISSING"):
        replay(other, batches)


def forged(world: CertifiedWorld, size: int, **changes: Any) -> bytes:
    """A certificate of that size with its head or its votes changed."""
    certificate = world.certificates[size]
    return codec.encode(replace(certificate, **changes))


def spoiled(world: CertifiedWorld, number: int, certificate: bytes) -> Logged:
    batches = logged(world)
    batches[number] = (*batches[number][:2], certificate)
    return batches


def test_a_forged_vote_is_found(world: CertifiedWorld) -> None:
    size = world.batches[4].size
    votes = world.certificates[size].votes
    wrong = replace(votes[0], signature=bytes([votes[0].signature[0] ^ 1]) + votes[0].signature[1:])
    with pytest.raises(AuditFailed, match="does not verify"):
        replay(world, spoiled(world, 4, forged(world, size, votes=(wrong, votes[1]))))


def test_too_few_votes_are_found(world: CertifiedWorld) -> None:
    size = world.batches[4].size
    with pytest.raises(AuditFailed, match="exactly 2 votes"):
        replay(world, spoiled(world, 4, forged(world, size, votes=world.certificates[size].votes[:1])))


@pytest.mark.parametrize("field", ["root", "state_digest"])
def test_a_certified_head_that_the_replay_does_not_give_is_found(world: CertifiedWorld, field: str) -> None:
    """The signers really signed it: only the replay can tell."""
    head = world.certificates[world.batches[4].size].head
    other = replace(head, root=bytes(32)) if field == "root" else replace(head, state_digest=bytes(32))
    made = world.certify(other, held_of(world.certificates[world.batches[3].size]))
    with pytest.raises(AuditFailed, match=f"another {field.replace('_', ' ')}"):
        replay(world, spoiled(world, 4, codec.encode(made)))


def test_votes_that_hold_a_certificate_of_another_history_are_found(world: CertifiedWorld) -> None:
    held = held_of(world.certificates[world.batches[3].size])
    made = world.certify(world.certificates[world.batches[4].size].head, replace(held, head_hash=bytes(32)))
    with pytest.raises(AuditFailed, match="two histories were certified"):
        replay(world, spoiled(world, 4, codec.encode(made)))


def lied_at(world: CertifiedWorld, number: int, **lie: Any) -> bytes:
    """The certificate of a batch in which s2 says that it held something else than it did."""
    head, held = world.certificates[world.batches[number].size].head, held_of(world.certificates[before(world, number)])
    honest, false = world.certify(head, held), world.certify(head, replace(held, **lie))
    return codec.encode(replace(honest, votes=(honest.votes[0], false.votes[1])))


def before(world: CertifiedWorld, number: int) -> int:
    return world.batches[number - 1].size


def test_one_vote_that_names_a_certificate_which_never_was_is_told_and_stops_nothing(world: CertifiedWorld) -> None:
    batches = spoiled(world, 4, lied_at(world, 4, head_hash=bytes(32)))
    batches[5] = (*batches[5][:2], lied_at(world, 5, size=before(world, 4)))
    summary = replay(world, batches)
    (claim,) = summary.false_claims
    assert (claim.signer, claim.votes) == ("s2", 2)
    assert (claim.size, claim.claimed_size) == (world.batches[4].size, before(world, 4))
    assert summary.final_size == world.final
    assert replay(world, logged(world)).false_claims == ()


def test_a_vote_that_names_what_never_was_makes_nothing_final(world: CertifiedWorld) -> None:
    last = len(world.batches) - 1
    for lie in ({"head_hash": bytes(32)}, {"size": before(world, last) - 1}):
        summary = replay(world, spoiled(world, last, lied_at(world, last, **lie)))
        assert summary.final_size == before(world, last - 1)


def test_a_vote_that_names_the_end_of_a_batch_which_is_not_shown_as_one_is_no_lie(world: CertifiedWorld) -> None:
    """Who catches up may be given two batches of one time as one: nothing can be said of the certificate between."""
    start = world.replica.size
    world.later(60_000)  # From here on the machine's clock moves it no more: all are of one time.
    for _ in range(3):
        world.log(Tick())
    batches = logged(world)
    (first, one, _), (_, two, certificate), last = batches[-3:]
    merged = [*batches[:-3], (first, [*one, *two], certificate), last]
    summary = replay(world, merged)
    assert (summary.false_claims, summary.final_size) == ((), start + 2)


def test_a_term_that_falls_is_found(world: CertifiedWorld) -> None:
    head = world.certificates[world.batches[4].size].head
    later = world.certify(replace(head, term=5), held_of(None))
    with pytest.raises(AuditFailed, match="after term 5"):
        replay(world, spoiled(world, 4, codec.encode(later)))


def test_a_tail_without_a_certificate_is_found(world: CertifiedWorld) -> None:
    with pytest.raises(AuditFailed, match="stand under no certificate"):
        replay(world, spoiled(world, len(world.batches) - 1, b""))


def test_another_genesis_than_the_pinned_one_is_found(world: CertifiedWorld) -> None:
    other = CertifiedWorld.started(organisation="evil")
    with pytest.raises(AuditFailed, match="another log"):
        replay(world, logged(other))


def test_an_empty_log_is_not_verified(world: CertifiedWorld) -> None:
    with pytest.raises(AuditFailed, match="empty"):
        replay(world, [])


def checkpoint(world: CertifiedWorld, size: int, root: bytes | None = None) -> bytes:
    made = Checkpoint(origin=log_origin(world.log_id), size=size, root=root or world.replica.root_at(size) or b"")
    lines = []
    for name in ("s1", "s3"):
        key = builder.signing_key(f"{name} witness")
        verifier = cosigner_key(world.log_id, name, key.public)
        lines.append(cosign(made, key, name=verifier.name, time_s=world.time_ms // 1000))
    return publish(made, lines)


def test_a_cosigned_checkpoint_is_held_against_the_replay(world: CertifiedWorld) -> None:
    told = replay(world, logged(world), checkpoint=checkpoint(world, world.final))
    assert (told.checkpoint_size, told.cosigners) == (world.final, ("s1", "s3"))
    with pytest.raises(AuditFailed, match="another root"):
        replay(world, logged(world), checkpoint=checkpoint(world, world.final, root=bytes(32)))


# --- the commands ----------------------------------------------------------------------------------------------------


def test_cosigners_are_told_with_the_entries_that_their_checkpoint_covers(office: Office) -> None:
    world = office.world
    act(office, "alice", "audit", "export", "--out", "log.jsonl")
    *lines, end = Path("log.jsonl").read_text().splitlines()
    note = checkpoint(world, world.final - 1).decode()
    Path("log.jsonl").write_text("\n".join([*lines, json.dumps({**json.loads(end), "checkpoint": note})]) + "\n")
    words = ("audit", "verify", "--from-file", "log.jsonl", "--log-id", world.log_id.hex())
    facts = json.loads(act(office, "alice", *words, "--json").stdout)
    assert (facts["final_size"], facts["checkpoint_size"]) == (world.final, world.final - 1)
    said = act(office, "alice", *words).stdout
    assert f"  final: the first {world.final} entries\n" in said
    assert f"  the published checkpoint, of {world.final - 1} entries, is cosigned by s1, s3\n" in said


def test_the_command_verifies_what_the_coordinator_serves(office: Office) -> None:
    data = json.loads(act(office, "alice", "audit", "verify", "--json").stdout)
    assert (data["verified"], data["entries"], data["vaults"]) == (True, office.world.replica.size, 1)
    assert data["state_digest"] == office.world.replica.head()[1].hex()
    assert "Verified: the log of acme" in act(office, "alice", "audit", "verify").output


def test_the_command_ends_with_code_4_at_the_first_difference(office: Office) -> None:
    count = iter(range(100))

    def lie(response: Any) -> None:
        if next(count) == 2:
            del response.batches[0].entries[0]
            response.batches[0].first_index += 1

    office.treasury.lies["ReadLog"] = lie
    result = act(office, "alice", "audit", "verify", "--json", code=4)
    assert json.loads(result.stderr)["error"]["reason"] == "AUDIT_DISCREPANCY"


def test_an_exported_log_is_verified_without_a_coordinator(office: Office) -> None:
    act(office, "alice", "audit", "export", "--out", "log.jsonl")
    office.treasury.calls.clear()
    log_id = office.world.log_id.hex()
    words = ("audit", "verify", "--from-file", "log.jsonl", "--log-id", log_id, "--json")
    assert json.loads(act(office, "alice", *words).stdout)["entries"] == office.world.replica.size
    assert office.treasury.calls == []
    lines = Path("log.jsonl").read_text().splitlines(keepends=True)
    for kept in (lines[:-1], lines[:-2] + lines[-1:], lines[:1] + lines[2:], [*lines, lines[2]]):
        Path("log.jsonl").write_text("".join(kept))
        assert "AUDIT_DISCREPANCY" in act(office, "alice", *words, code=4).output


def test_both_heads_are_told_in_the_words_of_a_signers_status(office: Office) -> None:
    facts = json.loads(act(office, "alice", "audit", "verify", "--json").stdout)
    log, final = office.world.replica, office.world.final
    assert facts["certified_head"] == f"{log.size}:{log.head()[0].hex()}"
    assert facts["final_head"] == f"{final}:{(log.root_at(final) or b'').hex()}"
    lines = {" ".join(line.split()) for line in act(office, "alice", "audit", "verify").stdout.splitlines()}
    assert {f"certified head {facts['certified_head']}", f"final head {facts['final_head']}"} <= lines


def test_an_export_for_audits_is_told_from_one_with_recovery_data(office: Office) -> None:
    act(office, "alice", "audit", "export", "--out", "log.jsonl")
    done = CliRunner().invoke(main, ["recovery-kit", "describe", "--log", "log.jsonl"])
    assert done.exit_code == 4
    assert "what `strongroom audit export` wrote" in done.stderr
    assert "recovery data" in done.stderr
    assert "`strongroom-signer export-log`" in done.stderr


def test_a_history_that_replaced_one_proven_here_is_found(office: Office) -> None:
    act(office, "alice", "status")
    memory = office.person("alice").with_name("profile.head.json")
    content = json.loads(memory.read_text())
    memory.write_text(json.dumps({**content, "root": "00" * 32}))
    assert "history was replaced" in act(office, "alice", "audit", "verify", code=4).output


@pytest.mark.parametrize("cut", [0, 1, 40, -3], ids=["empty", "a byte", "in the first line", "in the last line"])
def test_a_cut_export_and_junk_are_called_that(office: Office, cut: int) -> None:
    act(office, "alice", "audit", "export", "--out", "log.jsonl")
    whole = Path("log.jsonl").read_bytes()
    for data in (whole[:cut], bytes(range(128, 256)) * 8, b"strongroom log exp", b"[" * 100_000):
        Path("broken").write_bytes(data)
        done = act(office, "alice", "audit", "verify", "--from-file", "broken", code=1)
        assert "was cut, or is no log export" in " ".join(done.stderr.split())
        assert "codec" not in done.stderr
        assert "Expecting" not in done.stderr
