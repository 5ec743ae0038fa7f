"""A deployment whose daemons are killed at crash points again and again, and what must hold after every kill.

Only two of the three signers run, and both the vote and the signature need two: nothing goes on without the daemon
that was killed, so what is paid in the end was taken up again by it. The third is started where a scene needs it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actor import Actor, actors, until
from cluster import VAULT, Cluster, funded, running, side_by_side
from crash_points import CrashPoint
from crash_recorder import Record
from payments import approve_once, payee
from strongroom.chains.bitcoin.address import script_of
from strongroom.chains.bitcoin.block import parse_block
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.signed_messages import Verb
from strongroom.model.ids import OrderHash
from strongroom_client.audit import Auditor
from strongroom_client.audit_chain import BitcoinRpc, verify_chain
from strongroom_client.demo.processes import Daemon, DaemonFailed
from strongroom_client.errors import Aborted, DeadlineExceeded, FailedPrecondition, Unavailable
from strongroom_signer.operator_commands import DaemonNotRunning

AMOUNT = 100_000
PATIENCE_S = 90.0
"""Most that anything may take on a slow machine; nothing waits that long when all is well."""
_SUPPORT = Path(__file__).parent
_GAP = 50
_TRANSIENT = (Unavailable, DeadlineExceeded, Aborted)


@dataclass
class KnownBlocks:
    """The chain as far as it was read; no block of a test is ever abandoned."""

    blocks: list[bytes] = field(default_factory=list)

    def height(self) -> int:
        return len(self.blocks) - 1

    def block(self, height: int) -> bytes:
        return self.blocks[height]


@dataclass
class Scene:
    """One deployment over many kills."""

    cluster: Cluster
    signers: tuple[str, str]
    """The two that run; the first is the one that is killed."""
    spare: str
    ordered: dict[OrderHash, tuple[str, int]] = field(default_factory=dict)
    """Acknowledged orders: where they pay to, and how much."""
    vaults: list[str] = field(default_factory=list)
    """Vaults made on the way."""
    deposits: int = 0
    """Addresses used for deposits on the way."""
    far: int = 0
    """An index of an address beyond all in use."""
    paid: dict[bytes, list[int]] = field(default_factory=dict)
    """What confirmed transactions paid, by output script."""
    chain: KnownBlocks = field(default_factory=KnownBlocks)
    record: Record = field(default_factory=Record)

    # --- processes ---------------------------------------------------------------------------------------------------

    @property
    def victim(self) -> str:
        return self.signers[0]

    @property
    def helper(self) -> str:
        return self.signers[1]

    def record_file(self, who: str) -> Path:
        return self.cluster.root / f"frames-{who}.jsonl"

    def doom_signer(self, point: CrashPoint, side: str, *, passage: int = 1, name: str = "") -> Daemon:
        """Start a signer that will end at a point; it may end before it is ready."""
        name = name or self.victim
        options = ["--crash", point.name, "--side", side, "--passage", str(passage)]
        options += ["--record", str(self.record_file(name))]
        command = [sys.executable, str(_SUPPORT / "signer_launcher.py"), *options, "--"]
        command += self.cluster.signer_arguments(name)
        return self._start(f"signer {name}", command, f"signer-{name}.log", self.cluster.deployment.signers, name)

    def recording_signer(self, name: str) -> None:
        """Start a signer that keeps what it sends."""
        command = [sys.executable, str(_SUPPORT / "signer_launcher.py"), "--record", str(self.record_file(name)), "--"]
        command += self.cluster.signer_arguments(name)
        self._start(f"signer {name}", command, f"signer-{name}.log", self.cluster.deployment.signers, name)

    def doom_coordinator(self, point: CrashPoint, side: str, *, passage: int = 1) -> Daemon:
        """Start a coordinator that will end at a point; it may end before it is ready."""
        return self._coordinator("--crash", point.name, "--side", side, "--passage", str(passage))

    def recording_coordinator(self) -> None:
        """Start a coordinator that keeps what it receives."""
        self._coordinator("--record", str(self.record_file("coordinator")))

    def _coordinator(self, *options: str) -> Daemon:
        folder = str(self.cluster.deployment.coordinator_folder)
        command = [sys.executable, str(_SUPPORT / "coordinator_launcher.py"), *options, "--", "run", "--data", folder]
        log = self.cluster.root / "logs" / "coordinator.log"
        daemon = Daemon("coordinator", command, log)
        self.cluster.deployment.coordinator = daemon
        with suppress(DaemonFailed):
            daemon.start()
        return daemon

    def _start(self, title: str, command: Sequence[str], log: str, into: dict[str, Daemon], name: str) -> Daemon:
        daemon = Daemon(title, command, self.cluster.root / "logs" / log)
        into[name] = daemon
        with suppress(DaemonFailed):
            daemon.start()
        return daemon

    def plain_coordinator(self) -> None:
        """Start the coordinator as its operator does."""
        self.cluster.deployment.coordinator = None
        self.cluster.deployment.start_coordinator()

    def restart_node(self) -> None:
        """End the node as a power cut would, and start it again without what it had not put into a block."""
        node = self.cluster.deployment.node
        assert node is not None
        node.kill()
        self.cluster.deployment.start_node()

    def status(self, name: str) -> dict[str, Any]:
        """What a signer tells its operator; nothing while it does not run."""
        if not self.cluster.signer(name).running:
            return {}
        try:
            return self.cluster.signer_status(name)
        except DaemonNotRunning:
            return {}

    # --- money -------------------------------------------------------------------------------------------------------

    async def order(self, people: tuple[Actor, ...], amount: int = AMOUNT) -> OrderHash:
        """A withdrawal, ordered and approved by two, each step repeated until it is acknowledged."""
        initiator, *approvers = people
        destination = payee()
        action = Withdraw(vault=VAULT, asset=REGTEST.asset_id, amount=amount, destination=destination, max_fee=100_000)
        draft = initiator.draft(action)
        said = await patiently(lambda: initiator.say(Verb.INITIATE, draft.hash))
        await patiently(lambda: initiator.client.submit(draft.data, [said]))
        self.ordered[draft.hash] = (destination, amount)
        for person in approvers[:2]:
            await patiently(lambda person=person: approve_once(person, draft.hash))
        return draft.hash

    async def settle(self, actor: Actor, order: OrderHash) -> None:
        """Mine what reaches the mempool until the order counts as paid."""

        async def check() -> bool:
            if (await actor.client.order(order)).status == "paid":
                return True
            if await asyncio.to_thread(self.cluster.deployment.rpc, "getrawmempool"):
                await asyncio.to_thread(self.cluster.mine)
            return False

        await until(lambda: calmly(check), timeout_s=PATIENCE_S)

    async def pay(self, people: tuple[Actor, ...]) -> OrderHash:
        """An order from its draft to its block."""
        order = await self.order(people)
        await self.settle(people[0], order)
        return order

    # --- what must hold ----------------------------------------------------------------------------------------------

    def scan(self) -> None:
        """Read the blocks that came since the last time."""
        source = BitcoinRpc(
            url=f"http://127.0.0.1:{(self.cluster.root / 'node-port').read_text().strip()}",
            cookie_file=self.cluster.root / "node" / ".cookie",
        )
        for height in range(len(self.chain.blocks), source.height() + 1):
            data = source.block(height)
            self.chain.blocks.append(data)
            for transaction in parse_block(data).transactions:
                for output in transaction.outputs:
                    self.paid.setdefault(output.script, []).append(output.amount_sat)

    async def holds(self, people: tuple[Actor, ...]) -> None:
        """Every order of this deployment's life is known and paid once, and everybody agrees on how it came to be."""
        actor = people[0]
        await asyncio.to_thread(self.scan)
        for order, (destination, amount) in self.ordered.items():
            assert self.paid.get(script_of(destination, REGTEST)) == [amount], f"order {order.hex()}"
        for order in list(self.ordered)[-4:]:
            assert (await actor.client.order(order)).status == "paid"
        for name, daemon in self.cluster.deployment.signers.items():
            if daemon.running:
                assert self.cluster.signer_status(name)["alarm"] is None
        self.read_frames()
        assert not self.record.used_twice
        assert not self.record.voted_twice
        await self._audit(actor)

    async def _audit(self, actor: Actor) -> None:
        auditor = Auditor(self.cluster.deployment.log_id)
        checkpoint = (await actor.client.ledger()).checkpoint
        async for batch in actor.client.read_log():
            auditor.take(batch.first_index, tuple(batch.entries), batch.certificate)
        auditor.finish(checkpoint=checkpoint.encode())
        for order in self.ordered:
            assert auditor.state.order(order) is not None
        vaults, spends = list(auditor.state.vaults()), dict(auditor.spends)
        chain = await asyncio.to_thread(verify_chain, vaults, spends, self.chain, gap=_GAP)
        assert chain.paid_orders >= len(self.ordered)

    def read_frames(self) -> None:
        """Read what the launched processes kept since the last time."""
        self.record.read(*self.cluster.root.glob("frames-*.jsonl"))

    def check_marks(self) -> None:
        """Every share that ever left a signer stands in its database as a used nonce; the signers must be stopped."""
        self.read_frames()
        assert self.record.sessions
        for signer, session in self.record.sessions:
            database = self.cluster.deployment.signer_folder(signer) / "signer.db"
            connection = sqlite3.connect(database)
            try:
                query = "SELECT count(*) FROM nonce_mark WHERE session = ?"
                assert connection.execute(query, (session,)).fetchone() == (1,)
            finally:
                connection.close()


