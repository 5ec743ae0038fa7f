"""Figures of the whole system: real processes, mutual TLS, durable writes, people who sign with their own keys.

Everything goes through the programs and the API that customers use. Times are those of one machine's wall clock: the
start is taken here before a request is sent, the end is the time that the coordinator writes beside its event.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from actor import BTC, COIN, Actor, burn_address
from bitcoin_wallet import PlainVault
from strongroom.api.treasury.v1 import treasury_service_pb2 as treasury_pb
from strongroom.api.treasury.v1.treasury_service_pb2_grpc import TreasuryServiceStub
from strongroom.api.types.v1 import types_pb2
from strongroom.chains.bitcoin import transaction
from strongroom.chains.bitcoin.address import script_of
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.chains.bitcoin.spend import SpendInput, SpendOutput
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.records import VaultRecord
from strongroom.ledger.signed_messages import Verb
from strongroom.model.ids import OrderHash
from strongroom.protocol.signed import SignedBody
from strongroom_client.answers import derive_address
from strongroom_client.channel import open_channel
from strongroom_client.demo.deployment import Deployment, Shape
from strongroom_client.demo.processes import Daemon
from strongroom_client.orders import endorsement
from strongroom_client.trust import Proven

__all__ = ["Run", "bulk", "deployment", "fan_out", "generate_keys", "latencies", "set_orders_per_plan"]

COINBASE_MATURITY: Final = 100
BULK: Final = 500
"""Items in one bulk call; the API's limit."""
COIN_SAT: Final = 60_000
PAYMENT_SAT: Final = 20_000

_SIGNERS: Final = ("north", "south", "west", "east", "middle")
_LIMITS: Final = {
    r"^per_plan = .*$": "per_plan = 100000000",
    r"^per_vault = .*$": "per_vault = 100000000000",
    r"^limits = .*$": 'limits = [{ window = "24h", BTC = "1000000" }]',
    r"^coordinator_bytes_per_day = .*$": "coordinator_bytes_per_day = 1000000000000",
    r"^person_bytes_per_day = .*$": "person_bytes_per_day = 1000000000000",
}
"""Amount and size limits of the charter out of the way; every check stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One bulk run: how many orders, the seconds they took, and how."""

    orders: int
    seconds: float
    plans: int
    entered_s: float
    """Seconds that it took to enter the orders with their initiation, before the measured time."""
    signed_after_s: tuple[float, ...]
    cpu_s: dict[str, float]
    """Processor seconds of each process within the measured time; `bench` is the side of the people."""

    @property
    def per_second(self) -> float:
        """Orders signed a second, from the first approval sent to the last transaction signed."""
        return self.orders / self.seconds


# --- the system under test --------------------------------------------------------------------------------------------


def deployment(root: Path, *, signers: int, witness_quorum: int) -> Deployment:
    """An enrolled organisation with its charter's limits out of the way; nothing runs yet."""
    made = Deployment(
        root=root, shape=Shape(signers=_SIGNERS[:signers], witness_quorum=witness_quorum, edit=_without_limits)
    )
    made.enrol()
    return made


def _without_limits(source: str) -> str:
    for pattern, line in _LIMITS.items():
        source, count = re.subn(pattern, line, source, flags=re.MULTILINE)
        if count != 1:
            raise ValueError(f"the charter's template has {count} lines like {pattern}: change the benchmark with it")
    return source


async def set_orders_per_plan(custody: Deployment, most: int) -> None:
    """Stop the coordinator if it runs, and start it with at most so many orders in one transaction."""
    path = custody.coordinator_folder / "coordinator.toml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("max_orders_per_plan")]
    at = lines.index("[bitcoin]") + 1
    path.write_text("\n".join([*lines[:at], f"max_orders_per_plan = {most}", *lines[at:]]) + "\n")
    if custody.coordinator is not None and custody.coordinator.running:
        await asyncio.to_thread(custody.coordinator.stop)
    await asyncio.to_thread(custody.start_coordinator)


# --- coins ------------------------------------------------------------------------------------------------------------


