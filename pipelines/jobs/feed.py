"""Play the outside world: `python -m pipelines.jobs.feed`.

A week of files, messages, posts and journal lines goes to a running service, shuffled, with duplicates, some
of it slowly. The same seed does the same; all ids stay the same whatever the seed, and what lies there
already is left alone, so feeding twice, or after a crash, changes nothing.
"""

import argparse
import asyncio
import base64
import csv
import hashlib
import hmac
import json
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt

SOURCE = Path(__file__).resolve().parents[1] / "data"

#: The secret in sensors/shared.yaml.
DEMO_SECRET = "whsec_c2Vuc29yZmxvdy1kZW1vLW5vdC1hLXNlY3JldCE="  # noqa: S105 - public on purpose

#: A service or broker that is away longer than this is given up.
PATIENCE_S = 30.0
RETRY_DELAY_S = 0.5

#: A writer in pieces pauses so long between two: shorter than the file sensor's `settle`.
PAUSE_BETWEEN_PIECES_S = 0.25
PIECES = 8

#: flight_delays goes on without the weather that is missing 20 s after it heard of a day first. All that does
#: come has to be there by then.
WEATHER_WITHIN_S = 12.0

DUPLICATE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Options:
    """Where to, how long and in which order."""

    home: Path
    url: str
    mqtt_host: str
    mqtt_port: int
    seconds: float
    seed: int
    secret: str


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message, at so many seconds after the start."""

    at_s: float
    topic: str
    payload: bytes


Count = Counter[str]


class FeedError(Exception):
    """The world outside cannot reach the service."""


async def feed(options: Options) -> Count:
    """Send everything, side by side, and return how often each thing was done."""
    chance = random.Random(options.seed)
    counts: Count = Counter()
    # Before all else: the check of a day may read it as soon as the day's flights are there.
    lay_down_accepted_days(options.home, counts)
    async with asyncio.TaskGroup() as senders:
        files = flight_files()
        for file, at_s in zip(files, times(chance, len(files), options.seconds), strict=True):
            write = chance.choice([rename_into_place, write_in_pieces])
            senders.create_task(land_file(file, options.home / "landing" / "flights", at_s, write, counts))
        lines = [control_total(file) for file in chance.sample(files, len(files))]
        line_times = sorted(times(chance, len(files), options.seconds))
        senders.create_task(keep_journal(options.home, lines, line_times, counts))
        senders.create_task(post_airlines(options, sorted(times(chance, 2, options.seconds)), counts))
        senders.create_task(publish(options, weather_messages(chance, options.seconds), counts))
    return counts


def times(chance: random.Random, number: int, seconds: float) -> list[float]:
    """Draw so many times, in seconds after the start; the end is left to what takes a while."""
    return [chance.uniform(0, 0.85 * seconds) for _ in range(number)]


async def sleep_until(moment: float) -> None:
    """Sleep until the monotonic clock shows this."""
    await asyncio.sleep(moment - time.monotonic())


def flight_files() -> list[Path]:
    """Return the week's files of flights."""
    return sorted((SOURCE / "flights").glob("*.csv"))


def lay_down_accepted_days(home: Path, counts: Count) -> None:
    """Copy the list of accepted days, unless somebody has one already: it is theirs then."""
    target = home / "landing" / "accepted_days.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copyfile(SOURCE / target.name, target)
        counts["accepted_days laid down"] += 1


Write = Callable[[Path, bytes, Count], Awaitable[None]]


async def land_file(source: Path, folder: Path, at_s: float, write: Write, counts: Count) -> None:
    """Bring a file, unless it is there with the same content."""
    await asyncio.sleep(at_s)
    content = source.read_bytes()
    target = folder / source.name
    folder.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.read_bytes() == content:
        counts["files there already"] += 1
    else:
        await write(target, content, counts)


async def rename_into_place(target: Path, content: bytes, counts: Count) -> None:
    """Write beside the target, then rename: nobody sees half a file."""
    unfinished = target.with_name(target.name + ".tmp")
    unfinished.write_bytes(content)
    unfinished.replace(target)
    counts["files renamed into place"] += 1


async def write_in_pieces(target: Path, content: bytes, counts: Count) -> None:
    """Write as many programs do: slowly, and where everybody can see it."""
    step = len(content) // PIECES + 1
    with target.open("wb") as file:
        for start in range(0, len(content), step):
            file.write(content[start : start + step])
            file.flush()
            await asyncio.sleep(PAUSE_BETWEEN_PIECES_S)
    counts["files written in pieces"] += 1


async def keep_journal(home: Path, lines: Sequence[bytes], at_s: Sequence[float], counts: Count) -> None:
    """Append these lines to the journal, each in two halves, unless they are there already."""
    started_at = time.monotonic()
    journal = home / "landing" / "journal" / "flight_counts.jsonl"
    journal.parent.mkdir(parents=True, exist_ok=True)
    whole = whole_lines(journal)
    for line, line_at_s in zip(lines, at_s, strict=True):
        await sleep_until(started_at + line_at_s)
        if line in whole:
            counts["journal lines there already"] += 1
            continue
        with journal.open("ab") as file:
            file.write(line[:12])
            file.flush()
            await asyncio.sleep(PAUSE_BETWEEN_PIECES_S)
            file.write(line[12:])
        counts["journal lines appended"] += 1


def control_total(file: Path) -> bytes:
    """Return the journal's line for a day: how many flights its file holds."""
    flights = file.read_bytes().count(b"\n") - 1
    return json.dumps({"day": file.stem, "flights": flights}).encode() + b"\n"


