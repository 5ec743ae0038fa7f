"""What making, handing on, recovering and using a vault's key costs, step by step: time, and bytes on the wire.

The pure protocol in one process and one thread: every signer's work and the coordinator's, no network, no disk, no log.
Times are processor time, which other work on the machine does not disturb.
What signs is what the refresh just made. Run it directly for a table; `run()` gives the rows, `many()` the figures for
many vaults.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time_ns
from typing import Any, Final, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from keygen_world import Generation
from protocol_group import Holders, host_key
from protocol_group import task as signing_task
from protocol_world import signing_key
from redistribution_world import Ceremony, names
from signing_world import Signers
from strongroom.ledger.key_material import public_shares
from strongroom.protocol import keygen_coordinator, redistribution_coordinator, redistribution_snapshot, signing
from strongroom.protocol import keygen_events as keygen
from strongroom.protocol import redistribution_events as events
from strongroom.protocol.share_recovery import share_of
from strongroom.protocol.signing_task import Group

SHAPES: Final = ((2, 3), (3, 5), (15, 21))
VAULTS: Final = 1_000
ALL: Final = "all, one after the other"
T = TypeVar("T")


@dataclass(slots=True)
class Costs:
    """Nanoseconds and bytes by who does what; how often each was done."""

    ns: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    sent: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        started = process_time_ns()
        yield
        self.ns[what] += process_time_ns() - started
        self.calls[what] += 1

    def timing(self, what: str, call: Callable[[], T]) -> T:
        with self.timed(what):
            return call()

    @property
    def total_ms(self) -> float:
        return sum(self.ns.values()) / 1e6

    @property
    def total_bytes(self) -> int:
        return sum(self.sent.values())

    def rows(self) -> Iterator[dict[str, Any]]:
        for what in dict.fromkeys([*self.ns, *self.sent]):
            calls = self.calls.get(what, 0)
            yield {
                "step": what,
                "times": calls,
                "ms": round(self.ns.get(what, 0) / 1e6, 3),
                "ms_each": round(self.ns.get(what, 0) / 1e6 / calls, 3) if calls else None,
                "bytes": self.sent.get(what, 0),
            }


def size_of(value: object) -> int:
    """Bytes of all byte strings in a message, without framing; names and numbers are left out."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, tuple | list):
        return sum(size_of(item) for item in value)
    if hasattr(value, "body") and hasattr(value, "signature"):
        return len(value.body) + len(value.signature)
    slots = getattr(value, "__slots__", ())
    return sum(size_of(getattr(value, name)) for name in slots)


_KEYGEN: Final = {
    keygen.AskRound1: "signer: deal",
    keygen.SendRound2: "signer: check and sign the transcript",
    keygen.SendFinish: "signer: check all signatures, state",
    keygen.AskTrialNonces: "signer: commit for a trial",
    keygen.AskTrialShares: "signer: sign a trial",
}
_REDISTRIBUTION: Final = {
    events.AskDealing: "signer: deal",
    events.SendDealings: "signer: check the dealings, state",
    events.AskTrialNonces: "signer: commit for a trial",
    events.AskTrialShares: "signer: sign a trial",
}


def generate(t: int, n: int, costs: Costs, number: int = 1) -> bytes:
    """One key generation; returns the recovery data."""
    generation = Generation(n, t, attempt=number)
    while generation.waiting:
        command = generation.waiting.pop(0)
        for name in generation.asked(command):
            step = _KEYGEN[type(command)]
            event = costs.timing(step, lambda name=name, command=command: generation.answer(name, command))
            costs.sent[step] += size_of(command) + size_of(event)
            state = generation.state
            generation.state, more = costs.timing(
                "coordinator: relay and add up",
                lambda state=state, event=event: keygen_coordinator.step(state, event),
            )
            generation.waiting += more
    outcome = generation.state.outcome
    if not isinstance(outcome, keygen.Generated):
        raise TypeError(f"the key generation failed: {outcome}")
    _recover(generation.terms.signers, outcome.recovery, costs)
    return outcome.recovery


