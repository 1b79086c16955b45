"""The composition root: from a home folder to a running service."""

import asyncio
import fcntl
import ipaddress
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web

from sensorflow import control
from sensorflow.alerts.routes import alert_routes
from sensorflow.alerts.sender import AlertSender
from sensorflow.clock import SystemClock
from sensorflow.config.settings import Settings, alert_warnings, load_settings, setting_warnings
from sensorflow.core.changes import Changes
from sensorflow.core.collector import look_seldom
from sensorflow.core.errors import SensorflowError
from sensorflow.core.messages import SensorReported
from sensorflow.core.vocabulary import Command, HttpCall, PythonFunction
from sensorflow.executor.attempt_files import log_path
from sensorflow.executor.local import LocalExecutor
from sensorflow.home import Home, load_home
from sensorflow.ports import Store
from sensorflow.sensors import SENSORS
from sensorflow.sensors.answers import Answers
from sensorflow.sensors.seeing import would_see
from sensorflow.sensors.supervision import SensorStatus, SensorSupervisor
from sensorflow.service import INBOX, Service
from sensorflow.store.memory import MemoryStore
from sensorflow.store.sqlite import SqliteStore
from sensorflow.tasks.command import CommandKind
from sensorflow.tasks.http import HttpKind
from sensorflow.tasks.python import PythonKind
from sensorflow.web import Api, build_app
from sensorflow.web.api import SensorHealth
from sensorflow.web.server import Complaints, Limits, Runner, connections_within

log = structlog.get_logger(__name__)

#: What the service keeps, in the home.
STATE_FOLDER = ".sensorflow"
#: Room on the disk for what ends, and for cleaning up, while it is full.
_BALLAST_BYTES = 16 * 1024 * 1024


class CannotServeError(SensorflowError):
    """The home is served already, the address is taken, or others could reach it without a token."""


@dataclass(slots=True)
class _Address:
    """Where the service can be reached; known once it listens."""

    url: str = ""

    def callback(self, token: str) -> str:
        """Return the URL that whoever holds the token calls."""
        return f"{self.url}/api/v1/callbacks/{token}"


@dataclass(slots=True)
class Running:
    """A service that serves."""

    home: Home
    service: Service
    store: Store
    supervisor: SensorSupervisor
    executor: LocalExecutor
    settings: Settings
    address: _Address
    #: Ends only when the service can no longer serve.
    loop: "asyncio.Task[None]"

    @property
    def url(self) -> str:
        """Where the service can be reached, as `http://127.0.0.1:8484`."""
        return self.address.url

    async def watch(self) -> None:
        """Run the sensors that the home defines now, and no others."""
        wanted = {
            key: (definition, self.home.kinds[definition.kind])
            for key, definition in self.home.definitions.sensors.items()
            if definition.kind in self.home.kinds
        }
        await self.supervisor.run_only(wanted, home=self.home.path, instance=self.store.instance)

    async def reload(self) -> dict[str, object]:
        """Read the home's files again and go on by them.

        Raises:
            DefinitionsError: they cannot be used; all goes on by the old ones.
        """
        home = load_home(self.home.path, os.environ, SENSORS)
        self.executor.hide(home.secret_names | self.settings.secret_names)
        await self.service.reload(home.definitions)
        self.home = home
        await self.watch()
        log.info("reloaded", pipelines=len(self.home.definitions.pipelines))
        return {
            "pipelines": len(self.home.definitions.pipelines),
            "warnings": [str(warning) for warning in self.home.warnings],
        }


def serve(home: Path, host: str | None = None, port: int | None = None) -> int:
    """Serve a home until SIGTERM or SIGINT; return the exit code.

    Raises:
        DefinitionsError: the home's files cannot be used.
        CannotServeError: the home is served already, or the address is taken.
    """
    settings = load_settings(home, os.environ)
    configure_logging(settings)
    return asyncio.run(_serve(home, settings, host, port))


