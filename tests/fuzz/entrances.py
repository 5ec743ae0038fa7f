"""Where bytes become values: every production function that calls one of the parsers that everything else rests on.

Found by reading the sources, so that a new one cannot be forgotten: it is reached by a fuzz target, or stands here with
the reason why its bytes are not from outside.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["OWN_BYTES", "entrances"]

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCES: Final = {
    "core": "strongroom",
    "signer": "strongroom_signer",
    "coordinator": "strongroom_coordinator",
    "client": "strongroom_client",
    "deploy/regtest": "strongroom_regtest",
}
PARSERS: Final = frozenset(
    {
        "b64decode",
        "base64.b64decode",
        "bytes.fromhex",
        "codec.decode",
        "json.load",
        "json.loads",
        "serialization.load_pem_private_key",
        "struct.iter_unpack",
        "struct.unpack",
        "struct.unpack_from",
        "tomllib.loads",
        "x509.load_der_x509_certificate",
        "x509.load_pem_x509_certificate",
        "x509.load_pem_x509_certificates",
        "x509.load_pem_x509_crl",
        "x509.load_pem_x509_csr",
    }
)
METHODS: Final = ("FromString", "ParseFromString", "WhichOneof")

OWN_BYTES: Final[dict[str, str]] = {
    # What a daemon wrote itself, read back from its own database, under its own checks.
    "strongroom.ledger.state:_Memo.decode": "records of the own state",
    "strongroom.protocol.voter:promise": "an own statement, decoded to repeat it",
    "strongroom.protocol.voter_state:VoterState.vote_cast": "an own vote",
    "strongroom_signer.inbox:Inbox.salvaged": "own rows of a database that is being replaced",
    "strongroom_signer.kept_words:kept_words": "own rows of a database that is being replaced",
    "strongroom_signer.kept_words:_joined": "own rows, and words made of the own log",
    "strongroom_signer.kept_words:log_id_of_word": "own rows, checked when they were handed in",
    "strongroom_signer.restarting:_Pinning._require_no_revoked_key": "approvals that were verified before",
    "strongroom_signer.restarting:_again": "an own freeze, said again for the log that begins",
    "strongroom_signer.word_life:handed_freeze": "own rows, checked when they were handed in",
    "strongroom_signer.backup_commands:backup_verify": "records that the own daemon sent over its socket",
    "strongroom_signer.keys:public_host_keys": "66 hex digits in the own sealed file, which was parsed",
    "strongroom_signer.operator_commands:_hash_of": "an operator's own command line, 64 hex digits",
    "strongroom_signer.operator_commands:_freeze_named": "an operator's own command line",
    "strongroom_signer.money_path:MoneyPath.load_plan": "an entry of the own log",
    "strongroom_signer.money_path:MoneyPath._refusal": "a refusal that it made itself",
    "strongroom_signer.nonces:NonceBook.make": "commitments that it made itself",
    "strongroom_signer.service:Service._refused": "a refusal that it made itself",
    "strongroom_signer.coordinator_check:CoordinatorCheck._fetched": "a certificate that the TLS handshake verified",
    "strongroom_signer.tls:load_tls": "the own key file",
    "strongroom_signer.tls:request_again": "the own key file",
    "strongroom_coordinator.founding:load_founding": "a restart from the own database",
    "strongroom_coordinator.founding:_require_nothing_lost": "a certificate from the own database",
    "strongroom_coordinator.ledger_copy:_decoded": "a certificate from the own database",
    "strongroom_coordinator.rpc.submissions:Submissions._known": "an endorsement that the request's reader took",
    "strongroom_coordinator.rpc.submissions:_find_said": "entries of the own log",
    "strongroom_coordinator.rpc.submissions:_order_hash": "an endorsement that the request's reader took",
    "strongroom_coordinator.rpc.submissions:_is_same": "entries of the own log",
    "strongroom_coordinator.unsigned_plans:UnsignedPlans._take_up_row": "a plan from the own database",
    "strongroom_coordinator.storage.plans:_plan_row": "a row of the own database",
    "strongroom_coordinator.tracker.journal:_orders_in": "entries of the own log",
    "strongroom_client.pki:Authority._earlier": "the authority's own list",
    "strongroom_client.audit:Auditor._plans_of": "entries that the replay took",
    "strongroom_coordinator.link:SignerLink.post": "a frame of its own",
    # What the person at the terminal types or keeps.
    "strongroom_coordinator.evidence_book:EvidenceBook._proven": "steps of the own log",
    "strongroom_signer.doctor:_certificates": "the own certificate files",
    "strongroom_signer.revocations:HandedRevocation.lacking": "own rows, checked when they were handed in",
    "strongroom_signer.revocations:HandedRevocation.is_overtaken": "own rows, checked when they were handed in",
    "strongroom_signer.dropped:_amending_entry": "entries of the own log",
    "strongroom_signer.dropped:dropped_by": "entries of the own log",
    "strongroom_signer.words:salvaged_from": "entries of the own log",
    "strongroom_client.cli.revocation:_write": "words that were verified, or the person's own",
    "strongroom_client.cli.signers:_hash_of": "an option on the command line",
    "strongroom_client.cli.login:_check_files": "the person's own certificate files",
    "strongroom_client.cli.shared:Session.find": "an argument on the command line",
    "strongroom_client.cli.shared_orders:_reject_offline": "an argument on the command line",
    "strongroom_client.demo.cheats:_event": "the demonstration reads what it started",
    "strongroom_client.demo.deployment:Deployment.log_id": "the demonstration reads what it wrote",
    "strongroom_client.demo.deployment:Deployment._make_charter": "the demonstration reads what it started",
    "strongroom_client.demo.deployment:Deployment.rpc": "the demonstration reads what it started",
    "strongroom_client.demo.processes:Daemon._read": "the demonstration reads what it started",
    "strongroom_client.demo.shop:Shop.approval": "the demonstration reads what it started",
    "strongroom_client.demo.story:Story._ask": "the demonstration reads what it started",
    "strongroom_regtest.journal:Journal._read": "the test node's own file",
    "strongroom_regtest.miner:_call": "the test node's own helper asks the test node",
}
"""Functions whose bytes this very program, or the person who runs it, made."""


def entrances() -> Iterator[str]:
    """Every function that calls one of the parsers, as `module:qualified name`."""
    for folder, package in SOURCES.items():
        base = ROOT / folder
        for file in sorted((base / package).rglob("*.py")):
            if "_pb2" in file.name:
                continue
            module = ".".join(file.relative_to(base).with_suffix("").parts)
            for name in _in_scope(ast.parse(file.read_text()), []):
                yield f"{module}:{name}"


def _in_scope(node: ast.AST, above: list[str]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _in_scope(child, [*above, child.name])
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if any(_parses(item) for item in ast.walk(child)):
                yield ".".join([*above, child.name])
        else:
            yield from _in_scope(child, above)


def _parses(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    return called in PARSERS or called.rpartition(".")[2] in METHODS
