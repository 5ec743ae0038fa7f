"""A ledger world whose log is founded anew: restarts as administrators make them, and the log that goes on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import charter_builder as builder
from handover_world import HandoverWorld, signer
from ledger_world import World
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.charter import Charter, encode_charter, log_id_of
from strongroom.ledger.entry_messages import Restart, RestartStatement
from strongroom.ledger.founding import restart_entry, restart_log_id, statement_of
from strongroom.ledger.replica import Batch, Preview, Replica
from strongroom.ledger.signed_messages import Signed
from strongroom.ledger.view import MemoryStore
from strongroom.model.ids import LogId
from strongroom.protocol.restart import approval_of

KEPT = ("s1", "s2")


def approval(restart: Restart, person: str, *, label: str = "") -> Signed:
    """The approval of a person, by the key of a label, of the person's own name when there is none."""
    key = builder.signing_key(label or person)
    return approval_of(restart, person=person, key=key.public, sign=key.sign)


class RestartWorld(HandoverWorld):
    """Heads are certified by any signers; `found` replays the log under the id of a restart."""

    def __init__(self, world: World | None = None) -> None:
        super().__init__(world)
        self.genesis_id: LogId = log_id_of(self.world.charter_bytes)

    def new_charter(self, *, lost: Iterable[str] = ("s2", "s3"), key: str = "new", **parts: object) -> Charter:
        """The charter in force with the lost ones recovered from words: the same host keys, new vote keys."""
        old = self.state.charter
        gone = frozenset(lost)
        signers = tuple(
            replace(signer(one.name, f"{one.name}-{key}"), host_key=one.host_key) if one.name in gone else one
            for one in old.signers
        )
        return replace(old, **{"version": old.version + 1, "signers": signers, **parts})  # type: ignore[arg-type]

    def statement(
        self, charter: Charter | None = None, *, head: Head | None = None, made_ms: int = 0
    ) -> RestartStatement:
        return RestartStatement(
            head=head or self.head(),
            charter=encode_charter(charter or self.new_charter()),
            made_ms=made_ms or self.world.time_ms,
        )

    def restart(
        self,
        charter: Charter | None = None,
        *,
        statement: RestartStatement | None = None,
        certificate: Certificate | None = None,
        voters: Sequence[str] = KEPT,
        approvers: Sequence[str] = ("alice", "bob"),
    ) -> Restart:
        """A restart by these administrators from the newest head, which these signers certified."""
        said = statement or self.statement(charter)
        given = certificate or (self.certificate(voters, head=said.head) if said.head.term else None)
        made = Restart(statement=codec.encode(said), certificate=given, approvals=())
        return replace(made, approvals=tuple(approval(made, person) for person in approvers))

    def pinned(self, restart: Restart, *, log_id: LogId | None = None) -> Replica:
        """The same log, replayed by one that pinned this restart, up to the entry before it."""
        replica = Replica(MemoryStore(), log_id=log_id or restart_log_id(restart), genesis_id=self.genesis_id)
        for batch in self.world.batches:
            replica.push(replica.preview(batch))
        return replica

    def tried(self, restart: Restart) -> Preview:
        """What the founding entry does; nothing is kept.

        Raises:
            Refused: it does not hold.
        """
        replica = self.pinned(restart)
        return replica.preview(self.founding(restart))

    def founding(self, restart: Restart) -> Batch:
        return Batch(first_index=self.world.replica.size, entries=(codec.encode(restart_entry(restart)),))

    def lose(self, size: int) -> None:
        """Forget everything beyond these entries, as when only lost disks held it."""
        self.world.previews = [preview for preview in self.world.previews if preview.size <= size]
        self.world.replica.truncate(size)

    def found(self, restart: Restart) -> None:
        """Go on in the log that this restart founds."""
        replica = self.pinned(restart)
        preview = replica.preview(self.founding(restart))
        replica.push(preview)
        self.world.previews.append(preview)
        self.world.replica = replica
        self.world.log_id = replica.log_id
        self.world.time_ms = statement_of(restart).made_ms
