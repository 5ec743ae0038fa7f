"""Evidence against signers in words: what it proves, what nobody may conclude from it, and what an order settles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from strongroom.ledger.order_messages import ReinstateSigner
from strongroom.model.ids import LogId
from strongroom.protocol.evidence import EvidenceInvalid, Fault, Proven, evidence_log_id, verify_evidence
from strongroom_client.errors import NotFound, NotProven
from strongroom_client.treasury import TreasuryClient
from strongroom_client.trust import Trust

__all__ = [
    "FAULT_TEXTS",
    "CheckedEvidence",
    "FaultText",
    "check_evidence",
    "evidence_warnings",
    "headline",
    "not_proven",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultText:
    """What a kind of fault is, for people.

    Attributes:
        did: What the signer's key is proven to have done, after the signer's name.
        means: Why no sound signer does it.
        also: What may lie behind it besides ill will.
    """

    did: str
    means: str
    also: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedEvidence:
    """A record, and what is known of it here.

    Attributes:
        log_id: The log that it is of.
        proven: What it proves; None when it is of a log that nothing here vouches for.
    """

    log_id: LogId
    proven: Proven | None


FAULT_TEXTS: Final[Mapping[Fault, FaultText]] = MappingProxyType(
    {
        Fault.WRONG_SHARE: FaultText(
            did="gave a wrong signature share",
            means=(
                "Its vote key signed the share together with the plan, the set of signers and everybody's commitments. "
                "Under exactly these the share is wrong, and a sound signer checks its own share before it sends it."
            ),
            also="a defective machine, a share restored from a wrong backup, or a stolen vote key",
        ),
        Fault.MALFORMED_COMMITMENTS: FaultText(
            did="signed malformed nonce commitments",
            means=(
                "Its vote key signed commitments for this plan that are no points of the curve, or not one for each of "
                "its inputs. A sound signer makes one pair of points for each."
            ),
            also="a defective machine, another program, or a stolen vote key",
        ),
        Fault.TWO_VOTES: FaultText(
            did="signed votes for two different heads at one term and size",
            means=(
                "Its vote key was used twice where it may be used once. A sound signer stores its vote before it sends "
                "it and gives no other."
            ),
            also="a signer restored from an old copy, two copies of one signer running, or a stolen vote key",
        ),
        Fault.MALFORMED_DEALING: FaultText(
            did="signed a malformed dealing of new shares",
            means=(
                "Its vote key signed what it dealt together with the hash of the terms: from which key, to whom, and "
                "how many of them sign. A sound signer deals one point fewer than sign, and one share to each holder."
            ),
            also="a defective machine, another program, or a stolen vote key",
        ),
    }
)


def headline(proven: Proven) -> str:
    """The fault in one line."""
    return f"Proven: signer {proven.signer} {FAULT_TEXTS[proven.fault].did}."


def not_proven(proven: Proven) -> tuple[str, ...]:
    """What does not follow, a line each."""
    lines = [
        f"who used the key, or why: {FAULT_TEXTS[proven.fault].also} does the same",
        "anything about another signer, or about the coordinator that kept the record",
    ]
    if proven.fault is Fault.TWO_VOTES:
        lines.insert(1, "that any of the two heads got its certificate, or that anybody was shown both")
    elif proven.fault is Fault.MALFORMED_DEALING:
        lines.insert(
            1, "that any holder took a share of it: what does not fit its terms is left out of every new share"
        )
    else:
        lines.insert(1, "that coins were lost or could have been: what it sent can delay a payment, not change one")
    return tuple(lines)


def check_evidence(data: bytes, trust: Trust) -> CheckedEvidence:
    """Check a record by the pinned log, or by the one before that the pinned restart names.

    What was signed for older logs still proves what it did. But which ids those had is not known here, and a record of
    any other log could be made by anybody.

    Raises:
        EvidenceInvalid: it proves nothing.
    """
    log_id = evidence_log_id(data)
    if log_id not in (trust.log_id, trust.log_id_before):
        return CheckedEvidence(log_id=log_id, proven=None)
    return CheckedEvidence(log_id=log_id, proven=verify_evidence(data, log_id=log_id))


async def evidence_warnings(client: TreasuryClient, action: ReinstateSigner, trust: Trust) -> tuple[str, ...]:
    """What to tell before an order that settles evidence is signed: that nobody has it, or that it says another thing.

    Such an order can be meant: the record may lie with a signer or an auditor alone.
    """
    name = action.evidence_hash
    try:
        checked = check_evidence(await client.evidence_record(name), trust)
    except NotFound:
        return (f"the coordinator has no evidence {name.hex()}: what this order would settle cannot be seen here",)
    except (NotProven, EvidenceInvalid) as error:
        return (f"what the coordinator has as evidence {name.hex()} does not hold: {error.message}",)
    if checked.proven is None:
        return (
            f"evidence {name.hex()} is of log {checked.log_id.hex()}, which this machine cannot check: if your "
            f"organisation had that log before a restart, check it with `strongroom audit blame` and that log id",
        )
    if checked.proven.signer != action.signer:
        return (f"evidence {name.hex()} is against {checked.proven.signer}, and settles nothing for {action.signer}",)
    return ()
