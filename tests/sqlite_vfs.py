"""A VFS in the SQLite of Python's own `sqlite3`: it writes down what reaches the disk, and lets calls fail.

The system's VFS does the work; some of its methods are exchanged, in a copy of its tables. So nothing of the
store is replaced: while `recording` lasts, whatever in this process opens a database does it through here.
"""

import _sqlite3
import ctypes
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p, cast
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

_OK = 0
IOERR_READ, IOERR_WRITE, IOERR_FSYNC, IOERR_TRUNCATE, IOERR_FSTAT, IOERR_DELETE = (
    10 | n << 8 for n in (1, 3, 4, 6, 7, 10)
)
CANTOPEN, FULL = 14, 13
#: The database, its rollback journal and its WAL; what is temporary outlives no cut.
_KEPT = 0x100 | 0x800 | 0x80000
#: What a disk writes whole or not at all.
_SECTOR = 512

_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_Delete = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
_Close = CFUNCTYPE(c_int, c_void_p)
_ReadOrWrite = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = CFUNCTYPE(c_int, c_void_p, c_int)
_Size = CFUNCTYPE(c_int, c_void_p, c_void_p)


class _Methods(Structure):
    """`sqlite3_io_methods`, up to its third version."""

    _fields_ = [
        ("version", c_int),
        ("close", _Close),
        ("read", _ReadOrWrite),
        ("write", _ReadOrWrite),
        ("truncate", _Truncate),
        ("sync", _Sync),
        ("file_size", _Size),
        *((f"other_{n}", c_void_p) for n in range(12)),
    ]


class _File(Structure):
    """The beginning of every `sqlite3_file`."""

    _fields_ = [("methods", POINTER(_Methods))]


