"""A replayed log that counts as certified, and its time: what the coordinator's readers need, without signers."""

from __future__ import annotations

from dataclasses import replace

from ledger_world import World
from strongroom.ledger.certificate_messages import Certificate, CertificateVote, Head
from strongroom.ledger.replica import Replica
from strongroom.protocol.certificates import head_hash


class Certified:
    """A log whose newest batch counts as certified, and as final unless `is_final` or `final_at` says otherwise."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_final = True
        self.final_at: int | None = None
        """Size of the newest final head; None for all."""

    @property
    def replica(self) -> Replica:
        return self.world.replica

    @property
    def certificate(self) -> Certificate:
        return self._of(self.world.replica.size)

    def _of(self, size: int) -> Certificate:
        root, digest = self.world.replica.head(size)
        head = Head(log_id=self.world.log_id, term=1, size=size, root=root, state_digest=digest)
        vote = CertificateVote(signer="s1", held_term=0, held_size=0, held_head=b"", signature=bytes(64))
        return Certificate(head=head, votes=(vote,))

    @property
    def final_certificate(self) -> Certificate | None:
        if not self.is_final:
            return None
        newest = self.certificate
        held = newest.head if self.final_at is None else self._of(self.final_at).head
        vote = replace(newest.votes[0], held_term=1, held_size=held.size, held_head=head_hash(held))
        return replace(newest, votes=(vote,))

    async def stored(self) -> None:
        return

    async def certificate_at(self, size: int) -> Certificate | None:
        return self._of(size)


class Clock:
    """The world's time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ahead_ms = 0

    def wall_ms(self) -> int:
        return self.world.time_ms + self.ahead_ms

    def monotonic(self) -> float:
        return self.world.time_ms / 1000
