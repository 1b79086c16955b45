"""The loop: what waits in the inbox is decided together, committed once, then performed."""

import asyncio
import math
import random
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias, cast

import structlog
from uuid_utils import uuid7

from sensorflow.core.changes import Changes, WatchedState
from sensorflow.core.commands import Order, RemoveLogs, SendAlert, StartAttempt, StopAttempt
from sensorflow.core.decide import decide, dispatch
from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import OverloadedError, SensorflowError, UnavailableError
from sensorflow.core.foresight import foresee
from sensorflow.core.ingest import broken_by
from sensorflow.core.measures import Measures
from sensorflow.core.messages import (
    Answer,
    AttemptEnded,
    AttemptStarted,
    ClockSet,
    LostAttempt,
    Message,
    Moment,
    Observed,
    Reviewed,
    TimersDue,
)
from sensorflow.core.state import State
from sensorflow.core.states import AttemptState
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import Retention
from sensorflow.ports import AttemptKey, Clock, Executor, Store, StoreError

log = structlog.get_logger(__name__)

#: The answer to a message, or what was wrong with it.
Outcome: TypeAlias = Answer | SensorflowError

_OF_ATTEMPTS = (AttemptStarted, AttemptEnded)
#: Messages that wait at most; beyond it senders are told to come back.
INBOX = 10_000
#: Messages decided in one transaction at most, so that nobody waits long for its commit.
GROUP = 1_000
#: That an attempt has started is on disk after so long at the latest, where the disk takes it.
_START_WAITS_S = 0.05
#: From a worker's word on its socket to a letter in the inbox, in turns of the event loop: it is polled, the
#: socket is read, who waits for it goes on.
_TURNS = 3
#: A wall clock that is set is noticed after so long at the latest.
_CLOCK_CHECK_S = 20.0
#: One that moves by more than this against the monotonic clock was set; less is its own inaccuracy.
_CLOCK_SET_S = 1.0
#: A store that takes no writes is asked again so often, at a stop so many times at most.
_STORE_RETRY_S = 1.0
_LAST_TRIES = 10
_FOR_EVER = Retention()


class _Letter(NamedTuple):
    """Messages that are answered together. Without a future nobody waits, and none may be lost."""

    messages: Sequence[Message]
    answered: asyncio.Future[list[Outcome]] | None
    #: When it came, by the monotonic clock.
    received: float


