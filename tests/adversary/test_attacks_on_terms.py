"""A dishonest coordinator tries to lead terms that it has no right to, and to pass certificates that nobody gave."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attack_cases import Case, attack, cheats_of
from cluster import Cheated, Cluster
from siege import attacked_together, besieged, heals

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

NO_TERMS = "on paper: without terms a log has no unlock, and with terms every word of one must be bound to it"
SPLIT_LOG = "on paper: two histories of one log, each paying an order once"
REPLAY = "stacks-sbtc #274: messages of one session replayed in another"
WEDGE = "on paper: a certificate held without its entries wedges the log"


def _opening(cheat: str, title: str, reason: str = "TERM_STATEMENTS_INVALID", *, origin: str = NO_TERMS) -> object:
    return attack(cheat, title, reason, step="open_term", origin=origin)


def _certificate(cheat: str, title: str, *, origin: str = SPLIT_LOG) -> object:
    return attack(cheat, title, "CERTIFICATE_INVALID", step="certify", origin=origin)


CASES = [
    _opening("few-statements", "a term opened by fewer signers than the quorum"),
    _opening("statement-twice", "a term opened by one signer's statement counted twice"),
    _opening("all-statements", "a term opened by more statements than the quorum"),
    _opening("strangers-statement", "a term opened by a stranger's statement"),
    _opening("forged-statement", "a term opened by a statement forged in a signer's name", "SIGNED_BODY_INVALID"),
    _opening("altered-statement", "a statement altered to name an older certificate", "SIGNED_BODY_INVALID"),
    _opening("another-leaders-statements", "statements that were given to another coordinator", origin=REPLAY),
    _opening("reopen-old-term", "an old term opened again with its genuine statements", "TERM_STALE", origin=REPLAY),
    _opening("lower-base", "a base that is not the highest certificate stated", origin=SPLIT_LOG),
    _opening("unnamed-base", "a base that no statement names", origin=SPLIT_LOG),
    attack("second-base", "a second base for one term", "TERM_HAS_ANOTHER_BASE", step="second-base", origin=SPLIT_LOG),
    attack(
        "two-leaders",
        "one term promised to two coordinators",
        "TERM_ALREADY_PROMISED",
        step="second-promise",
        origin="on paper: an asynchronous failover of the database leaves two leaders",
    ),
    attack("absurd-term", "a term number above the step limit", "TERM_TOO_FAR", step="promise", origin=NO_TERMS),
    attack("absurd-term", "the last term number there is", "TERM_TOO_FAR", step="last-term", origin=NO_TERMS),
    attack(
        "lead-on-in-an-old-term",
        "a vote asked for in a term that is over",
        "TERM_STALE",
        step="append",
        origin=NO_TERMS,
    ),
    attack(
        "lead-on-in-an-old-term",
        "nonces asked for in a term that is over",
        "TERM_STALE",
        step="commit",
        origin=NO_TERMS,
    ),
    attack(
        "lead-on-in-an-old-term", "a promise to go back a term", "TERM_STALE", step="promise-again", origin=NO_TERMS
    ),
    attack("vote-before-opening", "a vote before a base is agreed", "TERM_NOT_OPEN", step="append", origin=NO_TERMS),
    attack("vote-in-a-future-term", "a vote in a term not heard of", "TERM_NOT_OPEN", step="append", origin=NO_TERMS),
    attack("old-certificate", "a certificate of an earlier term", "TERM_STALE", step="certify", origin=REPLAY),
    _certificate("too-few-votes", "a certificate without quorum"),
    _certificate("vote-twice", "a certificate that counts one signer's vote twice"),
    _certificate("strangers-vote", "a certificate with a stranger's vote"),
    _certificate("forged-vote", "a certificate with a vote forged in a signer's name"),
    _certificate("votes-for-another-size", "votes put under another length of the log"),
    _certificate("votes-of-another-term", "votes put under a later term", origin=REPLAY),
    _certificate("replayed-votes", "votes for the last head replayed under the next one", origin=REPLAY),
    _certificate(
        "false-digest", "a false state digest under genuine votes", origin="on paper: builds that replay apart"
    ),
    _certificate("another-log", "a certificate said to be of another log", origin=REPLAY),
    _certificate("altered-held", "votes altered to make entries final that are not"),
    _certificate(
        "votes-in-another-order", "a second encoding of one certificate", origin="TSSHOCK: ambiguous encodings"
    ),
    attack(
        "withheld-entries", "a certificate whose entries are withheld", "BEHIND", step="certify", by=1, origin=WEDGE
    ),
    attack("withheld-entries", "a base whose entries are withheld", "BEHIND", step="open_term", by=1, origin=WEDGE),
    attack(
        "withheld-entries",
        "a vote asked for on a base never stored",
        "BASE_NOT_ADOPTED",
        step="append",
        by=1,
        origin=WEDGE,
    ),
    attack(
        "junk-bodies", "junk sent for the entries below a certificate", "BEHIND", step="certify", by=1, origin=WEDGE
    ),
]


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    with besieged("terms") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def outcomes(siege: Cluster) -> dict[str, Cheated]:
    """Every cheat, each in a term of its own, by one cheater."""
    return attacked_together(siege, cheats_of(CASES))


@pytest.mark.parametrize("case", CASES)
def test_attack_is_refused(outcomes: dict[str, Cheated], case: Case) -> None:
    case.check(outcomes)


async def test_an_honest_coordinator_goes_on_after_all_of_them(siege: Cluster, outcomes: dict[str, Cheated]) -> None:
    assert outcomes
    await heals(siege)
