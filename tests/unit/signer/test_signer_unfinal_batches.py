"""A signer whose log has thousands of batches that are certified and not final: a term for each, and then honesty."""

from __future__ import annotations

from pathlib import Path

import pytest

from charter_builder import signing_key
from electorate_of import certificate_by, electorate
from signer_world import Cluster, signed
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.replica import Preview
from strongroom.model.ids import BootId
from strongroom.protocol.certificates import held_of, sign_vote, verify_vote
from strongroom.protocol.leader import NewTermCollection
from strongroom.protocol.terms import sign_new_term

TERMS = 1_100
"""More than calls may lie in one another by default."""


class Leader:
    """Leads s1, a real signer; the words of s2 are those of one that followed each term."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.certificate = cluster.certificate
        self.key = signing_key("s2 vote")

    def open_term(self) -> None:
        """Open the next term on the newest certificate."""
        cluster = self.cluster
        cluster.term += 1
        collection = NewTermCollection(
            log_id=cluster.world.log_id,
            term=cluster.term,
            leader=cluster.leader,
            electorates=cluster.signers["s1"].voting.electorates,
        )
        own = signed(cluster.ask("s1", pb.Promise(term=cluster.term, leader=cluster.leader)).statement)
        other = sign_new_term(
            self.key,
            log_id=cluster.world.log_id,
            signer="s2",
            term=cluster.term,
            leader=cluster.leader,
            boot_id=BootId(bytes(16)),
            held=held_of(self.certificate),
        )
        for statement in (own, other):
            collection = collection.add(statement, self.certificate)
        opening = collection.opening(collection.electorates.own(0))
        assert opening is not None
        cluster.ask("s1", cluster.opening(opening))

    def certify(self, preview: Preview) -> None:
        """Have s1 vote for a batch, and hand it the certificate."""
        cluster = self.cluster
        own = cluster.ask("s1", cluster.append(preview, certificate=self.certificate))
        assert isinstance(own, pb.Voted), own
        vote = signed(own.vote)
        read = verify_vote("s1", vote, log_id=cluster.world.log_id, electorate=electorate(cluster.vote_keys))
        other = verify_vote(
            "s2",
            sign_vote(self.key, read.head, held_of(self.certificate)),
            log_id=cluster.world.log_id,
            electorate=electorate(cluster.vote_keys),
        )
        self.certificate = certificate_by((read, other), 2)
        cluster.ask("s1", pb.Certify(certificate=codec.encode(self.certificate)))

    def tick(self) -> None:
        """One empty batch."""
        self.cluster.world.log(Tick())
        self.certify(self.cluster.world.previews[-1])


@pytest.mark.attack(
    line="coordinator",
    title="a term for each batch, so that thousands are certified and none is final, until no signer can read its log",
    origin="on paper: what is certified must never be dropped, and so a log that nobody can go on from stays for ever",
)
def test_attack_thousands_of_certified_batches_none_of_them_final(tmp_path: Path) -> None:
    cluster = Cluster.started(tmp_path)
    cluster.deliver()
    # What is decided is on trial here, not the disk.
    cluster.signers["s1"].store._db.execute("PRAGMA synchronous = OFF")
    hostile = Leader(cluster)
    final = cluster.signers["s1"].voting.final_size
    for _ in range(TERMS):
        hostile.open_term()
        hostile.tick()
    assert cluster.world.replica.size >= final + TERMS
    assert cluster.signers["s1"].voting.final_size <= final + 1
    signer = cluster.restart("s1")
    honest = Leader(cluster)
    honest.certificate = hostile.certificate
    cluster.leader = b"honest-leader-01"
    honest.open_term()
    for _ in range(2):
        honest.tick()
    assert signer.voting.final_size == cluster.world.replica.size - 1
    assert signer.copy.replica.head() == cluster.world.replica.head()
    assert len(signer.copy.replica.batch_borders()) == 2
    cluster.close()
