"""Real evidence against a signer of a test deployment, without a fault: its own vote key signs two votes.

The votes are made by hand from the signer's folder, as a thief of both folder and passphrase could.
"""

from __future__ import annotations

from cluster import Cluster
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger.certificate_messages import Head
from strongroom.ledger.charter import log_id_of
from strongroom.protocol.certificates import NO_CERTIFICATE, sign_vote
from strongroom.protocol.evidence_file import write_evidence_file
from strongroom.protocol.evidence_records import evidence_hash, two_votes
from strongroom_signer.enrolment import DATABASE_FILE
from strongroom_signer.keys import open_keys
from strongroom_signer.store import Store


def evidence_against(cluster: Cluster, name: str, charter: bytes) -> bytes:
    """A record of two votes by this signer in the log of this charter; the signer is restarted on the way."""
    cluster.signer(name).stop()
    record = evidence_from(cluster, name, charter)
    cluster.plain_signer(name)
    return record


def evidence_from(cluster: Cluster, name: str, charter: bytes, *, size: int = 1) -> bytes:
    """The same by the keys of a signer that does not run; another record for another size of the head."""
    folder = cluster.deployment.signer_folder(name)
    phrase = SecretBytes(cluster.deployment.passphrase_file.read_bytes().strip())
    store = Store.open(folder / DATABASE_FILE)
    try:
        keys = open_keys(folder, store, phrase)
        first, second = (
            sign_vote(
                keys.vote,
                Head(log_id=log_id_of(charter), term=1, size=size, root=root, state_digest=bytes(32)),
                NO_CERTIFICATE,
            )
            for root in (b"a" * 32, b"b" * 32)
        )
        keys.wipe()
    finally:
        store.close()
    return two_votes(charter=charter, signer=name, votes=(first, second))


def convict(cluster: Cluster, name: str) -> str:
    """Have a running deployment hold such a record against a signer; its hash in hex."""
    data = evidence_against(cluster, name, charter_of(cluster))
    handed = hand_in(cluster, data)
    cluster.restart_coordinator()
    return handed


def charter_of(cluster: Cluster) -> bytes:
    """The genesis charter."""
    return (cluster.root / "charter.bin").read_bytes()


def hand_in(cluster: Cluster, data: bytes) -> str:
    """Put a record where a coordinator reads it when it starts; its hash in hex."""
    file = cluster.deployment.coordinator_folder / "evidence" / f"{evidence_hash(data).hex()}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(write_evidence_file(data))
    return file.stem
