"""Targets of the recovery kit's files: orders, plans, both rounds' words, coins, and what a person types with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from fuzz_recovery import export_seeds
from fuzz_target import choice, scratch, target, text_of, total

import charter_builder as builder
from kit_world import Kit
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.chains.bitcoin.transaction import txid_text
from strongroom.crypto import bip340
from strongroom.ledger import codec
from strongroom.ledger.charter import decode_charter
from strongroom.ledger.signed_messages import Verb
from strongroom.protocol.recovery_kit_files import (
    SweepOrderFile,
    read_coins,
    read_order_file,
    read_plan_file,
    read_revocation_file,
    read_word_file,
    write_order_file,
    write_plan_file,
    write_word_file,
)
from strongroom.protocol.recovery_kit_order import JudgedSweep, judge_sweep, require_quorum
from strongroom.protocol.recovery_kit_plan import OpenedPlan, check_plan, open_plan, own_coins
from strongroom.protocol.recovery_kit_records import SweepPlan
from strongroom.protocol.recovery_kit_revoked import (
    CharterInForce,
    charters_in_force,
    revoked_by_files,
    revoked_by_hand,
)
from strongroom.protocol.recovery_kit_rounds import combine
from strongroom.protocol.recovery_kit_words import COMMITMENTS, SHARES, word_hash
from strongroom.protocol.signed import SignedBody
from strongroom_client.recovery_kit.exported import open_export, parse_head

_FOLDER = scratch("fuzz-kit-")
_SEARCH = 20


@lru_cache(maxsize=1)
def kit() -> Kit:
    return Kit.started()


@lru_cache(maxsize=1)
def round_() -> tuple[JudgedSweep, OpenedPlan, dict[str, SignedBody], dict[str, SignedBody]]:
    judged = kit().judged()
    opened = kit().plan(judged)
    return judged, opened, *kit().signed(opened)


# --- orders ---


def order_seeds() -> Iterator[bytes]:
    order = kit().order()
    yield write_order_file(SweepOrderFile(order=order, approvals=kit().approvals(order)))
    yield write_order_file(SweepOrderFile(order=order))


@target(
    "strongroom.protocol.recovery_kit_files:read_order_file",
    "strongroom.protocol.recovery_kit_order:judge_sweep",
    seeds=order_seeds,
)
def kit_order(data: bytes) -> None:
    """Files of orders, as a holder judges them; and any bytes as the order itself."""
    now = kit().world.time_ms
    total(judge_sweep, kit().world.state, data, (), now_ms=now)
    file = total(read_order_file, data)
    if file is None:
        return
    if read_order_file(write_order_file(file)) != file:
        raise ValueError("the order file changes when it is written and read")
    judged = total(judge_sweep, kit().world.state, file.order, file.approvals, now_ms=now)
    if judged is not None:
        total(require_quorum, judged)


# --- revocations ---


@lru_cache(maxsize=1)
def charters() -> tuple[CharterInForce, ...]:
    world = kit().world
    founded = CharterInForce(log_id=world.log_id, charter=decode_charter(world.charter_bytes))
    return charters_in_force(world.state, [founded])


def revocation_seeds() -> Iterator[bytes]:
    world = kit().world
    people = tuple(
        replace(person, keys=(replace(person.keys[0], public=bytes([9]) * 32),)) if person.name == "bob" else person
        for person in world.state.charter.people
    )
    order = world.order(world.amendment(people=people))
    said = [world.endorsement("dave", Verb.INITIATE, order)]
    said += [world.endorsement(name, Verb.APPROVE, order) for name in ("alice", "carol")]
    signed = [{"body": one.body.hex(), "signature": one.signature.hex()} for one in said]
    yield json.dumps({"v": 1, "order": order.hex(), "endorsements": signed}).encode()


@target(
    "strongroom.protocol.recovery_kit_files:read_revocation_file",
    "strongroom.protocol.recovery_kit_revoked:revoked_by_files",
    "strongroom.protocol.recovery_kit_revoked:revoked_by_hand",
    seeds=revocation_seeds,
)
def kit_revocation(data: bytes) -> None:
    """Files of revocations, as a holder judges them; and any bytes as the order in one."""
    total(revoked_by_hand, kit().world.state, data, (), charters=charters())
    file = total(read_revocation_file, data)
    if file is not None:
        total(revoked_by_files, kit().world.state, [file, file], charters=charters())


# --- plans ---


def plan_seeds() -> Iterator[bytes]:
    _, opened, _, _ = round_()
    yield b"\0" + write_plan_file(opened)
    yield b"\1" + opened.data


@target(
    "strongroom.protocol.recovery_kit_files:read_plan_file",
    "strongroom.protocol.recovery_kit_plan:open_plan",
    "strongroom.protocol.recovery_kit_plan:check_plan",
    seeds=plan_seeds,
)
def kit_plan(data: bytes) -> None:
    """Files of plans, and plans as bytes."""
    read, rest = choice(data, [read_plan_file, open_plan])
    opened = total(read, rest)
    if opened is None:
        return
    if codec.encode(codec.decode(SweepPlan, opened.data)) != opened.data:
        raise ValueError("the plan was read, and is not what would be written")
    if read_plan_file(write_plan_file(opened)).hash != opened.hash:
        raise ValueError("the plan changes when it is written and read")
    judged, _, _, _ = round_()
    total(check_plan, opened, kit().vault, judged, log_id=kit().world.log_id)


# --- both rounds ---


def word_seeds() -> Iterator[bytes]:
    _, _, commitments, shares = round_()
    yield b"\0" + write_word_file(COMMITMENTS, commitments["s3"])
    yield b"\1" + write_word_file(SHARES, shares["s3"])
    yield b"\2" + commitments["s3"].body
    yield b"\3" + shares["s3"].body


def signed_by_s3(kind: str, body: bytes) -> SignedBody:
    """Any body under the true signature of a holder."""
    return SignedBody(body=body, signature=bip340.sign(builder.host_secret("s3"), word_hash(kind, body), bytes(32)))


@target(
    "strongroom.protocol.recovery_kit_files:read_word_file",
    "strongroom.protocol.recovery_kit_words:open_word",
    "strongroom.protocol.recovery_kit_rounds:SweepHolder.shares",
    "strongroom.protocol.recovery_kit_rounds:combine",
    seeds=word_seeds,
)
def kit_words(data: bytes) -> None:
    """What another holder says: in files, and truly signed; to who signs next and to who combines."""
    _, opened, commitments, shares = round_()
    number, rest = choice(data, [0, 1, 2, 3])
    kind = (COMMITMENTS, SHARES)[number % 2]
    word = total(read_word_file, kind, rest) if number < 2 else signed_by_s3(kind, rest)
    if word is None:
        return
    if read_word_file(kind, write_word_file(kind, word)) != word:
        raise ValueError("the file changes when it is written and read")
    if kind == SHARES:
        total(combine, opened, commitments, {**shares, "s3": word})
        return
    total(combine, opened, {**commitments, "s3": word}, shares)
    with kit().holder(opened, "s1") as holder:
        total(holder.shares, {"s1": holder.commitments, "s3": word}, aux32=bytes(32))


# --- coins ---


def coin_seeds() -> Iterator[bytes]:
    coin = kit().coin(123_456_789, index=3)
    found = {
        "txid": txid_text(coin.txid),
        "vout": 1,
        "scriptPubKey": coin.script.hex(),
        "amount": 1.23456789,
        "coinbase": True,
        "height": 7,
    }
    yield json.dumps({"success": True, "height": 500, "unspents": [found, {**found, "height": 450}]}).encode()
    yield json.dumps({"result": {"success": True, "unspents": []}, "error": None, "id": 1}).encode()
    address = kit().key.derive(0, 3).address(REGTEST)
    yield json.dumps([{"txid": txid_text(coin.txid), "vout": 0, "amount_sat": 5_000, "address": address}]).encode()


@target(
    "strongroom.protocol.recovery_kit_files:read_coins",
    "strongroom.protocol.recovery_kit_plan:own_coins",
    seeds=coin_seeds,
    max_bytes=2_048,
)
def kit_coins(data: bytes) -> None:
    """Coins as a node prints them or a person lists them, and where below the vault's key they lie."""
    coins = total(read_coins, data, REGTEST)
    if coins is not None:
        total(own_coins, kit().key, coins.found, search=_SEARCH)


# --- the exported log ---


def log_seeds() -> Iterator[bytes]:
    yield from export_seeds()
    yield f"12:{'ab' * 32}".encode()


@target(
    "strongroom_client.recovery_kit.exported:open_export",
    "strongroom_client.recovery_kit.exported:parse_head",
    "strongroom.model.heads:read_head",
    seeds=log_seeds,
    max_bytes=12_000,
)
def kit_log(data: bytes) -> None:
    """An exported log as the kit replays it, and the head that a person types with it."""
    total(parse_head, text_of(data))
    file = Path(_FOLDER / "log")
    file.write_bytes(data)
    total(open_export, file)
