"""Files that browsers load to show consoles, noVNC for one: those in one directory, and nothing else of the host."""

import mimetypes
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Bytes of a file at most.
_MAX_BYTES = 16 << 20


class Pages:
    """The files in ``directory``, which need not be there."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    def find(self, target: str) -> tuple[str, bytes] | None:
        """Return the type and the content of a file; None where there is none. Nobody is sent elsewhere."""
        name = unquote(urlsplit(target).path).lstrip("/")
        if "\x00" in name:
            return None
        try:
            directory = self._directory.resolve()
            path = (directory / name).resolve()
            if not path.is_relative_to(directory) or not path.is_file() or path.stat().st_size > _MAX_BYTES:
                return None
            content = path.read_bytes()
        except (OSError, ValueError):
            return None
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return kind, content
