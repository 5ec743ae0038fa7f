from strongroom.api.types.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LinkRequest(_message.Message):
    __slots__ = ("seq", "reply_to", "hello", "promised", "term_opened", "voted", "batch_refused", "committed", "released", "certified", "keygen_round1", "keygen_round2", "keygen_finish", "trial_commit", "trial_sign", "explain", "batches", "fetch_batches", "raised", "failed", "keygen_complaint", "keygen_finding", "fetch_recovery", "recovery_data", "dealt", "stated", "dealings_disputed")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    PROMISED_FIELD_NUMBER: _ClassVar[int]
    TERM_OPENED_FIELD_NUMBER: _ClassVar[int]
    VOTED_FIELD_NUMBER: _ClassVar[int]
    BATCH_REFUSED_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    CERTIFIED_FIELD_NUMBER: _ClassVar[int]
    KEYGEN_ROUND1_FIELD_NUMBER: _ClassVar[int]
    KEYGEN_ROUND2_FIELD_NUMBER: _ClassVar[int]
    KEYGEN_FINISH_FIELD_NUMBER: _ClassVar[int]
    TRIAL_COMMIT_FIELD_NUMBER: _ClassVar[int]
    TRIAL_SIGN_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    FETCH_BATCHES_FIELD_NUMBER: _ClassVar[int]
    RAISED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    KEYGEN_COMPLAINT_FIELD_NUMBER: _ClassVar[int]
    KEYGEN_FINDING_FIELD_NUMBER: _ClassVar[int]
    FETCH_RECOVERY_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_DATA_FIELD_NUMBER: _ClassVar[int]
    DEALT_FIELD_NUMBER: _ClassVar[int]
    STATED_FIELD_NUMBER: _ClassVar[int]
    DEALINGS_DISPUTED_FIELD_NUMBER: _ClassVar[int]
    seq: int
    reply_to: int
    hello: Hello
    promised: Promised
    term_opened: TermOpened
    voted: Voted
    batch_refused: BatchRefused
    committed: Committed
    released: Released
    certified: Certified
    keygen_round1: KeygenRound1Reply
    keygen_round2: KeygenRound2Reply
    keygen_finish: KeygenFinishReply
    trial_commit: TrialCommitReply
    trial_sign: TrialSignReply
    explain: ExplainReply
    batches: Batches
    fetch_batches: FetchBatches
    raised: Raised
    failed: Failed
    keygen_complaint: KeygenComplaint
    keygen_finding: KeygenFinding
    fetch_recovery: FetchRecovery
    recovery_data: RecoveryData
    dealt: Dealt
    stated: Stated
    dealings_disputed: DealingsDisputed
    def __init__(self, seq: _Optional[int] = ..., reply_to: _Optional[int] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., promised: _Optional[_Union[Promised, _Mapping]] = ..., term_opened: _Optional[_Union[TermOpened, _Mapping]] = ..., voted: _Optional[_Union[Voted, _Mapping]] = ..., batch_refused: _Optional[_Union[BatchRefused, _Mapping]] = ..., committed: _Optional[_Union[Committed, _Mapping]] = ..., released: _Optional[_Union[Released, _Mapping]] = ..., certified: _Optional[_Union[Certified, _Mapping]] = ..., keygen_round1: _Optional[_Union[KeygenRound1Reply, _Mapping]] = ..., keygen_round2: _Optional[_Union[KeygenRound2Reply, _Mapping]] = ..., keygen_finish: _Optional[_Union[KeygenFinishReply, _Mapping]] = ..., trial_commit: _Optional[_Union[TrialCommitReply, _Mapping]] = ..., trial_sign: _Optional[_Union[TrialSignReply, _Mapping]] = ..., explain: _Optional[_Union[ExplainReply, _Mapping]] = ..., batches: _Optional[_Union[Batches, _Mapping]] = ..., fetch_batches: _Optional[_Union[FetchBatches, _Mapping]] = ..., raised: _Optional[_Union[Raised, _Mapping]] = ..., failed: _Optional[_Union[Failed, _Mapping]] = ..., keygen_complaint: _Optional[_Union[KeygenComplaint, _Mapping]] = ..., keygen_finding: _Optional[_Union[KeygenFinding, _Mapping]] = ..., fetch_recovery: _Optional[_Union[FetchRecovery, _Mapping]] = ..., recovery_data: _Optional[_Union[RecoveryData, _Mapping]] = ..., dealt: _Optional[_Union[Dealt, _Mapping]] = ..., stated: _Optional[_Union[Stated, _Mapping]] = ..., dealings_disputed: _Optional[_Union[DealingsDisputed, _Mapping]] = ...) -> None: ...