async def fan_out(
    custody: Deployment, person: Actor, vault: Proven[VaultRecord], *, count: int, amount_sat: int = COIN_SAT
) -> None:
    """Pay `count` deposits to as many fresh addresses of the vault in one block, and wait until they are seen."""
    miner = PlainVault("benchmark miner")
    paying = miner.key.derive(0, 0)
    block = custody.rpc("generatetoaddress", 1, paying.address(REGTEST))[0]
    custody.rpc("generatetoaddress", COINBASE_MATURITY, burn_address())
    coinbase = custody.rpc("getblock", block, 2)["tx"][0]
    value = round(coinbase["vout"][0]["value"] * COIN)
    coin = SpendInput(txid=transaction.txid_bytes(coinbase["txid"]), vout=0, amount_sat=value, branch=0, index=0)
    first = _next_index.get(custody.root, 0)
    _next_index[custody.root] = first + count
    outputs = [
        SpendOutput(amount_sat=amount_sat, script=script_of(derive_address(vault, index), REGTEST))
        for index in range(first, first + count)
    ]
    fee = 10 * 50 * (count + 10)
    outputs.append(SpendOutput(amount_sat=value - count * amount_sat - fee, script=paying.script))
    before = await _settled(custody, person, vault.record.name)
    custody.rpc("sendrawtransaction", miner.signed([coin], outputs).hex())
    custody.rpc("generatetoaddress", 1, burn_address())
    await person.wait_for_coins(vault.record.name, before + count * amount_sat)


_next_index: dict[Path, int] = {}
"""Deposit addresses used so far, by deployment."""


async def _settled(custody: Deployment, person: Actor, vault: str) -> int:
    """Mine until the coordinator has seen every withdrawal in a block, and give the confirmed balance."""
    async with asyncio.timeout(120):
        while True:
            balance = await person.client.balance(vault)
            if balance.pending_out == balance.pending_in == 0:
                return balance.confirmed
            custody.rpc("generatetoaddress", 1, burn_address())
            await asyncio.sleep(0.5)


# --- key generation ---------------------------------------------------------------------------------------------------


async def generate_keys(
    custody: Deployment, people: Sequence[Actor], *, threshold: int, count: int
) -> tuple[list[float], list[Proven[VaultRecord]]]:
    """Create vaults one after the other.

    Returns:
        For each the milliseconds from the coordinator's start of the ceremony, when the order is final and approved,
        until the log holds the Vault entry under a certificate: every ChillDKG round with its certificate, the trial
        signatures of the holders, and the logging. And the vaults.
    """
    first, second, third = people
    log = _log(custody)
    taken, vaults = [], []
    for number in range(count):
        name = f"vault-{threshold}-{number}"
        order = await first.create_vault(name, signers=custody.shape.signers, threshold=threshold)
        await second.approve(order)
        await third.approve(order)
        where = {"vault": name}
        done = await asyncio.to_thread(log.wait_for, "keygen.done", where=where)
        begun = await asyncio.to_thread(log.wait_for, "keygen.started", where=where)
        taken.append((_seconds(done) - _seconds(begun)) * 1000)
        vaults.append(await first.wait_for_vault(name))
    return taken, vaults


# --- latency ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds from the moment before the last approval is sent."""

    signed: float
    """Until the coordinator has the final, verified transaction."""
    receipt: float
    """Until the approver holds a proven receipt."""
    rounds: float
    """Of these, from the finished plan to the end: both rounds with the signers, and the final check."""


async def latencies(custody: Deployment, people: Sequence[Actor], vault: str, *, count: int) -> list[Latency]:
    """Withdraw one after the other from an otherwise idle system; each has its own transaction."""
    initiator, second, third = people
    orders = [
        await initiator.pay(vault, burn_address(1_000 + number), PAYMENT_SAT, max_fee=20_000) for number in range(count)
    ]
    for order in orders:
        await second.approve(order)
    found = []
    log = _log(custody)
    for order in orders:
        last = await third.say(Verb.APPROVE, order)
        # Not in step with the log's own timers, and after they have run.
        await asyncio.sleep(0.3 + random.random() * 0.2)
        mark = len(log.events)
        begun = time.time()
        await third.client.endorse(last)
        receipt = time.time() - begun
        signed = await asyncio.to_thread(log.wait_for, "plan.signed", after=mark)
        found.append(
            Latency(signed=(_seconds(signed) - begun) * 1000, receipt=receipt * 1000, rounds=signed["took_ms"])
        )
    return found


# --- throughput -------------------------------------------------------------------------------------------------------


