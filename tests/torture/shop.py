"""A home whose tasks write down that they run, and what must hold of them after all that went wrong."""

from collections import Counter, defaultdict
from pathlib import Path

from tests.torture.kept import Kept
from tests.torture.process import ServiceProcess
from tests.torture.sending import BATCH

#: How its events come, unless a test wants it otherwise.
POSTED = "type: events, match: {type: [order]}"
SHOP = f"""\
name: shop
partition: key
datasets:
  orders: {{partition: key, complete: {{count: {BATCH}}}}}
sensors:
  orders_come: {{HOW_IT_COMES, partition: data.batch, part: data.part, dataset: orders}}
tasks:
  ship:
    inputs: [orders]
    run: echo "$SENSORFLOW_PARTITION $SENSORFLOW_IDEMPOTENCY_KEY $SENSORFLOW_ATTEMPT" >> ../shipped
"""


def make_shop(home: Path, sensor: str = POSTED) -> Path:
    """Write the shop into a home."""
    (home / "pipelines" / "shop.yaml").write_text(SHOP.replace("HOW_IT_COMES", sensor))
    return home


def shipped(home: Path) -> dict[str, list[tuple[str, int]]]:
    """Return by partition with which key and as which attempt its task ran."""
    ran = defaultdict(list)
    for line in (home.parent / "shipped").read_text().splitlines():
        partition, key, attempt = line.split()
        ran[partition].append((key, int(attempt)))
    return dict(ran)


def see_nothing_lost(home: Path, source: str, count: int) -> None:
    """See that of so many numbered events each is kept, once."""
    assert Kept(home).numbers(source) == Counter(range(count))


def see_each_fired_once(home: Path, events: int) -> int:
    """See that each partition fired once, with one key over all its attempts; return how many there were."""
    kept = Kept(home)
    partitions = {f"batch-{number}" for number in range(events // BATCH)}
    assert kept.firings() == {(partition, "ship"): 1 for partition in partitions}
    ran, attempts = shipped(home), defaultdict(list)
    for partition, _, number, state in kept.attempts():
        attempts[partition].append((number, state))
    assert set(ran) == set(attempts) == partitions
    for partition in partitions:
        numbers = [number for number, _ in attempts[partition]]
        assert numbers == list(range(1, len(numbers) + 1))
        assert [state for _, state in attempts[partition]] == ["interrupted"] * (len(numbers) - 1) + [
            "succeeded"
        ]
        keys = {key for key, _ in ran[partition]}
        assert len(keys) == 1, f"{partition} ran with {keys}"
        # Each attempt ran once at most, and the last one did.
        ran_as = [number for _, number in ran[partition]]
        assert len(ran_as) == len(set(ran_as)) and numbers[-1] in ran_as
    return sum(map(len, attempts.values()))


async def all_shipped(service: ServiceProcess, events: int) -> None:
    """Wait until all that so many events make ready has been done."""
    kept = Kept(service.home)

    def is_done() -> bool:
        assert not kept.runs_in("failed"), kept.rows(
            "SELECT error FROM attempts WHERE state = 'failed' LIMIT 5"
        )
        return kept.runs_in("succeeded") == events // BATCH

    await service.until(is_done, 300)
