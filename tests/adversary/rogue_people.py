"""Orders and what people say of them, for a cheater: genuine words of the story's people, and words with stolen keys.

A coordinator gets people's words as it should; a cheat then departs from them. Where a cheat is about a stolen key, the
same keys are used without their owners. Words are signed by the code that the real client signs with.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from cheat_report import NothingToCheatWith
from rogue_leader import RogueLeader
from rogue_plans import FEE_SAT, now_ms

from strongroom.chains.bitcoin.address import address_of
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Change as ChangeOutput
from strongroom.ledger.entry_messages import Endorse, OrderEntry, OrderPayment, Plan, PlanInput, PlanOutput
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.signed_messages import Endorsement, Signed, Verb
from strongroom_client.orders import Action, DraftedOrder, Seen, draft
from strongroom_client.person_key import PersonKey

HOT = "customer-hot"
COIN = 100_000_000
AMOUNT = 20_000_000
DAY_MS = 24 * 3_600_000
LIFE_MS = 3 * DAY_MS
"""How long orders and words count if nothing else is said."""
_PAYEES = count(1)


class People:
    """The keys of some people; each is opened when it is first used."""

    def __init__(self, folder: Path, passphrase_file: Path) -> None:
        self._folder = folder
        self._phrase = passphrase_file
        self._open: dict[str, PersonKey] = {}

    def key(self, name: str) -> PersonKey:
        """The open key of a person."""
        if name not in self._open:
            with SecretBytes(self._phrase.read_bytes().strip()) as phrase:
                self._open[name] = PersonKey.open(self._folder / name, phrase)
        return self._open[name]


def people_of(rogue: RogueLeader) -> People:
    """The people whose words this cheater gets."""
    if rogue.people is None:
        raise NothingToCheatWith("the cheat needs --people and --passphrase-file")
    return rogue.people


def payee() -> str:
    """An address that nothing else is paid to."""
    return address_of(b"\x00\x14" + os.urandom(12) + next(_PAYEES).to_bytes(8, "big"), REGTEST)


def payee_of(order: DraftedOrder) -> str:
    """Whom an order pays."""
    action = order.order.action
    if not isinstance(action, Withdraw):
        raise NothingToCheatWith("only a withdrawal has a payee")
    return action.destination


# --- orders and words -----------------------------------------------------------------------------------------------


def drafted(
    rogue: RogueLeader, action: Action, *, expires_in_ms: int = LIFE_MS, id: bytes | None = None
) -> DraftedOrder:
    """The bytes of an order."""
    return draft(action, log_id=rogue.log_id, expires_ms=now_ms() + expires_in_ms, random=os.urandom, order_id=id)


def withdrawal(
    rogue: RogueLeader,
    *,
    vault: str = HOT,
    amount: int = AMOUNT,
    destination: str | None = None,
    asset: str = REGTEST.asset_id,
    max_fee: int = 100_000,
    expires_in_ms: int = LIFE_MS,
) -> DraftedOrder:
    """An order to pay somebody."""
    action = Withdraw(vault=vault, asset=asset, amount=amount, destination=destination or payee(), max_fee=max_fee)
    return drafted(rogue, action, expires_in_ms=expires_in_ms)


def word_of(
    rogue: RogueLeader,
    verb: Verb,
    order_hash: bytes,
    person: str,
    *,
    expires_in_ms: int = LIFE_MS,
    seen: Seen | None = None,
    log_id: bytes | None = None,
    key_of: str | None = None,
) -> Endorsement:
    """What a person is to sign: by default about this log, having seen its newest head.

    Args:
        rogue: whose log it is about.
        verb: what is said.
        order_hash: of which order.
        person: the author that it names.
        expires_in_ms: how long it is to count from now on.
        seen: another head than the log's newest.
        log_id: another log.
        key_of: another person whose key it names.
    """
    named = seen or head_seen(rogue)
    return Endorsement(
        log_id=log_id or rogue.log_id,
        verb=verb,
        order_hash=order_hash,
        head_size=named.size,
        head_root=named.root,
        expires_ms=now_ms() + expires_in_ms,
        person=person,
        key=people_of(rogue).key(key_of or person).public,
    )


def head_seen(rogue: RogueLeader) -> Seen:
    """The newest head of the log."""
    size = rogue.replica.size
    root = rogue.replica.root_at(size)
    if root is None:
        raise NothingToCheatWith("the log is empty")
    return Seen(size=size, root=root)


def said(rogue: RogueLeader, verb: Verb, order_hash: bytes, person: str, **options: Any) -> Signed:
    """A person's signed word; options as for `word_of`."""
    return people_of(rogue).key(person).sign_endorsement(word_of(rogue, verb, order_hash, person, **options))


