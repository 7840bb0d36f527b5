"""A host's UUID: made once, kept for ever, never guessed."""

import uuid
from pathlib import Path

import pytest

from nova_lite.compute.identity import compute_id
from nova_lite.errors import Misconfigured


def test_it_is_made_once(tmp_path: Path) -> None:
    first = compute_id(tmp_path / "new" / "state")
    assert str(uuid.UUID(first)) == first
    assert compute_id(tmp_path / "new" / "state") == first
    assert [path.name for path in (tmp_path / "new" / "state").iterdir()] == ["compute_id"]


def test_two_hosts_differ(tmp_path: Path) -> None:
    assert compute_id(tmp_path / "a") != compute_id(tmp_path / "b")


@pytest.mark.parametrize("content", ["", "host1\n", "0341c77c-0072"])
def test_a_damaged_file_is_not_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "compute_id").write_text(content)
    with pytest.raises(Misconfigured, match="identity"):
        compute_id(tmp_path)
    assert (tmp_path / "compute_id").read_text() == content


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="cannot be read or written"):
        compute_id(tmp_path / "file" / "state")
