"""The coordinator's crash points: between what reaches its database, signers, the node and clients."""

from __future__ import annotations

from typing import Any, Final

from crash_points import CrashPoint

_COMMIT: Final = "strongroom_coordinator.storage.engine:Storage.run_sync"
_ROWS: Final = "strongroom_coordinator.storage"
_QUEUE: Final = "coordinator.ledger_copy:LedgerCopy"


def _plans_given(_connection: Any, plans: Any) -> bool:
    return bool(plans)


def _batch_with_plans(_self: Any, _link: Any, current: Any) -> bool:
    return bool(current.batch.plans)


def _taken_with_plans(_self: Any, batch: Any, _certificate: Any) -> bool:
    return bool(batch.plans)


def _something_said(_connection: Any, *, subjects: Any, **_: Any) -> bool:
    """A batch that holds more than a tick."""
    return bool(subjects)


def _found_now(_connection: Any, *, row: Any, **_: Any) -> bool:
    """Not a record that a file brings back at a start, which knows of no orders before it."""
    return bool(row.orders_before)


def _rows_given(_connection: Any, rows: Any = (), *, found: Any = (), **_: Any) -> bool:
    return bool(rows or found)


def _events(kind: str) -> Any:
    def meant(_connection: Any, order_hashes: Any, *, kind: str, time_ms: int, _wanted: str = kind) -> bool:
        return kind == _wanted and bool(order_hashes)

    return meant


def _note_of(wanted: str) -> Any:
    def meant(_connection: Any, name: str, _value: bytes) -> bool:
        return name == wanted

    return meant


def _ask(kind: str) -> Any:
    def meant(_self: Any, _name: str, body: Any) -> bool:
        return type(body).__name__ == kind

    return meant


def _receipts_given(receipts: Any) -> bool:
    return bool(receipts)


def _point(name: str, writes: str, then: str, function: str, **more: Any) -> CrashPoint:
    return CrashPoint(name=name, daemon="coordinator", writes=writes, then=then, function=function, **more)