def hand_on(t: int, n: int, new_t: int, new_n: int, costs: Costs, number: int = 1) -> bytes:
    """One redistribution; returns the recovery data."""
    return _handed_on(t, n, new_t, new_n, costs, number)[1]


def _handed_on(t: int, n: int, new_t: int, new_n: int, costs: Costs, number: int = 1) -> tuple[Ceremony, bytes]:
    signers = names(new_n) if new_n <= n else (*names(n), *names(new_n - n, "n"))
    ceremony = Ceremony(t, n, new_t, signers=signers, attempt=number)
    while ceremony.waiting:
        command = ceremony.waiting.pop(0)
        for name in ceremony.asked(command):
            step = _REDISTRIBUTION[type(command)]
            event = costs.timing(step, lambda name=name, command=command: ceremony.answer(name, command))
            costs.sent[step] += size_of(command) + size_of(event)
            state = ceremony.state
            ceremony.state, more = costs.timing(
                "coordinator: relay and add up",
                lambda state=state, event=event: redistribution_coordinator.step(state, event),
            )
            ceremony.waiting += more
    outcome = ceremony.state.outcome
    if not isinstance(outcome, events.Completed):
        raise TypeError(f"the redistribution failed: {redistribution_coordinator.progress(ceremony.state)}")
    costs.timing("coordinator: keep what was said", lambda: redistribution_snapshot.snapshot(ceremony.state))
    _recover(ceremony.terms.signers, outcome.made.recovery, costs)
    return ceremony, outcome.made.recovery


def _holders(ceremony: Ceremony, recovery: bytes) -> Holders:
    """The new holders of a key, with shares out of the recovery data: what they sign with."""
    terms, outcome = ceremony.terms, ceremony.state.outcome
    if not isinstance(outcome, events.Completed):
        raise TypeError("the redistribution is not over")
    shares = {}
    for name in terms.signers:
        with host_key(name) as own:
            shares[name] = share_of(own, recovery)
    group = Group(
        signers=terms.signers,
        threshold=terms.threshold,
        public_shares=public_shares(outcome.made.key),
        group_key=terms.group_key,
    )
    vote_keys = {name: signing_key(name) for name in terms.signers}
    return Holders(group=group, shares=shares, vote_keys=vote_keys, host_keys={}, recovery_data=recovery)


def use(owners: Holders, costs: Costs) -> None:
    """One signature under one plan of one input: t holders commit and sign, the coordinator checks and adds up."""
    signers = Signers(owners=owners, task=signing_task(owners, inputs=1))
    chosen = owners.group.signers[: owners.group.threshold]
    state, commands = costs.timing(
        "coordinator: open the session",
        lambda: signing.begin(signers.task, vote_keys=signers.vote_keys, preference=chosen, now_ms=0, certified=True),
    )
    for name in chosen:
        made = costs.timing("signer: commit to nonces", lambda name=name: signers.commit(name))
        costs.sent["signer: commit to nonces"] += size_of(made)
        arrived = signing.CommitmentsArrived(signer=name, signed=made, now_ms=0)
        state, commands = _advanced(state, arrived, costs)
    (asked,) = (one for one in commands if isinstance(one, signing.AskShares))
    for name in chosen:
        what = "signer: check the set, sign, check the own share"
        made = costs.timing(what, lambda name=name: signers.share(name, asked))
        costs.sent[what] += size_of(asked.commitments) + size_of(made)
        given = signing.SharesArrived(signer=name, signed=made, next_commitments=None, now_ms=0)
        state, commands = _advanced(state, given, costs)
    (signed,) = (one for one in commands if isinstance(one, signing.Signed))
    if not signers.signature_is_valid(signed.signatures):
        raise TypeError("the signature does not verify")


def _advanced(
    state: signing.SigningState, event: signing.Event, costs: Costs
) -> tuple[signing.SigningState, tuple[signing.Command, ...]]:
    return costs.timing("coordinator: check, relay and add up", lambda: signing.step(state, event))