def whole_lines(journal: Path) -> set[bytes]:
    """Return the lines of the journal, and cut off one that a feeder was stopped in."""
    content = journal.read_bytes() if journal.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        journal.write_bytes(whole)
    return set(whole.splitlines(keepends=True))


async def post_airlines(options: Options, at_s: Sequence[float], counts: Count) -> None:
    """Post the list of airlines at each of these times, the same delivery: vendors repeat theirs."""
    with (SOURCE / "airlines.csv").open(encoding="utf-8", newline="") as file:
        body = json.dumps({"airlines": list(csv.DictReader(file))}).encode()
    started_at = time.monotonic()
    async with aiohttp.ClientSession() as session:
        for post_at_s in at_s:
            await sleep_until(started_at + post_at_s)
            receipt = await post_signed(session, options, "msg_airlines_2013_w10", body)
            counts["airlines posted"] += 1
            counts["airlines answered as duplicate"] += receipt["duplicates"]


async def post_signed(
    session: aiohttp.ClientSession, options: Options, message_id: str, body: bytes
) -> dict[str, Any]:
    """Post with a Standard Webhooks signature, again and again until somebody answers.

    Raises:
        FeedError: Nobody answered for 30 s, or the answer was no.
    """
    url = f"{options.url}/hooks/airlines_ready"
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        sent_at = int(time.time())  # noqa: TID251 - a vendor's program has a clock of its own
        headers = {
            "content-type": "application/json",
            **signature(options.secret, message_id, sent_at, body),
        }
        try:
            async with session.post(url, data=body, headers=headers) as response:
                if response.status == 202:
                    receipt: dict[str, Any] = await response.json()
                    return receipt
                problem = f"{response.status}: {await response.text()}"
                if response.status != 503:
                    raise FeedError(f"POST {url} was answered {problem}")
        except (aiohttp.ClientError, TimeoutError) as error:
            problem = str(error)
        if time.monotonic() > give_up_at:
            raise FeedError(f"the service does not answer at {url}, tried for {PATIENCE_S:.0f} s: {problem}")
        await asyncio.sleep(RETRY_DELAY_S)


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that Standard Webhooks asks for."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


def weather_messages(chance: random.Random, seconds: float) -> list[Message]:
    """Return a message per airport and hour, some twice, in the order in which they are to be sent."""
    until_s = min(0.85 * seconds, WEATHER_WITHIN_S)
    with (SOURCE / "weather.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    again = [row for row in rows if chance.random() < DUPLICATE_SHARE]
    messages = [
        Message(
            chance.uniform(0, until_s),
            f"sensorflow-demo/weather/{row['origin']}/observed",
            json.dumps(cloud_event(row)).encode(),
        )
        for row in (*rows, *again)
    ]
    return sorted(messages, key=lambda message: message.at_s)


def cloud_event(row: dict[str, str]) -> dict[str, Any]:
    """Return an observation as a structured CloudEvent; its id tells a duplicate from news."""
    measured = ("temp", "humid", "wind_dir", "wind_speed", "precip", "visib")
    return {
        "specversion": "1.0",
        "id": f"{row['origin']}/{row['time_hour']}",
        "source": f"/weather-stations/{row['origin']}",
        "type": "weather.observed",
        "time": row["time_hour"],
        "data": {
            "station": row["origin"],
            "hour": row["time_hour"],
            **{name: None if row[name] == "NA" else float(row[name]) for name in measured},
        },
    }


async def publish(options: Options, messages: Sequence[Message], counts: Count) -> None:
    """Publish each message at its time with QoS 1; when the broker goes away, go on where it went.

    Raises:
        FeedError: The broker could not be reached for 30 s.
    """
    started_at = time.monotonic()
    give_up_at = started_at + PATIENCE_S
    sent = 0
    while sent < len(messages):
        try:
            async with aiomqtt.Client(options.mqtt_host, options.mqtt_port) as client:
                for message in messages[sent:]:
                    await sleep_until(started_at + message.at_s)
                    await client.publish(message.topic, message.payload, qos=1)
                    sent += 1
                    give_up_at = time.monotonic() + PATIENCE_S
        except aiomqtt.MqttError as error:
            if time.monotonic() > give_up_at:
                place = f"{options.mqtt_host}:{options.mqtt_port}"
                raise FeedError(f"no MQTT broker at {place}, tried for {PATIENCE_S:.0f} s: {error}") from None
            await asyncio.sleep(RETRY_DELAY_S)
    counts["weather messages published"] = sent
    counts["weather messages sent twice"] = sent - len({message.payload for message in messages})


def arguments(words: Sequence[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.jobs.feed", description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(), help="the service's home (default: here)")
    parser.add_argument("--url", default="http://127.0.0.1:8484", help="of the service")
    parser.add_argument("--mqtt", default="127.0.0.1:1883", metavar="HOST:PORT", help="of the broker")
    parser.add_argument("--seconds", type=float, default=20, help="spread over so long (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="of the shuffling (default: 1)")
    parser.add_argument("--secret", default=DEMO_SECRET, help="of the webhook airlines_ready")
    read = parser.parse_args(words)
    host, colon, port = read.mqtt.rpartition(":")
    if not colon or not port.isdigit():
        parser.error(f"--mqtt: expected HOST:PORT, found {read.mqtt!r}")
    return Options(read.home, read.url.rstrip("/"), host, int(port), read.seconds, read.seed, read.secret)


def main(words: Sequence[str]) -> None:
    """Feed, and say what was done."""
    try:
        counts = asyncio.run(feed(arguments(words)))
    except* FeedError as failed:
        sys.exit("\n".join(str(error) for error in failed.exceptions))
    for what, number in sorted(counts.items()):
        print(f"{what}: {number}")


if __name__ == "__main__":
    main(sys.argv[1:])
