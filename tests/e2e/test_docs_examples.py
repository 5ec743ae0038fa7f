"""Every Python example of the documents runs as it is printed, and the calls of other languages work.

What a reader's own program gives an example (a database to store in, what to do with an event) is given here; a watch,
which has no end, is ended from there. Only the words in the mappings below are replaced.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from actor import BTC, COIN, burn_address
from cluster import VAULT, Cluster
from docs_text import ROOT, blocks
from guide_stage import live, staged
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger.signed_messages import Verb
from strongroom.model.ids import OrderHash
from strongroom.protocol.signed import SignedBody
from strongroom_client import Endpoint, IntegrationClient, endorsement
from strongroom_client.orders import DraftedOrder
from strongroom_client.person_key import PersonKey

__all__ = ["live"]

pytestmark = pytest.mark.process


class Enough(Exception):
    """Raised by what a reader's own program does with an event: a watch has no end of its own."""


@asynccontextmanager
async def integrator(live: Cluster) -> AsyncIterator[tuple[IntegrationClient, PersonKey]]:
    deployment = live.deployment
    with SecretBytes(deployment.passphrase_file.read_bytes().strip()) as phrase:
        key = PersonKey.open(deployment.person("shop"), phrase)
    with key:
        async with IntegrationClient.connect(deployment.endpoint("shop"), log_id=deployment.log_id) as client:
            yield client, key


async def run_snippet(code: str, names: dict[str, Any]) -> None:
    """Run an example with what its reader's own program gives it."""
    compiled = compile(code, "<guide>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, names)
    if inspect.iscoroutine(result):
        await result


def python_of(guide: str) -> list[str]:
    return [block.text for block in blocks(ROOT / guide) if block.language == "python"]


def with_words(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        assert word in text, f"the example does not say {word} any more"
        text = text.replace(word, value)
    return text


async def test_the_examples_for_integrators(live: Cluster, tmp_path: Path) -> None:
    deployment = live.deployment
    script, status_of, watch, deposits = python_of("docs/integrators.md")
    (tmp_path / "passphrase").symlink_to(deployment.passphrase_file)
    with staged(live, tmp_path) as stage:
        stage.put(live.root / "pki", "pki")
        await asyncio.to_thread(stage.perform, "docs/integrators.md")
    # The charter lists the card that was handed in: the shop's of the deployment, with the certificate for its key.
    shutil.rmtree(tmp_path / "shop")
    (tmp_path / "shop").symlink_to(deployment.person("shop"))
    (tmp_path / "cert.pem").unlink()
    (tmp_path / "cert.pem").symlink_to(deployment.person("shop") / "cert.pem")
    script = with_words(
        script,
        {
            "924adcb0...": deployment.log_id.hex(),
            "coordinator.example:7400": f"127.0.0.1:{deployment.port}",
            "customer-1": VAULT,
            "bcrt1q...": burn_address(3),
        },
    )
    kept = "def store(key, data):\n    Path('stored').write_text(key.hex())\n"
    (tmp_path / "order.py").write_text(f"{kept}{script}")
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "order.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"logged as entry \d+ under a certificate of \d+", done.stdout)
    key = bytes.fromhex((tmp_path / "stored").read_text())

    async with integrator(live) as (client, _):
        names: dict[str, Any] = {"client": client, "order_hash": OrderHash(key)}
        await run_snippet(status_of, names)
        assert names["status"].status == "open"
        assert names["status"].order.action.amount == 250_000

        events: list[Any] = []
        cursors: list[int] = []
        names |= {"load_cursor": lambda: 0, "handle": events.append, "save_cursor": stop_after(1, cursors)}
        with pytest.raises(Enough):
            await run_snippet(watch, names)
        assert key in [status.hash for status in events]
        assert cursors[0] > 0

        told: list[Any] = []
        names |= {"index": 0, "load_deposit_cursor": lambda: 0, "credit_or_take_back": told.append}
        names["save_deposit_cursor"] = stop_after(1, cursors)
        with pytest.raises(Enough):
            await run_snippet(with_words(deposits, {"customer-1": VAULT}), names)
        assert names["address"].startswith("bcrt1p")
        assert told[0].amount == 50 * COIN


def stop_after(times: int, kept: list[int]) -> Callable[[int], None]:
    """A reader's `save_cursor` that ends the watch."""
    start = len(kept)

    def save(cursor: int) -> None:
        kept.append(cursor)
        if len(kept) - start >= times:
            raise Enough

    return save


async def test_the_example_of_the_clients_readme(live: Cluster) -> None:
    (snippet,) = python_of("client/README.md")
    deployment = live.deployment
    async with integrator(live) as (client, key):
        seen = await client.seen()

        def sign(order: DraftedOrder) -> SignedBody:
            now_ms = time.time_ns() // 1_000_000
            body = endorsement(
                Verb.INITIATE,
                order.hash,
                log_id=deployment.log_id,
                seen=seen,
                now_ms=now_ms,
                person="shop",
                key=key.public,
            )
            return SignedBody.of(key.sign_endorsement(body))

        shown: list[str] = []

        def show(status: str) -> None:
            shown.append(status)
            raise Enough

        names: dict[str, Any] = {
            "endpoint": deployment.endpoint("shop"),
            "log_id": deployment.log_id,
            "asset": BTC,
            "payee": burn_address(4),
            "tomorrow_ms": time.time_ns() // 1_000_000 + 86_400_000,
            "sign": sign,
            "print": show,
        }
        exec("import secrets\nfrom strongroom.ledger.order_messages import Withdraw", names)
        exec("from strongroom_client import IntegrationClient, draft", names)
        with pytest.raises(Enough):
            await run_snippet(snippet.replace("customer-1", VAULT), names)
        assert shown == ["open"]


# --- other languages -------------------------------------------------------------------------------------------------


def test_the_calls_of_other_languages(live: Cluster) -> None:
    """`grpcurl` is no tool of ours, so its block is `text`; its calls are made here by its means: reflection, JSON."""
    (block,) = [block for block in blocks(ROOT / "docs/integrators.md") if "grpcurl" in block.text]
    calls = re.findall(
        r"grpcurl \$tls(?: -d '([^']+)')? coordinator.example:7400 (\S+)", re.sub(r"\\\n\s*", "", block.text)
    )
    assert len(calls) == block.text.count("grpcurl ")
    endpoint: Endpoint = live.deployment.endpoint("shop")
    credentials = grpc.ssl_channel_credentials(
        endpoint.ca_file.read_bytes(), endpoint.key_file.read_bytes(), endpoint.cert_file.read_bytes()
    )
    with grpc.secure_channel(endpoint.address, credentials) as channel:
        reflection = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(reflection)
        services = set(reflection.get_services())
        assert "strongroom.api.integration.v1.IntegrationService" in services
        for body, method in calls:
            if method == "list":
                continue
            service, name = method.split("/")
            assert service in services
            described = pool.FindServiceByName(service).FindMethodByName(name)
            request = json_format.Parse(body, message_factory.GetMessageClass(described.input_type)())
            answer = message_factory.GetMessageClass(described.output_type)
            ask = channel.unary_unary(
                f"/{method}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=answer.FromString,
            )
            said = json.loads(json_format.MessageToJson(ask(request, timeout=60)))
            assert said, method
