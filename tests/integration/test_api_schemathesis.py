"""The API does not break: schemathesis makes right and wrong requests of its document."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sensorflow.app import Running
from tests.operating import CHAIN, KEYED, REGIONS, WHOLE
from tests.serving import SECRETS, client_of, make_home, serving, task_state, until

pytestmark = pytest.mark.slow

DAY = "2026-03-08"
#: Without `positive_data_acceptance`: whether a partition is one of the pipeline's no schema tells.
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_headers_conformance", "response_schema_conformance", "negative_data_rejection"),
    *("missing_required_header", "unsupported_method", "allow_header_conformance"),
)
#: Never ends, so each request takes seconds; and revokes the token that the others are asked with.
APART = {"follow": ("-n", "3", "--phases", "fuzzing"), "revoke_token": ("-n", "20")}
IN_CI = os.environ.get("CI") == "true" or os.environ.get("SLOW") == "1"
BUDGET = ("-n", "200", "--max-time", "60") if IN_CI else ("-n", "3", "--phases", "examples,fuzzing")


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    home = make_home(tmp_path / "home")
    for name, text in {"keyed": KEYED, "chain": CHAIN, "whole": WHOLE, "regions": REGIONS}.items():
        (home / "pipelines" / f"{name}.yaml").write_text(text)
    async with serving(home) as started:
        yield started


async def fill(client: aiohttp.ClientSession, service: Running) -> dict[str, str]:
    """Let something of every kind be there; return what paths can name, as `runs/id`."""

    async def post(path: str, body: Any = None, status: int = 202, **headers: str) -> Any:
        async with client.post(path, json=body, headers=headers) as response:
            assert response.status == status, await response.text()
            return await response.json()

    event = {"specversion": "1.0", "id": "1", "source": "/erp", "type": "orders.exported"}
    structured = {"Content-Type": "application/cloudevents+json"}
    await post("/api/v1/events", event | {"data": {"day": "no day"}}, **structured)
    await post("/api/v1/events", event | {"id": "2", "type": "else"}, **structured)
    await post("/hooks/sales/open", {"n": 1})
    await post("/api/v1/ready", {"dataset": "batch", "partition": "b1"})
    await post("/api/v1/ready", {"dataset": "orders", "partition": DAY})
    await until(service, lambda: task_state(service, DAY, "check") == "failed")
    await post("/api/v1/ready", {"dataset": "orders", "partition": "2026-03-09", "part": "eu"})
    backfill = await post(
        "/api/v1/backfills", {"pipeline": "sales", "from": "2026-03-10", "to": "2026-03-11"}, 201
    )
    run = service.store.reader.run_of("sales", DAY)
    assert run is not None
    return {
        "runs/id": run.id,
        "backfills/id": backfill["id"],
        "pipelines/name": "sales",
        "datasets/name": "orders",
        "pipeline": "sales",
        "sensor": "open",
        "task": "check",
    }


def named(document: Any, names: dict[str, str]) -> Any:
    """Return the document with what is there as examples, so that not all that is asked about is missing."""
    for path, operations in document["paths"].items():
        for parameter in parameters_of(operations):
            if parameter["in"] == "path":
                above = path.partition("{" + parameter["name"])[0].strip("/").rpartition("/")[2]
                known = names.get(f"{above}/{parameter['name']}") or names.get(parameter["name"])
                if parameter["name"] == "seq":
                    parameter["example"] = 1
                elif known:
                    parameter["example"] = "anybody" if path == "/hooks/{sensor}" else known
    return document


def parameters_of(operations: Any) -> Iterator[Any]:
    for operation in operations.values():
        yield from operation.get("parameters", ())


async def schemathesis(folder: Path, url: str, document: Any, *options: str) -> tuple[int, str]:
    """Run schemathesis over a document against a service; return its exit code and what it says."""
    (folder / "openapi.json").write_text(json.dumps(document))
    running = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).parent / "schemathesis", "run", "openapi.json", "--url", url),
        *("--checks", ",".join(CHECKS), "--continue-on-failure", "--no-color", *options),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await running.communicate()
    assert running.returncode is not None
    return running.returncode, said.decode()


async def test_no_operation_breaks_or_answers_what_its_document_does_not_say(
    service: Running, tmp_path: Path
) -> None:
    async with client_of(service) as client:
        names = await fill(client, service)
        async with client.get("/openapi.json") as response:
            document = named(await response.json(), names)
        async with client.post("/api/v1/tokens", json={"scope": "admin"}) as response:
            token = (await response.json())["token"]
    header = ("-H", f"Authorization: Bearer {token}")
    left_out = [option for name in APART for option in ("--exclude-operation-id", name)]
    code, said = await schemathesis(tmp_path, service.url, document, *header, *left_out, *BUDGET)
    assert code == 0, said
    if IN_CI:
        for name, budget in APART.items():
            alone = ("--include-operation-id", name, *budget)
            code, said = await schemathesis(tmp_path, service.url, document, *header, *alone)
            assert code == 0, said
