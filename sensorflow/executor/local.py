"""Runs attempts as processes of this machine."""

import asyncio
import errno
import json
import os
import shutil
import sys
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from sensorflow.core.commands import StartAttempt
from sensorflow.core.messages import AttemptEnded, AttemptStarted, LostAttempt
from sensorflow.core.states import AttemptState
from sensorflow.executor.attempt_files import (
    attempt_environment,
    attempt_files,
    context_document,
    inherited_environment,
    log_path,
    run_folder,
)
from sensorflow.executor.masking import Mask
from sensorflow.executor.orphans import orphaned_groups
from sensorflow.ports import AttemptKey, AttemptPlace, Outcome, Report, TaskKind
from sensorflow.processes import stop_group

_log = structlog.get_logger()

_SKIPPED_EXIT_CODE = 99
_STOPPED = "the service stopped"
#: What a machine says that has no room for one more file or process at the moment.
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT})
#: An attempt that finds no room looks again so often.
_LOOK_AGAIN_S = 1.0

#: State, exit code and error.
_Ending: TypeAlias = tuple[AttemptState, int | None, str | None]


@dataclass(slots=True)
class _Attempt:
    """An attempt from its order to its end."""

    order: StartAttempt
    #: Waits for the end.
    work: "asyncio.Task[None]" = field(init=False)
    #: Stands until the timeout.
    timer: asyncio.TimerHandle | None = None
    started: bool = False
    #: True once a cancel of `work` reaches it.
    waits: bool = False
    #: How it ends, and why, where it was told to end.
    verdict: tuple[AttemptState, str] | None = None


class LocalExecutor:
    """Implements `ports.Executor`. Use it inside one running event loop.

    Args:
        kinds: What runs each type of action; closed together with the executor.
        report: Told of every process that starts and, once for each attempt that ends here, of its end.
        stop_grace_s: Seconds between SIGTERM and SIGKILL for what `rescue` finds.
        hidden_names: Names in the service's environment that tasks must not see.
    """

    def __init__(
        self,
        home: Path,
        kinds: Mapping[type, TaskKind],
        report: Report,
        *,
        stop_grace_s: float = 10.0,
        hidden_names: frozenset[str] = frozenset(),
    ) -> None:
        self._home = home.absolute()
        self._kinds = kinds
        self._report = report
        self._stop_grace_s = stop_grace_s
        self.hide(hidden_names)
        self._attempts: dict[AttemptKey, _Attempt] = {}
        self._removals: set[asyncio.Task[None]] = set()
        self._closing = False

    def hide(self, names: frozenset[str]) -> None:
        """Keep these names of the service's environment from all attempts that start from now on."""
        self._inherited = inherited_environment(os.environ, names, str(Path(sys.executable).parent))
        self._mask = Mask(os.environ[name] for name in names if name in os.environ)

    def masked(self, content: bytes) -> bytes:
        """Return what an attempt has put out so far, without secrets."""
        return self._mask.masked(content)

    def masked_piece(self, content: bytes) -> tuple[bytes, bytes]:
        """Return a piece of what an attempt puts out without secrets, and the end that may begin one."""
        return self._mask.masked_piece(content)

    def start(self, order: StartAttempt) -> None:
        """Start an attempt; one that runs already is left alone. Never raises: failures are reported."""
        key = (order.run_id, order.task, order.number)
        if key in self._attempts:
            return
        if self._closing:
            self._report_end(key, AttemptState.INTERRUPTED, None, _STOPPED)
            return
        self._attempts[key] = attempt = _Attempt(order)
        attempt.work = asyncio.create_task(
            self._see_through(key, attempt, self._begin(order)), name=f"attempt {'/'.join(map(str, key))}"
        )
        if order.timeout_s is not None:
            attempt.timer = asyncio.get_running_loop().call_later(
                order.timeout_s, _stop, attempt, AttemptState.FAILED, f"timed out after {order.timeout_s:g} s"
            )

    def stop(self, key: AttemptKey, reason: str) -> None:
        """Stop an attempt, which then ends cancelled.

        One that does not run here was handed over, perhaps by an earlier service, or is over, and then
        its second end changes nothing. It is reported at once.
        """
        attempt = self._attempts.get(key)
        if attempt is not None:
            _stop(attempt, AttemptState.CANCELLED, reason)
            return
        _log.debug("attempt does not run here, who works on it is not told", run_id=key[0], task=key[1])
        self._report_end(key, AttemptState.CANCELLED, None, f"{reason}; who works on it is not told")

    def remove_logs(self, run_ids: Sequence[str]) -> None:
        """Remove the files of attempts of these runs, in a thread."""
        folders = [run_folder(self._home, run_id) for run_id in run_ids]
        removal = asyncio.create_task(asyncio.to_thread(_remove, folders), name="logs are removed")
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)

    async def rescue(self, lost: Sequence[LostAttempt]) -> None:
        """Stop what attempts of a dead service left running; return when nothing of it is left."""
        if lost:
            groups = orphaned_groups(self._home, lost)
            await asyncio.gather(*(stop_group(group, self._stop_grace_s) for group in groups))

    async def close(self) -> None:
        """Stop all attempts, each reported as interrupted, then close the kinds."""
        self._closing = True
        while self._attempts:
            for attempt in self._attempts.values():
                self._interrupt(attempt)
            await asyncio.wait([attempt.work for attempt in self._attempts.values()])
        for kind in self._kinds.values():
            await kind.close()
        await asyncio.gather(*self._removals)

    def _interrupt(self, attempt: _Attempt) -> None:
        _stop(attempt, AttemptState.INTERRUPTED, _STOPPED)

    def _begin(self, order: StartAttempt) -> Coroutine[Any, Any, Outcome | None]:
        """Start the work of an attempt, and return what waits for its end."""
        try:
            return self._kinds[type(order.action)].start(order, self._place(order))
        except Exception as failure:  # noqa: BLE001 - that it could not start is how the attempt ends
            return self._begin_later(order, failure) if _lacks_room(failure) else _raised(failure)

    async def _begin_later(self, order: StartAttempt, lack: Exception) -> Outcome | None:
        """Start an attempt once the machine has room for it: to lack that is no failure of its task."""
        _log.warning("no room for an attempt yet", run_id=order.run_id, task=order.task, error=str(lack))
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S)
            try:
                end = self._kinds[type(order.action)].start(order, self._place(order))
            except OSError as failure:
                if not _lacks_room(failure):
                    raise
            else:
                return await end

    async def _see_through(
        self, key: AttemptKey, attempt: _Attempt, end: Coroutine[Any, Any, Outcome | None]
    ) -> None:
        """Wait for an attempt's end and report it: in the same turn as its start, where both are known."""
        attempt.waits = True
        try:
            outcome = await end
        except Exception as failure:  # noqa: BLE001 - whatever breaks it is how it ends
            self._end(key, _broken(attempt, failure))
        except BaseException:  # It was told to end, or the event loop is being shut down.
            state, reason = attempt.verdict or (AttemptState.INTERRUPTED, _STOPPED)
            self._end(key, (state, None, reason))
            raise
        else:
            self._end(key, _ending(outcome) if outcome is not None else None)

    def _place(self, order: StartAttempt) -> AttemptPlace:
        files = attempt_files(self._home, order.run_id, order.task, order.number)
        _make_folder(files.folder)
        return AttemptPlace(
            home=self._home,
            log=files.log,
            context_file=files.context,
            context=json.dumps(context_document(order)).encode(),
            env=attempt_environment(order, self._inherited, files.context),
            started=partial(self._started, order),
        )

    def _started(self, order: StartAttempt, pid: int, pid_started: str) -> None:
        self._attempts[order.run_id, order.task, order.number].started = True
        self._report(
            AttemptStarted(
                run_id=order.run_id,
                task=order.task,
                number=order.number,
                pid=pid,
                pid_started=pid_started,
            )
        )

    def _end(self, key: AttemptKey, ending: _Ending | None) -> None:
        """Let go of an attempt, and report its end; None: it goes on elsewhere, and ends by a callback."""
        attempt = self._attempts.pop(key)
        if attempt.timer:
            attempt.timer.cancel()
        if ending is not None:
            self._report_end(key, *ending)

    def _report_end(
        self, key: AttemptKey, state: AttemptState, exit_code: int | None, error: str | None
    ) -> None:
        run_id, task, number = key
        try:
            if self._mask.hides:
                self._mask.mask_file(log_path(self._home, run_id, task, number))
        except (ValueError, OSError) as failure:  # The end is told, whatever became of the log.
            _log.error("log could not be masked", run_id=run_id, task=task, error=str(failure))
        error = self._mask.text(error) if error else error
        self._report(
            AttemptEnded(
                run_id=run_id, task=task, number=number, state=state, exit_code=exit_code, error=error
            )
        )


