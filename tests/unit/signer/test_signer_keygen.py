"""Key generation: only for what is final and approved, and a share that comes out of every kill."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger_world import DAY_MS, START_MS
from signer_world import PASSPHRASE, Cluster, open_folder, refusal_of
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger import codec
from strongroom.ledger.recovery import GeneratedRecovery, RecoveryData
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.state import decode_order
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import OrderHash
from strongroom.protocol import keygen_coordinator as coordinator
from strongroom.protocol.keygen import KeygenRefused, KeygenTerms
from strongroom.protocol.signed import SignedBody
from strongroom_signer.assembly import open_signer
from strongroom_signer.config import SignerConfig
from strongroom_signer.keygen import MAX_ATTEMPTS, NotOrdered
from strongroom_signer.logs import open_log
from strongroom_signer.retirement import Retired


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


def ordered(cluster: Cluster, name: str = "customer-2", *approvers: str) -> bytes:
    order = cluster.world.submit(cluster.world.creation(name), "carol", *(approvers or ("alice", "bob")))
    cluster.tick(2)
    return order


def generate(cluster: Cluster, order: bytes, attempt: int = 1, *, until: type | None = None) -> Any:
    """One whole attempt, all three signers answering the coordinator's machine; returns the vault's entry body.

    With `until`, stops at the first such command and returns it, unanswered.
    """
    world = cluster.world
    record = world.state.order(order)
    assert record is not None
    action: Any = decode_order(record.order).action
    terms = KeygenTerms(
        log_id=world.log_id,
        order_hash=OrderHash(order),
        attempt=attempt,
        signers=action.signers,
        host_keys=tuple(signer.host_key for signer in world.charter.signers),
        threshold=action.threshold,
    )
    state, commands = coordinator.begin(terms, vote_keys=cluster.vote_keys, now_ms=START_MS)
    waiting = list(commands)
    while waiting:
        command = waiting.pop(0)
        if until is not None and isinstance(command, until):
            return command
        if isinstance(command, coordinator.Generated):
            world.recovery_data[command.vault.recovery_hash] = command.recovery
            return command.vault
        for event in answers(cluster, command, {"order_hash": order, "attempt": attempt}):
            state, more = coordinator.step(state, event)
            waiting += more
    raise AssertionError(f"no vault came out of {state.outcome}")


def answers(cluster: Cluster, command: Any, where: dict[str, Any]) -> Iterator[Any]:
    """What the signers answer to one command of the coordinator's machine."""
    everyone = ("s1", "s2", "s3")
    for signer in getattr(command, "signers", everyone):
        at: dict[str, Any] = {"signer": signer, "now_ms": START_MS}
        match command:
            case coordinator.AskRound1():
                reply = cluster.ask(signer, pb.KeygenRound1(**where))
                yield coordinator.Round1Arrived(message=reply.message, **at)
            case coordinator.SendRound2():
                reply = cluster.ask(signer, pb.KeygenRound2(**where, message=command.message))
                yield coordinator.Round2Arrived(message=reply.message, **at)
            case coordinator.SendFinish():
                reply = cluster.ask(signer, pb.KeygenFinish(**where, message=command.message))
                yield coordinator.StatementArrived(
                    signature=reply.statement_signature, recovery_hash=reply.recovery_hash, **at
                )
            case coordinator.AskTrialNonces():
                reply = cluster.ask(signer, pb.TrialCommit(**where, signers=command.subset))
                yield coordinator.TrialNonceArrived(subset=command.subset, nonce=reply.nonce, **at)
            case coordinator.AskTrialShares():
                reply = cluster.ask(signer, pb.TrialSign(**where, signers=command.subset, nonces=command.nonces))
                yield coordinator.TrialShareArrived(subset=command.subset, share=reply.share, **at)


def has_share(cluster: Cluster, name: str, vault: str) -> bool:
    record = cluster.world.state.vault(vault)
    assert record is not None
    share = cluster.signers[name].shares.get(vault, record.epoch)
    return share is not None and share.public() == record.public_shares[record.signers.index(name)]


def test_vault_is_generated_and_every_share_sealed_once_it_is_final(cluster: Cluster) -> None:
    body = generate(cluster, ordered(cluster))
    cluster.world.log(body)
    cluster.sync()
    signer = cluster.signers["s1"]
    epoch = cluster.world.state.vault("customer-2")
    assert epoch is not None
    assert not signer.shares.has("customer-2", epoch.epoch)
    cluster.tick(2)
    cluster.deliver()
    assert all(has_share(cluster, name, "customer-2") for name in cluster.signers)
    assert signer.key_generation._attempts == {}


