"""R6: the real service is killed with -9, again and again, while events come and tasks run."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.torture.amounts import amount
from tests.torture.process import ServiceProcess
from tests.torture.sending import BATCH, SOURCE, sending
from tests.torture.shop import all_shipped, make_shop, see_each_fired_once, see_nothing_lost

pytestmark = pytest.mark.slow

KILLS = amount("KILLS", 6, 200)
PER_S = 500


async def test_no_kill_loses_an_acknowledged_event_or_fires_a_partition_twice(
    home: Path, figure: Callable[[str], None]
) -> None:
    lots = random.Random(6)
    service = ServiceProcess(make_shop(home))
    await service.start()
    try:
        async with sending(service, per_s=PER_S) as sender:
            for number in range(KILLS):
                # Now and then while it starts, when nothing is listened to yet.
                if number % 10 == 9:
                    await service.kill()
                    await service.start(wait=False)
                    await service.moment(lots.uniform(0.0, 1.0))
                else:
                    await service.moment(lots.uniform(0.2, 1.5))
                await service.kill()
                await service.start()
        await all_shipped(service, sender.sent)
    finally:
        if service.is_there:
            assert await service.stop() == 0
    see_nothing_lost(home, SOURCE, sender.sent)
    attempts = see_each_fired_once(home, sender.sent)
    figure(
        f"{KILLS} kills, {sender.sent} events, {sender.repeated} sent again: 0 lost; "
        f"{sender.sent // BATCH} partitions in {attempts} attempts: each fired once"
    )
