"""What the machine gives: watches, open files, a clock, libraries."""

import ctypes
import os
import platform
import re
import resource
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from sensorflow.cli.doctor.finding import Finding, note, well, wrong
from sensorflow.core.vocabulary import SensorDefinition
from sensorflow.sensors.file import FileOptions

_INOTIFY = Path("/proc/sys/fs/inotify")
#: What a kernel keeps of file changes that nobody has taken yet, where nobody told it otherwise.
_USUAL_QUEUE = 16_384
#: Connections, logs and watches of a small service; with fewer it works, and refuses some of them.
_FEW_FILES = 256
_USUAL_FILES = 1024
#: The clocks may part by so much while the doctor looks; more is a jump.
_JUMP_S = 0.5
#: What adjtimex(2) answers where nobody keeps the clock.
_TIME_ERROR = 5


def findings(home: Path, sensors: Iterable[SensorDefinition], pid: int | None) -> Iterator[Finding]:
    """Yield how the machine is.

    Args:
        pid: The process that serves the home; None where nobody does.
    """
    watching = [s.options for s in sensors if isinstance(s.options, FileOptions)]
    roots = [home / options.template.root for options in watching]
    yield from _watched(roots)
    yield from _inotify(roots)
    yield _open_files(pid)
    yield _synchronised()
    yield _libraries()


def clock_finding(began: tuple[float, float], ended: tuple[float, float]) -> Finding:
    """Return whether the wall clock went as the monotonic one, of both at two moments."""
    parted = (ended[0] - began[0]) - (ended[1] - began[1])
    if abs(parted) > _JUMP_S:
        text = f"the clock was set by {parted:+.1f} s while this looked"
        return wrong("clock", text, "let NTP slew the clock, not step it; schedules follow it")
    return well("clock", "the clock did not jump while this looked")


def _watched(roots: Iterable[Path]) -> Iterator[Finding]:
    """Yield which folders that sensors watch are not there, or cannot be read by who asks."""
    for root in dict.fromkeys(roots):
        if not root.is_dir():
            text = f"{root} is not there: the sensor that watches it sees nothing until it is"
            yield note("files", text, f"mkdir -p {root}, or mend the sensor's `path`")
        elif not os.access(root, os.R_OK | os.X_OK):
            text = f"{root} cannot be read by user {os.geteuid()}, so the sensor that watches it sees nothing"
            yield wrong("files", text, f"let that user read it: setfacl -m u:{os.geteuid()}:rx {root}")


def _inotify(roots: list[Path]) -> Iterator[Finding]:
    """Yield whether the kernel's limits are enough for the folders that are watched."""
    limits = {name: _number(_INOTIFY / name) for name in ("max_user_watches", "max_user_instances")}
    queue = _number(_INOTIFY / "max_queued_events")
    watches, instances = limits["max_user_watches"], limits["max_user_instances"]
    if not roots:
        yield well("inotify", "no sensor watches files")
        return
    if watches is None or instances is None or queue is None:
        yield note("inotify", "its limits cannot be seen here; files are found by a look every 30 s at worst")
        return
    folders = sum(_folders(root, at_most=watches + 1) for root in roots)
    text = f"{folders:,} folders are watched; {watches:,} may be (max_user_watches), by all programs together"
    if folders > watches:
        yield _too_few("max_user_watches", text, 2 * folders)
    elif folders > watches // 2:
        yield note("inotify", text, _sysctl("max_user_watches", 4 * folders))
    else:
        yield well("inotify", text)
    if len(roots) > instances:
        text = f"{len(roots)} sensors watch files; {instances} may (max_user_instances)"
        yield _too_few("max_user_instances", text, 2 * len(roots))
    if queue < _USUAL_QUEUE:
        text = f"{queue:,} changes are kept for a busy service (max_queued_events)"
        yield note("inotify", text, _sysctl("max_queued_events", _USUAL_QUEUE))


def _too_few(name: str, text: str, wanted: int) -> Finding:
    return wrong("inotify", f"{text}: files are found by a look every 30 s only", _sysctl(name, wanted))


def _sysctl(name: str, wanted: int) -> str:
    rounded = 1 << max(wanted - 1, 1).bit_length()
    return f"sysctl fs.inotify.{name}={rounded}, and the same line in /etc/sysctl.d/ to keep it"


def _folders(root: Path, at_most: int) -> int:
    """Count a folder and all in it, as far as it matters."""
    count = 0
    for _ in os.walk(root):
        count += 1
        if count >= at_most:
            break
    return max(count, 1)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _open_files(pid: int | None) -> Finding:
    """Return how many files may be open: by the service where one runs, else by what is started here."""
    used, limit = None, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    whose = "a service started from here"
    if pid is not None:
        try:
            limits = Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
            found = re.search(r"^Max open files\s+(\d+)", limits, re.MULTILINE)
            used, limit = len([*Path(f"/proc/{pid}/fd").iterdir()]), int(found[1]) if found else limit
            whose = "the service"
        except OSError:
            pass  # Another user's process: what this one may open is the best guess.
    text = f"{whose} may open {limit:,} files" + ("" if used is None else f" and has {used:,} open")
    fix = "`ulimit -n 4096` before the start, or LimitNOFILE=4096 in its systemd unit"
    if limit < _FEW_FILES or (used is not None and used > 0.8 * limit):
        return wrong("open files", text, fix)
    return note("open files", text, fix) if limit < _USUAL_FILES else well("open files", text)


def _synchronised() -> Finding:
    """Return whether somebody keeps the clock, as the kernel knows it."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        answer = libc.adjtimex(ctypes.create_string_buffer(512))  # All zeroes: it is only asked.
    except (OSError, AttributeError):
        answer = -1
    if answer == _TIME_ERROR:
        text = "nobody keeps the clock: the kernel has heard of no time server"
        return note("clock", text, "`timedatectl set-ntp true`, or run chrony; schedules follow the clock")
    if answer < 0:
        return note("clock", "whether a time server keeps the clock cannot be seen here")
    return well("clock", "a time server keeps it")


def _libraries() -> Finding:
    """Return the versions of what sensorflow stands on."""
    here = f"Python {platform.python_version()}"
    try:
        required = metadata.requires("sensorflow") or []
    except metadata.PackageNotFoundError:
        return note("libraries", f"{here}; sensorflow is not installed: its needs are unknown")
    needed = [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in required if "extra ==" not in text]
    found: list[str] = []
    missing: list[str] = []
    for name in needed:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return wrong("libraries", f"{', '.join(missing)} is missing", "install sensorflow again")
    return well("libraries", f"{here}; {', '.join(found)}")