@pytest.mark.attack(
    line="machine",
    title="a party lost between certificate and share",
    origin="forget-and-forgive, 2020: shares lost on an unconfirmed result",
)
def test_share_comes_out_of_a_kill_between_final_and_sealing(cluster: Cluster, tmp_path: Path) -> None:
    signer = cluster.signers["s1"]
    with signer.store.commit() as write:
        write._db.execute("DELETE FROM share")
    shutil.copytree(cluster.folders["s1"], tmp_path / "killed")
    signer.close()
    cluster.signers["s1"] = open_folder(tmp_path / "killed", cluster.clock)
    assert has_share(cluster, "s1", "customer-1")


def test_share_that_cannot_be_recovered_keeps_the_signer_from_that_vault_only(cluster: Cluster) -> None:
    """All holders may state falsely that they can recover their shares; what lies beside the log then gives none."""
    world, order = cluster.world, ordered(cluster)
    junk = codec.encode(RecoveryData(source=GeneratedRecovery(data=bytes(100))))
    name = hashlib.sha256(junk).digest()
    world.recovery_data[name] = junk
    assert said_of_a_vault_with(cluster, order, name) == ("share.unrecoverable", "error", "customer-2")
    paid = world.pay("customer-2", 100_000)
    world.log_plan([paid], [world.coin(150_000)], vault="customer-2")
    index = cluster.plan()
    assert refusal_of(cluster.commit("s1", index - 2)).reason == "NO_SHARE"
    assert cluster.commit("s1", index).WhichOneof("outcome") == "commitments"


def test_share_of_another_key_in_the_recovery_data_is_not_kept(cluster: Cluster) -> None:
    """All holders may state falsely that they can recover their shares; what lies beside the log is another vault's."""
    order = ordered(cluster)
    other = cluster.world.state.vault("customer-1")
    assert other is not None
    said = said_of_a_vault_with(cluster, order, other.recovery_hash)
    assert said == ("share.mismatched", "error", "customer-2")


def said_of_a_vault_with(cluster: Cluster, order: OrderHash, recovery_hash: bytes) -> tuple[str, str, str]:
    """Log vault `customer-2` with some recovery data; what s1, which gets no share of it, says when it starts."""
    world = cluster.world
    world.log(world.vault_entry(order, recovery_hash=recovery_hash))
    cluster.tick(2)
    cluster.deliver()
    cluster.signers["s1"].close()
    stream = io.StringIO()
    config = SignerConfig(coordinator="127.0.0.1:1", free_disk_floor_bytes=0)
    cluster.signers["s1"] = open_signer(
        cluster.folders["s1"],
        config,
        SecretBytes(PASSPHRASE),
        clock=cluster.clock,
        random=os.urandom,
        log=open_log(stream=stream, raise_on_secret=True),
    )
    said = json.loads(stream.getvalue())
    assert not has_share(cluster, "s1", "customer-2")
    return said["event"], said["level"], said["vault"]


@pytest.mark.attack(
    line="machine",
    title="a party lost at any step",
    origin="split view: some parties believe that key generation succeeded",
)
def test_restart_in_the_middle_ends_the_attempt_and_the_next_one_works(cluster: Cluster) -> None:
    order = ordered(cluster)
    cluster.ask("s1", pb.KeygenRound1(order_hash=order, attempt=1))
    cluster.restart("s1")
    with pytest.raises(KeygenRefused):
        cluster.ask("s1", pb.KeygenRound2(order_hash=order, attempt=1, message=b"x" * 100))
    assert generate(cluster, order, attempt=2)


def test_key_is_generated_only_for_a_final_and_approved_order_that_names_this_signer(cluster: Cluster) -> None:
    world = cluster.world
    unapproved = world.submit(world.creation("customer-3"), "carol", "alice")
    elsewhere = world.submit(world.creation("customer-4", ("s2", "s3"), 2), "carol", "alice", "bob")
    payment = world.pay("customer-1", 100_000)
    cluster.tick(2)
    fresh = world.submit(world.creation("customer-5"), "carol", "alice", "bob")
    cluster.sync()
    for order in (unapproved, elsewhere, payment, fresh, bytes(32)):
        with pytest.raises(NotOrdered):
            cluster.ask("s1", pb.KeygenRound1(order_hash=order, attempt=1))
    cluster.tick(2)
    assert cluster.ask("s1", pb.KeygenRound1(order_hash=fresh, attempt=1)).message


def test_order_that_expired_by_the_own_clock_alone_makes_no_key(cluster: Cluster) -> None:
    """Whoever leads the log may hold its time back."""
    order = ordered(cluster)
    cluster.clock.advance(10 * DAY_MS)
    with pytest.raises(NotOrdered, match="ORDER_EXPIRED"):
        cluster.ask("s1", pb.KeygenRound1(order_hash=order, attempt=1))


def test_order_that_was_generated_is_not_generated_again(cluster: Cluster) -> None:
    order = ordered(cluster)
    cluster.world.log(generate(cluster, order))
    cluster.tick(2)
    cluster.deliver()
    with pytest.raises(NotOrdered):
        cluster.ask("s1", pb.KeygenRound1(order_hash=order, attempt=2))


