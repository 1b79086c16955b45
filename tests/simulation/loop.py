"""An asyncio event loop without sockets, threads and real time; a seed chooses which ready step is next."""

import asyncio
import heapq
from asyncio import events
from collections.abc import Callable
from typing import Any

from tests.simulation.world import World

#: So many steps without time passing, and nothing else will ever happen.
_ENDLESS = 20_000
#: How often not the oldest of the ready steps is next.
_OUT_OF_ORDER = 0.4


class VirtualLoop(asyncio.BaseEventLoop):
    """Takes its time from a world, and does what is on that world's agenda between its own steps."""

    def __init__(self, world: World, before_step: Callable[[], None]) -> None:
        super().__init__()
        self._world = world
        self._before_step = before_step
        self._ready: Any  # A deque of handles, of BaseEventLoop.
        self._scheduled: Any  # A heap of timer handles.
        #: What no one caught, while the loop lived.
        self.uncaught: list[str] = []
        #: Steps since time passed last.
        self._steps = 0

    def time(self) -> float:
        return self._world.elapsed

    def _run_once(self) -> None:
        if not self._ready:
            self._wait()
            return
        ready = self._ready
        world = self._world
        if len(ready) > 1 and world.random.random() < _OUT_OF_ORDER:
            ready.rotate(-world.random.randrange(len(ready)))
            handle = ready.popleft()
        else:
            handle = ready.popleft()
        self._steps += 1
        if self._steps > _ENDLESS:
            world.broken(f"R3: the service goes round and round: {handle!r}")
        if not handle.cancelled():
            self._before_step()
            handle._run()

    def _wait(self) -> None:
        """Move the clock to what is next."""
        before = self._world.elapsed
        self._move()
        if self._world.elapsed > before:
            self._steps = 0

    def _move(self) -> None:
        timers = self._scheduled
        while timers and timers[0].cancelled():
            heapq.heappop(timers)._scheduled = False
        agenda = self._world.agenda
        if timers and (not agenda or timers[0].when() <= agenda[0][0]):
            handle = heapq.heappop(timers)
            handle._scheduled = False
            self._world.elapsed = max(self._world.elapsed, handle.when())
            self._ready.append(handle)
        else:
            self._world.do_next()

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> events.Handle:
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        raise AssertionError(f"a thread was asked for {func}")

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.is_closed():
            self.uncaught.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _process_events(self, event_list: object) -> None:
        raise AssertionError("there are no sockets")

    def abandon(self) -> None:
        """Drop all that runs, as the death of a process does: nothing of it goes on."""
        tasks = asyncio.all_tasks(self)
        self.close()
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine = task.get_coro()
            if coroutine is not None:
                _close(coroutine)


async def time_passes(seconds: float) -> None:
    """Return when so much virtual time has passed."""
    passed = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, passed.set)
    await passed.wait()


def _close(coroutine: Any) -> None:
    try:
        coroutine.close()
    except RuntimeError:
        return  # It awaits in a `finally`, or is the one that was running: a dead process does neither.
