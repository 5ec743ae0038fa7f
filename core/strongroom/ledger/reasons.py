"""Every reason for which the ledger refuses an entry, an order or a plan: one table, with what each means and asks for.

The codes are part of the interface: signers send them, interfaces show them, and none ever changes its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, cast

from strongroom.model.errors import Kind, StrongroomError

__all__ = ["REASONS", "Reason", "Refused", "StateDamaged", "refused"]


class StateDamaged(StrongroomError):
    """The stored state contradicts itself or lacks a part: the store is damaged; restore it or replay the log."""

    reason = "STATE_DAMAGED"
    kind = Kind.DATA_LOSS


class Refused(StrongroomError):
    """An entry that the ledger does not take; nothing changed. Each code of `REASONS` is a subclass of its own."""

    reason = "REFUSED"
    kind = Kind.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True)
class Reason:
    """What a refusal means and what to do about it."""

    kind: Kind
    meaning: str
    remedy: str


_ARGUMENT = Kind.INVALID_ARGUMENT
_DENIED = Kind.PERMISSION_DENIED
_STATE = Kind.FAILED_PRECONDITION
_EXISTS = Kind.ALREADY_EXISTS
_MISSING = Kind.NOT_FOUND
_EXHAUSTED = Kind.RESOURCE_EXHAUSTED

_NEW_ORDER = "Make a new order."
_REPLAN = "Plan it otherwise; the orders are not affected."
_SIGN_AGAIN = "Sign again with the right values."

REASONS: Final[Mapping[str, Reason]] = MappingProxyType(
    {
        # the entry and the batch
        "ENTRY_MALFORMED": Reason(_ARGUMENT, "A message in the entry is not in canonical form.", "Encode it again."),
        "ENTRY_TIME_FELL": Reason(_STATE, "The entry's log time is before the last one.", "Stamp it again."),
        "ENTRY_TIME_RANGE": Reason(_ARGUMENT, "The entry's log time is no time.", "Stamp it with the time of day."),
        "BATCH_MALFORMED": Reason(
            _ARGUMENT,
            "The batch is empty, too large, does not follow the log, or its entries carry different times.",
            "Build the batch again on the newest head.",
        ),
        "BATCH_FULL": Reason(_EXHAUSTED, "The batch has no room for the entry.", "Put it into the next batch."),
        "GENESIS_MISPLACED": Reason(_STATE, "A genesis is the first entry, and only the first.", "Leave it out."),
        "GENESIS_MISSING": Reason(_STATE, "The log has no genesis yet.", "Append the genesis first."),
        "WRONG_LOG": Reason(_ARGUMENT, "A signed word or charter belongs to another log.", _SIGN_AGAIN),
        "RULE_SET_UNKNOWN": Reason(
            _STATE, "The charter asks for a rule set this program lacks.", "Install one with it."
        ),
        "CHARTER_INVALID": Reason(
            _ARGUMENT, "The charter breaks a structural rule.", "Run `strongroom charter check`."
        ),
        "ADOPTION_INVALID": Reason(_ARGUMENT, "An adoption is not by an administrator's known key.", _SIGN_AGAIN),
        "ADOPTION_QUORUM": Reason(_STATE, "Too few administrators adopted the charter.", "Collect more adoptions."),
        "LOG_QUOTA": Reason(_EXHAUSTED, "The author wrote as much as the charter allows in a day.", "Wait a day."),
        # endorsements
        "ALREADY_KNOWN": Reason(_EXISTS, "The ledger holds this already.", "Nothing: it has been done."),
        "BAD_SIGNATURE": Reason(_DENIED, "A signature does not verify.", "Sign with the key that is named."),
        "KEY_UNKNOWN": Reason(_DENIED, "The charter knows no such person, signer or key.", "Use an enrolled key."),
        "ORDER_UNKNOWN": Reason(_MISSING, "The ledger has no such order.", "Submit the order first."),
        "ENDORSEMENT_MISMATCH": Reason(_ARGUMENT, "The endorsement is of another order.", _SIGN_AGAIN),
        "ENDORSEMENT_EXPIRED": Reason(_STATE, "The endorsement's own expiry has passed.", _SIGN_AGAIN),
        "ENDORSEMENT_TOO_LONG": Reason(_ARGUMENT, "An endorsement lives 7 days at most.", _SIGN_AGAIN),
        "ENDORSEMENT_HEAD": Reason(
            _ARGUMENT, "The head in the endorsement is none of this log.", "Fetch a final head, compare, sign again."
        ),
        "ENDORSEMENTS_FULL": Reason(_EXHAUSTED, "The order holds as many endorsements as it can.", _NEW_ORDER),
        "VERB_NOT_ALLOWED": Reason(_ARGUMENT, "This word does not belong at this place.", "Approve or reject it."),
        "NOT_AN_APPROVER": Reason(_DENIED, "No matching rule or quorum names this person.", "Ask one who is named."),
        "INITIATOR_CANNOT_APPROVE": Reason(_DENIED, "Who initiates an order does not approve it.", "Ask another."),
        "ORDER_ENDED": Reason(_STATE, "The order has ended and takes no more words.", _NEW_ORDER),
        # orders
        "INITIATOR_NOT_ALLOWED": Reason(_DENIED, "This person may not initiate this order.", "Ask one who may."),
        "ORDER_ID_TAKEN": Reason(_EXISTS, "Another order has this id.", "Draw a new random id."),
        "ORDER_EXPIRED": Reason(_STATE, "The order's expiry has passed.", _NEW_ORDER),
        "ORDER_LIFE_TOO_LONG": Reason(_ARGUMENT, "An order lives 30 days at most.", "Choose an earlier expiry."),
        "VAULT_UNKNOWN": Reason(_MISSING, "The ledger has no such vault.", "Check the name."),
        "ASSET_MISMATCH": Reason(_ARGUMENT, "The vault does not hold this asset.", "Name the coin of its chain."),
        "DESTINATION_INVALID": Reason(_ARGUMENT, "The destination is no canonical address.", "Copy it again."),
        "AMOUNT_INVALID": Reason(_ARGUMENT, "The amount is dust or more than there can be.", "Choose another amount."),
        "ORDER_NEVER_LOGGED": Reason(
            _STATE, "The order is for the recovery kit, which needs no log.", "Hand it to the holders as a file."
        ),
        "ORDER_NOT_CANCELLABLE": Reason(_STATE, "There is nothing left to cancel.", "Look at the order's state."),
        "CHAIN_UNKNOWN": Reason(_ARGUMENT, "The charter lists no asset of this chain.", "Check the chain id."),
        "VAULT_NAME_TAKEN": Reason(_EXISTS, "A vault has this name; names are for ever.", "Choose another name."),
        "VAULT_SIGNERS": Reason(
            _ARGUMENT, "The holders are unknown or named twice, or the threshold does not fit.", "Check both."
        ),
        "SIGNER_UNKNOWN": Reason(_MISSING, "The charter has no such signer.", "Check the name."),
        "FREEZE_SCOPE": Reason(_ARGUMENT, "A vault is named exactly when the scope is one vault.", "Name it so."),
        "FREEZE_UNKNOWN": Reason(_MISSING, "The ledger has no such freeze.", "Check its id."),
        "FREEZE_OVER": Reason(_STATE, "The freeze was lifted or has lapsed.", "Nothing: it no longer holds."),
        "FREEZES_FULL": Reason(_EXHAUSTED, "This author has many freezes in force already.", "They hold; wait."),
        # the address book
        "ADDRESS_BOOK_CLOSED": Reason(
            _STATE, "The charter lets nobody add to the address book.", "Amend the charter first."
        ),
        "DESTINATION_KNOWN": Reason(_EXISTS, "The address book has this address.", "Nothing: it is there."),
        "DESTINATION_UNKNOWN": Reason(_MISSING, "The address book has no such address.", "Check the address."),
        "OWNERSHIP_NOT_PROVEN": Reason(
            _ARGUMENT, "The proof is no signature by the owner of the address.", "Let the owner sign the text again."
        ),
        # amendments
        "AMENDMENT_VERSION": Reason(
            _STATE, "The amendment is not of the charter in force: its version is not the next.", "Propose it anew."
        ),
        "AMENDMENT_IDENTITY": Reason(
            _ARGUMENT, "The organisation, the salt and the rule set stay what they are.", "Take them over unchanged."
        ),
        "AMENDMENT_EMPTY": Reason(_ARGUMENT, "The amendment changes nothing.", "Nothing: it is in force already."),
        "AMENDMENT_KEY_USED": Reason(
            _ARGUMENT, "A key has another owner or use, or was taken out of the charter once.", "Make a fresh key."
        ),
        "AMENDMENT_NAME_USED": Reason(
            _ARGUMENT, "A name that stood for a person cannot stand for a machine, nor the reverse.", "Choose another."
        ),
        "AMENDMENT_VAULTS": Reason(
            _STATE, "A vault would be left without its coin, enough holders, or witnesses.", "Reshare the vault first."
        ),
        "AMENDMENT_HANDOVER": Reason(
            _STATE,
            "A change of the witness set is under way, or has no time, or one that it needs not.",
            "Wait for it.",
        ),
        "REJECTION_VOID": Reason(
            _DENIED, "The amendment takes the very key that rejects it.", "Reject it with a key that stays."
        ),
        # vaults
        "VAULT_ORDER_MISMATCH": Reason(_ARGUMENT, "The order does not ask for a vault.", "Name the right order."),
        "VAULT_KEY": Reason(
            _ARGUMENT, "The key material is malformed, or not that of the ordered holders.", "Generate again."
        ),
        "VAULT_CHANGING": Reason(
            _STATE, "Another approved order gives this vault new shares.", "Reject it, or wait until it has acted."
        ),
        "EPOCH_ORDER_MISMATCH": Reason(
            _ARGUMENT, "The order does not ask for new shares of this vault, or it has acted.", "Name the right order."
        ),
        "VAULT_STATEMENTS": Reason(_ARGUMENT, "The holders' statements are not complete.", "Collect all of them."),
        "VAULT_TRIALS": Reason(_ARGUMENT, "The trial signatures do not cover all holders.", "Try more subsets."),
        "GROUP_KEY_USED": Reason(_EXISTS, "Another vault has this key.", "Generate a fresh key."),
        # witness sets
        "HANDOVER_NOT_WANTED": Reason(_STATE, "No change of the witness set is under way.", "Leave it out."),
        "HANDOVER_HEAD": Reason(
            _ARGUMENT, "The certified head is not of this log, or not from within this step.", "Use a newer head."
        ),
        "HANDOVER_VOTES": Reason(_DENIED, "The votes are not of quorums of both sets.", "Collect more votes."),
        "HANDOVER_NOT_FINAL": Reason(_STATE, "Both sets have not made the first step final yet.", "Wait for votes."),
        "HANDOVER_PROOF": Reason(
            _ARGUMENT, "The certified state's summary is missing, wrong, or out of place.", "Take that of its head."
        ),
        # founding anew
        "RESTART_NOT_PINNED": Reason(
            _DENIED,
            "The entry founds the log anew, and it is not the founding that is pinned here.",
            "Compare its fingerprint with the administrators, then pin it.",
        ),
        "RESTART_ENTRY": Reason(
            _ARGUMENT, "The entry's time or salt is not the one that its restart file gives.", "Take it from the file."
        ),
        "RESTART_HEAD": Reason(
            _STATE, "The statement names another head than the one that the log ends at.", "Make a new statement."
        ),
        "RESTART_CERTIFICATE": Reason(
            _DENIED, "The head that the statement names is not certified.", "Name the highest certificate there is."
        ),
        "RESTART_CHARTER": Reason(
            _DENIED, "The charter differs in more than its signers and its witness quorum.", "Amend the rest later."
        ),
        "RESTART_APPROVALS": Reason(
            _DENIED, "The approvals are not those of exactly the admin quorum.", "Collect as many as are needed."
        ),
        # plans: form
        "PLAN_FORM": Reason(_ARGUMENT, "The transaction has not the form of rule set 1.", _REPLAN),
        "PLAN_VAULT": Reason(_ARGUMENT, "The plan and its orders are not of one vault.", _REPLAN),
        "PLAN_ORDERS": Reason(_ARGUMENT, "The plan names orders twice, or mixes what cannot be mixed.", _REPLAN),
        "PLAN_OUTPUTS": Reason(_ARGUMENT, "The outputs are not exactly the orders' payments and change.", _REPLAN),
        "PLAN_CHANGE": Reason(_ARGUMENT, "Too many change outputs, or an index out of reach.", _REPLAN),
        "TRANSACTION_KNOWN": Reason(_EXISTS, "Another plan is the same transaction.", _REPLAN),
        "PLANS_FULL": Reason(_EXHAUSTED, "The order has 64 plans.", "Cancel the order by a plan, and order again."),
        # plans: fees
        "FEE_OVER_ORDER": Reason(_DENIED, "An order's share of the fee is above its own maximum.", _REPLAN),
        "FEE_OVER_PLAN": Reason(_DENIED, "The fee is above the charter's maximum for one plan.", _REPLAN),
        "FEE_OVER_RATE": Reason(_DENIED, "The fee rate is above the charter's maximum.", _REPLAN),
        "FEE_OVER_WINDOW": Reason(_DENIED, "The vault's fee window is used up.", "Wait, or pay less."),
        # plans: at most once
        "PLAN_CONFLICT": Reason(
            _DENIED, "The plan could confirm beside an earlier plan of an order: it would pay twice.", _REPLAN
        ),
        "BUMP_MISMATCH": Reason(_ARGUMENT, "A bump repeats its plan's orders and shares inputs with each.", _REPLAN),
        "BUMP_NOT_HIGHER": Reason(_ARGUMENT, "A bump pays a higher fee than the plan it replaces.", _REPLAN),
        # judgements
        "ALLOWED": Reason(_STATE, "The order passes.", "Nothing."),
        "DENIED": Reason(_DENIED, "A prohibition of the charter matches.", "None: the charter forbids it."),
        "REJECTED": Reason(_DENIED, "A named approver rejected the order, for ever.", _NEW_ORDER),
        "CANCELLED": Reason(_STATE, "The order was cancelled.", _NEW_ORDER),
        "DONE": Reason(_STATE, "The order has acted.", "Nothing."),
        "LAPSED": Reason(
            _STATE,
            "The order could not act when its time came, or the log was founded anew before.",
            "Make a new order; a payment only once no transaction that a restart lost can pay it.",
        ),
        "FROZEN": Reason(_STATE, "A freeze is in force.", "Wait until it is lifted or lapses."),
        "NO_RULE_MATCHES": Reason(_DENIED, "No rule is about this vault, destination and asset.", "Change the order."),
        "OVER_MAXIMUM": Reason(_DENIED, "The amount is above the rule's maximum for one order.", "Order less."),
        "OVER_LIMIT": Reason(_DENIED, "The rule's limit for a window leaves too little.", "Wait, or order less."),
        "APPROVALS_MISSING": Reason(_DENIED, "Approvals are missing.", "Ask those who are named."),
        "DELAY_RUNNING": Reason(_STATE, "The rule's delay has not passed yet.", "Wait."),
        "COOLING_OFF": Reason(_STATE, "The address book's entry has not cooled off yet.", "Wait."),
        "RECOVERY_ADDRESS": Reason(
            _DENIED, "It is not the recovery address that the charter registers.", "Make an order for that address."
        ),
        "BOX_CLOSED": Reason(_STATE, "The time for which the glass was to be broken is over.", _NEW_ORDER),
    }
)


def _subclass(code: str, reason: Reason) -> type[Refused]:
    name = "".join(part.capitalize() for part in code.split("_"))
    body = {
        "reason": code,
        "kind": reason.kind,
        "remedy": reason.remedy,
        "__doc__": f"{reason.meaning} {reason.remedy}",
        "__module__": __name__,
    }
    return cast(type[Refused], type(f"Refused{name}", (Refused,), body))


_CLASSES: Final = {code: _subclass(code, reason) for code, reason in REASONS.items()}


def refused(code: str, what: str, **facts: str) -> Refused:
    """Return the refusal of this code; `what` says what was refused and why, for people."""
    return _CLASSES[code](what, **facts)