class _Vfs(Structure):
    """`sqlite3_vfs`, up to its third version."""

    _fields_ = [
        ("version", c_int),
        ("file_bytes", c_int),
        ("path_bytes", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", _Open),
        ("delete", _Delete),
        *((f"other_{n}", c_void_p) for n in range(14)),
    ]


@dataclass(frozen=True, slots=True)
class Call:
    """Something that was done to a file, and has worked."""

    kind: str
    path: str
    offset: int = 0
    content: bytes = b""


@dataclass(slots=True)
class Recording:
    """What was done to the files, in its order."""

    #: Everything that changes what is on the disk.
    calls: list[Call] = field(default_factory=list)
    #: Asked before each call, reads too, with its kind: None, or the code to fail with.
    refuse: Callable[[str], int | None] = lambda kind: None


class Platter:
    """What a disk has kept for certain, and what may still be on its way there."""

    def __init__(self) -> None:
        self.kept: dict[str, bytearray] = {}
        #: Since the last sync of each file.
        self._on_its_way: defaultdict[str, list[Call]] = defaultdict(list)
        #: A kernel forgets what it failed to sync: the next sync does not try it again.
        self._forgotten: defaultdict[str, list[Call]] = defaultdict(list)

    def take(self, call: Call) -> None:
        """Follow one call."""
        if call.kind == "sync":
            if call.path not in self.kept and call.path.endswith(("-wal", "-journal")):
                self._sync_folder()  # As SQLite does for what it has just made.
            content = self.kept.setdefault(call.path, bytearray())
            for each in self._on_its_way.pop(call.path, ()):
                _perform(content, each)
        elif call.kind == "failed sync":
            self._forgotten[call.path] += self._on_its_way.pop(call.path, ())
        elif call.kind == "delete":
            self._on_its_way[call.path] = [call]
            self._forgotten.pop(call.path, None)
        else:
            self._on_its_way[call.path].append(call)

    def _sync_folder(self) -> None:
        for path, calls in list(self._on_its_way.items()):
            if calls and calls[0].kind == "delete":
                self.kept.pop(path, None)
                del calls[0]

    def cut(self, random: Random | None = None) -> dict[str, bytes]:
        """Return the files that are there after a power cut.

        Args:
            random: Chooses what else has come to the disk than what is certain: nothing without it, else some
                of the sectors that were on their way.
        """
        files = {path: bytearray(content) for path, content in self.kept.items()}
        for path in self._on_its_way.keys() | self._forgotten.keys() if random else ():
            assert random is not None
            for call in (*self._forgotten[path], *self._on_its_way[path]):
                if call.kind == "delete":
                    if random.random() < 0.5:
                        files.pop(path, None)
                elif call.kind == "truncate":
                    if random.random() < 0.5 and path in files:
                        _perform(files[path], call)
                else:
                    for sector in _sectors(call):
                        if random.random() < 0.5:
                            _perform(files.setdefault(path, bytearray()), sector)
        return {path: bytes(content) for path, content in files.items()}


def _sectors(call: Call) -> Iterator[Call]:
    at = 0
    while at < len(call.content):
        length = _SECTOR - (call.offset + at) % _SECTOR
        yield Call("write", call.path, call.offset + at, call.content[at : at + length])
        at += length


def _perform(content: bytearray, call: Call) -> None:
    if call.kind == "truncate":
        del content[call.offset :]
    elif call.kind == "write":
        content.extend(bytes(max(0, call.offset - len(content))))
        content[call.offset : call.offset + len(call.content)] = call.content


class _Recorder:
    """The exchanged methods. What SQLite holds a pointer to lives as long as the process."""

    def __init__(self, system: _Vfs) -> None:
        self.recording = Recording()
        self.vfs = _Vfs.from_buffer_copy(system)
        self._system = system
        #: By the address of an open file: its name.
        self._paths: dict[int, str] = {}
        #: By the address of the system's methods: those, and ours beside them.
        self._methods: dict[int, tuple[_Methods, _Methods]] = {}
        self._open, self._delete = _Open(self._do_open), _Delete(self._do_delete)
        self.vfs.name = b"recording"
        self.vfs.open, self.vfs.delete = self._open, self._delete

    def _refused(self, kind: str) -> int | None:
        return self.recording.refuse(kind)

    def _note(self, *call: Any) -> None:
        self.recording.calls.append(Call(*call))

    def _do_open(self, vfs: int, name: int | None, file: int, flags: int, given: int | None) -> int:
        if not (name and flags & _KEPT):
            return int(self._system.open(vfs, name, file, flags, given))
        if (code := self._refused("open")) is not None:
            cast(file, POINTER(c_void_p))[0] = None  # Nothing is open, so SQLite need not close it.
            return code
        code = self._system.open(vfs, name, file, flags, given)
        methods = cast(file, POINTER(_File)).contents
        if code == _OK and methods.methods:
            self._paths[file] = ctypes.string_at(name).decode()
            methods.methods = ctypes.pointer(self._ours(methods.methods))
        return int(code)

    def _do_delete(self, vfs: int, name: bytes, synced: int) -> int:
        if (code := self._refused("delete")) is not None:
            return code
        code = self._system.delete(vfs, name, synced)
        if code == _OK:
            self._note("delete", name.decode())
        return int(code)

    def _ours(self, system: Any) -> _Methods:
        address = ctypes.addressof(system.contents)
        if address not in self._methods:
            theirs = system.contents
            ours = _Methods.from_buffer_copy(theirs)
            ours.close = _Close(lambda file: self._do_close(theirs, file))
            ours.read = _ReadOrWrite(lambda *given: self._do_read(theirs, *given))
            ours.write = _ReadOrWrite(lambda *given: self._do_write(theirs, *given))
            ours.truncate = _Truncate(lambda *given: self._do_truncate(theirs, *given))
            ours.sync = _Sync(lambda *given: self._do_sync(theirs, *given))
            ours.file_size = _Size(lambda *given: self._do_size(theirs, *given))
            self._methods[address] = theirs, ours
        return self._methods[address][1]

    def _do_close(self, theirs: _Methods, file: int) -> int:
        self._paths.pop(file, None)
        return int(theirs.close(file))

    def _do_read(self, theirs: _Methods, file: int, into: int, amount: int, offset: int) -> int:
        if (code := self._refused("read")) is not None:
            return code
        return int(theirs.read(file, into, amount, offset))

    def _do_write(self, theirs: _Methods, file: int, content: int, amount: int, offset: int) -> int:
        if (code := self._refused("write")) is not None:
            return code
        written = ctypes.string_at(content, amount)
        code = theirs.write(file, content, amount, offset)
        if code == _OK:
            self._note("write", self._paths[file], offset, written)
        return int(code)

    def _do_truncate(self, theirs: _Methods, file: int, size: int) -> int:
        if (code := self._refused("truncate")) is not None:
            return code
        code = theirs.truncate(file, size)
        if code == _OK:
            self._note("truncate", self._paths[file], size)
        return int(code)

    def _do_sync(self, theirs: _Methods, file: int, flags: int) -> int:
        if (code := self._refused("sync")) is not None:
            self._note("failed sync", self._paths[file])
            return code
        code = theirs.sync(file, flags)
        if code == _OK:
            self._note("sync", self._paths[file])
        return int(code)

    def _do_size(self, theirs: _Methods, file: int, size: int) -> int:
        if (code := self._refused("size")) is not None:
            return code
        return int(theirs.file_size(file, size))


#: The library that `_sqlite3` is linked to, and ours beside its own; made once.
_installed: list[tuple[Any, Any, _Recorder]] = []


def _install() -> tuple[Any, Any, _Recorder]:
    library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
    try:
        library.sqlite3_vfs_find.restype = POINTER(_Vfs)
    except AttributeError:
        pytest.skip("needs a Python whose SQLite shows its C functions")
    system = library.sqlite3_vfs_find(None)
    return library, system, _Recorder(system.contents)


@contextmanager
def recording() -> Iterator[Recording]:
    """Write down what databases that are opened in this process meanwhile do to their files."""
    if not _installed:
        _installed.append(_install())
    library, system, recorder = _installed[0]
    recorder.recording = Recording()
    assert library.sqlite3_vfs_register(ctypes.byref(recorder.vfs), 1) == _OK
    try:
        yield recorder.recording
    finally:
        assert library.sqlite3_vfs_register(system, 1) == _OK
