"""R18: events that no rule can read, among those that can be read, by HTTP and by MQTT."""

import asyncio
import json
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

import aiohttp
import aiomqtt
import pytest

from tests.broker import Broker, mosquitto
from tests.torture.amounts import amount
from tests.torture.kept import Kept
from tests.torture.process import client_of, served
from tests.torture.sending import SOURCE, sending
from tests.torture.shop import all_shipped, make_shop, see_each_fired_once, see_nothing_lost

pytestmark = pytest.mark.slow

POISON = amount("POISON", 300, 10_000)
PER_S = 200

#: What stands where a partition is read, in JSON; each of them is none.
VALUES = (
    *("null", "true", "[]", "{}", '""', '".."', '"a/../b"', '" "', '"\\u0000"', '"\\ud800"', '"\\uffff"'),
    *("1e308", "-1", "1e400", "9" * 400, '"' + "x" * 5000 + '"', "[" * 60 + "]" * 60, '"$(reboot)"'),
    *('{"a":' * 200 + "1" + "}" * 200, '["batch-0"]', '"batch-0\\n"', '"-x"', '"{{7*7}}"', '"%s%n"'),
)
#: Two more rules: one reads what is never there, one what seldom fits.
RULES = """\
datasets:
  never: {partition: daily}
  seldom: {partition: key}
sensors:
  never: {type: events, match: {type: [order]}, partition: data.absent, dataset: never}
  seldom:
    type: events
    match: {$or: [{data: {batch: [{wildcard: "*a*a*a*a*a*"}]}}, {data: {n: [{numeric: ["<", 0]}]}}]}
    partition: data.batch
    dataset: seldom
  gauges:
    {type: mqtt, url: "mqtt://HOST", topic: gauges, partition: data.batch, part: data.part, dataset: seldom}
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    own = Broker(tmp_path, mosquitto())
    own.start()
    try:
        yield own
    finally:
        own.stop()


async def post_poison(client: aiohttp.ClientSession, answers: Counter[int]) -> None:
    """Post what no rule can read, one after the other."""
    headers = {"Content-Type": "application/cloudevents+json"}
    for number, value in enumerate(islice(cycle(VALUES), POISON)):
        body = (
            f'{{"specversion": "1.0", "id": "poison-{number}", "source": "/poison", "type": "order", '
            f'"data": {{"batch": {value}, "part": {value}}}}}'
        )
        async with client.post("/api/v1/events", data=body, headers=headers) as response:
            answers[response.status] += 1
            text = await response.text()
            assert response.status in (202, 400), text
            assert response.status == 400 or json.loads(text)["accepted"] == 0, text


async def publish_poison(broker: Broker) -> int:
    """Publish what is no event, and what no rule can read; then one that is well."""
    payloads = [
        b"",
        b"\x00",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        *(f'{{"batch": {v}}}'.encode() for v in VALUES),
    ]
    async with aiomqtt.Client(broker.host, broker.port) as client:
        for payload in payloads:
            await client.publish("gauges", payload, qos=1)
        await client.publish("gauges", json.dumps({"batch": "well", "part": "1"}), qos=1)
    return len(payloads)


async def test_what_no_rule_can_read_is_kept_with_its_reason_and_delays_nobody(
    home: Path, broker: Broker, figure: Callable[[str], None]
) -> None:
    make_shop(home)
    (home / "sensors").mkdir()
    (home / "sensors" / "rules.yaml").write_text(RULES.replace("HOST", f"{broker.host}:{broker.port}"))
    kept, answers = Kept(home), Counter[int]()
    async with served(home) as service, client_of(service) as client:
        async with sending(service, per_s=PER_S) as sender:
            await service.until(lambda: sender.sent > 2 * PER_S)
            alone_s = [*sender.took_s]
            await asyncio.gather(post_poison(client, answers), publish_poison(broker))
            beside_s = sender.took_s[len(alone_s) :]
        await all_shipped(service, sender.sent)
        by_mqtt = "SELECT count(*) FROM events WHERE source LIKE '/mqtt/%'"
        await service.until(lambda: kept.count(f"{by_mqtt} AND state = 'accepted'") == 1)
        async with client.get("/api/v1/sensors/-/gauges") as response:
            assert (await response.json())["state"] == "up"
        rejected = kept.rows("SELECT reason FROM events WHERE state = 'rejected'")
        assert len(rejected) >= answers[202] and all(reason for (reason,) in rejected)
        assert not kept.count("SELECT count(*) FROM events WHERE state = 'accepted' AND source = '/poison'")
        assert not service.logged("a message could not be decided")
    see_nothing_lost(home, SOURCE, sender.sent)
    see_each_fired_once(home, sender.sent)
    figure(
        f"{POISON} posted: {dict(answers)}, {len(rejected)} rejected with a reason; "
        f"of {PER_S} others a second half took {median_ms(beside_s):.0f} ms beside them, "
        f"{median_ms(alone_s):.0f} ms alone"
    )


def median_ms(spans_s: list[float]) -> float:
    return 1000 * statistics.median(spans_s)