async def patiently(step: Callable[[], Awaitable[Any]]) -> Any:
    """Repeat a step until it is answered, as a client does whose coordinator or signers are away."""

    async def once() -> tuple[Any]:
        return (await step(),)

    return (await until(lambda: calmly(once), timeout_s=PATIENCE_S))[0]


async def calmly(step: Callable[[], Awaitable[Any]]) -> Any:
    """One try of a step; None where the coordinator was away, or does not lead yet."""
    try:
        return await step()
    except _TRANSIENT:
        return None
    except OSError:
        # The node is away.
        return None
    except FailedPrecondition as error:
        if error.remote_reason != "NOT_READY":
            raise
        return None


async def ended(daemon: Daemon) -> None:
    """Wait until a doomed process is gone, by the signal that no process can catch."""

    async def gone() -> bool:
        return not daemon.running

    await until(gone, timeout_s=PATIENCE_S)
    assert await asyncio.to_thread(daemon.kill) == -9


@contextmanager
def deployment(name: str, *, record_at_signers: bool = False) -> Iterator[Scene]:
    """A funded deployment with two of its signers running, quick to restart."""
    with running(funded(), name) as cluster:
        quicken(cluster)
        victim, helper, spare = cluster.signers
        scene = Scene(cluster, (victim, helper), spare)
        cluster.deployment.start_node()
        work: list[Callable[[], None]] = []
        if record_at_signers:
            work += [scene.plain_coordinator, lambda: scene.recording_signer(victim)]
            work += [lambda: scene.recording_signer(helper)]
        else:
            work += [scene.recording_coordinator, lambda: cluster.deployment.start_signer(victim)]
            work += [lambda: cluster.deployment.start_signer(helper)]
        side_by_side(work)
        yield scene


def quicken(cluster: Cluster) -> None:
    """Let blocks and retries take no time that proves nothing: a node that is asked often."""
    config = cluster.deployment.coordinator_folder / "coordinator.toml"
    text = config.read_text()
    config.write_text(
        text.replace("[ledger]", "[ledger]\nvote_timeout_ms = 3000").replace("[bitcoin]", "[bitcoin]\npoll_ms = 100")
        + "\n[signing]\nkeygen_retry_ms = 100\n"
    )


@asynccontextmanager
async def people_of(scene: Scene) -> AsyncIterator[tuple[Actor, ...]]:
    """The treasury, with open keys."""
    async with actors(scene.cluster.deployment, "alice", "bob", "carol") as people:
        yield people