def _make_folder(folder: str) -> None:
    try:
        os.mkdir(folder)  # noqa: PTH102 - for each attempt, and mostly it is there
    except FileExistsError:
        return
    except FileNotFoundError:
        Path(folder).mkdir(parents=True, exist_ok=True)


def _remove(folders: Sequence[Path]) -> None:
    for folder in folders:
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            continue  # Removed already, or nothing was ever put out.
        except OSError as error:
            _log.warning("logs could not be removed", folder=str(folder), error=str(error))


def _stop(attempt: _Attempt, state: AttemptState, reason: str) -> None:
    if not attempt.waits:  # Nothing would stop what it has started.
        asyncio.get_running_loop().call_soon(_stop, attempt, state, reason)
    # A second cancel would cut short what the first one began: the first verdict stands.
    elif attempt.verdict is None and attempt.work.cancel():
        attempt.verdict = (state, reason)


def _lacks_room(failure: Exception) -> bool:
    return isinstance(failure, OSError) and failure.errno in _NO_ROOM


async def _raised(failure: Exception) -> Outcome:
    raise failure


def _broken(attempt: _Attempt, failure: Exception) -> _Ending:
    """Return how an attempt ends that could not be started, or seen through."""
    if not isinstance(failure, OSError | ValueError):
        _log.error("attempt broke", run_id=attempt.order.run_id, task=attempt.order.task, exc_info=failure)
    if attempt.verdict:
        state, reason = attempt.verdict
        return state, None, reason
    return AttemptState.FAILED, None, _failure_text(failure, started=attempt.started)


def _ending(outcome: Outcome) -> _Ending:
    """Return what the outcome of an attempt means."""
    if outcome.exit_code == 0:
        return AttemptState.SUCCEEDED, 0, outcome.error
    if outcome.exit_code == _SKIPPED_EXIT_CODE:
        return AttemptState.SKIPPED, _SKIPPED_EXIT_CODE, outcome.error
    return AttemptState.FAILED, outcome.exit_code, outcome.error or f"exit status {outcome.exit_code}"


def _failure_text(failure: BaseException, *, started: bool) -> str:
    if isinstance(failure, OSError) and failure.filename:
        text = f"{failure.strerror}: {failure.filename}"
    else:
        text = f"{type(failure).__name__}: {failure}"
    return text if started else f"cannot start: {text}"
