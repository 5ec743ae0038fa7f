"""Spends: form, digests and finished transactions, held against independent libraries and the consensus engine."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import bdkpython
import pbk
import pytest
from btclib_wallet.psbt import Psbt, extract_tx, finalize, taproot_sig_hash
from pbk.script import PrecomputedTransactionData, ScriptVerifyException

from bitcoin_wallet import PlainVault
from strongroom.chains.bitcoin import spend as spends
from strongroom.chains.bitcoin.address import script_of
from strongroom.chains.bitcoin.keys import VaultKey, with_checksum
from strongroom.chains.bitcoin.networks import MAINNET, REGTEST
from strongroom.chains.bitcoin.policy import DUST_SAT, MAX_MONEY_SAT, fee_for, fee_rate, script_type
from strongroom.chains.bitcoin.psbt import psbt_of
from strongroom.chains.bitcoin.spend import Spend, SpendInput, SpendOutput, SpendRefused
from strongroom.chains.bitcoin.transaction import parse
from wally import wallycore

VAULT = PlainVault()
SCRIPTS = {
    "p2pkh": b"\x76\xa9\x14" + bytes(range(20)) + b"\x88\xac",
    "p2sh": b"\xa9\x14" + bytes(range(20)) + b"\x87",
    "p2wpkh": b"\x00\x14" + bytes(range(20)),
    "p2wsh": b"\x00\x20" + bytes(range(32)),
    "p2tr": script_of("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", MAINNET),
}


def _input(number: int, amount_sat: int = 1_000_000, branch: int = 0) -> SpendInput:
    return SpendInput(txid=bytes([number]) * 32, vout=number, amount_sat=amount_sat, branch=branch, index=7 * number)


def _spend(inputs: int = 3) -> Spend:
    coins = [_input(number, 1_000_000 + number, branch=number % 2) for number in range(inputs)]
    outputs = [SpendOutput(amount_sat=50_000 + at, script=script) for at, script in enumerate(SCRIPTS.values())]
    outputs.append(SpendOutput(amount_sat=400_000, script=VAULT.key.derive(1, 5).script))
    return VAULT.spend(coins, outputs)


def _kernel_accepts(raw: bytes, spend: Spend) -> bool:
    transaction = pbk.Transaction(raw)
    spent = [pbk.TransactionOutput(pbk.ScriptPubkey(item.script), item.amount_sat) for item in spend.spent_outputs]
    precomputed = PrecomputedTransactionData(transaction, spent)
    flags = pbk.ScriptVerificationFlags.ALL
    try:
        return all(
            pbk.ScriptPubkey(item.script).verify(item.amount_sat, transaction, precomputed, at, flags)
            for at, item in enumerate(spend.spent_outputs)
        )
    except ScriptVerifyException:
        return False


def test_the_consensus_engine_accepts_the_finished_transaction() -> None:
    spend = _spend()
    raw = spend.finalise(VAULT.sign(spend))
    assert _kernel_accepts(raw, spend)
    transaction = parse(raw)
    assert transaction.txid == spend.txid
    assert transaction.weight == spend.weight
    assert (transaction.version, transaction.locktime) == (2, 0)
    assert {item.sequence for item in transaction.inputs} == {0xFFFFFFFD}
    assert str(pbk.Transaction(raw).txid) == spend.txid[::-1].hex()


def test_the_locktime_is_signed_and_changes_the_transaction() -> None:
    plain = _spend()
    spend = replace(plain, locktime=3)
    raw = spend.finalise(VAULT.sign(spend))
    assert _kernel_accepts(raw, spend)
    assert parse(raw).locktime == 3
    assert spend.txid != plain.txid
    assert not set(spend.digests()) & set(plain.digests())


@pytest.mark.parametrize("locktime", [-1, 500_000_000, 2**64 - 1])
def test_a_locktime_is_the_height_of_a_block(locktime: int) -> None:
    with pytest.raises(spends.MalformedInput):
        replace(_spend(), locktime=locktime)
    assert replace(_spend(), locktime=499_999_999).unsigned_transaction().locktime == 499_999_999


@pytest.mark.parametrize("count", [1, 2, 252, 253, 300])
def test_weight_is_known_before_signing(count: int) -> None:
    coins = [replace(_input(1), vout=number) for number in range(count)]
    spend = VAULT.spend(coins, [SpendOutput(amount_sat=10_000, script=SCRIPTS["p2wpkh"])])
    signature = VAULT.private_key(spend.keys[0])
    raw = spend.finalise([signature.sign_schnorr(digest) for digest in spend.digests()])
    assert parse(raw).weight == spend.weight


def test_a_wrong_signature_is_named_and_nothing_is_finished() -> None:
    spend = _spend()
    signatures = VAULT.sign(spend)
    signatures[1], signatures[2] = signatures[2], signatures[1]
    with pytest.raises(spends.BadSignature) as caught:
        spend.finalise(signatures)
    assert caught.value.facts["input"] == "1"
    with pytest.raises(spends.BadSignature):
        spend.finalise(VAULT.sign(spend)[:-1])
    with pytest.raises(spends.BadSignature):
        spend.finalise([signature + b"\x01" for signature in VAULT.sign(spend)])


@pytest.mark.parametrize("change", ["amount", "script", "fee", "order"])
def test_signatures_commit_to_everything(change: str) -> None:
    spend = _spend()
    signatures = VAULT.sign(spend)
    first, *others = spend.inputs
    outputs = list(spend.outputs)
    match change:
        case "amount":
            other = replace(spend, inputs=(replace(first, amount_sat=first.amount_sat + 1), *others))
        case "script":
            other = replace(spend, outputs=(replace(outputs[0], script=SCRIPTS["p2wsh"]), *outputs[1:]))
        case "fee":
            other = replace(spend, outputs=(replace(outputs[0], amount_sat=50_001), *outputs[1:]))
        case _:
            other = replace(spend, outputs=(outputs[1], outputs[0], *outputs[2:]))
    with pytest.raises(spends.BadSignature):
        other.finalise(signatures)


class TestAgainstOtherLibraries:
    def test_btclib_and_wally_compute_the_same_digests(self) -> None:
        spend = _spend()
        encoded = base64.b64encode(psbt_of(spend, change={5: 5})).decode()
        read = Psbt.b64decode(encoded)
        assert tuple(taproot_sig_hash(read, at) for at in range(3)) == spend.digests()
        wally = wallycore.psbt_from_base64(encoded, 0)
        unsigned = wallycore.psbt_extract(wally, wallycore.WALLY_PSBT_EXTRACT_NON_FINAL)
        hashes = [bytes(wallycore.psbt_get_input_signature_hash(wally, at, unsigned, b"", 0)) for at in range(3)]
        assert tuple(hashes) == spend.digests()
        assert bytes(wallycore.psbt_get_id(wally, 0)) == spend.txid
        assert wallycore.tx_get_weight(unsigned) == spend.weight - 2 - 3 * 66

    def test_all_finish_our_psbt_into_our_transaction(self) -> None:
        spend = _spend()
        signatures = VAULT.sign(spend)
        raw = spend.finalise(signatures)
        encoded = base64.b64encode(psbt_of(spend, signatures=dict(enumerate(signatures)), change={5: 5})).decode()
        assert extract_tx(finalize(Psbt.b64decode(encoded))).serialize(include_witness=True) == raw
        wally = wallycore.psbt_from_base64(encoded, 0)
        wallycore.psbt_finalize(wally, 0)
        finished = wallycore.psbt_extract(wally, wallycore.WALLY_PSBT_EXTRACT_FINAL)
        assert bytes(wallycore.tx_to_bytes(finished, wallycore.WALLY_TX_FLAG_USE_WITNESS)) == raw
        assert wallycore.tx_get_weight(finished) == spend.weight
        result = bdkpython.Psbt(encoded).finalize()
        assert result.could_finalize
        assert bytes(result.psbt.extract_tx_unchecked_fee_rate().serialize()) == raw

    @pytest.mark.parametrize("branch", [0, 1])
    def test_a_descriptor_wallet_derives_the_same_addresses(self, branch: int) -> None:
        text = VAULT.key.descriptor(branch, REGTEST)
        wallet = bdkpython.Wallet.create_single(
            bdkpython.Descriptor(text, bdkpython.NetworkKind.TEST),
            bdkpython.Network.REGTEST,
            bdkpython.Persister.new_in_memory(),
        )
        for index in (0, 1, 2, 19, 1_000, 2**31 - 1):
            peeked = wallet.peek_address(bdkpython.KeychainKind.EXTERNAL, index).address
            assert str(peeked) == VAULT.key.derive(branch, index).address(REGTEST)
        assert str(bdkpython.Descriptor(text.split("#")[0], bdkpython.NetworkKind.TEST)) == text

    def test_a_watching_wallet_recognises_inputs_and_change(self) -> None:
        spend = _spend()
        read: Any = Psbt.b64decode(base64.b64encode(psbt_of(spend, change={5: 5})).decode())
        for at, key in enumerate(spend.keys):
            assert read.inputs[at].taproot_internal_key == key.internal_key
            assert read.inputs[at].witness_utxo.value == spend.inputs[at].amount_sat
        assert read.outputs[5].taproot_internal_key == VAULT.key.derive(1, 5).internal_key
        assert not read.outputs[0].taproot_internal_key


def test_a_psbt_refuses_change_that_is_none_and_positions_that_do_not_exist() -> None:
    spend = _spend()
    with pytest.raises(ValueError, match="does not pay to change index 6"):
        psbt_of(spend, change={5: 6})
    with pytest.raises(ValueError, match="does not exist"):
        psbt_of(spend, signatures={3: bytes(64)})
    with pytest.raises(ValueError, match="64 bytes"):
        psbt_of(spend, signatures={0: bytes(65)})


FORM = [
    (spends.EmptySpend, [], [(1_000, SCRIPTS["p2tr"])]),
    (spends.EmptySpend, [_input(1)], []),
    (spends.MalformedInput, [replace(_input(1), txid=bytes(31))], [(1_000, SCRIPTS["p2tr"])]),
    (spends.MalformedInput, [replace(_input(1), vout=2**32)], [(1_000, SCRIPTS["p2tr"])]),
    (spends.MalformedInput, [replace(_input(1), branch=2)], [(1_000, SCRIPTS["p2tr"])]),
    (spends.MalformedInput, [replace(_input(1), index=2**31)], [(1_000, SCRIPTS["p2tr"])]),
    (spends.MalformedInput, [replace(_input(1), index=-1)], [(1_000, SCRIPTS["p2tr"])]),
    (spends.DuplicateInput, [_input(1), _input(2), replace(_input(1), index=3)], [(1_000, SCRIPTS["p2tr"])]),
    (spends.AmountOverflow, [_input(1, 0)], [(1_000, SCRIPTS["p2tr"])]),
    (spends.AmountOverflow, [_input(1, MAX_MONEY_SAT + 1)], [(1_000, SCRIPTS["p2tr"])]),
    (spends.AmountOverflow, [_input(1, MAX_MONEY_SAT), _input(2)], [(1_000, SCRIPTS["p2tr"])]),
    (spends.AmountOverflow, [_input(1)], [(2**64, SCRIPTS["p2tr"])]),
    (spends.AmountOverflow, [_input(1)], [(-1, SCRIPTS["p2tr"])]),
    (spends.OutputsExceedInputs, [_input(1)], [(1_000_001, SCRIPTS["p2tr"])]),
    (spends.NotStandard, [_input(1)], [(1_000, b"\x6a\x01\x00")]),
    (spends.NotStandard, [_input(1)], [(1_000, b"")]),
    (spends.NotStandard, [_input(1)], [(1_000, b"\x52\x20" + bytes(32))]),
    (spends.NotStandard, [_input(1)], [(1_000, SCRIPTS["p2tr"] + b"\x00")]),
    (spends.TooHeavy, [replace(_input(1), vout=number) for number in range(1_800)], [(1_000, SCRIPTS["p2tr"])]),
]


@pytest.mark.parametrize(("refusal", "inputs", "outputs"), FORM)
def test_a_spend_out_of_form_is_refused_by_name(
    refusal: type[SpendRefused], inputs: list[SpendInput], outputs: list[tuple[int, bytes]]
) -> None:
    with pytest.raises(refusal) as caught:
        VAULT.spend(inputs, [SpendOutput(amount_sat=amount, script=script) for amount, script in outputs])
    assert type(caught.value) is refusal


def test_the_output_that_is_spent_twice_is_named() -> None:
    with pytest.raises(spends.DuplicateInput, match=f"{'02' * 32}:2$"):
        VAULT.spend([_input(1), _input(2), _input(2)], [SpendOutput(amount_sat=1_000, script=SCRIPTS["p2tr"])])


@pytest.mark.parametrize("kind", list(SCRIPTS))
def test_dust_is_refused_one_satoshi_below_the_limit(kind: str) -> None:
    found = script_type(SCRIPTS[kind])
    assert found is not None
    assert found.value == kind
    limit = DUST_SAT[found]
    VAULT.spend([_input(1)], [SpendOutput(amount_sat=limit, script=SCRIPTS[kind])])
    with pytest.raises(spends.DustOutput) as caught:
        VAULT.spend([_input(1)], [SpendOutput(amount_sat=limit - 1, script=SCRIPTS[kind])])
    assert caught.value.facts["least_sat"] == str(limit)


@pytest.mark.parametrize("kind", list(SCRIPTS))
def test_a_script_of_the_right_length_that_is_of_no_kind_is_none(kind: str) -> None:
    script = SCRIPTS[kind]
    assert script_type(bytes([script[0] ^ 0x80]) + script[1:]) is None
    if kind in ("p2pkh", "p2sh"):
        assert script_type(script[:-1] + bytes([script[-1] ^ 0x80])) is None


def test_a_letter_outside_the_descriptor_set_has_no_checksum() -> None:
    with pytest.raises(ValueError, match="does not belong in a descriptor"):
        with_checksum("tr(\u00e4)")


@pytest.mark.parametrize("kind", list(SCRIPTS))
def test_dust_limits_follow_from_the_sizes_of_output_and_spend(kind: str) -> None:
    script = SCRIPTS[kind]
    is_witness_program = kind in ("p2wpkh", "p2wsh", "p2tr")
    spend_bytes = 32 + 4 + 1 + (107 // 4 if is_witness_program else 107) + 4
    found = script_type(script)
    assert found is not None
    assert DUST_SAT[found] == 3 * (8 + 1 + len(script) + spend_bytes)


def test_refusal_reasons_are_distinct_and_stable() -> None:
    reasons = {kind.reason for kind in SpendRefused.__subclasses__()}
    assert reasons == {
        "MALFORMED_SPEND",
        "EMPTY_SPEND",
        "DUPLICATE_INPUT",
        "AMOUNT_OVERFLOW",
        "OUTPUTS_EXCEED_INPUTS",
        "NOT_STANDARD",
        "DUST_OUTPUT",
        "TOO_HEAVY",
    }


@pytest.mark.parametrize("weight", [396, 441, 561, 1_000, 399_999, 400_000])
@pytest.mark.parametrize("rate", [1, 2, 3, 17, 500])
def test_fee_and_rate_are_inverse_up_to_one_whole_satoshi(weight: int, rate: int) -> None:
    fee = fee_for(rate, weight)
    assert 4 * fee >= rate * weight > 4 * (fee - 1)
    assert rate <= fee_rate(fee, weight) <= rate + 1


@pytest.mark.parametrize(("amount", "weight"), [(1, 0), (1, -4), (-1, 400)])
def test_no_fee_and_no_rate_is_of_nothing_or_negative(amount: int, weight: int) -> None:
    with pytest.raises(ValueError, match="positive weight"):
        fee_for(amount, weight)
    with pytest.raises(ValueError, match="positive weight"):
        fee_rate(amount, weight)


@pytest.mark.parametrize(("branch", "index"), [(2, 0), (-1, 0), (0, -1), (0, 2**31)])
def test_keys_outside_the_two_branches_do_not_exist(branch: int, index: int) -> None:
    with pytest.raises(ValueError, match="no key"):
        VAULT.key.derive(branch, index)


def test_a_vault_key_has_fixed_lengths() -> None:
    with pytest.raises(ValueError, match="33-byte"):
        VaultKey(group_key=bytes(32), chain_code=bytes(32))
    with pytest.raises(ValueError, match="33-byte"):
        VaultKey(group_key=VAULT.key.group_key, chain_code=bytes(31))
    with pytest.raises(ValueError, match="no branch"):
        VAULT.key.descriptor(2, MAINNET)


def test_tweaks_lead_from_the_group_key_to_the_output_key() -> None:
    for key in (VAULT.key.derive(0, 0), VAULT.key.derive(1, 999)):
        assert [tweak.is_xonly for tweak in key.tweaks] == [False, False, True]
        assert VAULT.private_key(key).public_key.format()[1:] == key.output_key
