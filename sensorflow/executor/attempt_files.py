"""What an attempt is given (its environment and its context) and the files it has in the home."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sensorflow.core.commands import StartAttempt
from sensorflow.core.vocabulary import JsonValue

#: All names that start so are either settings of the service or what a task is told.
RESERVED_PREFIX = "SENSORFLOW_"

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


def run_folder(home: Path, run_id: str) -> Path:
    """Return where the files of a run's attempts are kept.

    Raises:
        ValueError: run id is not a plain file name.
    """
    return home / ".sensorflow" / "logs" / _plain(run_id)


def log_path(home: Path, run_id: str, task: str, number: int) -> Path:
    """Return where the output of an attempt is kept.

    Raises:
        ValueError: run id or task is not a plain file name.
    """
    return Path(attempt_files(home, run_id, task, number).log)


class AttemptFiles(NamedTuple):
    """The paths of an attempt's files, as text: each attempt needs them, and pathlib takes its time."""

    folder: str
    log: str
    context: str


def attempt_files(home: Path, run_id: str, task: str, number: int) -> AttemptFiles:
    """Return where the files of an attempt are kept.

    Raises:
        ValueError: run id or task is not a plain file name.
    """
    folder = f"{home}/.sensorflow/logs/{_plain(run_id)}"
    attempt = f"{folder}/{_plain(task)}.{number}"
    return AttemptFiles(folder, f"{attempt}.log", f"{attempt}.json")


def context_document(order: StartAttempt) -> dict[str, JsonValue]:
    """Return the context of an attempt as its file has it; what does not apply is absent."""
    document: dict[str, JsonValue] = {
        "pipeline": order.pipeline,
        "task": order.task,
        "run_id": order.run_id,
        "partition": order.partition or None,
        "partition_start": order.partition_start,
        "partition_end": order.partition_end,
        "attempt": order.number,
        "generation": order.generation,
        "idempotency_key": order.idempotency_key,
        "inputs": dict(order.inputs),
        "missing": order.missing,
        "dimensions": dict(order.dimensions) or None,
    }
    return {name: value for name, value in document.items() if value is not None}


def attempt_environment(
    order: StartAttempt, inherited: Mapping[str, str], context_file: str
) -> dict[str, str]:
    """Return the whole environment of an attempt; what has no value is empty."""
    return {
        **inherited,
        **order.env,
        **{_dimension_name(name): key for name, key in order.dimensions.items()},
        "SENSORFLOW_PIPELINE": order.pipeline,
        "SENSORFLOW_TASK": order.task,
        "SENSORFLOW_RUN_ID": order.run_id,
        "SENSORFLOW_PARTITION": order.partition,
        "SENSORFLOW_PARTITION_START": order.partition_start or "",
        "SENSORFLOW_PARTITION_END": order.partition_end or "",
        "SENSORFLOW_ATTEMPT": str(order.number),
        "SENSORFLOW_GENERATION": str(order.generation),
        "SENSORFLOW_IDEMPOTENCY_KEY": order.idempotency_key,
        "SENSORFLOW_CONTEXT_FILE": context_file,
    }


def inherited_environment(
    own: Mapping[str, str], hidden_names: frozenset[str], programs: str
) -> dict[str, str]:
    """Return what every attempt inherits of the service's own environment.

    Args:
        hidden_names: Names of secrets that definitions use.
        programs: The folder of the service's own `python`; it comes first in PATH, so that tasks
            find it and what is installed beside it without an activated venv.
    """
    inherited = {
        name: value
        for name, value in own.items()
        if name not in hidden_names and not name.startswith(RESERVED_PREFIX)
    }
    inherited["PATH"] = ":".join(filter(None, [programs, inherited.get("PATH")]))
    # Python holds back what it prints to a file; the log is to show it as it comes.
    inherited.setdefault("PYTHONUNBUFFERED", "1")
    return inherited


def _dimension_name(dimension: str) -> str:
    """Return the name of the variable that holds the partition's key in a dimension."""
    return f"{RESERVED_PREFIX}PARTITION_{re.sub('[^A-Za-z0-9]', '_', dimension).upper()}"


def _plain(name: str) -> str:
    if not _SAFE_NAME.fullmatch(name):
        raise ValueError(f"expected a plain name of letters, digits and ._-, found {name!r}")
    return name