class LinkResponse(_message.Message):
    __slots__ = ("seq", "reply_to", "welcome", "promise", "open_term", "append", "commit", "release", "certify", "keygen_round1", "keygen_round2", "keygen_finish", "trial_commit", "trial_sign", "explain", "batches", "fetch_batches", "failed", "quarantined", "keygen_investigate", "fetch_recovery", "recovery_data", "deal", "receive", "epoch_trial_commit", "epoch_trial_sign", "witnesses")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    PROMISE_FIELD_NUMBER: _ClassVar[int]
    OPEN_TERM_FIELD_NUMBER: _ClassVar[int]
    APPEND_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    CERTIFY_FIELD_NUMBER: _ClassVar[int]
    KEYGEN_ROUND1_FIELD_NUMBER: _ClassVar[int]
    KEYGEN_ROUND2_FIELD_NUMBER: _ClassVar[int]
    KEYGEN_FINISH_FIELD_NUMBER: _ClassVar[int]
    TRIAL_COMMIT_FIELD_NUMBER: _ClassVar[int]
    TRIAL_SIGN_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    FETCH_BATCHES_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    KEYGEN_INVESTIGATE_FIELD_NUMBER: _ClassVar[int]
    FETCH_RECOVERY_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_DATA_FIELD_NUMBER: _ClassVar[int]
    DEAL_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_TRIAL_COMMIT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_TRIAL_SIGN_FIELD_NUMBER: _ClassVar[int]
    WITNESSES_FIELD_NUMBER: _ClassVar[int]
    seq: int
    reply_to: int
    welcome: Welcome
    promise: Promise
    open_term: OpenTerm
    append: Append
    commit: Commit
    release: Release
    certify: Certify
    keygen_round1: KeygenRound1
    keygen_round2: KeygenRound2
    keygen_finish: KeygenFinish
    trial_commit: TrialCommit
    trial_sign: TrialSign
    explain: Explain
    batches: Batches
    fetch_batches: FetchBatches
    failed: Failed
    quarantined: Quarantined
    keygen_investigate: KeygenInvestigate
    fetch_recovery: FetchRecovery
    recovery_data: RecoveryData
    deal: Deal
    receive: Receive
    epoch_trial_commit: EpochTrialCommit
    epoch_trial_sign: EpochTrialSign
    witnesses: Witnesses
    def __init__(self, seq: _Optional[int] = ..., reply_to: _Optional[int] = ..., welcome: _Optional[_Union[Welcome, _Mapping]] = ..., promise: _Optional[_Union[Promise, _Mapping]] = ..., open_term: _Optional[_Union[OpenTerm, _Mapping]] = ..., append: _Optional[_Union[Append, _Mapping]] = ..., commit: _Optional[_Union[Commit, _Mapping]] = ..., release: _Optional[_Union[Release, _Mapping]] = ..., certify: _Optional[_Union[Certify, _Mapping]] = ..., keygen_round1: _Optional[_Union[KeygenRound1, _Mapping]] = ..., keygen_round2: _Optional[_Union[KeygenRound2, _Mapping]] = ..., keygen_finish: _Optional[_Union[KeygenFinish, _Mapping]] = ..., trial_commit: _Optional[_Union[TrialCommit, _Mapping]] = ..., trial_sign: _Optional[_Union[TrialSign, _Mapping]] = ..., explain: _Optional[_Union[Explain, _Mapping]] = ..., batches: _Optional[_Union[Batches, _Mapping]] = ..., fetch_batches: _Optional[_Union[FetchBatches, _Mapping]] = ..., failed: _Optional[_Union[Failed, _Mapping]] = ..., quarantined: _Optional[_Union[Quarantined, _Mapping]] = ..., keygen_investigate: _Optional[_Union[KeygenInvestigate, _Mapping]] = ..., fetch_recovery: _Optional[_Union[FetchRecovery, _Mapping]] = ..., recovery_data: _Optional[_Union[RecoveryData, _Mapping]] = ..., deal: _Optional[_Union[Deal, _Mapping]] = ..., receive: _Optional[_Union[Receive, _Mapping]] = ..., epoch_trial_commit: _Optional[_Union[EpochTrialCommit, _Mapping]] = ..., epoch_trial_sign: _Optional[_Union[EpochTrialSign, _Mapping]] = ..., witnesses: _Optional[_Union[Witnesses, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("signer", "log_id", "boot_id", "version", "term", "size", "certificate", "rule_set", "alarm")
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    LOG_ID_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    RULE_SET_FIELD_NUMBER: _ClassVar[int]
    ALARM_FIELD_NUMBER: _ClassVar[int]
    signer: str
    log_id: bytes
    boot_id: bytes
    version: str
    term: int
    size: int
    certificate: bytes
    rule_set: int
    alarm: str
    def __init__(self, signer: _Optional[str] = ..., log_id: _Optional[bytes] = ..., boot_id: _Optional[bytes] = ..., version: _Optional[str] = ..., term: _Optional[int] = ..., size: _Optional[int] = ..., certificate: _Optional[bytes] = ..., rule_set: _Optional[int] = ..., alarm: _Optional[str] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("log_id", "leader", "version", "term", "time_ms")
    LOG_ID_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    log_id: bytes
    leader: bytes
    version: str
    term: int
    time_ms: int
    def __init__(self, log_id: _Optional[bytes] = ..., leader: _Optional[bytes] = ..., version: _Optional[str] = ..., term: _Optional[int] = ..., time_ms: _Optional[int] = ...) -> None: ...

class Promise(_message.Message):
    __slots__ = ("term", "leader")
    TERM_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    term: int
    leader: bytes
    def __init__(self, term: _Optional[int] = ..., leader: _Optional[bytes] = ...) -> None: ...

class Promised(_message.Message):
    __slots__ = ("statement", "certificate")
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    statement: _types_pb2.SignedBody
    certificate: bytes
    def __init__(self, statement: _Optional[_Union[_types_pb2.SignedBody, _Mapping]] = ..., certificate: _Optional[bytes] = ...) -> None: ...

class OpenTerm(_message.Message):
    __slots__ = ("term", "statements", "base_certificate")
    TERM_FIELD_NUMBER: _ClassVar[int]
    STATEMENTS_FIELD_NUMBER: _ClassVar[int]
    BASE_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    term: int
    statements: _containers.RepeatedCompositeFieldContainer[_types_pb2.SignedBody]
    base_certificate: bytes
    def __init__(self, term: _Optional[int] = ..., statements: _Optional[_Iterable[_Union[_types_pb2.SignedBody, _Mapping]]] = ..., base_certificate: _Optional[bytes] = ...) -> None: ...

class TermOpened(_message.Message):
    __slots__ = ("term", "size")
    TERM_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    term: int
    size: int
    def __init__(self, term: _Optional[int] = ..., size: _Optional[int] = ...) -> None: ...

class Append(_message.Message):
    __slots__ = ("term", "first_index", "entries", "size", "root", "certificate", "commit_for", "recovery_data")
    TERM_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FOR_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_DATA_FIELD_NUMBER: _ClassVar[int]
    term: int
    first_index: int
    entries: _containers.RepeatedScalarFieldContainer[bytes]
    size: int
    root: bytes
    certificate: bytes
    commit_for: _containers.RepeatedScalarFieldContainer[int]
    recovery_data: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, term: _Optional[int] = ..., first_index: _Optional[int] = ..., entries: _Optional[_Iterable[bytes]] = ..., size: _Optional[int] = ..., root: _Optional[bytes] = ..., certificate: _Optional[bytes] = ..., commit_for: _Optional[_Iterable[int]] = ..., recovery_data: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Voted(_message.Message):
    __slots__ = ("vote", "commitments", "cosignature", "final_size")
    VOTE_FIELD_NUMBER: _ClassVar[int]
    COMMITMENTS_FIELD_NUMBER: _ClassVar[int]
    COSIGNATURE_FIELD_NUMBER: _ClassVar[int]
    FINAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    vote: _types_pb2.SignedBody
    commitments: _containers.RepeatedCompositeFieldContainer[CommitmentResult]
    cosignature: str
    final_size: int
    def __init__(self, vote: _Optional[_Union[_types_pb2.SignedBody, _Mapping]] = ..., commitments: _Optional[_Iterable[_Union[CommitmentResult, _Mapping]]] = ..., cosignature: _Optional[str] = ..., final_size: _Optional[int] = ...) -> None: ...

class CommitmentResult(_message.Message):
    __slots__ = ("entry_index", "commitments", "refusal")
    ENTRY_INDEX_FIELD_NUMBER: _ClassVar[int]
    COMMITMENTS_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    entry_index: int
    commitments: _types_pb2.SignedBody
    refusal: _types_pb2.SignedBody
    def __init__(self, entry_index: _Optional[int] = ..., commitments: _Optional[_Union[_types_pb2.SignedBody, _Mapping]] = ..., refusal: _Optional[_Union[_types_pb2.SignedBody, _Mapping]] = ...) -> None: ...

class BatchRefused(_message.Message):
    __slots__ = ("refusal",)
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    refusal: _types_pb2.SignedBody
    def __init__(self, refusal: _Optional[_Union[_types_pb2.SignedBody, _Mapping]] = ...) -> None: ...

class Commit(_message.Message):
    __slots__ = ("term", "entry_indexes")
    TERM_FIELD_NUMBER: _ClassVar[int]
    ENTRY_INDEXES_FIELD_NUMBER: _ClassVar[int]
    term: int
    entry_indexes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, term: _Optional[int] = ..., entry_indexes: _Optional[_Iterable[int]] = ...) -> None: ...

class Committed(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[CommitmentResult]
    def __init__(self, results: _Optional[_Iterable[_Union[CommitmentResult, _Mapping]]] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("certificate", "sets")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    SETS_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    sets: _containers.RepeatedCompositeFieldContainer[SigningSet]
    def __init__(self, certificate: _Optional[bytes] = ..., sets: _Optional[_Iterable[_Union[SigningSet, _Mapping]]] = ...) -> None: ...

class SigningSet(_message.Message):
    __slots__ = ("entry_index", "commitments")
    ENTRY_INDEX_FIELD_NUMBER: _ClassVar[int]
    COMMITMENTS_FIELD_NUMBER: _ClassVar[int]
    entry_index: int
    commitments: _containers.RepeatedCompositeFieldContainer[_types_pb2.SignedBody]
    def __init__(self, entry_index: _Optional[int] = ..., commitments: _Optional[_Iterable[_Union[_types_pb2.SignedBody, _Mapping]]] = ...) -> None: ...

class Released(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ShareResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ShareResult, _Mapping]]] = ...) -> None: ...

class ShareResult(_message.Message):
    __slots__ = ("entry_index", "shares", "refusal", "next_commitments")
    ENTRY_INDEX_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    NEXT_COMMITMENTS_FIELD_NUMBER: _ClassVar[int]
    entry_index: int
    shares: _types_pb2.SignedBody
    refusal: _types_pb2.SignedBody
    next_commitments: _types_pb2.SignedBody
    def __init__(self, entry_index: _Optional[int] = ..., shares: _Optional[_Union[_types_pb2.SignedBody, _Mapping]] = ..., refusal: _Optional[_Union[_types_pb2.SignedBody, _Mapping]] = ..., next_commitments: _Optional[_Union[_types_pb2.SignedBody, _Mapping]] = ...) -> None: ...

class Certify(_message.Message):
    __slots__ = ("certificate",)
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    def __init__(self, certificate: _Optional[bytes] = ...) -> None: ...

class Certified(_message.Message):
    __slots__ = ("certified_size", "final_size", "cosignature")
    CERTIFIED_SIZE_FIELD_NUMBER: _ClassVar[int]
    FINAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    COSIGNATURE_FIELD_NUMBER: _ClassVar[int]
    certified_size: int
    final_size: int
    cosignature: str
    def __init__(self, certified_size: _Optional[int] = ..., final_size: _Optional[int] = ..., cosignature: _Optional[str] = ...) -> None: ...

class KeygenRound1(_message.Message):
    __slots__ = ("order_hash", "attempt")
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    attempt: int
    def __init__(self, order_hash: _Optional[bytes] = ..., attempt: _Optional[int] = ...) -> None: ...

class KeygenRound1Reply(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: bytes
    def __init__(self, message: _Optional[bytes] = ...) -> None: ...

class KeygenRound2(_message.Message):
    __slots__ = ("order_hash", "attempt", "message")
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    attempt: int
    message: bytes
    def __init__(self, order_hash: _Optional[bytes] = ..., attempt: _Optional[int] = ..., message: _Optional[bytes] = ...) -> None: ...

class KeygenRound2Reply(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: bytes
    def __init__(self, message: _Optional[bytes] = ...) -> None: ...

class KeygenComplaint(_message.Message):
    __slots__ = ("encrypted_share", "pubshare")
    ENCRYPTED_SHARE_FIELD_NUMBER: _ClassVar[int]
    PUBSHARE_FIELD_NUMBER: _ClassVar[int]
    encrypted_share: bytes
    pubshare: bytes
    def __init__(self, encrypted_share: _Optional[bytes] = ..., pubshare: _Optional[bytes] = ...) -> None: ...

class KeygenInvestigate(_message.Message):
    __slots__ = ("order_hash", "attempt", "message")
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    attempt: int
    message: bytes
    def __init__(self, order_hash: _Optional[bytes] = ..., attempt: _Optional[int] = ..., message: _Optional[bytes] = ...) -> None: ...

class KeygenFinding(_message.Message):
    __slots__ = ("fault", "suspect")
    class Fault(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FAULT_UNSPECIFIED: _ClassVar[KeygenFinding.Fault]
        FAULT_HOLDER_OR_COORDINATOR: _ClassVar[KeygenFinding.Fault]
        FAULT_COORDINATOR: _ClassVar[KeygenFinding.Fault]
        FAULT_OWN_MACHINE: _ClassVar[KeygenFinding.Fault]
    FAULT_UNSPECIFIED: KeygenFinding.Fault
    FAULT_HOLDER_OR_COORDINATOR: KeygenFinding.Fault
    FAULT_COORDINATOR: KeygenFinding.Fault
    FAULT_OWN_MACHINE: KeygenFinding.Fault
    FAULT_FIELD_NUMBER: _ClassVar[int]
    SUSPECT_FIELD_NUMBER: _ClassVar[int]
    fault: KeygenFinding.Fault
    suspect: int
    def __init__(self, fault: _Optional[_Union[KeygenFinding.Fault, str]] = ..., suspect: _Optional[int] = ...) -> None: ...

class KeygenFinish(_message.Message):
    __slots__ = ("order_hash", "attempt", "message")
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    attempt: int
    message: bytes
    def __init__(self, order_hash: _Optional[bytes] = ..., attempt: _Optional[int] = ..., message: _Optional[bytes] = ...) -> None: ...

class KeygenFinishReply(_message.Message):
    __slots__ = ("statement_signature", "recovery_hash")
    STATEMENT_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_HASH_FIELD_NUMBER: _ClassVar[int]
    statement_signature: bytes
    recovery_hash: bytes
    def __init__(self, statement_signature: _Optional[bytes] = ..., recovery_hash: _Optional[bytes] = ...) -> None: ...

class TrialCommit(_message.Message):
    __slots__ = ("order_hash", "attempt", "signers")
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SIGNERS_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    attempt: int
    signers: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, order_hash: _Optional[bytes] = ..., attempt: _Optional[int] = ..., signers: _Optional[_Iterable[int]] = ...) -> None: ...

class TrialCommitReply(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    def __init__(self, nonce: _Optional[bytes] = ...) -> None: ...

class TrialSign(_message.Message):
    __slots__ = ("order_hash", "attempt", "signers", "nonces")
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SIGNERS_FIELD_NUMBER: _ClassVar[int]
    NONCES_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    attempt: int
    signers: _containers.RepeatedScalarFieldContainer[int]
    nonces: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, order_hash: _Optional[bytes] = ..., attempt: _Optional[int] = ..., signers: _Optional[_Iterable[int]] = ..., nonces: _Optional[_Iterable[bytes]] = ...) -> None: ...

class TrialSignReply(_message.Message):
    __slots__ = ("share",)
    SHARE_FIELD_NUMBER: _ClassVar[int]
    share: bytes
    def __init__(self, share: _Optional[bytes] = ...) -> None: ...

class Deal(_message.Message):
    __slots__ = ("order_hash", "vault", "attempt")
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    vault: str
    attempt: int
    def __init__(self, order_hash: _Optional[bytes] = ..., vault: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class Dealt(_message.Message):
    __slots__ = ("dealing",)
    DEALING_FIELD_NUMBER: _ClassVar[int]
    dealing: _types_pb2.SignedBody
    def __init__(self, dealing: _Optional[_Union[_types_pb2.SignedBody, _Mapping]] = ...) -> None: ...

class Receive(_message.Message):
    __slots__ = ("order_hash", "vault", "attempt", "dealings")
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    DEALINGS_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    vault: str
    attempt: int
    dealings: _containers.RepeatedCompositeFieldContainer[_types_pb2.SignedBody]
    def __init__(self, order_hash: _Optional[bytes] = ..., vault: _Optional[str] = ..., attempt: _Optional[int] = ..., dealings: _Optional[_Iterable[_Union[_types_pb2.SignedBody, _Mapping]]] = ...) -> None: ...

class Stated(_message.Message):
    __slots__ = ("signature", "recovery_hash", "key_hash")
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_HASH_FIELD_NUMBER: _ClassVar[int]
    KEY_HASH_FIELD_NUMBER: _ClassVar[int]
    signature: bytes
    recovery_hash: bytes
    key_hash: bytes
    def __init__(self, signature: _Optional[bytes] = ..., recovery_hash: _Optional[bytes] = ..., key_hash: _Optional[bytes] = ...) -> None: ...

class DealingsDisputed(_message.Message):
    __slots__ = ("dealers", "detail")
    DEALERS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    dealers: _containers.RepeatedScalarFieldContainer[str]
    detail: str
    def __init__(self, dealers: _Optional[_Iterable[str]] = ..., detail: _Optional[str] = ...) -> None: ...

class EpochTrialCommit(_message.Message):
    __slots__ = ("order_hash", "vault", "attempt", "signers")
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SIGNERS_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    vault: str
    attempt: int
    signers: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, order_hash: _Optional[bytes] = ..., vault: _Optional[str] = ..., attempt: _Optional[int] = ..., signers: _Optional[_Iterable[int]] = ...) -> None: ...

class EpochTrialSign(_message.Message):
    __slots__ = ("order_hash", "vault", "attempt", "signers", "nonces")
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SIGNERS_FIELD_NUMBER: _ClassVar[int]
    NONCES_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    vault: str
    attempt: int
    signers: _containers.RepeatedScalarFieldContainer[int]
    nonces: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, order_hash: _Optional[bytes] = ..., vault: _Optional[str] = ..., attempt: _Optional[int] = ..., signers: _Optional[_Iterable[int]] = ..., nonces: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Explain(_message.Message):
    __slots__ = ("order_hash",)
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    def __init__(self, order_hash: _Optional[bytes] = ...) -> None: ...

class ExplainReply(_message.Message):
    __slots__ = ("view",)
    VIEW_FIELD_NUMBER: _ClassVar[int]
    view: _types_pb2.SignedBody
    def __init__(self, view: _Optional[_Union[_types_pb2.SignedBody, _Mapping]] = ...) -> None: ...

class FetchBatches(_message.Message):
    __slots__ = ("first_index", "end_index")
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    END_INDEX_FIELD_NUMBER: _ClassVar[int]
    first_index: int
    end_index: int
    def __init__(self, first_index: _Optional[int] = ..., end_index: _Optional[int] = ...) -> None: ...

class Batches(_message.Message):
    __slots__ = ("batches",)
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    batches: _containers.RepeatedCompositeFieldContainer[_types_pb2.LogBatch]
    def __init__(self, batches: _Optional[_Iterable[_Union[_types_pb2.LogBatch, _Mapping]]] = ...) -> None: ...

class FetchRecovery(_message.Message):
    __slots__ = ("hashes",)
    HASHES_FIELD_NUMBER: _ClassVar[int]
    hashes: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, hashes: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RecoveryData(_message.Message):
    __slots__ = ("recovery_data",)
    RECOVERY_DATA_FIELD_NUMBER: _ClassVar[int]
    recovery_data: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, recovery_data: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Raised(_message.Message):
    __slots__ = ("freezes", "orders", "endorsements", "reinstatements")
    FREEZES_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    ENDORSEMENTS_FIELD_NUMBER: _ClassVar[int]
    REINSTATEMENTS_FIELD_NUMBER: _ClassVar[int]
    freezes: _containers.RepeatedCompositeFieldContainer[_types_pb2.SignedBody]
    orders: _containers.RepeatedCompositeFieldContainer[HandedOrder]
    endorsements: _containers.RepeatedCompositeFieldContainer[_types_pb2.SignedBody]
    reinstatements: _containers.RepeatedCompositeFieldContainer[_types_pb2.SignedBody]
    def __init__(self, freezes: _Optional[_Iterable[_Union[_types_pb2.SignedBody, _Mapping]]] = ..., orders: _Optional[_Iterable[_Union[HandedOrder, _Mapping]]] = ..., endorsements: _Optional[_Iterable[_Union[_types_pb2.SignedBody, _Mapping]]] = ..., reinstatements: _Optional[_Iterable[_Union[_types_pb2.SignedBody, _Mapping]]] = ...) -> None: ...

class Quarantined(_message.Message):
    __slots__ = ("evidence_hash", "fault", "detail", "operator_cleared", "ordered")
    EVIDENCE_HASH_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_CLEARED_FIELD_NUMBER: _ClassVar[int]
    ORDERED_FIELD_NUMBER: _ClassVar[int]
    evidence_hash: bytes
    fault: str
    detail: str
    operator_cleared: bool
    ordered: bool
    def __init__(self, evidence_hash: _Optional[bytes] = ..., fault: _Optional[str] = ..., detail: _Optional[str] = ..., operator_cleared: _Optional[bool] = ..., ordered: _Optional[bool] = ...) -> None: ...

class Witnesses(_message.Message):
    __slots__ = ("steps",)
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, steps: _Optional[_Iterable[bytes]] = ...) -> None: ...

class HandedOrder(_message.Message):
    __slots__ = ("order", "endorsements")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    ENDORSEMENTS_FIELD_NUMBER: _ClassVar[int]
    order: bytes
    endorsements: _containers.RepeatedCompositeFieldContainer[_types_pb2.SignedBody]
    def __init__(self, order: _Optional[bytes] = ..., endorsements: _Optional[_Iterable[_Union[_types_pb2.SignedBody, _Mapping]]] = ...) -> None: ...

class Failed(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
