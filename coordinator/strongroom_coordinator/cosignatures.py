"""The checkpoint for the world: the newest final head with the cosignatures that signers made over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import structlog

from strongroom.ledger.checkpoint import Checkpoint, cosigner_key, log_origin, publish
from strongroom.ledger.electorate import Electorate
from strongroom.ledger.note import Note, NoteSignature, verify_note
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import LogId

__all__ = ["Cosignatures"]

log = structlog.get_logger()

_KEPT: Final = 64


class Cosignatures:
    """Collects verified C2SP cosignatures. A line that verifies for no recent final head is dropped with a warning.

    Args:
        log_id: The log.
        witness_keys: Gives the witness keys (32 bytes) of every signer, by name.
        root_at: Root of the own log at a size, or None.
        electorate: Gives those of whom a certificate needs a quorum now.
    """

    def __init__(
        self,
        *,
        log_id: LogId,
        witness_keys: Callable[[], Mapping[str, tuple[bytes, ...]]],
        root_at: Callable[[int], bytes | None],
        electorate: Callable[[], Electorate],
    ) -> None:
        self._origin = log_origin(log_id)
        self._log_id = log_id
        self._witness_keys = witness_keys
        self._root_at = root_at
        self._electorate = electorate
        self._lines: dict[int, dict[str, NoteSignature]] = {}

    def note_final(self, size: int) -> None:
        """A head of this size became final: cosignatures over it will come."""
        self._lines.setdefault(size, {})
        while len(self._lines) > _KEPT:
            del self._lines[min(self._lines)]

    def add(self, signer: str, line: str) -> None:
        """Take the cosignature line that came with a vote; empty for none."""
        if not line or signer not in self._witness_keys():
            return
        try:
            signature = NoteSignature.parse(line.removesuffix("\n"))
        except StrongroomError as error:
            log.warning("cosignature.malformed", signer=signer, message=error.message)
            return
        # Signers cosign the newest final head, so the search from the newest on ends at once.
        for size in sorted(self._lines, reverse=True):
            if self._verifies(signer, size, signature):
                self._lines[size][signer] = signature
                return
        log.info("cosignature.unmatched", signer=signer)

    def checkpoint(self) -> str:
        """The newest final head that a quorum cosigned, as a signed note; empty while nobody cosigned any.

        While no head has a quorum it is the one that the most cosigned. Beyond a quorum, more cosignatures count for
        nothing: one signer that stopped would else hold the published checkpoint at the last head it cosigned.
        """
        signed = {size: lines for size, lines in self._lines.items() if lines}
        if not signed:
            return ""
        electorate = self._electorate()
        whole = [size for size, lines in signed.items() if electorate.could_be_quorum(lines)]
        size = max(whole) if whole else max(signed, key=lambda size: (len(signed[size]), size))
        checkpoint = self._checkpoint(size)
        if checkpoint is None:
            return ""
        return publish(checkpoint, [line for _, line in sorted(self._lines[size].items())]).decode("utf-8")

    def _checkpoint(self, size: int) -> Checkpoint | None:
        root = self._root_at(size)
        return None if root is None else Checkpoint(origin=self._origin, size=size, root=root)

    def _verifies(self, signer: str, size: int, signature: NoteSignature) -> bool:
        checkpoint = self._checkpoint(size)
        if checkpoint is None:
            return False
        try:
            note = Note(text=checkpoint.text, signatures=(signature,))
            keys = self._witness_keys().get(signer, ())
            return any(verify_note(note, [cosigner_key(self._log_id, signer, key)]) for key in keys)
        except StrongroomError:
            return False
