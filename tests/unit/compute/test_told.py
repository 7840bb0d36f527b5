"""What the host told in custom names outlives its agent."""

from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.told import Own, Told

OWN = Own(frozenset({"CUSTOM_B", "CUSTOM_A"}), frozenset({"CUSTOM_T"}))


def test_it_is_read_again(tmp_path: Path) -> None:
    told = Told(tmp_path / "told.json")
    assert told.of("one") == Own()
    told.note("one", OWN)
    told.note("two", Own(traits=frozenset({"CUSTOM_X"})))
    told.note("two", Own())
    assert (Told(tmp_path / "told.json").of("one"), Told(tmp_path / "told.json").of("two")) == (OWN, Own())
    assert [path.name for path in tmp_path.iterdir()] == ["told.json"]
    assert "two" not in (tmp_path / "told.json").read_text()


def test_nothing_new_is_not_written(tmp_path: Path) -> None:
    told = Told(tmp_path / "told.json")
    told.note("one", Own())
    assert not (tmp_path / "told.json").exists()


@pytest.mark.parametrize("content", ["", "[]", '{"one": 3}'])
def test_a_damaged_file_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "told.json").write_text(content)
    with pytest.raises(errors.Misconfigured, match="cannot be read"):
        Told(tmp_path / "told.json")
    assert (tmp_path / "told.json").read_text() == content


def test_a_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable):
        Told(tmp_path / "gone" / "told.json").note("one", OWN)


def test_what_could_not_be_written_is_written_at_the_next_try(tmp_path: Path) -> None:
    told = Told(tmp_path / "later" / "told.json")
    with pytest.raises(errors.Unavailable):
        told.note("one", OWN)
    assert told.of("one") == Own()
    (tmp_path / "later").mkdir()
    told.note("one", OWN)
    assert Told(tmp_path / "later" / "told.json").of("one") == OWN
