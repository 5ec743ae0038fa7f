"""The files of the recovery kit: one reading each, and whatever else is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kit_world import Kit
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.chains.bitcoin.transaction import txid_text
from strongroom.ledger.order_messages import MAX_ORDER_BYTES
from strongroom.protocol.recovery_kit_files import (
    MAX_COINS_BYTES,
    MAX_FILE_BYTES,
    SweepFileInvalid,
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
from strongroom.protocol.recovery_kit_order import MAX_APPROVALS
from strongroom.protocol.recovery_kit_plan import SweepPlanRefused
from strongroom.protocol.recovery_kit_records import MAX_SWEEP_PLAN_BYTES
from strongroom.protocol.recovery_kit_words import COMMITMENTS, SHARES
from strongroom.protocol.signed import MAX_BODY_BYTES


@pytest.fixture(scope="module")
def kit() -> Kit:
    return Kit.started()


def edited(content: bytes, **parts: Any) -> bytes:
    """The file with parts replaced; None takes one out."""
    parsed = {**json.loads(content), **parts}
    return json.dumps({name: value for name, value in parsed.items() if value is not None}).encode()


def refuses(read: Any, content: bytes, why: str, *given: Any) -> None:
    with pytest.raises(SweepFileInvalid, match=why):
        read(*given, content)


def test_every_file_is_read_as_it_was_written(kit: Kit) -> None:
    order = kit.order()
    file = SweepOrderFile(order=order, approvals=kit.approvals(order))
    assert read_order_file(write_order_file(file)) == file
    assert read_order_file(write_order_file(SweepOrderFile(order=order))).approvals == ()
    opened = kit.plan()
    assert read_plan_file(write_plan_file(opened)).data == opened.data
    commitments, shares = kit.signed(opened)
    assert read_word_file(COMMITMENTS, write_word_file(COMMITMENTS, commitments["s1"])) == commitments["s1"]
    assert read_word_file(SHARES, write_word_file(SHARES, shares["s3"])) == shares["s3"]


def test_a_file_of_another_kind_or_version_is_refused(kit: Kit) -> None:
    opened = kit.plan()
    word = kit.holder(opened, "s1").commitments
    content = write_word_file(COMMITMENTS, word)
    refuses(read_word_file, content, "no strongroom-sweep-shares", SHARES)
    refuses(read_word_file, edited(content, v=2), "of version 1", COMMITMENTS)
    refuses(read_word_file, edited(content, v=True), "of version 1", COMMITMENTS)
    refuses(read_word_file, edited(content, more=1), "exactly these parts", COMMITMENTS)
    refuses(read_word_file, edited(content, body=None), "exactly these parts", COMMITMENTS)
    refuses(read_order_file, content, "exactly these parts")
    refuses(read_plan_file, content, "exactly these parts")
    for broken in (
        b"",
        b"{",
        b"[]",
        b"1",
        content[:-5],
        content + b"{}",
        b"\xff" + content,
        b'{"v": NaN}',
        b"[" * 9_999,
    ):
        refuses(read_word_file, broken, "not JSON|exactly these parts", COMMITMENTS)
    twice = content.replace(b'"v": 1', b'"v": 1, "v": 1')
    refuses(read_word_file, twice, "each name once", COMMITMENTS)
    refuses(read_word_file, b" " * (MAX_FILE_BYTES + 1), "at most", COMMITMENTS)


def test_hex_has_one_spelling(kit: Kit) -> None:
    content = write_word_file(COMMITMENTS, kit.holder(kit.plan(), "s1").commitments)
    body = json.loads(content)["body"]
    for wrong in (body.upper(), " " + body, body[:-1], "", 7, [body]):
        refuses(read_word_file, edited(content, body=wrong), "lower-case hex", COMMITMENTS)
    refuses(read_word_file, edited(content, signature="00" * 63), "64 bytes", COMMITMENTS)
    refuses(read_word_file, edited(content, body="00" * (MAX_BODY_BYTES + 1)), "too long", COMMITMENTS)


def test_an_order_file_holds_so_much_and_no_more(kit: Kit) -> None:
    order = kit.order()
    content = write_order_file(SweepOrderFile(order=order, approvals=kit.approvals(order)))
    one = json.loads(content)["approvals"][0]
    for wrong, why in (
        ({"approvals": {}}, "must be a list"),
        ({"approvals": [one] * (MAX_APPROVALS + 1)}, "must be a list"),
        ({"approvals": [[]]}, "exactly these parts"),
        ({"approvals": [{**one, "more": 1}]}, "exactly these parts"),
        ({"approvals": [{**one, "signature": "00"}]}, "an approval"),
        ({"order": "00" * (MAX_ORDER_BYTES + 1)}, "order: "),
    ):
        refuses(read_order_file, edited(content, **wrong), why)


def handed(file: SweepOrderFile) -> bytes:
    """What administrators hand to signers, as their tool writes it."""
    said = [{"body": one.body.hex(), "signature": one.signature.hex()} for one in file.approvals]
    return json.dumps({"v": 1, "order": file.order.hex(), "endorsements": said}).encode()


def test_a_revocation_is_read_as_it_was_handed_to_signers(kit: Kit) -> None:
    order = kit.order()
    file = SweepOrderFile(order=order, approvals=kit.approvals(order))
    assert read_revocation_file(handed(file)) == file
    most = SweepOrderFile(order=order, approvals=kit.approvals(order, "alice") * MAX_APPROVALS)
    assert read_revocation_file(handed(most).ljust(MAX_FILE_BYTES)) == most


def test_a_revocation_file_holds_so_much_and_no_more(kit: Kit) -> None:
    order = kit.order()
    content = handed(SweepOrderFile(order=order, approvals=kit.approvals(order)))
    one = json.loads(content)["endorsements"][0]
    for wrong, why in (
        ({"v": 2}, "v: must be 1"),
        ({"v": True}, "v: must be 1"),
        ({"endorsements": {}}, "must be a list"),
        ({"endorsements": [one] * (MAX_APPROVALS + 1)}, "must be a list"),
        ({"kind": "strongroom-sweep-order"}, "exactly these parts"),
    ):
        refuses(read_revocation_file, edited(content, **wrong), why)
    refuses(read_revocation_file, content.ljust(MAX_FILE_BYTES + 1), "a file has at most")


def test_a_plan_file_says_of_the_plan_what_is_so(kit: Kit) -> None:
    opened, other = kit.plan(), kit.plan()
    content, foreign = write_plan_file(opened), json.loads(write_plan_file(other))
    for name in ("hash", "transaction", "psbt"):
        refuses(read_plan_file, edited(content, **{name: foreign[name]}), f"{name}: is not that of the plan")
    refuses(read_plan_file, edited(content, plan="00" * (MAX_SWEEP_PLAN_BYTES + 1)), "plan: ")
    with pytest.raises(SweepPlanRefused):
        read_plan_file(edited(content, plan="00"))


# --- coins -----------------------------------------------------------------------------------------------------------


def scanned(*unspents: dict[str, Any], **parts: Any) -> bytes:
    return json.dumps({"success": True, "height": 200, "unspents": list(unspents), **parts}).encode()


def unspent(kit: Kit, **parts: Any) -> dict[str, Any]:
    """A coin as a node prints it."""
    coin = kit.coin(123_456_789)
    defaults = {
        "txid": txid_text(coin.txid),
        "vout": coin.vout,
        "scriptPubKey": coin.script.hex(),
        "desc": "rawtr(...)",
        "amount": 1.23456789,
        "coinbase": False,
        "height": 7,
    }
    return {**defaults, **parts}


def test_coins_as_a_node_prints_them(kit: Kit) -> None:
    one = unspent(kit)
    (coin,) = read_coins(scanned(one), REGTEST).found
    assert (txid_text(coin.txid), coin.vout, coin.amount_sat) == (one["txid"], 1, 123_456_789)
    assert coin.script.hex() == one["scriptPubKey"]
    answer = json.dumps({"result": json.loads(scanned(one)), "error": None, "id": 1}).encode()
    assert read_coins(answer, REGTEST).found == (coin,)
    assert read_coins(scanned(), REGTEST).found == ()


def test_amounts_are_exact(kit: Kit) -> None:
    def amount(text: str) -> int:
        content = scanned(unspent(kit)).replace(b"1.23456789", text.encode())
        return read_coins(content, REGTEST).found[0].amount_sat

    assert [amount(text) for text in ("0.00000001", "1e-08", "50", "50.0", "0.10000000", "2.1E+7")] == [
        1, 1, 5_000_000_000, 5_000_000_000, 10_000_000, 2_100_000_000_000_000
    ]  # fmt: skip
    for text in (
        "0",
        "-1",
        "0.000000001",
        "1.000000001",
        "21000000.00000001",
        "1e9",
        "1e999999999",
        '"1"',
        "true",
        "null",
        "NaN",
    ):
        with pytest.raises(SweepFileInvalid, match=r"amount|JSON"):
            amount(text)


def test_coins_that_were_mined_too_lately_wait(kit: Kit) -> None:
    ripe, green = unspent(kit, coinbase=True, height=101), unspent(kit, coinbase=True, height=102)
    coins = read_coins(scanned(ripe, green, unspent(kit, height=200)), REGTEST)
    assert (len(coins.found), coins.immature) == (2, 1)
    assert txid_text(coins.found[0].txid) == ripe["txid"]
    unknown = unspent(kit, coinbase=True)
    del unknown["height"]
    assert read_coins(scanned(unknown), REGTEST).immature == 0
    assert read_coins(scanned(green, height=None), REGTEST).immature == 0


def test_a_simple_list_of_coins(kit: Kit) -> None:
    address = kit.key.derive(0, 2).address(REGTEST)
    item = {"txid": "ab" * 32, "vout": 0, "amount_sat": 5_000, "address": address}
    (coin,) = read_coins(json.dumps([item]).encode(), REGTEST).found
    assert coin.script == kit.key.derive(0, 2).script
    for parts, why in (
        ({"txid": "AB" * 32}, "txid"),
        ({"txid": 7}, "txid"),
        ({"vout": -1}, "vout"),
        ({"vout": 2**32}, "vout"),
        ({"vout": True}, "vout"),
        ({"amount_sat": 0}, "amount_sat"),
        ({"amount_sat": 21_000_000 * 100_000_000 + 1}, "amount_sat"),
        ({"amount_sat": 1.0}, "amount_sat"),
        ({"address": address[:-1]}, "address"),
        ({"address": 5}, "address"),
        ({"more": 5}, "exactly these parts"),
    ):
        refuses(lambda content: read_coins(content, REGTEST), json.dumps([{**item, **parts}]).encode(), why)


def test_what_is_no_file_of_coins_is_refused(kit: Kit) -> None:
    def read(content: bytes) -> object:
        return read_coins(content, REGTEST)

    for content in (b"{}", b"7", scanned(success=False), scanned(unspents={}), b'{"result": []}', b"["):
        refuses(read, content, "neither|JSON")
    refuses(read, scanned(unspents=[7]), "list of objects")
    refuses(read, scanned(unspent(kit, scriptPubKey="XY")), "scriptPubKey")
    refuses(read, scanned(unspent(kit, vout="0")), "vout")
    refuses(read, b" " * (MAX_COINS_BYTES + 1), "at most")
