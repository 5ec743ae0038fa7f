"""What `status` shows, as metrics: for a collector that reads text files, since a signer listens on no network port.

Spec: Prometheus text-based exposition format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["prometheus_text"]

_PREFIX: Final = "strongroom_signer"
_GAUGES: Final = {
    "connected": "1 while the link to the coordinator stands.",
    "term": "The signer's term.",
    "size": "Entries stored.",
    "certified_size": "Entries certified.",
    "final_size": "Entries final.",
    "inbox": "Words handed in that are not final in the log.",
    "shares_released": "Signature shares given, of all time.",
    "free_disk_bytes": "Free bytes on the disk of the database.",
}


def prometheus_text(facts: Mapping[str, Any]) -> str:
    """The facts of `status` in Prometheus' text format, without a newline at the end."""
    vaults = facts["vaults"]
    lines = [line for name, text in _GAUGES.items() for line in _gauge(name, text, int(facts[name]))]
    lines += _gauge("alarm", "1 while an alarm keeps the signer from voting.", int(facts["alarm"] is not None))
    lines += _gauge("local_freezes", "Freezes of this signer's operator.", len(facts["local_freezes"]))
    lines += _gauge("vaults_without_share", "Vaults of which no share is here.", _count(vaults, has_share=False))
    lines += _gauge(
        "backups_unverified",
        "Vaults whose epoch is newer than the last verified backup.",
        _count(vaults, has_share=True, backup_verified=False),
    )
    return "\n".join(lines)


def _gauge(name: str, text: str, value: int) -> list[str]:
    full = f"{_PREFIX}_{name}"
    return [f"# HELP {full} {text}", f"# TYPE {full} gauge", f"{full} {value}"]


def _count(vaults: list[dict[str, Any]], **wanted: bool) -> int:
    return sum(all(vault[name] is value for name, value in wanted.items()) for vault in vaults)
