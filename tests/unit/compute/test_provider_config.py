"""Provider configuration files: what they add, and what is wrong with them."""

import logging
import uuid as uuids
from pathlib import Path

import pytest

from nova_lite.compute import provider_config
from nova_lite.errors import Misconfigured
from nova_lite.model.provider import Inventory, Provider

NODE = "1b3c7e2a-7d0c-4a0e-9d6c-111111111111"
CARD = "1b3c7e2a-7d0c-4a0e-9d6c-222222222222"
HOST = (
    Provider("host1", inventories={"VCPU": Inventory(4)}, traits=frozenset({"COMPUTE_NODE"})),
    Provider("host1_card", "host1", {"CUSTOM_CARD": Inventory(1)}),
)
WHOLE = """
meta:
  schema_version: '1.0'
providers:
  - identification: {uuid: '$COMPUTE_NODE'}
    inventories:
      additional:
        - CUSTOM_LICENSE: {total: 22, reserved: 2, min_unit: 1, max_unit: 10, step_size: 2, allocation_ratio: 1.5}
        - CUSTOM_COIN: {total: 3}
    traits:
      additional: [CUSTOM_FAST, CUSTOM_QUIET]
"""


def _uuid_of(provider: Provider) -> str:
    return NODE if provider.parent is None else CARD


def _one(identification: str, trait: str = "CUSTOM_T") -> str:
    return f"""
meta: {{schema_version: '1.0'}}
providers:
  - identification: {identification}
    traits: {{additional: [{trait}]}}
"""


def _applied(tmp_path: Path, *files: str) -> tuple[Provider, ...]:
    for number, content in enumerate(files):
        (tmp_path / f"{number}.yaml").write_text(content)
    return provider_config.applied(HOST, provider_config.load(tmp_path), _uuid_of)


def test_no_directory_and_no_files_add_nothing(tmp_path: Path) -> None:
    assert provider_config.load(tmp_path / "none") == ()
    (tmp_path / "notes.txt").write_text("not: [for us")
    assert _applied(tmp_path) == HOST


def test_a_whole_file(tmp_path: Path) -> None:
    host, card = _applied(tmp_path, WHOLE)
    assert card == HOST[1]
    assert host.traits == {"COMPUTE_NODE", "CUSTOM_FAST", "CUSTOM_QUIET"}
    assert host.inventories == {
        "VCPU": Inventory(4),
        "CUSTOM_LICENSE": Inventory(22, 2, 1, 10, 2, 1.5),
        "CUSTOM_COIN": Inventory(3, max_unit=2**31 - 1, allocation_ratio=1.0),
    }


@pytest.mark.parametrize(
    ("identification", "host", "card"),
    [
        pytest.param("{uuid: $COMPUTE_NODE}", True, False, id="this host"),
        pytest.param(f"{{uuid: {NODE.upper()}}}", True, False, id="host by uuid"),
        pytest.param("{name: host1}", True, False, id="host by name"),
        pytest.param(f"{{uuid: {CARD}}}", False, True, id="part by uuid"),
        pytest.param("{name: host1_card}", False, True, id="part by name"),
        pytest.param("{name: host2}", False, False, id="another host"),
    ],
)
def test_who_is_meant(tmp_path: Path, identification: str, host: bool, card: bool) -> None:
    found = _applied(tmp_path, _one(identification))
    assert ["CUSTOM_T" in provider.traits for provider in found] == [host, card]
    additions = provider_config.load(tmp_path)
    assert bool(provider_config.strangers(HOST, additions, _uuid_of)) is not (host or card)


def test_a_host_with_words_of_its_own_takes_no_general_ones(tmp_path: Path) -> None:
    host, _ = _applied(tmp_path, WHOLE, _one("{name: host1}"))
    assert host.traits == {"COMPUTE_NODE", "CUSTOM_T"}
    assert set(host.inventories) == {"VCPU"}


def test_anchors_may_be_used(tmp_path: Path) -> None:
    content = """
meta: {schema_version: '1.0'}
providers:
  - &one
    identification: {name: host1}
    traits: {additional: [CUSTOM_T]}
  - <<: *one
    identification: {name: host1_card}
"""
    assert ["CUSTOM_T" in provider.traits for provider in _applied(tmp_path, content)] == [True, True]


