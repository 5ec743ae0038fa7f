"""Which modules have their checks taken out, which have not and why, and what a verdict says that finds nothing wrong.

A name here that no longer fits the source fails the run.
"""

from __future__ import annotations

from typing import Final

TARGETS: Final = {
    # Points 1 to 5 of the signer's rule, its votes and what was handed in.
    "signer/strongroom_signer/money_path.py": "strongroom_signer.money_path",
    "signer/strongroom_signer/nonces.py": "strongroom_signer.nonces",
    "signer/strongroom_signer/voting.py": "strongroom_signer.voting",
    "signer/strongroom_signer/alarms.py": "strongroom_signer.alarms",
    "core/strongroom/protocol/commitments.py": "strongroom.protocol.commitments",
    "core/strongroom/protocol/release.py": "strongroom.protocol.release",
    "core/strongroom/protocol/signed.py": "strongroom.protocol.signed",
    "signer/strongroom_signer/voice.py": "strongroom_signer.voice",
    "signer/strongroom_signer/catch_up.py": "strongroom_signer.catch_up",
    "signer/strongroom_signer/log_copy.py": "strongroom_signer.log_copy",
    "signer/strongroom_signer/retirement.py": "strongroom_signer.retirement",
    # What an operator hands in.
    "signer/strongroom_signer/inbox.py": "strongroom_signer.inbox",
    "signer/strongroom_signer/revocations.py": "strongroom_signer.revocations",
    "signer/strongroom_signer/word_life.py": "strongroom_signer.word_life",
    "signer/strongroom_signer/words.py": "strongroom_signer.words",
    # The form of a transaction, and what its signatures cover.
    "core/strongroom/chains/bitcoin/spend.py": "strongroom.chains.bitcoin.spend",
    "core/strongroom/chains/bitcoin/address.py": "strongroom.chains.bitcoin.address",
    "core/strongroom/chains/bitcoin/keys.py": "strongroom.chains.bitcoin.keys",
    "core/strongroom/chains/bitcoin/policy.py": "strongroom.chains.bitcoin.policy",
    "core/strongroom/chains/bitcoin/sighash.py": "strongroom.chains.bitcoin.sighash",
    # Evidence against a signer.
    "core/strongroom/protocol/evidence.py": "strongroom.protocol.evidence",
    "core/strongroom/protocol/evidence_file.py": "strongroom.protocol.evidence_file",
    "signer/strongroom_signer/quarantine.py": "strongroom_signer.quarantine",
    # Votes, terms, certificates.
    "core/strongroom/protocol/voter.py": "strongroom.protocol.voter",
    "core/strongroom/protocol/terms.py": "strongroom.protocol.terms",
    "core/strongroom/protocol/certificates.py": "strongroom.protocol.certificates",
    "core/strongroom/ledger/certification.py": "strongroom.ledger.certification",
    "core/strongroom/ledger/electorate.py": "strongroom.ledger.electorate",
    "core/strongroom/protocol/electorates.py": "strongroom.protocol.electorates",
    "core/strongroom/protocol/voter_state.py": "strongroom.protocol.voter_state",
    # New shares.
    "core/strongroom/crypto/redistribution.py": "strongroom.crypto.redistribution",
    "core/strongroom/crypto/redistribution_messages.py": "strongroom.crypto.redistribution_messages",
    "core/strongroom/protocol/redistribution.py": "strongroom.protocol.redistribution",
    "core/strongroom/protocol/redistribution_terms.py": "strongroom.protocol.redistribution_terms",
    "core/strongroom/protocol/redistribution_orders.py": "strongroom.protocol.redistribution_orders",
    "core/strongroom/protocol/redistribution_coordinator.py": "strongroom.protocol.redistribution_coordinator",
    "core/strongroom/protocol/redistribution_snapshot.py": "strongroom.protocol.redistribution_snapshot",
    "core/strongroom/protocol/trials.py": "strongroom.protocol.trials",
    "core/strongroom/ledger/key_changes.py": "strongroom.ledger.key_changes",
    "core/strongroom/ledger/handlers/resharing.py": "strongroom.ledger.handlers.resharing",
    "core/strongroom/ledger/handlers/epochs.py": "strongroom.ledger.handlers.epochs",
    "core/strongroom/ledger/handlers/holder_proofs.py": "strongroom.ledger.handlers.holder_proofs",
    "signer/strongroom_signer/redistribution.py": "strongroom_signer.redistribution",
    "signer/strongroom_signer/recovery.py": "strongroom_signer.recovery",
    "signer/strongroom_signer/sealing.py": "strongroom_signer.sealing",
    # Witness sets that change.
    "core/strongroom/ledger/handlers/witnesses.py": "strongroom.ledger.handlers.witnesses",
    # The recovery kit.
    "core/strongroom/protocol/recovery_kit_files.py": "strongroom.protocol.recovery_kit_files",
    "core/strongroom/protocol/recovery_kit_order.py": "strongroom.protocol.recovery_kit_order",
    "core/strongroom/protocol/recovery_kit_plan.py": "strongroom.protocol.recovery_kit_plan",
    "core/strongroom/protocol/recovery_kit_rounds.py": "strongroom.protocol.recovery_kit_rounds",
    "core/strongroom/protocol/recovery_kit_words.py": "strongroom.protocol.recovery_kit_words",
    # The rules engine, the conflict rule, and what apply checks.
    "core/strongroom/ledger/rules.py": "strongroom.ledger.rules",
    "core/strongroom/ledger/judge.py": "strongroom.ledger.judge",
    "core/strongroom/ledger/matching.py": "strongroom.ledger.matching",
    "core/strongroom/ledger/conflict.py": "strongroom.ledger.conflict",
    "core/strongroom/ledger/apply.py": "strongroom.ledger.apply",
    "core/strongroom/ledger/plans.py": "strongroom.ledger.plans",
    "core/strongroom/ledger/handlers/planning.py": "strongroom.ledger.handlers.planning",
    "core/strongroom/ledger/handlers/orders.py": "strongroom.ledger.handlers.orders",
    "core/strongroom/ledger/handlers/actions.py": "strongroom.ledger.handlers.actions",
    "core/strongroom/ledger/handlers/vaults.py": "strongroom.ledger.handlers.vaults",
    "core/strongroom/ledger/handlers/freezing.py": "strongroom.ledger.handlers.freezing",
    "core/strongroom/ledger/handlers/acts.py": "strongroom.ledger.handlers.acts",
    "core/strongroom/ledger/handlers/amending.py": "strongroom.ledger.handlers.amending",
    "core/strongroom/ledger/vault_fit.py": "strongroom.ledger.vault_fit",
    "core/strongroom/ledger/charter_changes_parts.py": "strongroom.ledger.charter_changes_parts",
    "core/strongroom/ledger/charter_changes.py": "strongroom.ledger.charter_changes",
    "core/strongroom/ledger/charter_changes_rules.py": "strongroom.ledger.charter_changes_rules",
    "core/strongroom/ledger/handlers/genesis.py": "strongroom.ledger.handlers.genesis",
    "core/strongroom/ledger/state.py": "strongroom.ledger.state",
    "core/strongroom/ledger/mutable_state.py": "strongroom.ledger.mutable_state",
    "core/strongroom/ledger/key_material.py": "strongroom.ledger.key_material",
    "core/strongroom/ledger/windows.py": "strongroom.ledger.windows",
    "core/strongroom/ledger/handlers/endorsing.py": "strongroom.ledger.handlers.endorsing",
    "core/strongroom/ledger/handlers/decoding.py": "strongroom.ledger.handlers.decoding",
    "core/strongroom/ledger/charter_check.py": "strongroom.ledger.charter_check",
    "core/strongroom/ledger/charter_check_rules.py": "strongroom.ledger.charter_check_rules",
    "core/strongroom/ledger/charter_check_recovery.py": "strongroom.ledger.charter_check_recovery",
    "core/strongroom/ledger/charter_findings.py": "strongroom.ledger.charter_findings",
    "core/strongroom/ledger/open_orders.py": "strongroom.ledger.open_orders",
    "core/strongroom/ledger/schedule.py": "strongroom.ledger.schedule",
    "core/strongroom/ledger/recovery.py": "strongroom.ledger.recovery",
    # Founding a log anew.
    "core/strongroom/ledger/handlers/restarting.py": "strongroom.ledger.handlers.restarting",
    "core/strongroom/ledger/founding.py": "strongroom.ledger.founding",
    "core/strongroom/protocol/restart.py": "strongroom.protocol.restart",
    "core/strongroom/wire/restart_file.py": "strongroom.wire.restart_file",
    "signer/strongroom_signer/restarting.py": "strongroom_signer.restarting",
    "signer/strongroom_signer/kept_words.py": "strongroom_signer.kept_words",
    # The address book and break-glass.
    "core/strongroom/ledger/address_book.py": "strongroom.ledger.address_book",
    "core/strongroom/ledger/break_glass.py": "strongroom.ledger.break_glass",
    "core/strongroom/ledger/handlers/breaking.py": "strongroom.ledger.handlers.breaking",
    "core/strongroom/ledger/handlers/destinations.py": "strongroom.ledger.handlers.destinations",
    "core/strongroom/chains/bitcoin/message_signature.py": "strongroom.chains.bitcoin.message_signature",
}
"""Source file and module of what is mutated."""