def test_rejection_handed_in_stops_a_key_generation(cluster: Cluster) -> None:
    order = ordered(cluster)
    said = cluster.world.endorsement("bob", Verb.REJECT, order)
    cluster.signers["s1"].inbox.hand_in(b"", [SignedBody.of(said)])
    with pytest.raises(NotOrdered):
        cluster.ask("s1", pb.KeygenRound1(order_hash=order, attempt=1))


def test_silence_ends_an_attempt_and_wipes_it(cluster: Cluster) -> None:
    order = ordered(cluster)
    cluster.ask("s1", pb.KeygenRound1(order_hash=order, attempt=1))
    cluster.clock.monotonic += 30_001
    signer = cluster.signers["s1"]
    with pytest.raises(KeygenRefused):
        cluster.ask("s1", pb.KeygenRound2(order_hash=order, attempt=1, message=b"x" * 100))
    signer.key_generation.drop_stale()
    assert signer.key_generation._attempts == {}


def test_attempts_are_bounded_and_numbered_upwards(cluster: Cluster) -> None:
    orders = [ordered(cluster, f"customer-{number}") for number in range(10, 11 + MAX_ATTEMPTS)]
    for order in orders[:-1]:
        cluster.ask("s1", pb.KeygenRound1(order_hash=order, attempt=2))
    with pytest.raises(KeygenRefused):
        cluster.ask("s1", pb.KeygenRound1(order_hash=orders[-1], attempt=1))
    with pytest.raises(KeygenRefused):
        cluster.ask("s1", pb.KeygenRound1(order_hash=orders[0], attempt=2))
    assert cluster.ask("s1", pb.KeygenRound1(order_hash=orders[0], attempt=3)).message
    cluster.signers["s1"].key_generation.forget()
    with pytest.raises(KeygenRefused, match="numbered from 1"):
        cluster.ask("s1", pb.KeygenRound1(order_hash=orders[0], attempt=0))


def test_attack_message_after_message_to_one_dealing(cluster: Cluster) -> None:
    where: dict[str, Any] = {"order_hash": ordered(cluster), "attempt": 1}
    cluster.ask("s1", pb.KeygenRound1(**where))
    with pytest.raises(StrongroomError):
        cluster.ask("s1", pb.KeygenRound2(**where, message=b"no transcript"))
    with pytest.raises(KeygenRefused, match="not open here"):
        cluster.ask("s1", pb.KeygenRound2(**where, message=b"another one"))


def request_of(command: Any, where: dict[str, Any]) -> Any:
    """What the coordinator asks one signer with this command."""
    match command:
        case coordinator.SendRound2():
            return pb.KeygenRound2(**where, message=command.message)
        case coordinator.SendFinish():
            return pb.KeygenFinish(**where, message=command.message)
        case coordinator.AskTrialNonces():
            return pb.TrialCommit(**where, signers=command.subset)
        case coordinator.AskTrialShares():
            return pb.TrialSign(**where, signers=command.subset, nonces=command.nonces)
    raise AssertionError(command)


STEPS = (
    coordinator.SendRound2,
    coordinator.SendFinish,
    coordinator.AskTrialNonces,
    coordinator.AskTrialShares,
)


@pytest.mark.parametrize("step", STEPS)
def test_an_attempt_that_is_over_answers_no_step(cluster: Cluster, step: type) -> None:
    order = ordered(cluster)
    request = request_of(generate(cluster, order, until=step), {"order_hash": order, "attempt": 1})
    cluster.clock.advance(30_001)
    with pytest.raises(KeygenRefused, match="is over"):
        cluster.ask("s1", request)


@pytest.mark.parametrize("step", STEPS)
def test_another_attempt_than_the_open_one_is_answered_nothing(cluster: Cluster, step: type) -> None:
    order = ordered(cluster)
    request = request_of(generate(cluster, order, until=step), {"order_hash": order, "attempt": 2})
    with pytest.raises(KeygenRefused, match="attempt 2 is not open here"):
        cluster.ask("s1", request)


def test_a_transcript_is_agreed_to_once(cluster: Cluster) -> None:
    order = ordered(cluster)
    where = {"order_hash": order, "attempt": 1}
    request = request_of(generate(cluster, order, until=coordinator.SendRound2), where)
    cluster.ask("s1", request)
    with pytest.raises(KeygenRefused, match="round 2"):
        cluster.ask("s1", request)


@pytest.mark.parametrize("step", [coordinator.AskRound1, coordinator.AskTrialShares])
def test_a_signer_whose_vote_key_is_erased_makes_no_key_and_tries_none(cluster: Cluster, step: type) -> None:
    order = ordered(cluster)
    where: dict[str, Any] = {"order_hash": order, "attempt": 1}
    command = generate(cluster, order, until=step)
    request = pb.KeygenRound1(**where) if step is coordinator.AskRound1 else request_of(command, where)
    cluster.signers["s1"].keys.vote.wipe()
    with pytest.raises(Retired):
        cluster.ask("s1", request)