COORDINATOR: Final = (
    # --- start and terms ---------------------------------------------------------------------------------------------
    _point(
        "a new database knows its log",
        "the log id, in a database that held nothing",
        "rebuilds everything from the signers",
        _COMMIT,
        inside=f"{_ROWS}.ledger:write_meta",
        when=_note_of("log_id"),
        sites=(f"{_QUEUE}.__init__ run_sync",),
    ),
    _point(
        "a signer is welcomed",
        "the frame Welcome",
        "asks for its promise, or offers it the term",
        "strongroom_coordinator.link:LinkServer._join",
        sites=("coordinator.link:LinkServer._join tell",),
    ),
    _point(
        "the promises of w signers are there and the term not yet opened",
        "nothing: the statements are in memory",
        "sends the opening with the statements",
        "strongroom_coordinator.terms:Terms._reach",
        sites=(
            "coordinator.terms:Terms._try post",
            "coordinator.terms:Terms._show_certificate post",
        ),
    ),
    _point(
        "one signer has adopted the base of a new term",
        "the opening, to the signers",
        "waits until w have adopted it",
        "strongroom_coordinator.terms:Terms._offer_one",
        sites=("coordinator.terms:Terms._offer_one request",),
    ),
    _point(
        "a certified batch fetched from a signer is stored",
        "one batch of many that this coordinator lacks",
        "fetches the next",
        _COMMIT,
        inside=f"{_ROWS}.ledger:save_batch",
        sites=("coordinator.catch_up:CatchUp._fetch request",),
    ),
    _point(
        "recovery data fetched from a signer is on its way to the database",
        "nothing yet: what shares of current epochs are made from waits in the queue of writes",
        "offers the base of the term",
        "strongroom_coordinator.ledger_copy:LedgerCopy.keep_recovery",
        sites=(f"{_QUEUE}.keep_recovery enqueue",),
    ),
    _point(
        "entries that a term left behind are dropped from the database",
        "the log cut at the base of the term",
        "logs again what people said in them",
        _COMMIT,
        inside=f"{_ROWS}.ledger:drop_from",
        sites=(f"{_QUEUE}.cut run",),
    ),
    # --- an order on its way into the log ----------------------------------------------------------------------------
    _point(
        "an order is accepted at the door",
        "nothing: it waits in memory, and the client for its receipt",
        "puts it into the next batch",
        "strongroom_coordinator.sequencer:Sequencer._enter",
    ),
    _point(
        "a batch with a plan is sent to one signer",
        "the batch, to the first of the signers",
        "sends it to the others, and counts votes",
        "strongroom_coordinator.rounds:VotingRounds._send",
        when=_batch_with_plans,
        sites=("coordinator.rounds:VotingRounds._send post",),
    ),
    _point(
        "a plan has its certificate, which no database holds yet",
        "nothing: w votes are in memory",
        "stores the certificate and asks for shares",
        "strongroom_coordinator.sequencer:Sequencer._take_certificate",
        when=_taken_with_plans,
        sites=(f"{_QUEUE}._store put_nowait",),
    ),
    _point(
        "a certified batch is stored and nobody told",
        "entries and certificate",
        "gives clients their receipts",
        _COMMIT,
        inside=f"{_ROWS}.ledger:save_batch",
        when=_something_said,
        sites=(f"{_QUEUE}.run run",),
    ),
    _point(
        "a plan is stored as logged",
        "the progress of the plan, with its batch",
        "asks holders for shares",
        _COMMIT,
        inside=f"{_ROWS}.plans:add",
        when=_plans_given,
    ),
    _point(
        "the state up to a final head is stored",
        "the folded state and the certificate that made it final",
        "tells watchers, and begins what waits for final",
        _COMMIT,
        inside=f"{_ROWS}.ledger:save_folded",
    ),
    _point(
        "a receipt is handed to the request that waits for it",
        "nothing: the certificate is stored",
        "answers the client",
        "strongroom_coordinator.sequencer:_hand_out",
        when=_receipts_given,
    ),
    _point(
        "the answer with the receipt is made and not yet sent",
        "nothing: the receipt is made from what is stored",
        "the answer leaves",
        "strongroom_coordinator.rpc.submissions:Submissions.submit",
        sites=(
            "coordinator.rpc.treasury:TreasuryService.SubmitOrder submit",
            "coordinator.rpc.treasury:TreasuryService.EndorseOrder submit",
            "coordinator.rpc.integration:IntegrationService.CreateWithdrawal submit",
            "coordinator.rpc.submissions:Submissions.submit submit",
        ),
    ),
    _point(
        "the newest certificate is given to a signer",
        "the frame Certify",
        "waits for the next submission",
        "strongroom_coordinator.rounds:VotingRounds._give",
        sites=("coordinator.rounds:VotingRounds._give post",),
    ),
    # --- signing -----------------------------------------------------------------------------------------------------
    _point(
        "a holder is asked for its share",
        "the certificate and the commitments of the set",
        "asks the next holder of the set",
        "strongroom_coordinator.signing_outbox:SigningOutbox._send_release",
        sites=("coordinator.signing_outbox:SigningOutbox._send_release post",),
    ),
    _point(
        "a holder is asked again for commitments to a plan left unsigned",
        "the frame Commit",
        "asks for shares when t have committed",
        "strongroom_coordinator.signing_outbox:SigningOutbox._send_commit",
        sites=("coordinator.signing_outbox:SigningOutbox._send_commit post",),
    ),
    _point(
        "the signature is whole and not yet stored",
        "nothing: the final transaction is in memory",
        "stores it and hands it to the broadcaster",
        "strongroom_coordinator.unsigned_plans:UnsignedPlans.signed",
        sites=(
            f"{_QUEUE}.enqueue put_nowait",
            "coordinator.unsigned_plans:UnsignedPlans.signed enqueue",
            "coordinator.unsigned_plans:UnsignedPlans.refused enqueue",
        ),
    ),
    _point(
        "the signed transaction is stored",
        "the final transaction, beside the plan",
        "broadcasts it",
        _COMMIT,
        inside=f"{_ROWS}.plans:mark_signed",
    ),
    _point(
        "why holders refused a plan is stored",
        "the refusals, beside the plan",
        "tries again later",
        _COMMIT,
        inside=f"{_ROWS}.plans:mark_refused",
    ),
    # --- the chain ---------------------------------------------------------------------------------------------------
    _point(
        "the transaction is handed to the node",
        "the transaction, to the node's mempool",
        "notes that the node took it",
        "strongroom_coordinator.chain.json_rpc:JsonRpcNode.broadcast",
        sites=("coordinator.tracker.broadcaster:Broadcaster._hand_over broadcast",),
    ),
    _point(
        "that the node took the transaction is stored",
        "the stage of the plan",
        "tells watchers",
        _COMMIT,
        inside=f"{_ROWS}.plans:set_stage",
        sites=("coordinator.tracker.broadcaster:Broadcaster._note run",),
    ),
    _point(
        "a block is stored with the coins that it makes and spends",
        "the block, coins, spends",
        "tells the planner and the watchers",
        _COMMIT,
        inside=f"{_ROWS}.chain:add_block",
        sites=("coordinator.tracker.follower:Follower._store run",),
    ),
    _point(
        "a plan is stored as settled by a block",
        "which transaction settled it",
        "tells watchers that the order is paid",
        _COMMIT,
        inside=f"{_ROWS}.chain:add_outcomes",
        when=_rows_given,
    ),
    _point(
        "a plan that became known late is stored as settled by an older block",
        "which transaction settled it, and the events of its orders",
        "tells watchers that the order is paid",
        "strongroom_coordinator.tracker.plan_loader:PlanLoader._settle",
        sites=("coordinator.tracker.plan_loader:PlanLoader._settle run",),
    ),
    _point(
        "a deposit is stored in the feed",
        "the deposit, with its block",
        "tells those who watch deposits",
        _COMMIT,
        inside=f"{_ROWS}.chain:add_deposits",
        when=_rows_given,
    ),
    _point(
        "blocks are taken back to be read again",
        "coins, spends and outcomes undone",
        "reads the chain from there on",
        _COMMIT,
        inside=f"{_ROWS}.chain:undo_from",
        sites=("coordinator.tracker.follower:Follower._undo run",),
    ),
    _point(
        "a deposit index in use is stored",
        "the highest index that a customer was given",
        "answers with the address",
        _COMMIT,
        inside=f"{_ROWS}.chain:set_watched",
        sites=(
            "coordinator.tracker.tracker:Tracker.watch_index run",
            "coordinator.tracker.tracker:Tracker._watch_vault run",
            "coordinator.tracker.tracker:Tracker._watch_change run",
        ),
    ),
    # --- what watchers are told --------------------------------------------------------------------------------------
    _point(
        "the events of certified entries are stored",
        "an event for each order that they change",
        "wakes the watchers",
        _COMMIT,
        inside=f"{_ROWS}.events:append",
        when=_events("logged"),
        sites=("coordinator.tracker.journal:OrderJournal._tell run",),
    ),
    _point(
        "that an order expired is stored for watchers",
        "an event for the order",
        "wakes the watchers",
        _COMMIT,
        inside=f"{_ROWS}.events:append",
        when=_events("expired"),
        sites=("coordinator.tracker.journal:OrderJournal._tell_expired run",),
    ),
    # --- key generation and words handed in --------------------------------------------------------------------------
    _point(
        "one holder has dealt in an attempt at a key generation",
        "the request for the first message, to the holders",
        "waits for the others",
        "strongroom_coordinator.keygen:_Attempt._ask",
        when=_ask("KeygenRound1"),
        sites=("coordinator.keygen:_Attempt._ask post",),
    ),
    _point(
        "a key is generated and its vault not yet logged",
        "nothing: the vault's entry is in memory",
        "puts the vault into the log",
        "strongroom_coordinator.keygen:KeyGeneration._attempt",
    ),
    _point(
        "a new vault is logged",
        "the vault's entry, under a certificate",
        "waits until it is final; its holders seal their shares",
        "strongroom_coordinator.keygen:KeyGeneration._generate",
        sites=("coordinator.keygen:KeyGeneration._generate submit",),
    ),
    # --- new shares --------------------------------------------------------------------------------------------------
    _point(
        "an old holder is asked to deal for new shares",
        "the order, final; nothing of the ceremony",
        "keeps what holders dealt",
        "strongroom_coordinator.redistribution:_Ceremony._ask",
        when=_ask("Deal"),
        sites=("coordinator.redistribution:_Ceremony._ask request",),
    ),
    _point(
        "what holders said of new shares is kept",
        "dealings, statements and trials as far as they came",
        "asks for what is still owed",
        "strongroom_coordinator.redistribution:Redistributions._keep",
        sites=("coordinator.redistribution:Redistributions._keep run",),
    ),
    _point(
        "new shares are made and are being logged",
        "everything that the epoch's entry holds",
        "deletes what it kept",
        "strongroom_coordinator.redistribution:Redistributions._log",
        sites=("coordinator.redistribution:Redistributions._log submit",),
    ),
    _point(
        "what was kept of new shares is deleted",
        "the epoch's entry, under a certificate",
        "takes the order's next vault",
        _COMMIT,
        inside=f"{_ROWS}.redistributions:forget",
        sites=("coordinator.redistribution:Redistributions._change run",),
    ),
    _point(
        "a word that a signer raised is logged",
        "the freeze or rejection, under a certificate",
        "says so in its log",
        "strongroom_coordinator.raised:SignerRequests._log_words",
        sites=("coordinator.raised:SignerRequests._log_words submit_many",),
    ),
)
"""In the order in which a coordinator's life passes them."""

EVIDENCE: Final = (
    _point(
        "the evidence against a signer is stored and its file not yet written",
        "the record, in the database",
        "writes the file for auditors",
        _COMMIT,
        inside=f"{_ROWS}.evidence:add",
        when=_found_now,
        sites=("coordinator.evidence_book:EvidenceBook._keep run",),
    ),
)
"""What is kept of a signer that was proven bad."""

REINSTATED: Final = (
    _point(
        "an operator's word that its signer is mended is stored",
        "the statement, beside the evidence",
        "asks the signer for shares again, if the order has acted too",
        _COMMIT,
        inside=f"{_ROWS}.evidence:set_statement",
        sites=("coordinator.evidence_book:EvidenceBook.operator_says run",),
    ),
    _point(
        "that an order reinstated a signer is stored",
        "the order's hash, beside the evidence, after the entry that made it act",
        "asks the signer for shares again, if its operator has spoken too",
        _COMMIT,
        inside=f"{_ROWS}.evidence:set_order",
        sites=("coordinator.evidence_book:EvidenceBook.certified enqueue",),
    ),
)
"""What is kept of how such a signer comes back."""