_TEXT: Final = "reads or writes text for people; what counts is the canonical bytes, which other targets check"
_FORM: Final = "the form of bytes: round-trip, single-bit and fuzz tests own it"
_TREE: Final = "hashes and proofs over trees: published vectors and properties against a plain recomputation own them"
_LEADING: Final = "the coordinator's side, on whose word no signer relies"
_COMMAND: Final = "a command or file of the operator, who is trusted with this signer; tests of the commands own it"
_STORING: Final = "keeps bytes on disk; tests of damaged, old and full disks own it"
_HOUSING: Final = "carries requests and answers, or runs the process; it decides on no vote and no share"
_REPLAYED: Final = "keeps overlays of batches; a machine of random batches against a replay owns it"
_KEYGEN: Final = "key generation: published vectors and a machine of lying peers own it"
_NAMED: Final = "names what is signed; commitments and release, which compare it, are targets"
_PEER: Final = "the coordinator's certificate: whoever leads is not trusted, revoked or not"
_SHOWN: Final = "what a person is shown; rules, judge and state, which it asks, are targets"

LEFT_OUT: Final = {
    "core/strongroom/ledger/charter_book.py": "looks names up in a charter that charter_check passed",
    "core/strongroom/ledger/charter_source.py": _TEXT,
    "core/strongroom/ledger/charter_text.py": _TEXT,
    "core/strongroom/ledger/source_table.py": _TEXT,
    "core/strongroom/ledger/checkpoint.py": _FORM,
    "core/strongroom/ledger/codec.py": _FORM,
    "core/strongroom/ledger/codec_kinds.py": _FORM,
    "core/strongroom/ledger/codec_tables.py": _FORM,
    "core/strongroom/ledger/note.py": _FORM,
    "core/strongroom/ledger/pae.py": _FORM,
    "core/strongroom/ledger/log_tree.py": _TREE,
    "core/strongroom/ledger/merkle.py": _TREE,
    "core/strongroom/ledger/record_proof.py": _TREE,
    "core/strongroom/ledger/tree_table.py": _TREE,
    "core/strongroom/ledger/replica.py": _REPLAYED,
    "core/strongroom/ledger/view.py": "keys and values without meaning",
    "core/strongroom/protocol/backup.py": _COMMAND,
    "core/strongroom/protocol/share_recovery.py": _COMMAND,
    "core/strongroom/protocol/keygen_coordinator.py": _LEADING,
    "core/strongroom/protocol/leader.py": _LEADING,
    "core/strongroom/protocol/redistribution_state.py": _LEADING,
    "core/strongroom/protocol/signing.py": _LEADING,
    "core/strongroom/protocol/keygen_participant.py": _KEYGEN,
    "core/strongroom/protocol/signing_task.py": _NAMED,
    "signer/strongroom_signer/frames.py": _FORM,
    "signer/strongroom_signer/logs.py": _HOUSING,
    "signer/strongroom_signer/link.py": _HOUSING,
    "signer/strongroom_signer/link_session.py": _HOUSING,
    "signer/strongroom_signer/service.py": _HOUSING,
    "signer/strongroom_signer/daemon.py": _HOUSING,
    "signer/strongroom_signer/coordinator_check.py": _PEER,
    "signer/strongroom_signer/explain.py": _SHOWN,
    "signer/strongroom_signer/precautions.py": _SHOWN,
    "signer/strongroom_signer/acceptance.py": _COMMAND,
    "signer/strongroom_signer/backup_commands.py": _COMMAND,
    "signer/strongroom_signer/backups.py": _COMMAND,
    "signer/strongroom_signer/config.py": _COMMAND,
    "signer/strongroom_signer/doctor.py": _COMMAND,
    "signer/strongroom_signer/enrolment.py": _COMMAND,
    "signer/strongroom_signer/joining.py": _COMMAND,
    "signer/strongroom_signer/log_download.py": _COMMAND,
    "signer/strongroom_signer/log_export.py": _COMMAND,
    "signer/strongroom_signer/main.py": _COMMAND,
    "signer/strongroom_signer/offline_freeze.py": _COMMAND,
    "signer/strongroom_signer/operator.py": _COMMAND,
    "signer/strongroom_signer/operator_commands.py": _COMMAND,
    "signer/strongroom_signer/passphrase.py": _COMMAND,
    "signer/strongroom_signer/restart_command.py": _COMMAND,
    "signer/strongroom_signer/restore.py": _COMMAND,
    "signer/strongroom_signer/rotation.py": _COMMAND,
    "signer/strongroom_signer/seed_words.py": _COMMAND,
    "signer/strongroom_signer/tls.py": _COMMAND,
    "signer/strongroom_signer/unseal.py": _COMMAND,
    "signer/strongroom_signer/box.py": _STORING,
    "signer/strongroom_signer/keys.py": _STORING,
    "signer/strongroom_signer/shares.py": _STORING,
    "signer/strongroom_signer/store.py": _STORING,
    "signer/strongroom_signer/write_ahead.py": _STORING,
    "signer/strongroom_signer/keygen.py": _KEYGEN,
}
"""Modules with checks that are not mutated, each with the reason."""

