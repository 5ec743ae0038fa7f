"""What people do with withdrawals on the command line, against real proofs and against a coordinator that lies."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from fake_treasury import Office, act, sign
from ledger_world import DESTINATION
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Endorse, Entry
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.signed_messages import Endorsement, Verb
from strongroom.ledger.state import decode_order
from strongroom_client.cli.shared import patiently


def create(office: Office, amount: str = "0.5", person: str = "carol") -> str:
    made = sign(
        office, person, "withdraw", "create", "--vault", "customer-1", "--to", DESTINATION, "--amount", amount,
        "--note", "invoice 7",
    )  # fmt: skip
    order: str = made["order"]
    return order


def record(office: Office, order: str) -> OrderRecord:
    found = office.world.state.order(bytes.fromhex(order))
    assert found is not None
    return found


def said(office: Office, order: str) -> set[tuple[str, Verb]]:
    return {(one.person, one.verb) for one in record(office, order).endorsements}


def test_create_logs_the_exact_order_that_was_typed(office: Office) -> None:
    order = create(office)
    wanted = decode_order(record(office, order).order)
    assert isinstance(wanted.action, Withdraw)
    assert (wanted.action.amount, wanted.action.destination, wanted.note) == (50_000_000, DESTINATION, "invoice 7")
    assert said(office, order) == {("carol", Verb.INITIATE)}


def test_approvers_see_what_they_sign_and_their_approvals_are_logged(office: Office) -> None:
    order = create(office)
    shown = act(
        office, "alice", "withdraw", "approve", order[:8], "--passphrase-file", str(office.passphrase_file), typed="y\n"
    ).output
    for words in ("0.5 BTC (50,000,000 smallest units)", DESTINATION, "20,000 sat", "customer-1", "invoice 7", "carol"):
        assert words in shown, words
    assert "daily customer withdrawals" in shown
    assert "2 of group treasury" in shown or "more" in shown
    assert all(signer in shown for signer in ("s1", "s2", "s3"))
    assert sign(office, "bob", "withdraw", "approve", order)["entry"] > 0
    assert said(office, order) == {("carol", Verb.INITIATE), ("alice", Verb.APPROVE), ("bob", Verb.APPROVE)}


def test_a_no_at_the_question_signs_nothing(office: Office) -> None:
    order = create(office)
    act(office, "alice", "withdraw", "approve", order, typed="n\n", code=1)
    assert said(office, order) == {("carol", Verb.INITIATE)}


def test_an_endorsement_names_a_final_head(office: Office) -> None:
    order = create(office)
    sign(office, "alice", "withdraw", "approve", order)
    body = codec.decode(Endorsement, _endorse_bodies(office)[-1])
    assert office.world.replica.root_at(body.head_size) == body.head_root
    assert 1 <= body.head_size <= office.world.final


def _endorse_bodies(office: Office) -> list[bytes]:
    entries = [codec.decode(Entry, data) for batch in office.world.batches for data in batch.entries]
    return [entry.body.endorsement.body for entry in entries if isinstance(entry.body, Endorse)]


def test_show_gives_stable_keys_and_marks_the_coordinators_word(office: Office) -> None:
    order = create(office)
    shown = json.loads(act(office, "bob", "withdraw", "show", order, "--json").stdout)
    assert shown["order"] == order
    assert shown["facts"]["destination"] == DESTINATION
    assert shown["judgement"]["rule"] == "daily customer withdrawals"
    assert shown["judgement"]["code"] == "APPROVALS_MISSING"
    assert shown["final"] is True
    assert {item["signer"]: item["verdict"] for item in shown["signers"]} == dict.fromkeys(
        ("s1", "s2", "s3"), "waiting"
    )
    assert shown["coordinator"]["status"] == "open"
    assert "unverified (coordinator's word)" in act(office, "bob", "withdraw", "explain", order).output.lower()


def test_an_order_is_found_by_prefix_id_or_hash_and_by_nothing_shorter(office: Office) -> None:
    order = create(office)
    identifier = decode_order(record(office, order).order).id.hex()
    for name in (order, order[:8], order[:32], identifier):
        assert json.loads(act(office, "bob", "withdraw", "show", name, "--json").stdout)["order"] == order
    assert "ORDER_NOT_FOUND" in act(office, "bob", "withdraw", "show", order[:7], code=1).output
    assert "ORDER_NOT_FOUND" in act(office, "bob", "withdraw", "show", "00000000", code=1).output


def test_an_equal_payment_that_can_still_be_paid_is_warned_of(office: Office) -> None:
    first, second = create(office), create(office, person="dave")
    shown = json.loads(act(office, "alice", "withdraw", "show", second, "--json").stdout)
    assert any(first[:16] in warning and "both would pay" in warning for warning in shown["warnings"])
    other = create(office, amount="0.25")
    shown = json.loads(act(office, "alice", "withdraw", "show", other, "--json").stdout)
    assert not any("same amount" in warning for warning in shown["warnings"])


def test_an_order_with_a_plan_is_shown_as_payable_until_excluded(office: Office) -> None:
    order = create(office)
    for person in ("alice", "bob"):
        sign(office, person, "withdraw", "approve", order)
    world = office.world
    world.settle(world.plan([bytes.fromhex(order)], [world.coin(60_000_000)]))
    shown = json.loads(act(office, "alice", "withdraw", "show", order, "--json").stdout)
    assert shown["payable_until_excluded"] is True
    assert "PAYABLE UNTIL EXCLUDED" in act(office, "alice", "withdraw", "show", order).output


def test_a_rejection_is_delivered_when_a_final_log_proves_it(office: Office) -> None:
    order = create(office)
    answer = sign(office, "alice", "withdraw", "reject", order)
    assert (answer["delivered"], answer["final"], answer["file"]) == (True, True, None)
    assert record(office, order).state is OrderState.REJECTED
    refused = act(office, "bob", "withdraw", "approve", order, "--yes", code=4)
    assert "nothing was signed" in refused.output


def test_a_withheld_rejection_is_called_not_delivered_and_becomes_a_file_for_signers(office: Office) -> None:
    order = create(office)
    office.treasury.deaf = True
    result = act(
        office, "alice", "withdraw", "reject", order, "--yes", "--passphrase-file", str(office.passphrase_file), code=1
    )
    assert "NOT DELIVERED" in result.output
    assert "strongroom-signer hand-in" in result.output
    _check_hand_in(office, Path(f"reject-{order[:16]}.json"), order)


def _check_hand_in(office: Office, file: Path, order: str) -> None:
    content = json.loads(file.read_text())
    assert set(content) == {"v", "order", "endorsements"}
    assert (content["v"], content["order"], len(content["endorsements"])) == (1, "", 1)
    body = codec.decode(Endorsement, bytes.fromhex(content["endorsements"][0]["body"]))
    assert (body.verb, body.order_hash.hex(), body.person) == (Verb.REJECT, order, "alice")
    assert body.log_id == office.world.log_id


def test_a_rejection_that_is_certified_but_not_final_is_not_called_delivered(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = create(office)
    office.treasury.ticks = False
    monkeypatch.setattr("strongroom_client.cli.shared._FINAL_WAIT_S", 0.5)
    monkeypatch.setattr("strongroom_client.cli.shared.finish.__kwdefaults__", {"wait_s": 0.5})
    answer = sign(office, "alice", "withdraw", "reject", order, code=1)
    assert (answer["delivered"], answer["entry"] is not None) == (False, True)
    _check_hand_in(office, Path(answer["file"]), order)


def test_a_rejection_can_be_made_without_any_coordinator(office: Office) -> None:
    order = create(office, person="alice")
    office.treasury.calls.clear()
    answer = sign(office, "alice", "withdraw", "reject", order, "--offline", "--out", "to-signers.json")
    assert (answer["delivered"], answer["file"]) == (False, "to-signers.json")
    assert office.treasury.calls == []
    _check_hand_in(office, Path("to-signers.json"), order)
    body = codec.decode(
        Endorsement, bytes.fromhex(json.loads(Path("to-signers.json").read_text())["endorsements"][0]["body"])
    )
    assert office.world.replica.root_at(body.head_size) == body.head_root
    assert "BAD_OPTION" in act(office, "alice", "withdraw", "reject", order[:8], "--offline", code=1).output


def test_cancelling_ends_an_unplanned_order(office: Office) -> None:
    order = create(office)
    cancelled = sign(office, "carol", "withdraw", "cancel", order)
    assert record(office, order).state is OrderState.CANCELLED
    shown = json.loads(act(office, "alice", "withdraw", "show", cancelled["order"], "--json").stdout)
    assert (shown["kind"], shown["facts"]["cancels"]) == ("cancel", order)
    assert shown["facts"]["cancelled_destination"] == DESTINATION


def test_lists_page_and_watches_resume(office: Office) -> None:
    orders = [create(office, amount=f"0.{number}") for number in range(1, 4)]
    first = json.loads(act(office, "bob", "withdraw", "list", "--limit", "2", "--json").stdout)
    rest = json.loads(act(office, "bob", "withdraw", "list", "--page", first["next_page"], "--json").stdout)
    listed = [item["order"] for item in (*first["orders"], *rest["orders"]) if item["kind"] == "withdraw"]
    assert listed == orders[::-1]
    assert first["orders"][0]["asks"] == "0.3 BTC"
    events = [json.loads(line) for line in act(office, "bob", "withdraw", "watch", "--json").stdout.splitlines()]
    again = act(office, "bob", "withdraw", "watch", "--cursor", str(events[1]["cursor"]), "--json").stdout.splitlines()
    assert [json.loads(line)["order"] for line in again] == [event["order"] for event in events[2:]]


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("--amount", "0,5", "--to", DESTINATION), 1, "BAD_QUANTITY"),
        (("--amount", "0.5", "--to", DESTINATION[:-1] + "q"), 1, "BAD_ADDRESS"),
        (("--amount", "0.5", "--to", DESTINATION, "--asset", "DOGE"), 1, "BAD_OPTION"),
        (("--amount", "3", "--to", DESTINATION, "--vault", "no-such-vault"), 1, "VAULT_UNKNOWN"),
    ],
)
def test_wrong_input_is_refused_with_its_reason(office: Office, words: tuple[str, ...], code: int, reason: str) -> None:
    phrase = ("--passphrase-file", str(office.passphrase_file))
    result = act(office, "carol", "withdraw", "create", "--vault", "customer-1", *words, "--yes", *phrase, code=code)
    assert f"Reason: {reason}" in result.output


def test_an_order_without_an_answer_is_named_so_that_it_is_not_ordered_twice(office: Office) -> None:
    office.treasury.late = True
    words = ("withdraw", "create", "--vault", "customer-1", "--to", DESTINATION, "--yes")
    phrase = ("--passphrase-file", str(office.passphrase_file))
    said_to_people = act(office, "carol", *words, "--amount", "0.5", *phrase, code=1).output
    logged = office.world.state.order_at(office.world.state.orders_count - 1).hash.hex()
    assert f"look for {logged} before you order again" in said_to_people
    assert "did not answer in time" in said_to_people
    told = act(office, "carol", *words, "--amount", "0.25", *phrase, "--json", code=1).stderr
    said_to_programs = json.loads(told)["error"]
    logged = office.world.state.order_at(office.world.state.orders_count - 1).hash.hex()
    assert said_to_programs["facts"]["order"] == logged
    assert said_to_programs["reason"] == "REMOTE_DEADLINE_EXCEEDED"


async def test_a_long_wait_for_signers_is_said_and_a_short_one_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    async def slow() -> str:
        for _ in range(100):
            await asyncio.sleep(0)
        return "certified"

    assert await patiently(slow(), quiet_s=60) == "certified"
    assert capsys.readouterr().err == ""
    assert await patiently(slow(), quiet_s=0) == "certified"
    assert "Waiting for enough signers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("amount", "code", "why"),
    [("21000001", 1, "at most 2100000000000000 sat"), ("20000000", 4, "maximum per order: 20000000 BTC of 2.5 BTC")],
)
def test_an_amount_that_is_too_large_is_refused_with_the_bound(
    office: Office, amount: str, code: int, why: str
) -> None:
    words = ("--amount", amount, "--to", DESTINATION, "--vault", "customer-1")
    phrase = ("--yes", "--passphrase-file", str(office.passphrase_file))
    assert why in act(office, "carol", "withdraw", "create", *words, *phrase, code=code).output


def test_a_wrong_passphrase_has_its_own_exit_code(office: Office) -> None:
    order = create(office)
    wrong = Path("wrong")
    wrong.write_text("something else\n")
    act(office, "alice", "withdraw", "approve", order, "--yes", "--passphrase-file", str(wrong), code=3)
    assert said(office, order) == {("carol", Verb.INITIATE)}


def test_the_initiator_is_refused_as_approver_with_the_ledgers_reason(office: Office) -> None:
    order = create(office)
    phrase = ("--passphrase-file", str(office.passphrase_file))
    result = act(office, "carol", "withdraw", "approve", order, "--yes", *phrase, code=4)
    assert "Reason: INITIATOR_CANNOT_APPROVE" in result.output
    # What to do is ours to say, and never chosen by what the coordinator gives as the reason.
    assert "What to do" not in result.output


def test_a_key_that_the_charter_does_not_list_signs_nothing(office: Office) -> None:
    order = create(office)
    office.person("mallory")
    phrase = ("--passphrase-file", str(office.passphrase_file))
    assert "nothing was signed" in act(office, "mallory", "withdraw", "approve", order, "--yes", *phrase, code=4).output
    assert "EndorseOrder" not in office.treasury.calls