async def bulk(custody: Deployment, people: Sequence[Actor], vault: str, *, count: int) -> Run:
    """Enter `count` withdrawals, then send the approvals of two people in bulk, and wait until all are signed.

    What people's own machines do - drafting, signing, checking receipts - is done before or after the measured time.
    """
    initiator, *approvers = people
    drafts = [
        initiator.draft(
            Withdraw(
                vault=vault,
                asset=BTC,
                amount=PAYMENT_SAT,
                destination=burn_address(1_000_000 + number),
                max_fee=20_000,
            )
        )
        for number in range(count)
    ]
    hashes = [drafted.hash for drafted in drafts]
    initiations = await _say(initiator, Verb.INITIATE, hashes)
    words = [(drafted.data, [signed]) for drafted, signed in zip(drafts, initiations, strict=True)]
    entering = time.time()
    for chunk in _chunks(words):
        for receipt in await initiator.client.submit_many(chunk):
            if isinstance(receipt, Exception):
                raise receipt
    entered = time.time() - entering
    said = [await _say(person, Verb.APPROVE, hashes) for person in approvers]
    await asyncio.sleep(1.0)
    log = _log(custody)
    mark = len(log.events)
    used, begun = _processor_seconds(custody), time.time()
    async with asyncio.TaskGroup() as tasks:
        sent = [
            tasks.create_task(_endorse(custody, person.name, signed))
            for person, signed in zip(approvers, said, strict=True)
        ]
        seen = tasks.create_task(asyncio.to_thread(_signed, log, mark, count))
    plans = seen.result()
    for item in (item for task in sent for item in task.result()):
        if not item.HasField("receipt"):
            raise RuntimeError(f"an approval was refused: {item.reason} {item.message}")
    after = tuple(moment - begun for moment, _ in plans)
    return Run(
        orders=count,
        seconds=max(after),
        plans=len(plans),
        entered_s=entered,
        signed_after_s=after,
        cpu_s={name: round(now - used[name], 3) for name, now in _processor_seconds(custody).items()},
    )


async def _say(person: Actor, verb: Verb, orders: Sequence[OrderHash]) -> list[SignedBody]:
    """Sign one verb on many orders, all naming the same final head."""
    seen, now_ms = await person.client.seen(), int(time.time() * 1000)
    log_id, key = person.deployment.log_id, person.key.public
    return [
        person.sign(endorsement(verb, order, log_id=log_id, seen=seen, now_ms=now_ms, person=person.name, key=key))
        for order in orders
    ]


async def _endorse(custody: Deployment, name: str, signed: Sequence[SignedBody]) -> list[treasury_pb.ItemResult]:
    """Send approvals in bulk calls; the receipts are not checked here, which the approver's machine would do."""
    results: list[treasury_pb.ItemResult] = []
    async with open_channel(custody.endpoint(name)) as channel:
        stub: Any = TreasuryServiceStub(channel)
        for chunk in _chunks(signed):
            bodies = [types_pb2.SignedBody(body=one.body, signature=one.signature) for one in chunk]
            response = await stub.EndorseOrders(treasury_pb.EndorseOrdersRequest(endorsements=bodies), timeout=120)
            results += response.results
    return results


def _signed(log: Daemon, mark: int, orders: int) -> list[tuple[float, int]]:
    """Moments at which transactions were signed, each with how many orders it pays, until all orders are paid."""
    found: list[tuple[float, int]] = []
    left = orders
    while left > 0:
        line = log.wait_for("plan.signed", after=mark, timeout_s=120)
        mark = log.events.index(line, mark) + 1
        found.append((_seconds(line), line["orders"]))
        left -= line["orders"]
    return found


# --- small things -----------------------------------------------------------------------------------------------------


def _chunks(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + BULK] for start in range(0, len(items), BULK)]


def _log(custody: Deployment) -> Daemon:
    if custody.coordinator is None:
        raise RuntimeError("the coordinator does not run")
    return custody.coordinator


def _processor_seconds(custody: Deployment) -> dict[str, float]:
    """Processor time that each process has used so far, where the system tells."""
    daemons = {"coordinator": custody.coordinator, "node": custody.node, **custody.signers}
    found = {"bench": time.process_time()}
    for name, daemon in daemons.items():
        with contextlib.suppress(OSError):
            if daemon is not None:
                fields = Path(f"/proc/{daemon.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
                found[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def _seconds(line: dict[str, Any]) -> float:
    """Unix seconds at which an event was logged, to the microsecond."""
    return datetime.fromisoformat(line["time"]).timestamp()
