"""What a decision works with: the definitions, the state, the moment, and what is to be performed."""

from dataclasses import dataclass, field

from sensorflow.core.commands import Order
from sensorflow.core.definitions import Definitions
from sensorflow.core.messages import Moment
from sensorflow.core.state import State
from sensorflow.core.vocabulary import Retention


@dataclass(slots=True)
class Turn:
    """One group's transaction, as its decisions see it."""

    definitions: Definitions
    state: State
    moment: Moment
    #: How long what is over is kept.
    retention: Retention = field(default=Retention(), kw_only=True)
    #: Performed once the transaction is on disk, in this order.
    orders: list[Order] = field(default_factory=list)
    #: Runs whose next generation begins once a change has reached all its readers: pipeline and id.
    to_reopen: list[tuple[str, str]] = field(default_factory=list)

    #: The time of the decision, in seconds since the epoch.
    now: float = field(init=False)

    def __post_init__(self) -> None:
        self.now = self.moment.now
