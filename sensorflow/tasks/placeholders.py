"""Names in braces that stand for what an attempt is about."""

import re
from collections.abc import Callable

from sensorflow.core.commands import StartAttempt

PLACEHOLDER = re.compile(
    r"\{(partition|partition_start|partition_end|pipeline|task|run_id|attempt|partition\.[^{}]+)\}"
)


def filled(text: str, order: StartAttempt, spelled: Callable[[str], str] = str) -> str:
    """Return a text with its placeholders replaced; a dimension that the partition lacks stays as it is.

    Args:
        spelled: How a value is written there.
    """
    values = {
        "partition": order.partition,
        "partition_start": order.partition_start or "",
        "partition_end": order.partition_end or "",
        "pipeline": order.pipeline,
        "task": order.task,
        "run_id": order.run_id,
        "attempt": str(order.number),
        **{f"partition.{name}": key for name, key in order.dimensions.items()},
    }

    def value(found: re.Match[str]) -> str:
        return spelled(values[found[1]]) if found[1] in values else found[0]

    return PLACEHOLDER.sub(value, text)
