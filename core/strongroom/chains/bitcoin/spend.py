"""A spend of one vault: its form, its digests and the finished transaction.

Whoever holds the vault key, the inputs as claimed and the outputs gets the same bytes. The claimed amounts need no
proof here: BIP-341 digests commit to the amount and script of every input, so a wrong claim only makes the signatures
worthless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from strongroom.chains.bitcoin import policy
from strongroom.chains.bitcoin.keys import DerivedKey, VaultKey
from strongroom.chains.bitcoin.sighash import default_digests
from strongroom.chains.bitcoin.transaction import (
    Transaction,
    TxInput,
    TxOutput,
    compact_size,
    txid_text,
    with_witnesses,
)
from strongroom.crypto import bip340
from strongroom.crypto.frost import Tweak
from strongroom.model.errors import Kind, StrongroomError


class SpendRefused(StrongroomError):
    """The spend has not the form that rule set 1 allows; whoever built it is at fault."""

    reason = "SPEND_REFUSED"
    kind = Kind.INVALID_ARGUMENT


class MalformedInput(SpendRefused):
    """A field of an input or output, or the locktime, is out of its range."""

    reason = "MALFORMED_SPEND"


class EmptySpend(SpendRefused):
    """No input or no output."""

    reason = "EMPTY_SPEND"


class DuplicateInput(SpendRefused):
    """Two inputs name the same output."""

    reason = "DUPLICATE_INPUT"


class AmountOverflow(SpendRefused):
    """An amount, or a sum of amounts, lies outside 1 satoshi to 21 million coins."""

    reason = "AMOUNT_OVERFLOW"


class OutputsExceedInputs(SpendRefused):
    """The outputs pay more than the inputs bring."""

    reason = "OUTPUTS_EXCEED_INPUTS"


class NotStandard(SpendRefused):
    """An output script is none of the five kinds that may be paid."""

    reason = "NOT_STANDARD"


class DustOutput(SpendRefused):
    """An output carries less than the dust limit of its script."""

    reason = "DUST_OUTPUT"


class TooHeavy(SpendRefused):
    """The signed transaction would weigh more than a standard one may."""

    reason = "TOO_HEAVY"


class BadSignature(StrongroomError):
    """A signature does not verify for its input, so the transaction is not finished; its maker is at fault."""

    reason = "BAD_SIGNATURE"
    kind = Kind.INVALID_ARGUMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendInput:
    """One coin of the vault as the plan claims it.

    Attributes:
        txid: 32 bytes in internal order.
        vout: output index in that transaction.
        amount_sat: amount of the coin.
        branch: 0 for a deposit, 1 for change.
        index: child number below the branch, less than 2^31.
    """

    txid: bytes
    vout: int
    amount_sat: int
    branch: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendOutput:
    """One output: amount in satoshi and output script."""

    amount_sat: int
    script: bytes


@dataclass(frozen=True, kw_only=True)
class Spend:
    """Inputs of one vault and outputs, in transaction order, and the locktime. Making one checks its form.

    Raises:
        SpendRefused: a subclass with its own reason for each rule of form.
    """

    vault_key: VaultKey
    inputs: tuple[SpendInput, ...]
    outputs: tuple[SpendOutput, ...]
    locktime: int = 0

    def __post_init__(self) -> None:
        check_form(self.inputs, self.outputs)
        if not 0 <= self.locktime <= policy.MAX_LOCKTIME:
            raise MalformedInput(f"locktime {self.locktime} is none from 0 to {policy.MAX_LOCKTIME}")

    @cached_property
    def keys(self) -> tuple[DerivedKey, ...]:
        """The derived key of each input."""
        return tuple(self.vault_key.derive(item.branch, item.index) for item in self.inputs)

    @property
    def tweaks(self) -> tuple[tuple[Tweak, ...], ...]:
        """The tweaks under which the group signs each input."""
        return tuple(key.tweaks for key in self.keys)

    @cached_property
    def spent_outputs(self) -> tuple[TxOutput, ...]:
        """The output that each input spends: claimed amount, derived script."""
        return tuple(
            TxOutput(amount_sat=item.amount_sat, script=key.script)
            for item, key in zip(self.inputs, self.keys, strict=True)
        )

    @cached_property
    def _transaction(self) -> Transaction:
        return Transaction(
            version=policy.TRANSACTION_VERSION,
            inputs=tuple(TxInput(txid=item.txid, vout=item.vout, sequence=policy.SEQUENCE) for item in self.inputs),
            outputs=tuple(TxOutput(amount_sat=item.amount_sat, script=item.script) for item in self.outputs),
            locktime=self.locktime,
        )

    def unsigned_transaction(self) -> Transaction:
        """The transaction without witnesses: version 2, its locktime, every sequence 0xfffffffd."""
        return self._transaction

    @property
    def txid(self) -> bytes:
        """The transaction id, 32 bytes in internal order; signatures do not change it."""
        return self._transaction.txid

    @property
    def weight(self) -> int:
        """Weight of the finished transaction, with one 64-byte signature per input."""
        return spend_weight(len(self.inputs), [len(output.script) for output in self.outputs])

    @property
    def fee_sat(self) -> int:
        """What the inputs bring beyond the outputs."""
        return sum(item.amount_sat for item in self.inputs) - sum(item.amount_sat for item in self.outputs)

    @property
    def fee_rate(self) -> int:
        """Fee in satoshi per virtual byte, rounded up."""
        return policy.fee_rate(self.fee_sat, self.weight)

    @cached_property
    def _digests(self) -> tuple[bytes, ...]:
        return default_digests(self._transaction, self.spent_outputs)

    def digests(self) -> tuple[bytes, ...]:
        """The 32-byte BIP-341 digest of each input: SIGHASH_DEFAULT, no annex."""
        return self._digests

    def check_signature(self, index: int, signature: bytes) -> None:
        """Check one 64-byte BIP-340 signature against the digest and output key of input `index`.

        Raises:
            BadSignature: wrong length, or it does not verify.
        """
        if len(signature) != policy.SIGNATURE_BYTES or not bip340.verify(
            self.keys[index].output_key, self._digests[index], signature
        ):
            raise BadSignature(f"the signature of input {index} does not verify", input=str(index))

    def finalise(self, signatures: Sequence[bytes]) -> bytes:
        """The serialised transaction ready to send, after checking every signature.

        Raises:
            BadSignature: not one signature per input, or one that does not verify; `facts["input"]` says which.
        """
        if len(signatures) != len(self.inputs):
            raise BadSignature(f"{len(self.inputs)} inputs need as many signatures, not {len(signatures)}")
        for index, signature in enumerate(signatures):
            self.check_signature(index, signature)
        return with_witnesses(self._transaction, [(signature,) for signature in signatures]).serialise()


def spend_weight(inputs: int, script_lengths: Sequence[int]) -> int:
    """Weight of a finished spend with `inputs` key path inputs and outputs with scripts of these lengths."""
    outputs = sum(8 + len(compact_size(length)) + length for length in script_lengths)
    stripped = 8 + len(compact_size(inputs)) + 41 * inputs + len(compact_size(len(script_lengths))) + outputs
    return 4 * stripped + 2 + policy.INPUT_WITNESS_WEIGHT * inputs


def check_form(inputs: Sequence[SpendInput], outputs: Sequence[SpendOutput]) -> None:
    """Check everything about a spend that needs no state and no key.

    Raises:
        SpendRefused: the first rule broken, as its own subclass.
    """
    if not inputs or not outputs:
        raise EmptySpend("a spend has at least one input and one output")
    for position, item in enumerate(inputs):
        _check_input(position, item)
    if len({(item.txid, item.vout) for item in inputs}) != len(inputs):
        raise DuplicateInput(f"two inputs spend the same output: {_first_duplicate(inputs)}")
    for position, output in enumerate(outputs):
        _check_output(position, output)
    brought = sum(item.amount_sat for item in inputs)
    paid = sum(output.amount_sat for output in outputs)
    if max(brought, paid) > policy.MAX_MONEY_SAT:
        raise AmountOverflow("the amounts add up to more than 21 million coins")
    if paid > brought:
        raise OutputsExceedInputs(f"the outputs pay {paid} sat, the inputs bring {brought} sat")
    weight = spend_weight(len(inputs), [len(output.script) for output in outputs])
    if weight > policy.MAX_WEIGHT:
        raise TooHeavy(f"weight {weight} is above {policy.MAX_WEIGHT}", weight=str(weight))


def _check_input(position: int, item: SpendInput) -> None:
    if len(item.txid) != 32 or not 0 <= item.vout <= 0xFFFF_FFFF:
        raise MalformedInput(f"input {position}: not an outpoint", input=str(position))
    if item.branch not in policy.BRANCHES or not 0 <= item.index <= policy.MAX_INDEX:
        raise MalformedInput(f"input {position}: no key at branch {item.branch}, index {item.index}")
    if not 1 <= item.amount_sat <= policy.MAX_MONEY_SAT:
        raise AmountOverflow(f"input {position}: {item.amount_sat} sat is no amount", input=str(position))


def _check_output(position: int, output: SpendOutput) -> None:
    dust = policy.dust_sat(output.script)
    if dust is None:
        raise NotStandard(f"output {position}: the script is of no kind that may be paid", output=str(position))
    if not 1 <= output.amount_sat <= policy.MAX_MONEY_SAT:
        raise AmountOverflow(f"output {position}: {output.amount_sat} sat is no amount", output=str(position))
    if output.amount_sat < dust:
        raise DustOutput(
            f"output {position}: {output.amount_sat} sat is dust, its script needs at least {dust}",
            output=str(position),
            least_sat=str(dust),
        )


def _first_duplicate(inputs: Sequence[SpendInput]) -> str:
    seen: set[tuple[bytes, int]] = set()
    for item in inputs:
        if (item.txid, item.vout) in seen:
            return f"{txid_text(item.txid)}:{item.vout}"
        seen.add((item.txid, item.vout))
    return ""