def test_a_newer_minor_version_is_read_as_far_as_it_is_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = _one("{name: host1}").replace("1.0", "1.3") + "    colour: blue\n"
    with caplog.at_level(logging.WARNING):
        host, _ = _applied(tmp_path, content)
    assert "CUSTOM_T" in host.traits
    assert "schema version 1.3" in caplog.text


@pytest.mark.parametrize(
    ("files", "told"),
    [
        pytest.param(["{"], "no YAML", id="no YAML"),
        pytest.param(["\x00"], "no YAML", id="binary"),
        pytest.param([""], "schema_version is missing", id="empty"),
        pytest.param(["- a"], "schema_version is missing", id="a list"),
        pytest.param(["meta: {schema_version: 1.0}"], "in quotes", id="version without quotes"),
        pytest.param(["meta: {schema_version: '2.0'}"], "2.0 is not known", id="version 2"),
        pytest.param(["meta: {schema_version: '1.x'}"], "1.x is not known", id="no version"),
        pytest.param([WHOLE + "colour: blue\n"], "colour", id="unknown field"),
        pytest.param([WHOLE.replace("traits:", "trait:")], "providers/0: .*'trait'", id="misspelt"),
        pytest.param([WHOLE.replace("total: 22, ", "")], "total", id="no total"),
        pytest.param([WHOLE.replace("total: 22", "total: many")], "additional/0/CUSTOM_LICENSE/total", id="words"),
        pytest.param([WHOLE.replace("total: 22", "total: 0")], "CUSTOM_LICENSE/total", id="nothing"),
        pytest.param([WHOLE.replace("reserved: 2", "reserved: 23")], "more CUSTOM_LICENSE is reserved", id="reserved"),
        pytest.param([WHOLE.replace("1.5", "0")], "allocation_ratio", id="ratio of nothing"),
        pytest.param([WHOLE.replace("CUSTOM_COIN", "DISK_GB")], "DISK_GB", id="standard class"),
        pytest.param([WHOLE.replace("CUSTOM_COIN", "CUSTOM_coin")], "CUSTOM_coin", id="class in lower case"),
        pytest.param([WHOLE.replace("CUSTOM_FAST", "HW_CPU_X86_AVX")], "HW_CPU_X86_AVX", id="standard trait"),
        pytest.param(
            [WHOLE.replace("CUSTOM_COIN", "CUSTOM_LICENSE")], "CUSTOM_LICENSE is there twice", id="class twice"
        ),
        pytest.param([WHOLE.replace("total: 3", "total: 3, total: 4")], "total is there twice", id="key twice"),
        pytest.param([_one("{}")], "identification", id="nobody"),
        pytest.param([_one("{uuid: $COMPUTE_NODE, name: host1}")], "identification", id="named twice"),
        pytest.param([_one("{uuid: host1}")], "identification", id="no uuid"),
        pytest.param([_one(f"{{uuid: {'-' * 36}}}")], "is no UUID", id="nearly a uuid"),
        pytest.param([WHOLE, WHOLE], "1.yaml: provider .COMPUTE_NODE is in .*0.yaml already", id="two files"),
        pytest.param([_one("{name: host1}")] * 2, "host1 is in .*0.yaml already", id="two files by name"),
        pytest.param(
            [_one(f"{{uuid: {CARD}}}"), _one(f"{{uuid: {CARD.upper()}}}")], "already", id="one uuid in two ways"
        ),
        pytest.param(
            [_one(f"{{uuid: {NODE}}}"), _one("{name: host1}")], "both add to provider host1", id="by uuid and by name"
        ),
        pytest.param(
            [WHOLE.replace("CUSTOM_COIN", "CUSTOM_CARD").replace("uuid: '$COMPUTE_NODE'", "name: host1_card")],
            "CUSTOM_CARD of host1_card is what the host itself",
            id="the driver's own",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_file(tmp_path: Path, files: list[str], told: str) -> None:
    with pytest.raises(Misconfigured, match=told) as caught:
        _applied(tmp_path, *files)
    assert f"{len(files) - 1}.yaml" in str(caught.value)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(Misconfigured, match=r"a\.yaml cannot be read"):
        provider_config.load(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="provider_config_location"):
        provider_config.load(tmp_path / "file")


def test_uuids_are_any(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(_one(f"{{uuid: {uuids.uuid4()}}}"))
    assert len(provider_config.load(tmp_path)) == 1
