"""Who this host is: a UUID in the file ``compute_id``, for ever, whatever the host is called."""

import os
import uuid
from pathlib import Path

from nova_lite.errors import Misconfigured


def compute_id(state_path: Path) -> str:
    """Return the host's compute node UUID, made at the first start.

    Raises Misconfigured when the file holds no UUID, or the directory cannot be written.
    """
    path = state_path / "compute_id"
    try:
        state_path.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            draft = state_path / f".compute_id.{os.getpid()}"
            draft.write_text(f"{uuid.uuid4()}\n")
            draft.replace(path)
        return str(uuid.UUID(path.read_text().strip()))
    except OSError as exc:
        raise Misconfigured(f"{path} cannot be read or written: {exc.strerror}") from exc
    except ValueError as exc:
        raise Misconfigured(f"{path} holds no UUID; restore it from a backup, it is this host's identity") from exc
