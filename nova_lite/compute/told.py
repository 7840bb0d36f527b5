"""What the host told Placement in names that others use, too, kept in a file: what of them is its own.

Operators put custom classes and traits on providers as well. Those stay, and the file says which are not theirs: what
the host added and was not there before. It is written before Placement hears of it, so nothing added is forgotten.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nova_lite import errors
from nova_lite.model.plain import known


@known
@dataclass(frozen=True, slots=True)
class Own:
    """The classes and traits of one provider that came from the host."""

    classes: frozenset[str] = frozenset()
    traits: frozenset[str] = frozenset()


_NOTHING = Own()


class Told:
    """The file, and what it says: provider UUID → what came from the host."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = _read(path)

    def of(self, provider: str) -> Own:
        """Return what of a provider came from the host."""
        return self._own.get(provider, _NOTHING)

    def note(self, provider: str, own: Own) -> None:
        """Write down what of a provider comes from the host."""
        if own == self.of(provider):
            return
        changed = {**self._own, provider: own}
        if own == _NOTHING:
            del changed[provider]
        self._write(changed)
        # Known only once it is written: whoever tries again after a failure must write again.
        self._own = changed

    def _write(self, own: dict[str, Own]) -> None:
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        # Sorted, for those who look inside.
        content = msgspec.json.encode(own, order="deterministic")
        try:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                # An empty file after a power cut would keep the agent from starting.
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as exc:
            raise errors.Unavailable(f"{self._path} cannot be written: {exc.strerror}") from exc


def _read(path: Path) -> dict[str, Own]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Own])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as exc:
        raise errors.Misconfigured(
            f"{path} cannot be read: {exc}. Restore it; without it, custom classes and traits that came from this host "
            "would be taken for operators' own and stay for ever."
        ) from exc
