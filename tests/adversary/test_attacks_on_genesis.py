"""A log begun with other rules than people adopted: refused by operators at enrolment, and by signers ever after."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import attack_cases
from actor import actors, ready
from attack_cases import Case
from cluster import Cheated, Cluster, enrolled, running
from siege import attacked_together
from strongroom.ledger.charter import Charter, decode_charter, encode_charter, log_id_of
from strongroom_client.demo.processes import program

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

DOWNGRADE = "sBTC Emily report: limits and rules served by a central program"
HANDED = "on paper: a charter of the coordinator's choosing handed to operators"
FORGED = "mpcium report: fields outside the signature, and an identity taken from the message"
ONE_FOR_ALL = "mpcium report: one key signs for all initiators"


def attack(cheat: str, reason: str, title: str, origin: str) -> Any:
    return attack_cases.attack(cheat, title, reason, step="append", origin=origin, signed=True)


ATTACKS = (
    attack("stranger-charter", "WRONG_LOG", "a log begun with a stranger's charter", DOWNGRADE),
    attack("loosened-genesis", "WRONG_LOG", "a log begun with looser rules under genuine adoptions", DOWNGRADE),
    attack("too-few-adoptions", "ADOPTION_QUORUM", "a charter adopted by too few", DOWNGRADE),
    attack("one-adopts-twice", "ADOPTION_INVALID", "one administrator's adoption counted twice", ONE_FOR_ALL),
    attack("forged-adoption", "BAD_SIGNATURE", "a forged adoption", FORGED),
    attack("server-adopts", "ADOPTION_INVALID", "a server's adoption", ONE_FOR_ALL),
    attack("no-genesis", "GENESIS_MISSING", "a log begun without a charter", DOWNGRADE),
)


@pytest.fixture(scope="module")
def unborn() -> Iterator[Cluster]:
    """Enrolled, with no entry in any log, and nothing running yet."""
    with running(enrolled(), "genesis") as cluster:
        yield cluster


def enrol(
    cluster: Cluster, charter: bytes, fingerprint: str, *, anew: bool = False
) -> subprocess.CompletedProcess[str]:
    """Have the first operator enrol with a charter and the fingerprint that was compared.

    Args:
        cluster: its first signer is enrolled already.
        charter: what the operator was handed.
        fingerprint: what the operator compared.
        anew: enrol a copy of the signer as it was before it was enrolled.
    """
    name = cluster.signers[0]
    folder = cluster.deployment.signer_folder(name)
    if anew:
        folder = _before_enrolment(folder, cluster.root / "not-enrolled")
    path = cluster.root / "handed-charter.bin"
    path.write_bytes(charter)
    tls = ["--cert", str(cluster.root / f"signer-{name}.pem"), "--ca", str(cluster.root / "pki" / "ca.pem")]
    where = ["--coordinator", f"127.0.0.1:{cluster.deployment.port}"]
    phrase = ["--passphrase-file", str(cluster.deployment.passphrase_file)]
    command = [program("strongroom-signer"), "enrol", "--data", str(folder), "--charter", str(path)]
    command += ["--fingerprint", fingerprint, *tls, *where, *phrase]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _before_enrolment(folder: Path, copy: Path) -> Path:
    """The keys of a signer without the log that its operator pinned."""
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.sock"))
    with closing(sqlite3.connect(copy / "signer.db")) as database, database:
        database.execute("DELETE FROM pin")
    return copy


def altered(cluster: Cluster, **parts: Any) -> bytes:
    """The deployment's charter with some parts replaced and another salt."""
    charter: Charter = decode_charter(Path(cluster.root / "charter.bin").read_bytes())
    return encode_charter(replace(charter, salt=os.urandom(32), **parts))


@pytest.mark.attack(line="coordinator", title="a stranger's charter at enrolment", origin=HANDED)
def test_an_operator_enrols_only_with_the_charter_that_was_compared(unborn: Cluster) -> None:
    done = enrol(unborn, altered(unborn), unborn.deployment.log_id.hex())
    assert done.returncode != 0
    assert "compare it again" in done.stderr


@pytest.mark.attack(line="coordinator", title="an enrolled signer rolled back to another charter", origin=HANDED)
def test_a_signer_that_is_enrolled_takes_no_other_charter(unborn: Cluster) -> None:
    """Even when its operator is fooled into typing the other charter's fingerprint."""
    other = altered(unborn)
    done = enrol(unborn, other, log_id_of(other).hex())
    assert done.returncode != 0
    assert f"is pinned to log {unborn.deployment.log_id.hex()}" in done.stderr


@pytest.mark.attack(line="coordinator", title="a charter that gives a signer's name to another key", origin=HANDED)
def test_an_operator_enrols_only_with_a_charter_that_names_its_keys(unborn: Cluster) -> None:
    charter = decode_charter((unborn.root / "charter.bin").read_bytes())
    first, second, *rest = charter.signers
    swapped = (replace(first, vote_key=second.vote_key), replace(second, vote_key=first.vote_key), *rest)
    other = altered(unborn, signers=swapped)
    done = enrol(unborn, other, log_id_of(other).hex(), anew=True)
    assert done.returncode != 0
    assert unborn.signers[0] in done.stderr
    assert "key" in done.stderr


@pytest.fixture(scope="module")
def outcomes(unborn: Cluster) -> dict[str, Cheated]:
    """All cheats, one after another, by one dishonest coordinator that is the first the signers ever meet."""
    unborn.start(coordinator=False)
    return attacked_together(unborn, [one.values[0].cheat for one in ATTACKS])


@pytest.mark.parametrize("case", ATTACKS)
def test_every_signer_refuses_to_begin_so(outcomes: dict[str, Cheated], case: Case) -> None:
    case.check(outcomes)


async def test_the_genuine_charter_begins_the_log_after_all_of_them(
    unborn: Cluster, outcomes: dict[str, Cheated]
) -> None:
    assert all(outcome.released == 0 for outcome in outcomes.values())
    unborn.deployment.start_coordinator()
    async with actors(unborn.deployment, "alice") as (alice,):
        await ready(alice)
