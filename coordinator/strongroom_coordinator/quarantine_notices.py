"""Telling signers why they are asked for no shares: it is for their operators, and asks for nothing."""

from __future__ import annotations

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom_coordinator.evidence_book import EvidenceBook
from strongroom_coordinator.link import LinkServer, SignerLink

__all__ = ["QuarantineNotices"]


class QuarantineNotices:
    """Tells each signer of its oldest unsettled record: when it connects, and when that changes."""

    def __init__(self, evidence: EvidenceBook, links: LinkServer) -> None:
        self._evidence = evidence
        self._links = links
        links.on_change(self._link_changed)
        evidence.on_change(self._changed)

    def _link_changed(self, link: SignerLink, connected: bool) -> None:
        if connected and self._evidence.quarantined(link.signer) is not None:
            self._tell(link)

    def _changed(self, signer: str) -> None:
        link = self._links.links.get(signer)
        if link is not None:
            self._tell(link)

    def _tell(self, link: SignerLink) -> None:
        row = self._evidence.quarantined(link.signer)
        if row is None:
            link.tell(pb.Quarantined())
            return
        link.tell(
            pb.Quarantined(
                evidence_hash=row.hash,
                fault=row.fault,
                detail=row.detail,
                operator_cleared=row.operator_cleared,
                ordered=bool(row.order_hash),
            )
        )
