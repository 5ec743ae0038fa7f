"""Checks whose loss no test can notice, because something else beside them refuses the same or gives the same answer.

Each with the reason. A name that no longer fits a check of the source fails the run.
"""

from __future__ import annotations

from typing import Final

EQUIVALENT: Final[dict[str, str]] = {
    "strongroom_signer.revocations:revocation: guard not isinstance(action, AmendCharter)": (
        "narrows the type: the inbox takes nothing but an amendment for a revocation"
    ),
    "strongroom.ledger.handlers.destinations:TakeOutOfBook.begin: filter one.verb is Verb.INITIATE": (
        "nobody approves such an order, and a new one takes no rejection: its only word initiates it"
    ),
    "strongroom.ledger.windows:total: part or count == 0": (
        "saves work: up to any time a series of nothing adds up to nothing"
    ),
    "strongroom.ledger.windows:_sum_until: guard last_ms <= time_ms": (
        "saves work: the bisection finds the last sum as well"
    ),
    "strongroom.ledger.state:State.next_charter: part or b''": (
        "no condition: what is taken out is empty bytes, and empty bytes come out"
    ),
    "strongroom.chains.bitcoin.address:_base58_script: guard len(address) > _BASE58_MAX_LETTERS": (
        "saves the work of reading long letters: what they spell is never as short as an address"
    ),
    "strongroom.chains.bitcoin.address:_segwit_script: guard address not in (address.lower(), address.upper())": (
        "the decoding refuses mixed case as well"
    ),
    "strongroom.chains.bitcoin.keys:taproot_output_key: guard number >= ORDER": (
        "nobody can make a hash that is not below the group order"
    ),
    "strongroom_signer.money_path:MoneyPath.payments_of: filter order is not None": (
        "narrows the type: the log has the orders of every plan that it took"
    ),
    "strongroom.crypto.bip340:sign: part or not made": ("what the library did not make does not verify either"),
    "strongroom.crypto.bip340:verify_with_prefix: guard response >= ORDER": (
        "nobody can make a signature whose response fits into 256 bits with the group order added"
    ),
    "strongroom.crypto.ed25519:is_public_key: part and _is_strict_point(public)": (
        "the library's own test of a point of the subgroup refuses the same"
    ),
    "strongroom.crypto.frost_nonce:parse_public_nonces: guard len(pubnonce) != PUBLIC_NONCE_BYTES": (
        "a half of another length is no point"
    ),
    "strongroom.crypto.frost_session:Session._parse_aggnonce: guard len(self.aggnonce) != PUBLIC_NONCE_BYTES": (
        "a half of another length is no point"
    ),
    "strongroom.chains.bitcoin.block:parse_block: part or not transactions": ("no root can be made of an empty list"),
    "strongroom.chains.bitcoin.transaction:read_transaction: part or not bare": (
        "no inputs are the mark of the extended form, which without witnesses is refused"
    ),
    "strongroom.chains.bitcoin.transaction:Reader.count: guard value * item_min_bytes > self.left": (
        "saves work: what is not there is missed when it is read"
    ),
    "strongroom.protocol.keygen_participant:finish: guard output.secshare is None": (
        "narrows the type: who took part has a share"
    ),
    "strongroom.ledger.replica:Replica.folded: call self._check_border(size)": (
        "what is stored is what `fold` gave, which is the end of a batch"
    ),
    "strongroom.ledger.replica:Replica.push: part or first_index != self.size": (
        "logs of other sizes have other roots"
    ),
    "strongroom_signer.voting:Voting._electorates: filter one is not None": (
        "narrows the type: whatever a proven step led to has both sets of that handover"
    ),
    "strongroom_signer.catch_up:_certificate_of: guard certificate.head.size != batch.size": (
        "the size that was replayed is held against the certificate's before anything is stored"
    ),
    "strongroom_signer.catch_up:CatchUp._recovery_of: part or branch.replica.folded_size != self._copy.final_size": (
        "while a branch is fetched nothing becomes final but by a certificate that is taken, which changes the state"
    ),
    "strongroom.ledger.judge:charter_of: guard not isinstance(action, AmendCharter)": (
        "narrows the type: it is asked of orders to amend only"
    ),
    "strongroom.ledger.judge:_loosens: part and vault is not None": (
        "narrows the type: the log takes no order for new shares of a vault that is not there"
    ),
    "strongroom.ledger.judge:_judge_in: part and judgement.allowed": (
        "saves work: a box that has closed, and words that have expired, are so at every later time too"
    ),
    "strongroom.ledger.judge:breaks_glass: part and record is not None": (
        "narrows the type: the log has the orders of every plan that it took"
    ),
    "strongroom.protocol.electorates:Electorates.judge: part and problem is not None": (
        "narrows the type: somebody is always possible, so where nobody's votes hold there is a problem"
    ),
    "strongroom.chains.bitcoin.spend:Spend.check_signature: part or len(signature) != policy.SIGNATURE_BYTES": (
        "the verification itself refuses every other length"
    ),
    "strongroom.ledger.electorate:_electorate: part and record.next is not None": (
        "narrows the type: while one set takes over from another there is another"
    ),
    "strongroom_signer.inbox:Inbox._acts: part or now_ms < freeze.loggable_until_ms": (
        "saves a look at the state: while the log can take the freeze up it acts whatever the charter says"
    ),
    "strongroom.ledger.plans:_orders_of_one_vault: part or not isinstance(paid, Withdraw)": (
        "narrows the type: a cancellation is only ever accepted for a withdrawal"
    ),
    "strongroom.ledger.handlers.actions:_Pay.check: part or least is None": (
        "narrows the type: an address decodes to one of the five kinds of script, each with its least amount"
    ),
    "strongroom.ledger.handlers.actions:_Cancel.may_initiate: part and one.verb is Verb.INITIATE": (
        "whoever approved or rejected the payment is an approver whom a rule names, who may cancel it as well"
    ),
    "strongroom.protocol.voter:vote: part and state.last_vote is not None": (
        "narrows the type: the vote beside it was decoded from this one"
    ),
    "strongroom_signer.voting:Voting.adopt: guard base is None": (
        "narrows the type: a base is never found missing where the term starts from the empty log"
    ),
    "strongroom.protocol.redistribution_orders:redistribution_terms: part or action is None": (
        "narrows the type: nothing waits for an order of another kind"
    ),
    "strongroom.ledger.handlers.epochs:_order: part or not isinstance(action, RefreshShares | ReshareVault)": (
        "narrows the type: only an order for new shares ever takes a vault"
    ),
    "strongroom.ledger.handlers.epochs:_has_acted: part and vault is not None": (
        "narrows the type: the vaults that an order for new shares names exist"
    ),
    "strongroom_signer.sealing:Sealing.bring_up_to_date: guard not self._copy.final_size": (
        "saves work: where nothing is final there is no vault"
    ),
    "strongroom_signer.sealing:Sealing._erase_all: guard not self._shares.has_any(vault.name)": (
        "saves a commit that erases nothing, and a line that says so"
    ),
    "strongroom_signer.recovery:RecoveryBook.remove_stale: guard len(self._held) <= states[0].count(VAULTS)": (
        "saves work: no more is held than every state has vaults, so nothing is stale"
    ),
    "strongroom.ledger.handlers.witnesses:begin_change: guard "
    "witnesses.phase is not WitnessPhase.STEADY or lapses_ms <= at.time_ms": (
        "the amendment was checked for the same in the same entry before it takes effect"
    ),
    "strongroom.ledger.handlers.witnesses:begin_change: part or witnesses.phase is not WitnessPhase.STEADY": (
        "the amendment was checked for the same in the same entry before it takes effect"
    ),
    "strongroom.ledger.handlers.witnesses:begin_change: part or lapses_ms <= at.time_ms": (
        "the amendment was checked for the same in the same entry before it takes effect"
    ),
    "strongroom.crypto.redistribution:_parsed: filter share is not None": (
        "narrows the type: recovery data that gives some holder no share was refused in the line before"
    ),
    "strongroom_signer.redistribution:Redistribution.accept: filter (vault := state.vault(name)) is not None": (
        "narrows the type: the vaults that an order for new shares names exist"
    ),
    "strongroom.ledger.handlers.restarting:_waiting: part and not record.plans": (
        "an order is open with a plan only if it breaks the glass, which the part beside it leaves out"
    ),
    "strongroom_signer.redistribution:Redistribution.accept: part or record is None": (
        "narrows the type: where there is no record there is no action, which the part beside it refuses"
    ),
    "strongroom_signer.log_copy:LogCopy.__init__: part and self.replica.size": (
        "saves a look at the state: that of an empty log has the id that is pinned"
    ),
    "strongroom_signer.log_copy:LogCopy.lacking: part and size is not None": (
        "saves work: without a size it is the newest state as well, and what is known of that is looked up again"
    ),
    "strongroom_signer.log_copy:LogCopy.lacking: part and size != self.size": (
        "saves work: at the own size it is the newest state as well, and what is known of that is looked up again"
    ),
    "strongroom_signer.voting:Voting.add_recovery: guard not recovery": (
        "saves a commit that stores nothing, and a look at vaults that are as they were"
    ),
    "strongroom_signer.dropped:_amending_entry: part and wanted == charter": (
        "an amendment is logged for the next version only, so the newest that acted is the one in force"
    ),
    "strongroom_signer.dropped:_has_acted: part and record is not None": (
        "narrows the type: the entry that brought the order in is in the log that the state is of"
    ),
    "strongroom_signer.revocations:HandedRevocation.is_overtaken: part and order.log_id != state.log_id": (
        "in its own log those who approved it are a quorum, or it would not be held: only their keys can be gone"
    ),
    "strongroom.protocol.voter:take_certificate: part and held is not None": (
        "narrows the type: nothing is below a held one where none is held"
    ),
    "strongroom.protocol.terms:_quorum_problem: part or any((item.held != base for item in others))": (
        "somebody names the base: where the others do not, a member does, which the part beside it refuses"
    ),
    "strongroom.protocol.voter:inspect_certificate: part and item.signer == state.signer": (
        "saves looking for the own signature under every other name: no key ever gets a second owner"
    ),
    "strongroom.ledger.handlers.resharing:ChangeShares.settle: part or record.state is not OrderState.OPEN": (
        "whoever may reject it is a member of the quorum's group, whose no the quorum hears as well"
    ),
    "strongroom_signer.redistribution:Redistribution._require_accepted: guard dealt is None": (
        "the terms were made from this very order, vault and charter"
    ),
    "strongroom.ledger.rules:_cooling_ms: part or case.payment.listing is None": (
        "narrows the type: where the rule pays the address book, an address that is not in it was refused before"
    ),
    "strongroom.ledger.rules:_is_removed: part and payment.listing is not None": (
        "narrows the type: a rule that pays the address book covers no address that is not in it"
    ),
    "strongroom.protocol.recovery_kit_revoked:_approvers: part and one.verb is Verb.APPROVE": (
        "who initiated it is left out beside it, and a no by a member of the quorum refuses the whole"
    ),
    "strongroom.ledger.charter_check_rules:_can_be_met: part or initiators - approvers": (
        "saves work: the places that initiators would have to take are at most as many as those of them who approve, "
        "and one more initiator is left over"
    ),
}