def ordered(
    rogue: RogueLeader,
    order: DraftedOrder,
    *,
    by: str = "alice",
    approved: Sequence[str] = ("bob", "carol"),
    seen: Seen | None = None,
) -> OrderEntry:
    """The entry of an order as an honest coordinator would log it: initiated, and approved by these people."""
    words = [
        said(rogue, verb, order.hash, who, seen=seen)
        for verb, who in ((Verb.INITIATE, by), *((Verb.APPROVE, who) for who in approved))
    ]
    return OrderEntry(order=order.data, endorsements=tuple(words))


def more(rogue: RogueLeader, verb: Verb, order: DraftedOrder, person: str, **options: Any) -> Endorse:
    """The entry of one more word."""
    return Endorse(endorsement=said(rogue, verb, order.hash, person, **options))


# --- plans ----------------------------------------------------------------------------------------------------------


def claimed(amount: int = 10 * COIN, *, index: int = 0, branch: int = 0, txid: bytes | None = None) -> PlanInput:
    """A coin that only the cheater knows of; signers have no chain, so they must refuse for another reason."""
    return PlanInput(txid=txid or os.urandom(32), vout=0, amount_sat=amount, branch=branch, index=index)


def pays(
    rogue: RogueLeader,
    *orders: DraftedOrder,
    inputs: Sequence[PlanInput] | None = None,
    fee_sat: int = FEE_SAT,
    vault: str | None = None,
    bumps: bytes = b"",
) -> Plan:
    """A plan that pays orders, each with one output, and sends the rest back: acceptable, unless a cheat alters it."""
    actions = [order.order.action for order in orders]
    payments = [action for action in actions if isinstance(action, Withdraw)]
    coins = tuple(inputs) if inputs is not None else (claimed(),)
    name = vault or payments[0].vault
    record = rogue.state.vault(name)
    index = 0 if record is None else record.highest_change
    rest = sum(coin.amount_sat for coin in coins) - sum(payment.amount for payment in payments) - fee_sat
    if rest <= 0:
        raise NothingToCheatWith("the coins do not cover the payments")
    outputs = [PlanOutput(target=OrderPayment(position=position)) for position in range(len(payments))]
    change = PlanOutput(target=ChangeOutput(amount_sat=rest, index=index))
    return Plan(
        vault=name,
        order_hashes=tuple(order.hash for order in orders),
        inputs=coins,
        outputs=(*outputs, change),
        bumps=bumps,
    )


def with_change(plan: Plan, **parts: int) -> Plan:
    """The plan with another change output, its last."""
    target = plan.outputs[-1].target
    if not isinstance(target, ChangeOutput):
        raise NothingToCheatWith("the plan has no change")
    return replace(plan, outputs=(*plan.outputs[:-1], PlanOutput(target=replace(target, **parts))))


# --- bytes that no message of rule set 1 has -------------------------------------------------------------------------


def field(number: int, content: bytes | int) -> bytes:
    """One protobuf field: bytes, or a number."""
    if isinstance(content, int):
        return _varint(number << 3) + _varint(content)
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def raw_entry(number: int, body: bytes, time_ms: int) -> bytes:
    """An entry whose body is of this number, whatever its bytes."""
    return field(1, os.urandom(16)) + field(2, time_ms) + field(number, body)


def raw_plan(plan: Plan, outputs: Sequence[bytes], *, inputs: Sequence[bytes] | None = None) -> bytes:
    """The bytes of a plan with these output messages, and input messages, in place of its own."""
    coins = [codec.encode(coin) for coin in plan.inputs] if inputs is None else inputs
    return (
        field(1, plan.vault.encode())
        + b"".join(field(2, order_hash) for order_hash in plan.order_hashes)
        + b"".join(field(3, coin) for coin in coins)
        + b"".join(field(4, output) for output in outputs)
    )
