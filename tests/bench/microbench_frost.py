"""What FROST signing costs against the cost of its own curve calls.

For each operation the calls into libsecp256k1 are recorded and replayed alone; the ratio of the two times is what
Python adds. Signer set and tweaked key are warm, as they are from the second input on. Run it directly for a table;
`run()` gives the rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter_ns
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from frost_groups import fixed_bytes, group_of
from strongroom.crypto import bip340, curve, frost, secret
from strongroom.crypto.frost import SecretNonce, Session, SignersContext, Tweak
from strongroom.crypto.frost_session import _validate as validate_signers

GROUPS = ((2, 3), (3, 5), (15, 21))
TARGET_RATIO = 1.5
ROUNDS = 30
TWEAKS = (
    Tweak(fixed_bytes("branch"), is_xonly=False),
    Tweak(fixed_bytes("index"), is_xonly=False),
    Tweak(fixed_bytes("taproot"), is_xonly=True),
)

Call = tuple[Callable[..., object], tuple[object, ...]]


class _RecordingLibrary:
    """Stands in for libsecp256k1 and notes every call that goes through it."""

    def __init__(self, library: Any, calls: list[Call]) -> None:
        self._library = library
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._library, name)

        def recorded(*arguments: object) -> object:
            self._calls.append((function, arguments))
            return function(*arguments)

        return recorded


@contextmanager
def _recording(calls: list[Call]) -> Iterator[None]:
    modules: tuple[Any, ...] = (curve, secret, bip340)
    arena: Any = secret._Arena
    library, give_back = modules[0].lib, arena.give_back
    for module in modules:
        module.lib = _RecordingLibrary(library, calls)
    # What is replayed must still hold the values: libsecp256k1 aborts on a public key made from a wiped secret.
    arena.give_back = lambda arena, slot: None
    try:
        yield
    finally:
        arena.give_back = give_back
        for module in modules:
            module.lib = library


def _best_us(operations: list[Callable[[], object]]) -> float:
    """The time of the fastest, in microseconds: what the work takes when nothing else disturbs it."""
    best = None
    for operation in operations:
        started = perf_counter_ns()
        operation()
        taken = perf_counter_ns() - started
        best = taken if best is None else min(best, taken)
    if best is None:
        raise ValueError("there is nothing to measure")
    return best / 1_000


def _replay(calls: list[Call]) -> None:
    for function, arguments in calls:
        function(*arguments)


def _row(group: str, name: str, make: Callable[[int], Callable[[], object]]) -> dict[str, object]:
    """Measure an operation; `make` prepares one run, outside the measured time."""
    measured = _best_us([make(index) for index in range(ROUNDS)])
    calls: list[Call] = []
    prepared = make(ROUNDS)
    with _recording(calls):
        prepared()
    curve_us = _best_us([lambda: _replay(calls)] * ROUNDS)
    return {
        "group": group,
        "operation": name,
        "measured_us": measured,
        "curve_us": curve_us,
        "curve_calls": len(calls),
        "ratio": measured / curve_us,
    }


class _Bench:
    """One group, with one signer set and a warm context, as a signer has it after its first input."""

    def __init__(self, t: int, n: int) -> None:
        self.group = group_of(t, n)
        self.ids = tuple(range(t))
        self.context = self.group.context(self.ids)
        self.context.validated()
        self.key = frost.tweaked_key(self.group.threshold_pubkey, TWEAKS).point.xonly()

    def message(self, index: int) -> bytes:
        return fixed_bytes("message", index)

    def nonces(self, index: int) -> list[tuple[SecretNonce, bytes]]:
        return self.group.nonces(self.ids, index)

    def session(self, publics: list[bytes], index: int) -> Session:
        return Session.from_public_nonces(publics, self.context, TWEAKS, self.message(index))

    def nonce_gen(self, index: int) -> Callable[[], object]:
        share, random32, message = self.group.share(0), fixed_bytes("bench", index), self.message(index)
        public = share.public()
        return lambda: frost.nonce_gen(
            random32, secshare=share, pubshare=public, thresh_pk_xonly=self.key, message=message, extra=b"bench"
        )

    def validate(self, index: int) -> Callable[[], object]:
        context = SignersContext(
            self.context.n, self.context.t, self.ids, self.context.pubshares, self.context.thresh_pk
        )

        def run() -> object:
            validate_signers.cache_clear()
            return context.validated()

        return run

    def open_session(self, index: int) -> Callable[[], object]:
        publics = [public for _, public in self.nonces(index)]
        return lambda: self.session(publics, index).values()

    def sign(self, index: int) -> Callable[[], object]:
        """What a signer does for one input: open the session from all public nonces, sign, check its own work."""
        nonces = self.nonces(index)
        publics = [public for _, public in nonces]
        return lambda: frost.sign(nonces[0][0], self.group.share(0), 0, self.session(publics, index))

    def verify(self, index: int) -> Callable[[], object]:
        nonces = self.nonces(index)
        session = self.session([public for _, public in nonces], index)
        psig = frost.sign(nonces[0][0], self.group.share(0), 0, session)
        return lambda: frost.partial_sig_verify(psig, 0, session)

    def aggregate(self, index: int) -> Callable[[], object]:
        nonces = self.nonces(index)
        session = self.session([public for _, public in nonces], index)
        psigs = [
            frost.sign(nonce, self.group.share(holder), holder, session)
            for holder, (nonce, _) in zip(self.ids, nonces, strict=True)
        ]
        return lambda: frost.aggregate(psigs, session)


def run() -> list[dict[str, object]]:
    """One row per group and operation: measured_us, curve_us (its own curve calls), curve_calls, ratio."""
    rows = []
    for t, n in GROUPS:
        bench = _Bench(t, n)
        operations: list[tuple[str, Callable[[int], Callable[[], object]]]] = [
            ("nonce generation", bench.nonce_gen),
            ("signer set validation", bench.validate),
            ("open session", bench.open_session),
            ("sign", bench.sign),
            ("verify a share", bench.verify),
            ("aggregate", bench.aggregate),
        ]
        rows += [_row(f"{t}-of-{n}", name, make) for name, make in operations]
    return rows


def table(rows: list[dict[str, object]]) -> str:
    """The rows as text."""
    lines = [f"{'group':<10}{'operation':<24}{'measured us':>12}{'curve us':>10}{'calls':>7}{'ratio':>7}"]
    lines += [
        f"{row['group']:<10}{row['operation']:<24}{row['measured_us']:>12.1f}{row['curve_us']:>10.1f}"
        f"{row['curve_calls']:>7}{row['ratio']:>7.2f}"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    result = run()
    sys.stdout.write(table(result) + "\n")
    sys.exit(max(float(str(row["ratio"])) for row in result) > TARGET_RATIO)