class Service:
    """Owns the inbox and the only way from it to the store."""

    def __init__(
        self,
        definitions: Definitions,
        store: Store,
        executor: Executor,
        clock: Clock,
        *,
        workers: int,
        tell: Callable[[SendAlert], None],
        retention: Retention = _FOR_EVER,
    ) -> None:
        self.definitions = definitions
        self.store = store
        self.workers = workers
        self._retention = retention
        self.measures = Measures()
        #: Told of what each commit changed; None: nobody wants to know.
        self.watch: Callable[[Changes], None] | None = None
        #: Why nothing can be stored at the moment; None is well.
        self.trouble: str | None = None
        #: True once what an earlier service left behind has been taken over.
        self.started = asyncio.Event()
        self._executor = executor
        self._clock = clock
        self._tell = tell
        #: By how much the wall clock is ahead of the monotonic one.
        self._clock_ahead_s = clock.now() - clock.monotonic()
        self._inbox: deque[_Letter] = deque()
        self._waiting = 0
        self._arrived = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        #: Until what has started is taken, though nothing else came.
        self._start_timer: asyncio.TimerHandle | None = None
        self._committed = asyncio.Event()
        self._finishing = False
        self._last_tries = _LAST_TRIES
        #: By attempt that is being started: when what fired it came.
        self._fired: dict[AttemptKey, float] = {}

    @property
    def waiting(self) -> int:
        """How many messages wait in the inbox."""
        return self._waiting

    async def submit(self, message: Message) -> Answer:
        """Put a message into the inbox and return its answer once it is on disk.

        Raises:
            SensorflowError: what is wrong with the message, or OverloadedError, UnavailableError.
        """
        (answer,) = await self.submit_all((message,))
        if isinstance(answer, SensorflowError):
            raise answer
        return answer

    async def submit_all(self, messages: Sequence[Message]) -> list[Outcome]:
        """As `submit` for messages that belong together: one answer each, all in one commit.

        Raises:
            OverloadedError, UnavailableError: nothing of them is stored.
        """
        if self.trouble is not None:
            raise UnavailableError(f"it could not be stored: {self.trouble}")
        # One message may be larger than all; what only waits to go with the next group is nobody's turn.
        if self._arrived.is_set() and self._waiting + len(messages) > INBOX:
            raise OverloadedError(f"{self._waiting} messages wait already; send it again later")
        answered: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._put(_Letter(messages, answered, self._clock.monotonic()))
        return await answered

    async def submit_each(self, messages: Sequence[Message]) -> list[Outcome]:
        """As `submit_all` for messages that need not be in one commit, so that many of them hold up nobody.

        Raises:
            OverloadedError, UnavailableError: they are not all stored.
        """
        answers: list[Outcome] = []
        for begin in range(0, len(messages), GROUP):
            answers += await self.submit_all(messages[begin : begin + GROUP])
        return answers

    def post(self, message: Message) -> None:
        """Put a message of the service's own (an attempt's end) into the inbox; never refused.

        That an attempt has started waits for what comes next, its end perhaps, but not for long: a crash
        finds its process also by its environment, and the disk is free for what the attempt begins with.
        """
        letter = _Letter((message,), None, self._clock.monotonic())
        if not isinstance(message, AttemptStarted):
            self._put(letter)
            return
        self._inbox.append(letter)
        self._waiting += 1
        if self._start_timer is None:
            self._start_timer = asyncio.get_running_loop().call_later(_START_WAITS_S, self._take_starts)

    async def run(self) -> None:
        """Serve until `finish` is called, and then until the inbox is empty."""
        self._sees_writes_taken()
        await self._take_over()
        self.started.set()
        try:
            while self._inbox or not self._finishing:
                await self._arrived.wait()
                await self._let_group_grow()
                await self._process(self._take())
        finally:
            for timer in (self._timer, self._start_timer):
                if timer is not None:
                    timer.cancel()

    async def reload(self, definitions: Definitions) -> None:
        """Go on by new definitions; open runs take them up, and nothing that was fired fires again."""
        self.definitions = definitions
        await self.submit(Reviewed())

    async def next_commit(self) -> None:
        """Return once something more is on disk."""
        await self._committed.wait()

    def hold(self) -> None:
        """Start no further attempt: what is queued stays queued for the next service."""
        self.workers = 0

    def finish(self) -> None:
        """Let `run` return once all that waits in the inbox is stored."""
        self._finishing = True
        self._arrived.set()

    def _put(self, letter: _Letter) -> None:
        self._inbox.append(letter)
        self._waiting += len(letter.messages)
        self._arrived.set()

    async def _let_group_grow(self) -> None:
        """Let join what the machine has to tell by now, but where one alone waits for its answer."""
        if len(self._inbox) == 1 and self._inbox[0].answered is not None:
            return
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def _take_starts(self) -> None:
        self._start_timer = None
        if self._inbox:
            self._arrived.set()

    def _take(self) -> list[_Letter]:
        letters: list[_Letter] = []
        size = 0
        while self._inbox and (not letters or size + len(self._inbox[0].messages) <= GROUP):
            letters.append(self._inbox.popleft())
            size += len(letters[-1].messages)
        self._waiting -= size
        if not self._inbox and not self._finishing:
            self._arrived.clear()
        return letters

    async def _take_over(self) -> None:
        """Stop what attempts of a dead service left running, and put their tasks back in line."""
        lost = [
            LostAttempt(
                run_id=row.run_id,
                task=row.task,
                number=row.number,
                pid=row.pid,
                pid_started=row.pid_started,
            )
            for row in self.store.reader.running()
            if row.token is None  # Who works on it elsewhere did not stop with us.
        ]
        if lost:
            log.warning("attempts of a stopped service are put back in line", attempts=len(lost))
            await self._executor.rescue(lost)
        for attempt in lost:
            self.post(
                AttemptEnded(
                    run_id=attempt.run_id,
                    task=attempt.task,
                    number=attempt.number,
                    state=AttemptState.INTERRUPTED,
                    error="the service was stopped under it",
                    crashed=True,
                )
            )
        self.post(Reviewed())

    async def _process(self, letters: list[_Letter]) -> None:
        letters = [*self._clock_letter(), *letters]
        if self.trouble is not None and not self._sees_writes_taken():
            letters = self._refuse(letters, self.trouble)
        watched: WatchedState | None = None
        try:
            state = self.store.begin()
            if self.watch is not None:
                watched = WatchedState(state)
                state = cast("State", watched)
            answers, orders = self._decide(state, letters)
            began = self._clock.monotonic()
            await self.store.commit(busy=bool(self._inbox) or len(letters) > 1)
            self.measures.commit_s.observe(self._clock.monotonic() - began)
        except StoreError as error:
            self.store.rollback()
            await self._not_stored(letters, error)
            return
        except Exception as error:  # noqa: BLE001 - a fault of ours in one message must not harm the others
            self.store.rollback()
            await self._process_alone(letters, error)
            return
        self._committed.set()
        self._committed = asyncio.Event()
        for letter, answer in zip(letters, answers, strict=True):
            if letter.answered is not None and not letter.answered.done():
                letter.answered.set_result(answer)
        self._measure(letters, answers, orders)
        for order in orders:
            self._perform(order)
        self._set_timer()
        if watched is not None and self.watch is not None:
            watched.changes.note(message for letter in letters for message in letter.messages)
            self.watch(watched.changes)

    def _decide(self, state: State, letters: list[_Letter]) -> tuple[list[list[Outcome]], list[Order]]:
        moment = Moment(
            now=self._clock.now(), new_id=_new_id, new_token=secrets.token_urlsafe, draw=random.random
        )
        turn = Turn(self.definitions, state, moment, retention=self._retention)
        messages = iter(foresee(turn, [message for letter in letters for message in letter.messages]))
        answers: list[list[Outcome]] = []
        for letter in letters:
            given: list[Outcome] = []
            for message in islice(messages, len(letter.messages)):
                try:
                    given.append(decide(turn, message))
                except StoreError:
                    raise
                except SensorflowError as error:
                    given.append(error)
            answers.append(given)
        # What little can be stored in trouble is for what runs already.
        dispatch(turn, 0 if self.trouble else self.workers)
        return answers, turn.orders

    def _measure(self, letters: list[_Letter], answers: list[list[Outcome]], orders: list[Order]) -> None:
        for letter, given in zip(letters, answers, strict=True):
            for message, answer in zip(letter.messages, given, strict=True):
                self.measures.count(message, answer)
                if isinstance(message, _OF_ATTEMPTS):
                    fired = self._fired.pop((message.run_id, message.task, message.number), None)
                    if fired is not None and isinstance(message, AttemptStarted):
                        self.measures.firing_s.observe(letter.received - fired)
        for order in orders:
            if isinstance(order, StartAttempt):
                self._fired[order.run_id, order.task, order.number] = letters[0].received

    def _perform(self, order: Order) -> None:
        match order:
            case StartAttempt():
                self._executor.start(order)
            case StopAttempt():
                self._executor.stop((order.run_id, order.task, order.number), order.reason)
            case SendAlert():
                self._tell(order)
            case RemoveLogs():
                self._executor.remove_logs(order.run_ids)

    async def _process_alone(self, letters: list[_Letter], error: Exception) -> None:
        """Decide each letter by itself, so that the one that cannot be decided harms no other."""
        if len(letters) > 1:
            for letter in letters:
                await self._process([letter])
            return
        (letter,) = letters
        if len(letter.messages) > 1 and letter.answered is not None:
            answers = [await self._answer_alone(message) for message in letter.messages]
            if not letter.answered.done():
                letter.answered.set_result(answers)
            return
        log.error("a message could not be decided", message=repr(letter.messages), exc_info=error)
        message = letter.messages[0] if letter.messages else None
        if isinstance(message, Observed) and message.quarantined is None:
            # Its sender would only send it again, and hold up what comes behind it.
            kept = message._replace(quarantined=broken_by(error))
            await self._process([_Letter((kept,), letter.answered, letter.received)])
            return
        if letter.answered is not None and not letter.answered.done():
            letter.answered.set_exception(error)

    async def _answer_alone(self, message: Message) -> Outcome:
        answered: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        await self._process([_Letter((message,), answered, self._clock.monotonic())])
        try:
            (answer,) = await answered
        except SensorflowError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a fault of ours; its sender gets an answer, the rest goes on
            return SensorflowError(f"this event could not be handled: {type(error).__name__}")
        return answer

    async def _not_stored(self, letters: list[_Letter], error: StoreError) -> None:
        """Refuse what came from outside; keep what is the service's own for when the store is back."""
        self._note_trouble(error)
        own = self._refuse(letters, str(error))
        self._last_tries -= self._finishing
        if own and self._last_tries < 0:
            log.error(
                "stopped without keeping the last that happened; the next start sees to it", lost=len(own)
            )
            return
        # Where nothing of its own waits, this looks whether the store is back.
        own = own or [_Letter((TimersDue(),), None, self._clock.monotonic())]
        self._inbox.extendleft(reversed(own))
        self._waiting += sum(len(letter.messages) for letter in own)
        self._arrived.set()
        await asyncio.sleep(_STORE_RETRY_S)

    def _refuse(self, letters: list[_Letter], reason: str) -> list[_Letter]:
        """Tell who waits for an answer that nothing is stored, and return the other letters."""
        for letter in letters:
            if letter.answered is not None and not letter.answered.done():
                letter.answered.set_exception(UnavailableError(f"it could not be stored: {reason}"))
        return [letter for letter in letters if letter.answered is None]

    def _sees_writes_taken(self) -> bool:
        """Look whether the store takes writes; in trouble others are refused until it does."""
        try:
            self.store.recover()
        except StoreError as error:
            self._note_trouble(error)
            return False
        if self.trouble is not None:
            log.info("the store takes writes again")
            self.trouble = None
        return True

    def _note_trouble(self, error: StoreError) -> None:
        if self.trouble is None:
            log.error("the store does not take writes", error=str(error))
        self.trouble = str(error)
        self.store.make_room()

    def _clock_letter(self) -> list[_Letter]:
        """Return what is to be decided before all else if the wall clock was set."""
        ahead_s = self._clock.now() - self._clock.monotonic()
        by_s, self._clock_ahead_s = ahead_s - self._clock_ahead_s, ahead_s
        if abs(by_s) <= _CLOCK_SET_S:
            return []
        log.warning("the clock was set", by_s=round(by_s, 1))
        return [_Letter((ClockSet(by_s=by_s),), None, self._clock.monotonic())]

    def _set_timer(self) -> None:
        """Stand one timer on the earliest timer row."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            due_at = self.store.reader.next_timer_at()
        except StoreError as error:
            log.warning("the next timer cannot be read", error=str(error))
            due_at = self._clock.now() + _STORE_RETRY_S
        if self.trouble is not None:
            due_at = min(due_at or math.inf, self._clock.now() + _STORE_RETRY_S)
        if due_at is None or self._finishing:
            return
        delay_s = min(max(0.0, due_at - self._clock.now()), _CLOCK_CHECK_S)
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.post, TimersDue())


def _new_id() -> str:
    return str(uuid7())
