"""Load a day's weather from the messages that came: `python -m pipelines.jobs.load_weather`.

The rows are in the messages themselves, which the task finds in its context.
"""

import os
import sys

from pipelines.jobs.context import TaskContext, command_context, events
from pipelines.jobs.warehouse import replace, transaction

AIRPORTS = ("EWR", "JFK", "LGA")

#: A mean over 70 of 72 hours is still a mean of the day. Much less is not the day's weather but a station, a
#: broker or this service that was down: then it is better to fail and to look again a little later.
BEARABLE_GAPS = 2

#: The demo shows a retry: the first attempt at this one day fails, on purpose, for no other reason.
DAY_OF_THE_STAGED_FAILURE = "2013-03-07"


def load(day: str, context: TaskContext) -> None:
    """Replace the day's weather by what its messages say.

    Raises:
        SystemExit: More is missing than a daily mean can bear.
    """
    gaps = [gap for gap in context.missing if gap["dataset"] == "weather"]
    # Where nothing at all came of an hour, no part needs to be named.
    missing = sum(len(gap.get("parts") or AIRPORTS) for gap in gaps)
    if missing > BEARABLE_GAPS:
        sys.exit(
            f"{day}: {missing} airport-hours of weather are missing, at most {BEARABLE_GAPS} are bearable"
        )

    observations = [event["data"] for event in events(context, "weather")]
    with transaction() as warehouse:
        loaded = replace(
            warehouse,
            "weather",
            ("day", day),
            [
                (day, seen["station"], seen["hour"], seen["temp"], seen["wind_speed"], seen["precip"])
                for seen in observations
            ],
        )
    print(f"{day}: {loaded} airport-hours of weather, {missing} missing")
    for gap in gaps:
        print(f"{day}: without {gap['partition']} of {', '.join(gap.get('parts') or AIRPORTS)}")


if __name__ == "__main__":
    partition = os.environ["SENSORFLOW_PARTITION"]
    if partition == DAY_OF_THE_STAGED_FAILURE and os.environ["SENSORFLOW_ATTEMPT"] == "1":
        sys.exit(f"{partition}: this first attempt fails on purpose, so that the demo shows a retry")
    load(partition, command_context())
