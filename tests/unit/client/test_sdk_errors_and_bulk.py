"""The SDK alone: error classes with the coordinator's reasons, bulk calls, and idempotency by bytes."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

import charter_builder as builder
from fake_treasury import Office, now_ms
from ledger_world import DESTINATION
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.signed_messages import Verb
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom_client import errors
from strongroom_client.errors import NotFound, PinMismatch, ProfileProblem, RemoteError, Unavailable, remote_error
from strongroom_client.orders import DraftedOrder, draft, endorsement, fingerprint
from strongroom_client.profile import load_profile
from strongroom_client.treasury import TreasuryClient


def connect(office: Office, person: str = "alice", **changes: Any) -> TreasuryClient:
    profile = load_profile(office.person(person))
    return TreasuryClient.connect(profile.endpoint, log_id=changes.get("log_id", profile.log_id))


def order_of(office: Office, amount: int) -> DraftedOrder:
    action = Withdraw(vault="customer-1", asset=builder.BTC, amount=amount, destination=DESTINATION, max_fee=1_000)
    return draft(action, log_id=office.world.log_id, expires_ms=now_ms() + 3_600_000, random=secrets.token_bytes)


async def say(client: TreasuryClient, office: Office, person: str, verb: Verb, order: DraftedOrder) -> SignedBody:
    key = builder.signing_key(person)
    body = endorsement(
        verb,
        order.hash,
        log_id=office.world.log_id,
        seen=await client.seen(),
        now_ms=now_ms(),
        person=person,
        key=key.public,
    )
    return sign_body("endorsement", body, key)


async def test_an_order_goes_in_and_comes_back_proven(office: Office) -> None:
    async with connect(office) as client:
        order = order_of(office, 1_000_000)
        receipt = await client.submit(order.data, [await say(client, office, "alice", Verb.INITIATE, order)])
        assert receipt.order_hash == order.hash
        status = await client.order(order.hash)
        assert (status.data, status.order, status.proven.final) == (order.data, order.order, True)
        assert (await client.order(order.order.id)).hash == order.hash


async def test_refusals_are_classes_with_the_coordinators_reason(office: Office) -> None:
    async with connect(office) as client:
        with pytest.raises(NotFound) as missing:
            await client.order(order_of(office, 1).hash)
        assert missing.value.remote_reason == "NO_SUCH_THING"
        order = order_of(office, 1_000_000)
        signed = [await say(client, office, "mallory", Verb.INITIATE, order)]
        with pytest.raises(errors.PermissionDenied) as refused:
            await client.submit(order.data, signed)
        assert refused.value.remote_reason == "KEY_UNKNOWN"


async def test_another_pin_is_refused_before_anything_is_believed(office: Office) -> None:
    async with connect(office, log_id=bytes(32)) as client:
        with pytest.raises(PinMismatch):
            await client.seen()
        with pytest.raises(PinMismatch):
            await client.vaults()


async def test_an_unreachable_coordinator_is_unavailable(office: Office) -> None:
    profile = load_profile(office.person("alice"))
    endpoint = type(profile.endpoint)(
        address="127.0.0.1:1",
        ca_file=profile.ca,
        cert_file=profile.certificate,
        key_file=profile.endpoint.key_file,
    )
    async with TreasuryClient.connect(endpoint, log_id=profile.log_id) as client:
        with pytest.raises(Unavailable, match="cannot be reached") as unreached:
            await client.seen()
    assert unreached.value.remote_reason == "REMOTE_UNAVAILABLE"


def test_files_that_are_missing_are_named(office: Office) -> None:
    profile = load_profile(office.person("alice"))
    (profile.key_folder / "tls.key").unlink()
    with pytest.raises(ProfileProblem, match=r"tls\.key"):
        TreasuryClient.connect(profile.endpoint, log_id=profile.log_id)


def test_every_status_code_has_its_class_and_unknown_ones_are_internal() -> None:
    for kind in Kind:
        error = remote_error(kind.name, "text", "A_REASON", {"order": "ab", "message": "x", "remote_reason": "y"})
        assert (type(error).kind, error.remote_reason, error.facts) == (kind, "A_REASON", {"order": "ab"})
    assert type(remote_error("UNKNOWN", "text", "", {})) is errors.Internal


@pytest.mark.parametrize("code", [*(kind.name for kind in Kind), "UNKNOWN"])
def test_without_a_reason_of_the_coordinator_the_class_gives_the_documented_one(code: str) -> None:
    error = remote_error(code, "text", "", {})
    assert error.remote_reason == error.reason == f"REMOTE_{error.kind.name}"


def test_every_error_of_the_client_has_a_reason_of_its_own() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    reasons = [cls.reason for cls in classes if issubclass(cls, StrongroomError) and cls is not StrongroomError]
    assert len(set(reasons)) == len(reasons)
    assert issubclass(NotFound, RemoteError)


def test_fingerprints_are_read_by_voice() -> None:
    assert fingerprint(bytes(range(32))) == "0001 0203 0405 0607 0809"
