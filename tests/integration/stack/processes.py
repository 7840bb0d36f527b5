"""Processes of a deployment: started in sessions of their own, recorded by number and birth, ended by both.

A process number is reused sooner or later, so one is ours only while its start time is the recorded one. Records
are files below the deployment's directory, so that another run of the script can end what this one started.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

#: How many times longer than a quiet machine would ever need a slow one may take.
_SLOWEST = 4


class StackError(Exception):
    """A part of the deployment did not do what it must; the message names its log."""


class Missing(StackError):
    """A component is not installed on this machine; the message says which and how to get it."""


@dataclass(frozen=True, slots=True)
class Program:
    """How to run one process. ``user`` is the account it runs as when we are root, else None."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class _Stat:
    """What /proc says of a process.

    One whose first thread has ended counts as living while another thread still writes out what it must.
    """

    pid: int
    is_alive: bool
    session: int
    birth: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return _Stat(pid, fields[0] not in "ZX" or int(fields[17]) > 1, int(fields[3]), int(fields[19]))


def _every_stat() -> list[_Stat]:
    found = (_stat(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [stat for stat in found if stat is not None]


def birth(pid: int) -> int | None:
    """Return when ``pid`` started, in ticks since the machine did, or None when it does not run."""
    stat = _stat(pid)
    return stat.birth if stat is not None and stat.is_alive else None


def wait_until(
    condition: Callable[[], bool], what: str, *, timeout_s: float, interval_s: float = 0.05, hint: str = ""
) -> None:
    """Wait for ``condition``; raises StackError naming ``what`` and ``hint`` once the time is over.

    ``timeout_s`` is what a quiet machine would never need; a slow one is given several times that.
    """
    deadline = time.monotonic() + _SLOWEST * timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise StackError(f"not within {timeout_s:g} s: {what}. {hint}")
        time.sleep(interval_s)


@dataclass(frozen=True, slots=True)
class _Record:
    pid: int
    birth: int
    log: str


class Processes:
    """The processes below one directory: ``run/NAME.json`` says who, ``log/NAME.log`` what they said.

    ``within`` is put before every command; it must become that command, as ``ip netns exec`` does.
    """

    def __init__(self, directory: Path, within: Sequence[str] = ()) -> None:
        self._within = tuple(within)
        self._run = directory / "run"
        self._log = directory / "log"
        self._run.mkdir(parents=True, exist_ok=True)
        self._log.mkdir(parents=True, exist_ok=True)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._exits: dict[str, int] = {}
        self._lock = threading.Lock()

    def log(self, name: str) -> Path:
        """Return the file that takes what process ``name`` prints."""
        return self._log / f"{name}.log"

    def names(self) -> list[str]:
        """Return every recorded process, oldest first."""
        records = sorted(self._run.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        return [path.stem for path in records]

    def start(self, program: Program) -> int:
        """Start ``program`` unless it already runs; return its number."""
        running = self.pid(program.name)
        if running is not None:
            return running
        path = self.log(program.name)
        with path.open("ab") as log:
            child = subprocess.Popen(
                (*self._within, *program.argv),
                env=dict(program.env) or None,
                cwd=program.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=program.user if os.geteuid() == 0 else None,
                group=program.user if os.geteuid() == 0 else None,
                extra_groups=[] if program.user and os.geteuid() == 0 else None,
            )
        born = _stat(child.pid)
        if born is None:
            raise StackError(f"{program.name} ended at once. {self.tail(program.name)}")
        with self._lock:
            self._children[program.name] = child
            self._exits.pop(program.name, None)
        record = _Record(child.pid, born.birth, str(path))
        temporary = self._run / f".{program.name}"
        temporary.write_text(json.dumps(asdict(record)))
        temporary.rename(self._run / f"{program.name}.json")
        return child.pid

    def let_go(self) -> None:
        """Leave what was started here to itself: it outlives this run of the script, and another one ends it."""
        with self._lock:
            for child in self._children.values():
                # Else the interpreter complains at its end that a child still runs.
                child.returncode = 0
            self._children.clear()

    def pid(self, name: str) -> int | None:
        """Return the number of process ``name``, or None when it does not run."""
        self._reap(name)
        record = self._record(name)
        return record.pid if record is not None and birth(record.pid) == record.birth else None

    def exit_code(self, name: str) -> int | None:
        """Return how ``name`` ended (negative: by that signal); None while it runs or when another run started it."""
        self._reap(name)
        return self._exits.get(name)

    def started_at(self, name: str) -> float:
        """Return when process ``name`` was started, in seconds since 1970; 0 when it never was."""
        try:
            return (self._run / f"{name}.json").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def require(self, name: str) -> None:
        """Raise StackError, with the end of its log, unless ``name`` runs."""
        if self.pid(name) is None:
            raise StackError(f"{name} ended ({self.exit_code(name)}). {self.tail(name)}")

    def send(self, name: str, number: int) -> None:
        """Send a signal to process ``name`` alone, if it runs."""
        pid = self.pid(name)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self, name: str) -> None:
        """End ``name`` and every process of its session at once, as a crash would."""
        self._kill_session(name)
        self._forget(name)

    def stop(self, name: str, *, number: int = signal.SIGTERM, timeout_s: float = 60.0) -> float:
        """Ask ``name`` to end, wait for it and its session, then end what is left; return the seconds it took."""
        began = time.monotonic()
        self.send(name, number)
        deadline = began + timeout_s
        # Looking at one process is little work, at all of the machine is much.
        while (self.pid(name) is not None or self._session(name)) and time.monotonic() < deadline:
            time.sleep(0.02)
        self._kill_session(name)
        self._forget(name)
        return time.monotonic() - began

    def wait_ended(self, name: str, *, timeout_s: float) -> None:
        """Wait until ``name`` has ended by itself."""
        wait_until(lambda: self.pid(name) is None, f"end of {name}", timeout_s=timeout_s, hint=self.tail(name))

    def workers(self, name: str) -> list[int]:
        """Return the processes of ``name``'s session beside itself."""
        pid = self.pid(name)
        return sorted(member for member in self._session(name) if member != pid)

    def tail(self, name: str, lines: int = 15) -> str:
        """Return where ``name`` logs and the end of it, for a message."""
        path = self.log(name)
        text = path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []
        return f"Log: {path}\n" + "\n".join(text)

    def _record(self, name: str) -> _Record | None:
        try:
            return _Record(**json.loads((self._run / f"{name}.json").read_text()))
        except FileNotFoundError:
            return None

    def _reap(self, name: str) -> None:
        with self._lock:
            child = self._children.get(name)
            code = None if child is None else child.poll()
            if code is not None:
                self._exits[name] = code
                del self._children[name]

    def _session(self, name: str) -> list[int]:
        """Return the live processes of ``name``'s session: its number cannot be reused while one of them lives."""
        record = self._record(name)
        if record is None:
            return []
        members = [stat for stat in _every_stat() if stat.session == record.pid and stat.is_alive]
        if any(stat.pid == record.pid and stat.birth != record.birth for stat in members):
            return []
        return [stat.pid for stat in members if stat.birth >= record.birth]

    def _kill_session(self, name: str) -> None:
        for _ in range(200):
            members = self._session(name)
            if not members:
                break
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._reap(name)
            time.sleep(0.02)
        self._reap(name)

    def _forget(self, name: str) -> None:
        (self._run / f"{name}.json").unlink(missing_ok=True)
