"""A signer's memory is read while it runs: what signing used is gone, and what stays lies in one locked place.

The signer runs in a launcher that writes down its secrets when it uses them, so that the test knows what to look for.
Finding the share in its own buffer shows each time that the search works.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from actor import actors, until
from cluster import Cluster, funded, running
from machines import PATIENCE_S, signer_on
from memory_scan import flags_at, forms_of, found_in, occurrences
from payments import approved, connected, paid, payee
from secret_keeper import kept_secrets

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

ORIGIN = "FROST and MuSig practice: whoever reads one nonce of a published signature has the share"


@dataclass
class Signed:
    """A deployment after three payments, with what one signer used for them."""

    cluster: Cluster
    kept: Path

    @property
    def name(self) -> str:
        return self.cluster.signers[0]

    @property
    def pid(self) -> int:
        return self.cluster.signer(self.name).pid

    def secrets(self, kind: str) -> set[bytes]:
        return kept_secrets(self.kept)[kind]

    def wanted(self, *kinds: str) -> dict[str, bytes]:
        """Every form of every secret of these kinds."""
        return {
            f"{kind}{number} {form}": data
            for kind in kinds
            for number, secret in enumerate(sorted(self.secrets(kind)))
            for form, data in forms_of(secret).items()
        }

    @property
    def passphrase(self) -> bytes:
        return self.cluster.deployment.passphrase_file.read_bytes().strip()


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    with running(funded(), "memory") as cluster:
        kept = tmp_path_factory.mktemp("kept") / "secrets"
        watched, other, _ = cluster.signers
        cluster.start(signers=[other])
        signer_on(cluster, watched, "--keep-secrets", str(kept))
        asyncio.run(_pay(cluster))
        yield Signed(cluster, kept)


async def _pay(cluster: Cluster) -> None:
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await until(lambda: connected(people[0], 2), timeout_s=PATIENCE_S)
        for _ in range(3):
            await paid(cluster, people[0], await approved(people, payee()), timeout_s=PATIENCE_S)


def alone_and_locked(signed: Signed, kind: str) -> None:
    """One secret of this kind: its bytes lie in one place that is never swapped out, and no other form anywhere."""
    (secret,) = signed.secrets(kind)
    found = occurrences(signed.pid, {form: data for form, data in forms_of(secret).items()})
    assert set(found) == {"bytes"}
    (address,) = found["bytes"]
    flags = flags_at(signed.pid, address)
    if "lo" not in flags and _may_lock() < 1 << 20:
        pytest.skip("this machine lets a process lock no memory: RLIMIT_MEMLOCK is too low")
    assert "lo" in flags


def _may_lock() -> int:
    line = next(line for line in Path("/proc/self/limits").read_text().splitlines() if line.startswith("Max locked"))
    soft = line.split()[3]
    return 1 << 62 if soft == "unlimited" else int(soft)


@pytest.mark.attack(line="machine", title="a signer's memory searched for the nonces of its signatures", origin=ORIGIN)
def test_no_nonce_is_left_after_signing(signed: Signed) -> None:
    assert len(signed.secrets("n")) >= 6
    assert occurrences(signed.pid, signed.wanted("n")) == {}


@pytest.mark.attack(
    line="machine",
    title="a signer's memory searched for values derived from nonce and share",
    origin="on paper: nonce times binding factor, or share times its public factor, give the share as well",
)
def test_nothing_that_signing_derived_is_left(signed: Signed) -> None:
    assert len(signed.secrets("d")) >= 6
    assert occurrences(signed.pid, signed.wanted("d")) == {}


@pytest.mark.attack(
    line="machine",
    title="a signer's memory searched for copies of its share",
    origin="on paper: copies in buffers of libraries, messages and swapped pages",
)
def test_the_share_lies_in_one_locked_place(signed: Signed) -> None:
    alone_and_locked(signed, "s")


@pytest.mark.attack(
    line="machine",
    title="a signer's memory searched for its passphrase and copies of its keys",
    origin="on paper: with passphrase or storage key every sealed file and row opens",
)
def test_the_passphrase_is_gone_and_each_key_lies_in_one_locked_place(signed: Signed) -> None:
    assert occurrences(signed.pid, {"passphrase": signed.passphrase}) == {}
    for kind in "hkv":
        alone_and_locked(signed, kind)


@pytest.mark.attack(
    line="machine",
    title="logs, files, environment and arguments searched for secrets",
    origin="CircleCI 2023 and others: secrets taken from logs and environments",
)
def test_no_secret_is_in_logs_files_environment_or_arguments(signed: Signed) -> None:
    """Every file under the deployment: databases, write-ahead files, logs, configurations, cards."""
    wanted = {**signed.wanted("s", "h", "k", "v", "n", "g", "d"), "passphrase": signed.passphrase}
    searched = 0
    for path in signed.cluster.root.rglob("*"):
        if path.is_file() and path != signed.cluster.deployment.passphrase_file:
            assert found_in(path.read_bytes(), wanted) == [], path
            searched += 1
    assert searched > 20
    tls_key = (signed.cluster.deployment.signer_folder(signed.name) / "tls.key").read_bytes().splitlines()[1]
    for daemon in signed.cluster.all_daemons():
        for name in ("environ", "cmdline"):
            assert found_in(Path(f"/proc/{daemon.pid}/{name}").read_bytes(), {**wanted, "TLS key": tls_key}) == []
        assert found_in(daemon.log_file.read_bytes(), {"TLS key": tls_key}) == []


@pytest.mark.attack(
    line="machine",
    title="a signer's memory searched for nonces that were never used",
    origin="on paper: a coordinator asks for nonces and lets them lie, then has the machine imaged",
)
async def test_nonces_that_nobody_used_are_gone_within_half_a_minute(signed: Signed) -> None:
    unused: Mapping[str, bytes] = signed.wanted("g")
    assert len(signed.secrets("g")) > len(signed.secrets("n"))

    async def gone() -> bool:
        return occurrences(signed.pid, unused) == {}

    await until(gone, timeout_s=PATIENCE_S)


@pytest.mark.attack(
    line="machine",
    title="a signer made to dump its memory",
    origin="on paper: a crash report or a core file carries the share off the machine",
)
def test_a_crash_leaves_no_core_dump(signed: Signed) -> None:
    """The program itself: the launcher of the other tests starts below where it protects the process."""
    daemon = signed.cluster.signer(signed.cluster.signers[1])
    limits = Path(f"/proc/{daemon.pid}/limits").read_text().splitlines()
    (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
    assert core[4:6] == ["0", "0"]
    # The kernel gives the files of a process that may not be dumped or traced to root.
    if os.geteuid() != 0:
        assert Path(f"/proc/{daemon.pid}/mem").stat().st_uid == 0
