"""A home whose tasks write down that they run, and what must hold of them after all that went wrong."""

from collections import defaultdict
from pathlib import Path

from tests.torture.kept import Kept
from tests.torture.sending import SOURCE, Sender

#: Events of one partition.
BATCH = 20

SHOP = f"""\
name: shop
partition: key
datasets:
  orders: {{partition: key, complete: {{count: {BATCH}}}}}
sensors:
  posted:
    type: events
    match: {{type: [order]}}
    partition: data.batch
    part: data.part
    dataset: orders
tasks:
  ship:
    inputs: [orders]
    run: echo "$SENSORFLOW_PARTITION $SENSORFLOW_IDEMPOTENCY_KEY $SENSORFLOW_ATTEMPT" >> ../shipped
"""


def make_shop(home: Path) -> Path:
    """Write the shop into a home."""
    (home / "pipelines" / "shop.yaml").write_text(SHOP)
    return home


def shipped(home: Path) -> dict[str, list[tuple[str, int]]]:
    """Return by partition with which key and as which attempt its task ran."""
    ran = defaultdict(list)
    for line in (home.parent / "shipped").read_text().splitlines():
        partition, key, attempt = line.split()
        ran[partition].append((key, int(attempt)))
    return dict(ran)


def see_nothing_lost(home: Path, sender: Sender) -> None:
    """See that every acknowledged event is kept, once, and nothing else."""
    kept = Kept(home).event_ids(SOURCE)
    assert {f"order-{number}" for number in sender.acknowledged} == set(kept)
    assert set(kept.values()) == {1}
    assert sender.acknowledged == set(range(sender.sent))


def see_each_fired_once(home: Path, partitions: set[str]) -> int:
    """See that each partition fired once, with one key over all its attempts; return how many there were."""
    kept = Kept(home)
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
