"""A small deterministic organisation with a log of its own: people, signers, real key generations, orders and plans.

    world = World.started()
    world.make_vault("customer-1")
    order = world.pay("customer-1", 100_000)          # initiated by shop, approved by alice and bob
    plan = world.plan([order], [world.coin("customer-1", 150_000)], fee_sat=1_000)
    world.log(plan)

Everything that is logged goes through `Replica`, so what a test builds here is what signers would vote for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count
from typing import Any, cast

import charter_builder as builder
from strongroom.chains.bitcoin.keys import VaultKey
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.crypto import chilldkg, frost
from strongroom.crypto.secret import SecretScalar
from strongroom.ledger import codec
from strongroom.ledger.charter import Charter, encode_charter, log_id_of
from strongroom.ledger.entry_messages import (
    Change,
    Endorse,
    Entry,
    Epoch,
    Genesis,
    OrderEntry,
    OrderPayment,
    Plan,
    PlanInput,
    PlanOutput,
    Recovery,
    SignerFreeze,
    Tick,
    Trial,
    Vault,
    VaultSignature,
)
from strongroom.ledger.key_material import key_hash, trial_message
from strongroom.ledger.order_messages import (
    AddDestination,
    AmendCharter,
    BreakGlass,
    CancelWithdraw,
    CreateVault,
    CustodyClass,
    Freeze,
    Order,
    RefreshShares,
    ReinstateSigner,
    RemoveDestination,
    ReshareVault,
    Scheme,
    Scope,
    SweepVault,
    Unfreeze,
    Withdraw,
)
from strongroom.ledger.pae import pae
from strongroom.ledger.plans import plan_hash
from strongroom.ledger.records import PlanRecord
from strongroom.ledger.recovery import hashes_written
from strongroom.ledger.replica import Batch, Preview, Replica
from strongroom.ledger.signed_messages import Adopt, Endorsement, FreezeStatement, Signed, VaultStatement, Verb
from strongroom.ledger.state import State, decode_order
from strongroom.ledger.view import MemoryStore
from strongroom.model.ids import LogId
from strongroom.protocol import redistribution
from strongroom.protocol.keygen import MadeKey, trial_session
from strongroom.protocol.redistribution_orders import redistribution_terms
from strongroom.protocol.redistribution_terms import RedistributionTerms
from strongroom.protocol.trials import covering_sets

START_MS = 1_750_000_000_000
HOUR_MS = builder.HOUR_MS
DAY_MS = 24 * HOUR_MS
BTC = builder.BTC
DESTINATION = builder.ADDRESS

Body = Genesis | OrderEntry | Endorse | SignerFreeze | Vault | Plan | Tick | Epoch
Action = (
    Withdraw
    | CancelWithdraw
    | CreateVault
    | Freeze
    | Unfreeze
    | ReinstateSigner
    | AmendCharter
    | RefreshShares
    | ReshareVault
    | AddDestination
    | RemoveDestination
    | BreakGlass
    | SweepVault
)


def randomness(label: str, size: int = 32) -> bytes:
    """Bytes that look random and are the same in every run."""
    return hashlib.shake_256(b"ledger world " + label.encode()).digest(size)


def sign(kind: str, message: Any, key_label: str) -> Signed:
    """Sign a message with the key of a label, as `charter_builder.signing_key` names them."""
    body = codec.encode(message)
    return Signed(body=body, signature=builder.signing_key(key_label).sign(pae(kind, body)))


@dataclass(frozen=True)
class Generated:
    """What a real key generation gave: its public side, all shares, public output."""

    made: MadeKey
    shares: tuple[SecretScalar, ...]
    output: chilldkg.DKGOutput

    def tried(self, log_id: bytes, order_hash: bytes, recovery_hash: bytes = b"") -> tuple[Trial, ...]:
        """Trial signatures by subsets that cover all holders, for the log and order and over this hash or the own."""
        named = recovery_hash or self.made.recovery_hash

        def signature(subset: tuple[int, ...]) -> bytes:
            message = trial_message(log_id, order_hash, named, subset)
            return group_sign(self.shares, self.output, subset, message, ())

        subsets = covering_sets(range(len(self.shares)), self.made.key.threshold)
        return tuple(Trial(signers=subset, signature=signature(subset)) for subset in subsets)


@lru_cache(maxsize=32)
def generate(signers: tuple[str, ...], threshold: int, label: str) -> Generated:
    """Run ChillDKG among the signers."""
    secrets = [builder.host_secret(name) for name in signers]
    params = chilldkg.SessionParams(hostpubkeys=tuple(secret.public() for secret in secrets), t=threshold)
    firsts = [
        chilldkg.participant_step1(secret, params, randomness(f"dkg {label} {name}"))
        for name, secret in zip(signers, secrets, strict=True)
    ]
    coordinator, cmsg1 = chilldkg.coordinator_step1([message for _, message in firsts], params)
    seconds = [
        chilldkg.participant_step2(secret, state, cmsg1, randomness(f"aux {label} {name}"))
        for name, secret, (state, _) in zip(signers, secrets, firsts, strict=True)
    ]
    cmsg2, _, recovery_data = chilldkg.coordinator_finalize(coordinator, [message for _, message in seconds])
    outputs = [chilldkg.participant_finalize(state, cmsg2)[0] for state, _ in seconds]
    shares = tuple(output.secshare for output in outputs if output.secshare is not None)
    output, _ = chilldkg.recover(None, recovery_data)
    made = MadeKey.of(output, params, recovery_data)
    return Generated(made, shares, output)


def group_sign(
    shares: Sequence[SecretScalar],
    output: chilldkg.DKGOutput,
    subset: tuple[int, ...],
    message: bytes,
    tweaks: tuple[frost.Tweak, ...],
) -> bytes:
    """Sign as the holders of a subset do together, under the tweaked group key; 64 bytes."""
    context = frost.SignersContext(
        n=len(shares),
        t=len(subset),
        ids=subset,
        pubshares=tuple(output.pubshares[holder] for holder in subset),
        thresh_pk=output.threshold_pubkey,
    )
    nonces = [frost.nonce_gen(randomness(f"nonce {holder} {message.hex()}")) for holder in subset]
    session = frost.Session.from_public_nonces([public for _, public in nonces], context, tweaks, message)
    psigs = [
        frost.sign(secret, shares[holder], holder, session) for holder, (secret, _) in zip(subset, nonces, strict=True)
    ]
    return frost.aggregate(psigs, session)


@dataclass(frozen=True)
class Coin:
    """A coin as a plan claims it."""

    txid: bytes
    vout: int
    amount_sat: int
    branch: int = 0
    index: int = 0

    def as_input(self) -> PlanInput:
        return PlanInput(
            txid=self.txid, vout=self.vout, amount_sat=self.amount_sat, branch=self.branch, index=self.index
        )


@dataclass
class World:
    """A log and everybody who writes to it."""

    charter: Charter = field(default_factory=builder.charter)
    time_ms: int = START_MS
    label: str = "world"

    def __post_init__(self) -> None:
        self.charter_bytes = encode_charter(self.charter)
        self.log_id: LogId = log_id_of(self.charter_bytes)
        self.base = MemoryStore()
        self.replica = Replica(self.base, log_id=self.log_id)
        self.previews: list[Preview] = []
        self.generated: dict[str, Generated] = {}
        self.recovery_data: dict[bytes, bytes] = {}
        self.shares: dict[tuple[str, int], dict[str, SecretScalar]] = {}
        self._numbers = count()

    @classmethod
    def started(cls, **parts: Any) -> World:
        """A world whose log has its genesis; `parts` replace parts of the charter."""
        world = cls(charter=builder.charter(**parts))
        world.log(world.genesis())
        return world

    # --- the log ---------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self.replica.state()

    @property
    def batches(self) -> list[Batch]:
        return [preview.batch for preview in self.previews]

    def fresh(self, size: int = 16) -> bytes:
        """Bytes that no earlier call returned."""
        return randomness(f"{self.label} {next(self._numbers)}", size)

    def later(self, milliseconds: int) -> None:
        """Let log time pass."""
        self.time_ms += milliseconds

    def entry(self, body: Body) -> bytes:
        return codec.encode(Entry(salt=self.fresh(), time_ms=self.time_ms, body=body))

    def batch(self, *bodies: Body) -> Batch:
        return Batch(first_index=self.replica.size, entries=tuple(self.entry(body) for body in bodies))

    def log(self, *bodies: Body) -> Preview:
        """Log the bodies as one batch.

        Raises:
            Refused: one is refused; nothing was logged.
        """
        preview = self.replica.preview(self.batch(*bodies))
        self.replica.push(preview)
        self.previews.append(preview)
        return preview

    def genesis(self, *adopters: str) -> Genesis:
        return Genesis(
            charter=self.charter_bytes,
            adoptions=tuple(self.adoption(name) for name in adopters or ("alice", "bob")),
        )

    def adoption(self, name: str) -> Signed:
        public = builder.signing_key(name).public
        return sign("adopt", Adopt(log_id=self.log_id, person=name, key=public), name)

    # --- orders and endorsements -----------------------------------------------------------------------------------

    def order(self, action: Action, **parts: Any) -> bytes:
        """Order bytes; `parts` replace fields of the order."""
        defaults: dict[str, Any] = {
            "log_id": self.log_id,
            "id": self.fresh(),
            "expires_ms": self.time_ms + 3 * DAY_MS,
            "note": "",
            "action": action,
        }
        return codec.encode(Order(**{**defaults, **parts}))

    def endorsement(self, person: str, verb: Verb, order: bytes, /, label: str = "", **parts: Any) -> Signed:
        """A signed endorsement; `order` is the order's bytes or its 32-byte hash; `parts` replace fields.

        It is signed by the key of `label`, of the person's own name when there is none.
        """
        size = self.replica.size
        defaults: dict[str, Any] = {
            "log_id": self.log_id,
            "verb": verb,
            "order_hash": order if len(order) == 32 else hashlib.sha256(order).digest(),
            "head_size": size,
            "head_root": self.replica.root_at(size),
            "expires_ms": self.time_ms + 2 * DAY_MS,
            "person": person,
            "key": builder.signing_key(label or person).public,
        }
        return sign("endorsement", Endorsement(**{**defaults, **parts}), label or person)

    def order_entry(self, order: bytes, initiator: str, *approvers: str) -> OrderEntry:
        said = [self.endorsement(initiator, Verb.INITIATE, order)]
        said.extend(self.endorsement(person, Verb.APPROVE, order) for person in approvers)
        return OrderEntry(order=order, endorsements=tuple(said))

    def endorse(self, person: str, verb: Verb, order: bytes, /, **parts: Any) -> Endorse:
        return Endorse(endorsement=self.endorsement(person, verb, order, **parts))

    def submit(self, action: Action, initiator: str, *approvers: str, **parts: Any) -> bytes:
        """Log an order with its endorsements in one batch; return its hash."""
        order = self.order(action, **parts)
        self.log(self.order_entry(order, initiator, *approvers))
        return hashlib.sha256(order).digest()

    def approve(self, order_hash: bytes, *people: str) -> None:
        self.log(*(self.endorse(person, Verb.APPROVE, order_hash) for person in people))

    def reject(self, order_hash: bytes, person: str) -> None:
        self.log(self.endorse(person, Verb.REJECT, order_hash))

    def withdrawal(self, vault: str, amount_sat: int, **parts: Any) -> Withdraw:
        defaults: dict[str, Any] = {
            "vault": vault,
            "asset": BTC,
            "amount": amount_sat,
            "destination": DESTINATION,
            "max_fee": 20_000,
        }
        return Withdraw(**{**defaults, **parts})

    def pay(self, vault: str, amount_sat: int, *approvers: str, **parts: Any) -> bytes:
        """Log an approved withdrawal, initiated by shop; return its hash."""
        return self.submit(self.withdrawal(vault, amount_sat, **parts), "shop", *(approvers or ("alice", "bob")))

    def amendment(self, *, handover_expires_ms: int = 0, **parts: Any) -> AmendCharter:
        """The charter in force with these parts replaced, and the next version unless they say otherwise."""
        now = self.state.charter
        return AmendCharter(
            charter=encode_charter(replace(now, **{"version": now.version + 1, **parts})),
            handover_expires_ms=handover_expires_ms,
        )

    def amend(self, *approvers: str, initiator: str = "dave", **parts: Any) -> bytes:
        """Log an amendment with its approvals, alice's and bob's unless others are named; return its hash."""
        return self.submit(self.amendment(**parts), initiator, *(approvers or ("alice", "bob")))

    def cancel(self, order_hash: bytes, person: str = "shop", max_fee: int = 20_000) -> bytes:
        return self.submit(CancelWithdraw(order_hash=order_hash, max_fee=max_fee), person)

    def freeze(self, person: str = "dave", vault: str = "", why: str = "looks wrong") -> bytes:
        scope = Scope.VAULT if vault else Scope.ALL
        return self.submit(Freeze(scope=scope, vault=vault, why=why), person)

    def signer_freeze(self, signer: str = "s1", vault: str = "", why: str = "looks wrong") -> SignerFreeze:
        statement = FreezeStatement(
            log_id=self.log_id,
            signer=signer,
            id=self.fresh(),
            scope=Scope.VAULT if vault else Scope.ALL,
            vault=vault,
            why=why,
        )
        return SignerFreeze(statement=sign("freeze", statement, f"{signer} vote"))

    # --- the address book and break-glass --------------------------------------------------------------------------

    def addition(self, address: str = DESTINATION, **parts: Any) -> AddDestination:
        defaults: dict[str, Any] = {"chain": REGTEST.caip2, "address": address, "label": "exchange", "proof": b""}
        return AddDestination(**{**defaults, **parts})

    def add_destination(self, address: str = DESTINATION, *approvers: str, **parts: Any) -> bytes:
        """Log an approved addition to the address book, initiated by dave; return its order's hash."""
        return self.submit(self.addition(address, **parts), "dave", *(approvers or ("alice", "bob")))

    def removal(self, address: str = DESTINATION) -> RemoveDestination:
        return RemoveDestination(chain=REGTEST.caip2, address=address, why="not ours")

    def remove_destination(self, address: str = DESTINATION, person: str = "alice") -> bytes:
        return self.submit(self.removal(address), person)

    def recovery(self, vault: str = "customer-1", **parts: Any) -> BreakGlass:
        defaults: dict[str, Any] = {"vault": vault, "destination": builder.RECOVERY, "max_fee": 50_000}
        return BreakGlass(**{**defaults, **parts})

    def break_glass(self, vault: str = "customer-1", *approvers: str, **parts: Any) -> bytes:
        """Log an order to break the glass, initiated by dave and approved by all the others; return its hash."""
        return self.submit(self.recovery(vault), "dave", *(approvers or ("alice", "bob", "carol")), **parts)

    def sweep(
        self, order: bytes, coins: Sequence[Coin], *, vault: str = "customer-1", fee_sat: int = 1_000, **parts: Any
    ) -> Plan:
        """A plan that moves the coins to the order's recovery address."""
        amount = sum(coin.amount_sat for coin in coins) - fee_sat
        defaults: dict[str, Any] = {
            "vault": vault,
            "order_hashes": (order,),
            "inputs": tuple(coin.as_input() for coin in coins),
            "outputs": (PlanOutput(target=Recovery(amount_sat=amount)),),
            "bumps": b"",
            "locktime": self.state.foundings,
        }
        return Plan(**{**defaults, **parts})

    # --- vaults ----------------------------------------------------------------------------------------------------

    def creation(self, name: str, signers: tuple[str, ...] = ("s1", "s2", "s3"), threshold: int = 2) -> CreateVault:
        return CreateVault(
            name=name,
            custody_class=CustodyClass.CUSTOMER,
            chain=REGTEST.caip2,
            scheme=Scheme.FROST_SECP256K1_BIP340,
            signers=signers,
            threshold=threshold,
        )

    def vault_entry(self, order_hash: bytes, *, label: str = "", recovery_hash: bytes = b"") -> Vault:
        """The entry that gives birth to the vault an order asks for, by a real key generation.

        With `recovery_hash` the holders state that other recovery data than that of the generation belongs to it.
        """
        record = self.state.order(order_hash)
        assert record is not None
        wanted = decode_order(record.order).action
        assert isinstance(wanted, CreateVault)
        generated = generate(wanted.signers, wanted.threshold, label or wanted.name)
        self.generated[wanted.name] = generated
        made = generated.made
        self.recovery_data[made.recovery_hash] = made.recovery
        named = recovery_hash or made.recovery_hash
        statements = tuple(
            VaultSignature(
                signer=name,
                signature=sign(
                    "vault",
                    VaultStatement(
                        log_id=self.log_id,
                        order_hash=order_hash,
                        recovery_hash=named,
                        key_hash=key_hash(made.key),
                        signer=name,
                    ),
                    f"{name} vote",
                ).signature,
            )
            for name in wanted.signers
        )
        trials = generated.tried(self.log_id, order_hash, named)
        return Vault(order_hash=order_hash, key=made.key, recovery_hash=named, statements=statements, trials=trials)

    def shares_of(self, vault: str) -> dict[str, SecretScalar]:
        """The shares of the vault's current holders, by name."""
        record = self.state.vault(vault)
        assert record is not None
        if (vault, record.epoch) not in self.shares:
            self.shares[vault, record.epoch] = dict(zip(record.signers, self.generated[vault].shares, strict=True))
        return self.shares[vault, record.epoch]

    def epoch_entry(self, order_hash: bytes, vault: str = "customer-1", *, dealers: Sequence[str] = ()) -> Epoch:
        """The entry that begins the epoch which an order asks for, by a real redistribution."""
        record = self.state.order(order_hash)
        assert record is not None
        terms = redistribution_terms(self.state, record, vault, 1)
        vote_keys = {signer.name: signer.vote_key for signer in self.state.charter.signers}
        old = self.shares_of(vault)
        dealings = [
            redistribution.deal(
                terms,
                signer=name,
                share=old[name],
                vote_key=builder.signing_key(f"{name} vote"),
                random32=self.fresh(32),
            )
            for name in dealers or terms.candidates
        ]
        received = {
            name: redistribution.receive(
                terms,
                dealings,
                signer=name,
                host_key=builder.host_secret(name),
                vote_key=builder.signing_key(f"{name} vote"),
                vote_keys=vote_keys,
                now_ms=0,
            )
            for name in terms.required
        }
        holdings = {name: holding for name, (holding, _) in received.items()}
        made = next(iter(holdings.values())).trier.made
        self.recovery_data[made.recovery_hash] = made.recovery
        self.shares[vault, terms.epoch] = {name: holding.trier.share for name, holding in holdings.items()}
        return Epoch(
            order_hash=order_hash,
            vault=vault,
            key=made.key,
            recovery_hash=made.recovery_hash,
            statements=tuple(
                VaultSignature(signer=name, signature=stated.signature) for name, (_, stated) in received.items()
            ),
            trials=tuple(
                Trial(signers=subset, signature=self._tried(terms, subset, holdings)) for subset in terms.subsets
            ),
        )

    def _tried(self, terms: RedistributionTerms, subset: tuple[int, ...], holdings: dict[str, Any]) -> bytes:
        names, made, public = terms.signers, next(iter(holdings.values())).trier.made, []
        for holder in subset:
            name = names[holder]
            random32 = self.fresh(32)
            holdings[name], nonce = redistribution.trial_commit(holdings[name], subset, random32=random32, now_ms=0)
            public.append(nonce)
        parts = []
        for holder in subset:
            name = names[holder]
            holdings[name], part = redistribution.trial_sign(holdings[name], subset, tuple(public), now_ms=0)
            parts.append(part)
        return frost.aggregate(parts, trial_session(terms, made, subset, public))

    def refreshing(self, *vaults: str, absent: Sequence[str] = ()) -> bytes:
        """Log an approved order to refresh vaults; return its hash."""
        action = RefreshShares(vaults=vaults or ("customer-1",), absent=tuple(absent))
        return self.submit(action, "alice", "bob", "carol")

    def resharing(
        self, signers: Sequence[str], threshold: int, *, vault: str = "customer-1", absent: Sequence[str] = ()
    ) -> bytes:
        """Log an approved order to reshare a vault; return its hash."""
        action = ReshareVault(vault=vault, signers=tuple(signers), threshold=threshold, absent=tuple(absent))
        return self.submit(action, "alice", "bob", "carol", expires_ms=self.time_ms + 20 * DAY_MS)

    def recovery_of(self, preview: Preview) -> list[bytes]:
        """The recovery data that signers must be given with a batch."""
        wanted = sorted(hashes_written(preview.overlay.writes))
        return [self.recovery_data[name] for name in wanted if name in self.recovery_data]

    def make_vault(self, name: str, signers: tuple[str, ...] = ("s1", "s2", "s3"), threshold: int = 2) -> None:
        """Order, approve and generate a vault."""
        order_hash = self.submit(self.creation(name, signers, threshold), "carol", "alice", "bob")
        self.log(self.vault_entry(order_hash))

    def vault_key(self, name: str) -> VaultKey:
        record = self.state.vault(name)
        assert record is not None
        return VaultKey(group_key=record.group_key, chain_code=record.chain_code)

    # --- plans -----------------------------------------------------------------------------------------------------

    def coin(self, amount_sat: int, *, branch: int = 0, index: int = 0) -> Coin:
        """A coin that no other call returned."""
        return Coin(txid=self.fresh(32), vout=0, amount_sat=amount_sat, branch=branch, index=index)

    def amount_of(self, order_hash: bytes) -> int:
        record = self.state.order(order_hash)
        assert record is not None
        action = decode_order(record.order).action
        return action.amount if isinstance(action, Withdraw) else 0

    def plan(
        self,
        orders: Sequence[bytes],
        coins: Sequence[Coin],
        *,
        vault: str = "customer-1",
        fee_sat: int = 1_000,
        change_index: int = 0,
        bumps: bytes = b"",
    ) -> Plan:
        """A plan that pays the orders (or executes one cancellation) and sends the rest to change."""
        paid = [position for position, order in enumerate(orders) if self.amount_of(order)]
        rest = sum(coin.amount_sat for coin in coins) - sum(map(self.amount_of, orders)) - fee_sat
        outputs = [PlanOutput(target=OrderPayment(position=position)) for position in paid]
        if rest > 0:
            outputs.append(PlanOutput(target=Change(amount_sat=rest, index=change_index)))
        return Plan(
            vault=vault,
            order_hashes=tuple(orders),
            inputs=tuple(coin.as_input() for coin in coins),
            outputs=tuple(outputs),
            bumps=bumps,
            locktime=self.state.foundings,
        )

    def log_plan(self, *args: Any, **parts: Any) -> bytes:
        """Log a plan; return its hash."""
        plan = self.plan(*args, **parts)
        self.log(plan)
        return plan_hash(codec.encode(plan))

    def planned(self, *args: Any, **parts: Any) -> PlanRecord:
        """Log a plan; return its record."""
        name = self.log_plan(*args, **parts)
        record = self.state.plan(name)
        assert record is not None
        return record


class _WithoutSigners:
    """A state under its charter less some signers, as an amendment may leave it; the rest is the state's own."""

    def __init__(self, state: State, gone: Collection[str]) -> None:
        self._state = state
        signers = tuple(signer for signer in state.charter.signers if signer.name not in gone)
        self.charter = replace(state.charter, signers=signers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)


def state_without(state: State, *gone: str) -> State:
    """The state as it would be after an amendment that takes these signers out."""
    return cast(State, _WithoutSigners(state, gone))