def _wiped(owners: Holders) -> None:
    for share in owners.shares.values():
        share.wipe()


def _refreshed(t: int, n: int) -> Holders:
    return _holders(*_handed_on(t, n, t, n, Costs()))


def _use_once(t: int, n: int, costs: Costs) -> bytes:
    """A signature with shares that a refresh just made; the refresh is not counted."""
    owners = _refreshed(t, n)
    use(owners, costs)
    _wiped(owners)
    return owners.recovery_data


def _recover(signers: tuple[str, ...], recovery: bytes, costs: Costs) -> None:
    for name in signers:
        with host_key(name) as own:
            costs.timing("signer: recover the share", lambda own=own: share_of(own, recovery).wipe())


def run(shapes: tuple[tuple[int, int], ...] = SHAPES) -> list[dict[str, Any]]:
    """Every step of one key generation, one refresh, one reshare and one signature of each shape."""
    rows: list[dict[str, Any]] = []
    for t, n in shapes:
        work: dict[str, Callable[[Costs], bytes]] = {
            f"generate {t}-of-{n}": lambda costs, t=t, n=n: generate(t, n, costs),
            f"refresh {t}-of-{n}": lambda costs, t=t, n=n: hand_on(t, n, t, n, costs),
        }
        work[f"sign {t}-of-{n}"] = lambda costs, t=t, n=n: _use_once(t, n, costs)
        if (t, n) == (2, 3):
            work["reshare 2-of-3 to 3-of-5"] = lambda costs: hand_on(2, 3, 3, 5, costs)
        for what, once in work.items():
            once(Costs())  # so that tables of interpolation and imports are warm
            costs = Costs()
            recovery = once(costs)
            rows += [{"what": what, **row} for row in costs.rows()]
            rows.append(
                {
                    "what": what,
                    "step": ALL,
                    "times": 1,
                    "ms": round(costs.total_ms, 3),
                    "ms_each": round(costs.total_ms, 3),
                    "bytes": costs.total_bytes,
                }
            )
            if what.startswith("sign"):
                continue
            rows.append({"what": what, "step": "recovery data", "times": 1, "ms": 0.0, "ms_each": None,
                         "bytes": len(recovery)})  # fmt: skip
    return rows


def many(vaults: int = VAULTS) -> dict[str, Any]:
    """2-of-3 keys of many vaults, made, refreshed and used for one signature each, one after the other."""
    made, refreshed, used = Costs(), Costs(), Costs()
    for number in range(1, vaults + 1):
        generate(2, 3, made, number)
        owners = _holders(*_handed_on(2, 3, 2, 3, refreshed, number))
        use(owners, used)
        _wiped(owners)
    return {
        "vaults": vaults,
        "generate_s": round(made.total_ms / 1000, 3),
        "generate_bytes": made.total_bytes,
        "refresh_s": round(refreshed.total_ms / 1000, 3),
        "refresh_bytes": refreshed.total_bytes,
        "sign_s": round(used.total_ms / 1000, 3),
        "sign_bytes": used.total_bytes,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    lines = [f"{'what':<26}{'step':<40}{'times':>6}{'ms':>11}{'ms each':>10}{'bytes':>12}"]
    for row in rows:
        each = "-" if row["ms_each"] is None else f"{row['ms_each']:.3f}"
        lines.append(
            f"{row['what']:<26}{row['step']:<40}{row['times']:>6}{row['ms']:>11.3f}{each:>10}{row['bytes']:>12,}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure making, handing on and using keys.")
    parser.add_argument(
        "--vaults", type=int, default=VAULTS, help="how many 2-of-3 vaults are made, refreshed and used in a row"
    )
    parser.add_argument("--out", type=Path, help="write everything as JSON to this file")
    options = parser.parse_args()
    rows = run()
    together = many(options.vaults)
    sys.stdout.write(f"{table(rows)}\n\n{json.dumps(together, indent=1)}\n")
    if options.out is not None:
        options.out.write_text(json.dumps({"steps": rows, "many": together}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