async def _serve(home: Path, settings: Settings, host: str | None, port: int | None) -> int:
    stop = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(Complaints())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(home, settings, host=host, port=port) as service:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload_soon, service)
        log.info("serving", url=service.url, pipelines=len(service.home.definitions.pipelines))
        # Modules and definitions stay: a full collection need not walk over them, which holds the loop.
        look_seldom()
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({stopped, service.loop}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        log.info("stopping: no further attempt starts, those that run are interrupted")
    return 0


def _reload_soon(service: Running) -> None:
    task = asyncio.create_task(service.reload(), name="reload")
    task.add_done_callback(_say_why_not)


def _say_why_not(reload: "asyncio.Task[dict[str, object]]") -> None:
    error = None if reload.cancelled() else reload.exception()
    if error is not None:
        log.error("not reloaded: all goes on by the old definitions", error=str(error))


@asynccontextmanager
async def running(
    home_path: Path, settings: Settings, *, host: str | None = None, port: int | None = None
) -> AsyncIterator[Running]:
    """Serve a home for as long as the context lasts; leaving it is a graceful stop.

    Args:
        port: 0 takes any free one; None takes the settings'.

    Raises:
        DefinitionsError: the home's files cannot be used.
        CannotServeError: the home is served already, or the address is taken.
    """
    home = load_home(home_path, os.environ, SENSORS)
    for warning in [
        *home.warnings,
        *setting_warnings(os.environ),
        *alert_warnings(settings, home.definitions.pipelines),
    ]:
        log.warning(str(warning))
    host = settings.host if host is None else host
    port = settings.port if port is None else port
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(home_lock(home.path))
        clock = SystemClock()
        store_path = home.path / settings.store
        store_path.parent.mkdir(parents=True, exist_ok=True)
        store = SqliteStore(store_path, ballast_bytes=_BALLAST_BYTES)
        stack.callback(store.close)
        _refuse_strangers(host, store)
        sender = AlertSender(alert_routes(settings))
        stack.push_async_callback(sender.close)
        address = _Address()
        executor = LocalExecutor(
            home.path,
            {
                Command: CommandKind(stop_grace_s=settings.stop_grace),
                PythonFunction: PythonKind(
                    home.path, workers=settings.python_workers, stop_grace_s=settings.stop_grace
                ),
                HttpCall: HttpKind(address.callback),
            },
            lambda message: service.post(message),  # noqa: PLW0108 - the service is made below, of this executor
            stop_grace_s=settings.stop_grace,
            hidden_names=home.secret_names | settings.secret_names,
        )
        service = Service(
            home.definitions,
            store,
            executor,
            clock,
            workers=settings.workers,
            tell=sender.send,
            retention=settings.retention,
        )
        loop = asyncio.create_task(service.run(), name="service")
        stack.push_async_callback(_drain, service, executor, loop)
        started = asyncio.create_task(service.started.wait())
        await asyncio.wait({started, loop}, return_when=asyncio.FIRST_COMPLETED)
        if loop.done():
            started.cancel()
            await loop
        answering = partial(
            Answers,
            definitions=lambda: service.definitions,
            store=store,
            clock=clock,
            masked=executor.masked,
            allow_private=settings.allow_private,
        )
        supervisor = SensorSupervisor(
            service.submit_all, clock, changed=partial(_report_sensor, service), answering=answering
        )
        serving = Running(home, service, store, supervisor, executor, settings, address, loop)
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        bearable = connections_within(files, settings.workers + settings.python_workers)
        limits = Limits(
            header_timeout_s=settings.header_timeout, connections=min(settings.connections, bearable)
        )
        runner = Runner(build_app(_api(serving, settings, host, clock)), limits)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        address.url = await _listen(runner, host, port)
        await web.SockSite(runner, control.listen(home.path / STATE_FOLDER)).start()
        stack.callback((home.path / STATE_FOLDER / control.NAME).unlink, missing_ok=True)
        held = {"pid": os.getpid(), "url": address.url, "store": str(store_path.absolute())}
        lock.write_text(json.dumps(held))
        stack.push_async_callback(supervisor.stop)
        await serving.watch()
        yield serving


def _report_sensor(service: Service, pipeline: str, sensor: str, error: str | None) -> None:
    service.post(SensorReported(pipeline=pipeline, sensor=sensor, error=error))


async def _drain(service: Service, executor: LocalExecutor, loop: "asyncio.Task[None]") -> None:
    """Stop what runs, keep its end, and return when all is on disk."""
    service.hold()
    await executor.close()
    service.finish()
    await loop


def _api(serving: Running, settings: Settings, host: str, clock: SystemClock) -> Api:
    service = serving.service

    def not_ready() -> Mapping[str, str]:
        return {"store": service.trouble} if service.trouble else {}

    def watch(told: Callable[[Changes], None] | None) -> None:
        service.watch = told

    return Api(
        watch=watch,
        measures=service.measures,
        inbox=lambda: service.waiting,
        share=INBOX // 2,
        definitions=lambda: service.definitions,
        submit=service.submit,
        submit_all=service.submit_all,
        submit_each=service.submit_each,
        reload=serving.reload,
        with_texts=lambda texts: serving.home.with_texts(texts, os.environ),
        would_see=would_see,
        scratch=MemoryStore,
        store=serving.store,
        clock=clock,
        sensor_health=lambda pipeline, name: _health(serving.supervisor.status(pipeline, name)),
        log_path=lambda run_id, task, number: log_path(serving.home.path, run_id, task, number),
        masked_piece=serving.executor.masked_piece,
        not_ready=not_ready,
        workers=settings.workers,
        host=host,
        open_without_tokens=_only_here(host),
        allowed_hosts=settings.allowed_hosts,
        body_limit=settings.body_limit,
        batch_limit=settings.batch_limit,
        body_timeout_s=settings.body_timeout,
    )


async def _listen(runner: web.AppRunner, host: str, port: int) -> str:
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        raise CannotServeError(
            f"cannot listen at {host}:{port}: {error.strerror}; another port: `sensorflow serve --port N`"
        ) from None
    bound = runner.addresses[0]
    shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    return f"http://{shown}:{bound[1]}"


def _refuse_strangers(host: str, store: Store) -> None:
    """Do not serve others than this machine as long as nobody is asked for a token.

    Raises:
        CannotServeError: that would be so.
    """
    if not _only_here(host) and not store.listing.tokens():
        raise CannotServeError(
            f"at {host} other machines reach the service, and there is no token that it could ask for; "
            "make one first: `sensorflow token create --scope admin`"
        )


def _health(status: SensorStatus) -> SensorHealth:
    """Return how a sensor is; one that only waits for what is posted is never started, and up."""
    if status.error is not None:
        return SensorHealth("down", status.error)
    return SensorHealth("starting" if status.state == "starting" else "up", None)


def _only_here(host: str) -> bool:
    """Tell whether nobody but this machine reaches an address; what is not known to be so is not so."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@contextmanager
def home_lock(home: Path) -> Iterator[Path]:
    """Hold a home; the lock falls with the process, however it ends.

    Raises:
        CannotServeError: a service holds it.
    """
    path = home / STATE_FOLDER / "lock"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise CannotServeError(_held_by(file.read())) from None
        file.truncate(0)
        yield path


def _held_by(content: str) -> str:
    try:
        holder = json.loads(content)
        return f"this home is served already, by process {holder['pid']} at {holder['url']}"
    except (ValueError, KeyError, TypeError):
        return "this home is served already, by a service that is just starting"


def configure_logging(settings: Settings) -> None:
    """Write log lines to stderr, as text or as JSON."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    renderer = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # A traceback with local variables would show secrets.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info
            if settings.log_format == "json"
            else structlog.processors.StackInfoRenderer(),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
