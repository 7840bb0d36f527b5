"""The state directory of an embedded cloud: one process at a time, no older release, always the same cloud."""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from nova_lite import errors
from nova_lite.embedded.settings import CloudSettings, Driver

#: Raised by one whenever an older release could no longer run what a newer one left.
FORMAT = 1


class InUse(errors.Conflict):
    """Another process runs a cloud in the state directory."""


class TooNew(errors.Misconfigured):
    """A newer release made the state directory."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a cloud stays over restarts. ``name`` keeps its buses apart from those of other clouds in this process."""

    format: int
    name: str
    path: str
    driver: Driver
    cells: int
    hosts: int


@contextlib.contextmanager
def held(settings: CloudSettings) -> Iterator[None]:
    """Hold the state directory, made if it is missing; raises InUse, naming the process that holds it."""
    try:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        for name in ("db", "etc", "images", "hosts"):
            (settings.state_dir / name).mkdir(exist_ok=True)
        descriptor = os.open(settings.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise errors.Misconfigured(f"The state directory cannot be used: {exc.strerror}: {exc.filename}") from exc
    with os.fdopen(descriptor, "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = lock.read().strip() or "unknown"
            raise InUse(
                f"{settings.state_dir} is in use by the cloud with pid {holder}. Stop that one (kill {holder}), "
                "or give this one a --state-dir and a --port-base of its own."
            ) from exc
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def known(settings: CloudSettings) -> Identity | None:
    """Return whose directory this is; None when it is new. Raises Misconfigured when it cannot be used."""
    try:
        content = settings.identity_file.read_bytes()
    except FileNotFoundError:
        return None
    try:
        made = msgspec.json.decode(content, type=dict[str, object]).get("format")
        if isinstance(made, int) and made > FORMAT:
            raise TooNew(
                f"{settings.state_dir} was made by a newer release (state format {made}, this release knows {FORMAT}). "
                "Run that release, or give this one another --state-dir."
            )
        identity = msgspec.json.decode(content, type=Identity)
    except msgspec.DecodeError as exc:
        raise errors.Misconfigured(f"{settings.identity_file} cannot be understood: {exc}") from exc
    if identity.path != str(settings.state_dir):
        raise errors.Misconfigured(
            f"{settings.state_dir} was moved: its databases say they are in {identity.path}. Move it back."
        )
    return identity


def settled(settings: CloudSettings, identity: Identity | None, driver: Driver) -> Identity:
    """Return the identity of the cloud to run, recorded; raises Misconfigured when it would not be the cloud it was."""
    if identity is None:
        identity = Identity(
            FORMAT, uuid.uuid4().hex[:8], str(settings.state_dir), driver, settings.cells, settings.hosts
        )
    if identity.driver != driver:
        raise errors.Misconfigured(
            f"The guests in {settings.state_dir} were made with --driver {identity.driver}; go on with that, or give "
            "another --state-dir."
        )
    if settings.cells < identity.cells or settings.hosts < identity.hosts:
        raise errors.Misconfigured(
            f"The cloud in {settings.state_dir} has {identity.cells} cells with {identity.hosts} hosts each; it may "
            "grow but not shrink. Give another --state-dir for a smaller one."
        )
    identity = replace(identity, cells=settings.cells, hosts=settings.hosts)
    write(settings.identity_file, msgspec.json.format(msgspec.json.encode(identity), indent=2))
    return identity


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    half_written = path.with_name(path.name + ".tmp")
    half_written.write_bytes(content)
    half_written.replace(path)
