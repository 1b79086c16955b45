"""One message decided and kept in a store in memory, at a time that the caller names."""

from collections.abc import Callable, Coroutine
from typing import Any

from sensorflow.core.commands import Order
from sensorflow.core.decide import decide, dispatch
from sensorflow.core.definitions import Definitions
from sensorflow.core.messages import Answer, Message, Moment
from sensorflow.core.state import State
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import Retention
from sensorflow.ports import Store

_FOR_EVER = Retention()


def take_turn(
    store: Store,
    definitions: Definitions,
    moment: Moment,
    message: Message,
    workers: int,
    *,
    retention: Retention = _FOR_EVER,
    watched: Callable[[State], State] = lambda state: state,
    keeps: Callable[[Answer], bool] = lambda answer: True,
) -> tuple[Answer, list[Order]]:
    """Decide a message and start what may start, as a group of one in the service does.

    Args:
        store: One in memory: its commit has nothing to wait for.
        watched: Gives the state that the decision works on.
        keeps: Is told the answer; where it says no, nothing has happened.

    Raises:
        SensorflowError: what is wrong with the message; nothing is changed.
    """
    turn = Turn(definitions, watched(store.begin()), moment, retention=retention)
    try:
        answer = decide(turn, message)
        if not keeps(answer):
            store.rollback()
            return answer, []
        dispatch(turn, workers)
    except BaseException:
        store.rollback()
        raise
    _run_to_end(store.commit())
    return answer, turn.orders


def _run_to_end(commit: Coroutine[Any, Any, None]) -> None:
    """Run a commit that has nothing to wait for, as that of the store in memory."""
    try:
        commit.send(None)
    except StopIteration:
        return
    raise RuntimeError("the commit waits; a virtual service needs a store in memory")