VERDICTS: Final = {
    ("strongroom.ledger.rules", "_over_maximum"): "[]",
    ("strongroom.ledger.rules", "_initiator_problem"): "[]",
    ("strongroom.ledger.rules", "_over_limits"): "[]",
    ("strongroom.ledger.rules", "_approvals_missing"): "[]",
    ("strongroom.ledger.rules", "_wait_ms"): "0",
    ("strongroom.ledger.rules", "_vault_mismatch"): "''",
    ("strongroom.ledger.rules", "_destination_mismatch"): "''",
    ("strongroom.ledger.rules", "_asset_mismatch"): "''",
    ("strongroom.ledger.rules", "_prohibits"): "False",
    ("strongroom.ledger.rules", "_cooling_ms"): "0",
    ("strongroom.ledger.rules", "_is_removed"): "False",
    ("strongroom.ledger.judge", "_frozen"): "None",
    ("strongroom.ledger.judge", "_ended"): "None",
    ("strongroom.ledger.judge", "rejected_by"): "None",
    ("strongroom.ledger.state", "State.active_freeze"): "None",
    ("strongroom.ledger.conflict", "NewPlan.first_not_excluded"): "None",
    ("strongroom.ledger.conflict", "NewPlan.excludes"): "True",
    ("strongroom.ledger.certification", "vote_problem"): "''",
    ("strongroom.ledger.certification", "verify_certificate"): "None",
    ("strongroom.ledger.certification", "final_size"): "certificate.head.size",
    ("strongroom.protocol.voter", "inspect_certificate"): "None",
    ("strongroom_signer.nonces", "NonceBook.is_fresh"): "True",
    ("strongroom_signer.inbox", "Inbox.rejection_of"): "None",
    ("strongroom_signer.inbox", "Inbox.handed_freeze_of"): "None",
    ("strongroom_signer.inbox", "Inbox.local_freeze_of"): "None",
    ("strongroom_signer.inbox", "Inbox.without_revoked"): "state",
}
"""Functions that give a verdict, and the verdict that finds nothing wrong."""
