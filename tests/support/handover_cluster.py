"""Real signers while one witness set is to take over from another: s1, s2 and s3 decide, s1, s2 and s4 are wanted.

handing = await HandoverCluster.wanted(tmp_path)   # the wish is final, and one term is open at all four
one, other = handing.rivals()                      # two batches for one place
certificate = handing.certify(one, handing.old, "s1", "s3")
await handing.give("s1", certificate, one)         # as a coordinator does, with these bytes at hand
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import charter_builder as builder
from handover_world import HandoverWorld, signer
from signer_world import Cluster, make_folder, open_folder, signed
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.electorate import Electorate, witness_set_of
from strongroom.ledger.entry_messages import Handover, Tick
from strongroom.ledger.replica import Preview
from strongroom.protocol.certificates import VerifiedVote, certificate_from_votes, verify_vote
from strongroom.protocol.leader import NewTermCollection
from strongroom_signer.frames import batches_of
from strongroom_signer.requests import LogBatch
from strongroom_signer.voting import EntriesMissing

ALL = ("s1", "s2", "s3", "s4")


@dataclass
class HandoverCluster:
    """The signers, and whose votes are enough when."""

    cluster: Cluster
    old: Electorate
    new: Electorate

    @classmethod
    async def wanted(cls, root: Path, *, quorum: int = 2) -> HandoverCluster:
        """Four signers with the same log, whose state wants the other set; all have adopted the base of one term."""
        cluster = Cluster.started(root, loosening_delay_ms=1000)
        change = HandoverWorld(cluster.world)
        charter = change.next_charter(builder.signer("s1"), builder.signer("s2"), signer("s4"), quorum=quorum)
        change.want(charter)
        cluster.clock.advance(cluster.world.time_ms - cluster.clock.wall)
        cluster.sync()
        cluster.tick(2)
        cluster.deliver()
        cluster.folders["s4"] = make_folder(root, cluster.world, "s4")
        cluster.signers["s4"] = open_folder(cluster.folders["s4"], cluster.clock)
        made = cls(
            cluster=cluster,
            old=Electorate(witness_set_of(cluster.world.charter)),
            new=Electorate(witness_set_of(charter)),
        )
        assert cluster.certificate is not None
        await made.give("s4", cluster.certificate)
        made.open_term()
        return made

    @property
    def both(self) -> Electorate:
        return Electorate(*self.old.sets, *self.new.sets)

    def open_term(self) -> None:
        """Open the next term with statements of s1 and s2, and tell all four."""
        cluster = self.cluster
        known = cluster.signers["s1"].voting.electorates
        cluster.term += 1
        collection = NewTermCollection(
            log_id=cluster.world.log_id, term=cluster.term, leader=cluster.leader, electorates=known
        )
        for name in ("s1", "s2"):
            promised = cluster.ask(name, pb.Promise(term=cluster.term, leader=cluster.leader))
            collection = collection.add(signed(promised.statement), codec.decode(Certificate, promised.certificate))
        base = collection.base()
        assert base is not None
        opening = collection.opening(known.own(base.size))
        assert opening is not None
        cluster.certificate = opening.base
        for name in ALL:
            cluster.ask(name, cluster.opening(opening))

    # --- batches ------------------------------------------------------------------------------------------------------

    def rivals(self) -> tuple[Preview, Preview]:
        """Two batches for the same place, of which nobody knows yet."""
        world = self.cluster.world
        one, other = (world.replica.preview(world.batch(Tick())) for _ in range(2))
        assert one.root != other.root
        return one, other

    def vote(self, preview: Preview, *names: str) -> list[VerifiedVote]:
        """Have these signers store a batch and vote for it, the newest certificate not told again."""
        found = []
        for name in names:
            voted = self.cluster.ask(name, self.append(preview))
            assert isinstance(voted, pb.Voted), voted
            body = signed(voted.vote)
            found.append(verify_vote(name, body, log_id=self.cluster.world.log_id, electorate=self.both))
        return found

    def append(self, preview: Preview) -> pb.Append:
        request = self.cluster.append(preview)
        request.certificate = b""
        return request

    def certify(self, preview: Preview, electorate: Electorate, *names: str) -> Certificate:
        """The certificate of these signers' votes for a batch."""
        return certificate_from_votes(self.vote(preview, *names), electorate=electorate)

    def hand_over(self, told: Iterable[str] = ALL) -> Preview:
        """Log the first step, from which both sets decide; all four store it, and these hold its certificate."""
        cluster = self.cluster
        cluster.world.log(Tick())
        votes = self.vote(cluster.world.previews[-1], *ALL)
        by_both = certificate_from_votes(votes, electorate=self.both)
        cluster.world.log(Handover(certificate=by_both))
        step = cluster.world.previews[-1]
        self.tell(self.certify(step, self.both, *ALL), told)
        cluster.sent = len(cluster.world.previews)
        return step

    def end_of_handover(self) -> Preview:
        """A batch with the second step, from which the new set decides alone; nobody was told what proves it.

        All four store the entries before it. The certificate in it is by s1 and s2, which are enough of both sets.
        """
        world = self.cluster.world
        world.log(Tick())
        votes = [one for one in self.vote(world.previews[-1], *ALL) if one.signer in ("s1", "s2")]
        certificate = certificate_from_votes(votes, electorate=self.both)
        summary = HandoverWorld(world).summary()
        return world.replica.preview(world.batch(Handover(certificate=certificate, summary=summary)))

    # --- what a coordinator does with a certificate -------------------------------------------------------------------

    def tell(self, certificate: Certificate, names: Iterable[str] = ALL) -> None:
        """Certify, to signers that hold the entries."""
        self.cluster.certificate = certificate
        for name in names:
            self.cluster.ask(name, pb.Certify(certificate=codec.encode(certificate)))

    async def give(self, name: str, certificate: Certificate, *previews: Preview, donor: str = "s1") -> Any:
        """Certify; entries that are missing then are these, and before them those of the donor."""
        request = pb.Certify(certificate=codec.encode(certificate))
        try:
            return self.cluster.ask(name, request)
        except EntriesMissing as error:
            await self.cluster.catch_up(name, self.fetcher(donor, *previews)).run(error.certificate)
            return self.cluster.ask(name, request)

    def fetcher(self, donor: str, *previews: Preview) -> Callable[[int, int], Any]:
        """A source of these batches, and of what lies below them in the donor's log."""
        fork = previews[0].batch.first_index if previews else None

        async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
            if fork is None or first < fork:
                below = pb.FetchBatches(first_index=first, end_index=end if fork is None else fork)
                return batches_of(self.cluster.ask(donor, below))
            return tuple(
                LogBatch(first_index=one.batch.first_index, entries=one.batch.entries, certificate=b"")
                for one in previews
                if one.batch.first_index >= first
            )

        return fetch

    # --- what the signers say of themselves ---------------------------------------------------------------------------

    def alarms(self) -> dict[str, str]:
        return {name: one.voting.state.alarm for name, one in self.cluster.signers.items() if one.voting.state.alarm}

    def held(self, name: str) -> Certificate | None:
        return self.cluster.signers[name].voting.state.held

    def close(self) -> None:
        self.cluster.close()
