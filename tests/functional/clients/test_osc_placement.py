"""``openstack resource provider …`` and its like, as osc-placement comes, at several versions of Placement's API."""

import contextlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.clients.commands import Commands

#: Commands that show nothing, and so take no format.
_SILENT = ("delete", "class create", "resource class set", "trait create")


class Shell:
    """The ``openstack`` client, told a version of Placement's API."""

    def __init__(self, state_dir: Path, cloud: str = "nova-lite") -> None:
        self._commands = Commands(state_dir, cloud)

    def __call__(self, version: str, command: str, *words: str) -> Any:
        """Run one command, given as text and further words; return what it shows, None where that is nothing."""
        code, out, err = self._run(version, command, *words)
        assert code == 0, f"openstack {command} {words}: {code}\n{out}{err}"
        return json.loads(out) if out.strip() else None

    def fails(self, version: str, command: str, *words: str) -> str:
        """Run one command that is refused; return what it says."""
        code, out, err = self._run(version, command, *words)
        assert code != 0, f"openstack {command} {words}: {out}"
        return out + err

    def close(self) -> None:
        """End every process."""
        self._commands.close()

    def _run(self, version: str, command: str, *words: str) -> tuple[int, str, str]:
        shown = () if any(verb in command for verb in _SILENT) else ("-f", "json")
        argv = ["--os-placement-api-version", version, *command.split(), *words, *shown]
        return self._commands.run(version, argv)


@pytest.fixture(scope="module")
def openstack(state_dir: Path) -> Iterator[Shell]:
    with contextlib.closing(Shell(state_dir)) as shell:
        yield shell


@pytest.fixture
def provider(openstack: Shell) -> Iterator[str]:
    """A provider for one test, with whatever that leaves in it removed at the end."""
    made: str = openstack("1.39", "resource provider create", f"for-{uuid.uuid4()}")["uuid"]
    yield made
    for consumer in openstack("1.39", "resource provider show --allocations", made)["allocations"]:
        openstack("1.39", "resource provider allocation delete", consumer)
    openstack("1.39", "resource provider delete", made)


@pytest.mark.parametrize("version", ["1", "1.0", "1.14", "1.29", "1.39"])
def test_a_providers_life(openstack: Shell, version: str) -> None:
    name = f"host-{version}"
    created = openstack(version, "resource provider create", name)
    uuid_ = created["uuid"]
    has_tree = version != "1.0"
    assert created["name"] == name
    assert ("root_provider_uuid" in created) == has_tree
    [listed] = openstack(version, "resource provider list --name", name)
    assert (listed["uuid"], listed["generation"]) == (uuid_, 0)
    shown = openstack(version, "resource provider show", uuid_)
    assert shown["name"] == name
    if has_tree:
        assert (shown["root_provider_uuid"], shown["parent_provider_uuid"]) == (uuid_, None)
    assert openstack(version, "resource provider show --allocations", uuid_)["allocations"] == {}
    assert openstack(version, "resource provider set --name renamed", uuid_)["name"] == "renamed"
    assert "Conflicting" in openstack.fails(version, "resource provider create renamed")
    openstack(version, "resource provider delete", uuid_)
    assert "No resource provider" in openstack.fails(version, "resource provider show", uuid_)


def test_a_tree_grows_and_moves(openstack: Shell) -> None:
    root = openstack("1.39", "resource provider create root")["uuid"]
    other = openstack("1.39", "resource provider create other")["uuid"]
    child = openstack("1.39", "resource provider create child --parent-provider", root)["uuid"]
    in_tree = openstack("1.39", "resource provider list --in-tree", root)
    assert {found["uuid"] for found in in_tree} == {root, child}
    assert "parent" in openstack.fails("1.39", "resource provider delete", root)
    moved = openstack("1.39", f"resource provider set --name child --parent-provider {other} {child}")
    assert moved["root_provider_uuid"] == other
    for gone in (child, root, other):
        openstack("1.39", "resource provider delete", gone)


@pytest.mark.parametrize("version", ["1.0", "1.14", "1.29", "1.39"])
def test_inventories(openstack: Shell, provider: str, version: str) -> None:
    put = "resource provider inventory set"
    rows = openstack(
        version, f"{put} {provider} --resource VCPU=8 --resource MEMORY_MB=1024 --resource VCPU:max_unit=4"
    )
    assert {row["resource_class"]: (row["total"], row["max_unit"]) for row in rows}["VCPU"] == (8, 4)
    classed = "resource provider inventory class set"
    assert "No inventory" in openstack.fails(version, f"{classed} {provider} DISK_GB --total 50")
    openstack(version, f"{put} {provider} --amend --resource DISK_GB=50")
    openstack(version, f"{classed} {provider} DISK_GB --total 100 --reserved 10")
    disk = openstack(version, f"resource provider inventory show {provider} DISK_GB")
    assert (disk["total"], disk["reserved"], disk["allocation_ratio"]) == (100, 10, 1.0)
    listed = openstack(version, f"resource provider inventory list {provider}")
    assert {row["resource_class"] for row in listed} == {"VCPU", "MEMORY_MB", "DISK_GB"}
    openstack(version, f"{put} {provider} --amend --resource VCPU:allocation_ratio=16")
    assert openstack(version, f"resource provider inventory show {provider} VCPU")["allocation_ratio"] == 16.0
    if version != "1.0":
        dry = openstack(version, f"{put} {provider} --dry-run --resource VCPU=1")
        assert [row["total"] for row in dry] == [1]
    usages = openstack(version, "resource provider usage show", provider)
    assert {row["resource_class"]: row["usage"] for row in usages} == {"VCPU": 0, "MEMORY_MB": 0, "DISK_GB": 0}
    openstack(version, f"resource provider inventory delete {provider} --resource-class DISK_GB")
    assert "DISK_GB" in openstack.fails(version, f"resource provider inventory show {provider} DISK_GB")
    if version != "1.0":
        openstack(version, "resource provider inventory delete", provider)
        assert openstack(version, "resource provider inventory list", provider) == []


@pytest.mark.parametrize("version", ["1.7", "1.14", "1.29", "1.39"])
def test_aggregates(openstack: Shell, provider: str, version: str) -> None:
    one, two = str(uuid.uuid4()), str(uuid.uuid4())
    since = ("--generation", "0") if version not in ("1.7", "1.14") else ()
    setting = "resource provider aggregate set"
    rows = openstack(version, f"{setting} {provider} --aggregate {one} --aggregate {two}", *since)
    assert {row["uuid"] for row in rows} == {one, two}
    assert {row["uuid"] for row in openstack(version, "resource provider aggregate list", provider)} == {one, two}
    if version != "1.7":
        [member] = openstack(version, "resource provider list --member-of", one)
        assert member["uuid"] == provider
    if since:
        stale = openstack.fails(version, f"{setting} {provider} --aggregate {one} --generation 0")
        assert "onflict" in stale or "generation" in stale
    if version == "1.39":
        rows = openstack(version, f"resource provider inventory set {one} --aggregate --resource VCPU=3")
        assert [row["total"] for row in rows] == [3]


@pytest.mark.parametrize("version", ["1.7", "1.14", "1.29", "1.39"])
def test_traits(openstack: Shell, provider: str, version: str) -> None:
    name = f"CUSTOM_{version.replace('.', '_')}"
    openstack(version, "trait create", name)
    assert openstack(version, "trait show", name)["name"] == name
    assert {"name": name} in openstack(version, "trait list")
    assert openstack(version, "trait list --name startswith:CUSTOM_1") == [{"name": name}]
    assert openstack(version, "trait list --associated --name", f"in:{name}") == []
    rows = openstack(version, f"resource provider trait set {provider} --trait {name} --trait HW_CPU_X86_AVX2")
    assert {row["name"] for row in rows} == {name, "HW_CPU_X86_AVX2"}
    assert openstack(version, "trait list --associated --name", f"in:{name}") == [{"name": name}]
    assert len(openstack(version, "resource provider trait list", provider)) == 2
    if version in ("1.29", "1.39"):
        assert [row["uuid"] for row in openstack(version, "resource provider list --required", name)] == [provider]
        assert provider not in {row["uuid"] for row in openstack(version, "resource provider list --forbidden", name)}
    if version == "1.39":
        found = openstack(version, "resource provider list --required", f"{name},HW_CPU_X86_MPX")
        assert [row["uuid"] for row in found] == [provider]
    assert "in use" in openstack.fails(version, "trait delete", name)
    openstack(version, "resource provider trait delete", provider)
    openstack(version, "trait delete", name)
    assert name in openstack.fails(version, "trait show", name)


@pytest.mark.parametrize("version", ["1.7", "1.14", "1.39"])
def test_resource_classes(openstack: Shell, version: str) -> None:
    name = f"CUSTOM_CLASS_{version.replace('.', '_')}"
    openstack(version, "resource class create", name)
    assert openstack(version, "resource class show", name)["name"] == name
    names = {row["name"] for row in openstack(version, "resource class list")}
    assert {"VCPU", name} <= names
    openstack(version, "resource class set", name)
    assert "already exists" in openstack.fails(version, "resource class create", name)
    assert "standard" in openstack.fails(version, "resource class delete VCPU")
    openstack(version, "resource class delete", name)
    assert name in openstack.fails(version, "resource class show", name)


def test_classes_and_traits_are_unknown_to_the_first_version(openstack: Shell) -> None:
    for command in ("resource class list", "trait list", "allocation candidate list --resource VCPU=1"):
        assert "requires at least version" in openstack.fails("1.0", command)


@pytest.mark.parametrize("version", ["1.0", "1.14", "1.29", "1.39"])
def test_allocations(openstack: Shell, provider: str, version: str) -> None:
    openstack(version, f"resource provider inventory set {provider} --resource VCPU=8 --resource MEMORY_MB=1024")
    consumer, project, user = (str(uuid.uuid4()) for _ in range(3))
    owner = ["--project-id", project, "--user-id", user] if version != "1.0" else []
    owner += ["--consumer-type", "INSTANCE"] if version == "1.39" else []
    setting = f"resource provider allocation set {consumer}"
    [row] = openstack(version, f"{setting} --allocation rp={provider},VCPU=2,MEMORY_MB=512", *owner)
    assert (row["resource_provider"], row["resources"]) == (provider, {"VCPU": 2, "MEMORY_MB": 512})
    [shown] = openstack(version, "resource provider allocation show", consumer)
    assert shown["resources"] == {"VCPU": 2, "MEMORY_MB": 512}
    if owner:
        assert (shown["project_id"], shown["user_id"]) == (project, user)
        rows = openstack(version, f"resource usage show {project} --user-id", user)
        usages = {row["resource_class"]: row["usage"] for row in rows}
        # This client shows the answer of 1.38, by type of consumer, as if it were by class.
        assert (usages["INSTANCE"] if version == "1.39" else usages)["VCPU"] == 2
    if version == "1.39":
        assert shown["consumer_type"] == "INSTANCE"
    held = openstack(version, "resource provider show --allocations", provider)["allocations"]
    assert held[consumer]["resources"]["VCPU"] == 2
    assert "inventory" in openstack.fails(version, f"{setting} --allocation rp={provider},VCPU=9", *owner).lower()
    assert "llocations" in openstack.fails(version, "resource provider delete", provider)
    if owner:
        unset = f"resource provider allocation unset {consumer}"
        [left] = openstack(version, f"{unset} --provider {provider} --resource-class MEMORY_MB")
        assert left["resources"] == {"VCPU": 2}
        openstack(version, unset)
    else:
        openstack(version, "resource provider allocation delete", consumer)
    assert openstack(version, "resource provider allocation show", consumer) == []
    assert "No allocations" in openstack.fails(version, "resource provider allocation delete", consumer)


@pytest.mark.parametrize("version", ["1.14", "1.29", "1.39"])
def test_allocation_candidates(openstack: Shell, provider: str, version: str) -> None:
    openstack("1.39", "trait create CUSTOM_WANTED")
    openstack("1.39", f"resource provider trait set {provider} --trait CUSTOM_WANTED")
    openstack("1.39", "resource class set CUSTOM_SLOT")
    openstack("1.39", f"resource provider inventory set {provider} --resource CUSTOM_SLOT=4 --resource VCPU=8")
    asked = "allocation candidate list --resource CUSTOM_SLOT=2 --resource VCPU=1"
    [row] = openstack(version, asked)
    assert row["resource provider"] == provider
    assert row["allocation"] in ("CUSTOM_SLOT=2,VCPU=1", "VCPU=1,CUSTOM_SLOT=2")
    assert "CUSTOM_SLOT=0/4" in row["inventory used/capacity"]
    if version == "1.14":
        assert "requires at least version" in openstack.fails(version, f"{asked} --limit 1")
        return
    assert len(openstack(version, f"{asked} --limit 1 --required CUSTOM_WANTED")) == 1
    assert openstack(version, f"{asked} --forbidden CUSTOM_WANTED") == []
    grouped = "allocation candidate list --group 1 --resource CUSTOM_SLOT=1 --group 2 --resource VCPU=1"
    assert len(openstack(version, f"{grouped} --group-policy none")) == 1
    assert openstack(version, f"{grouped} --group-policy isolate") == []
    traits = {row["resource provider"]: row["traits"] for row in openstack(version, asked)}
    assert traits == {provider: "CUSTOM_WANTED"}
    if version == "1.39":
        assert len(openstack(version, f"{asked} --required CUSTOM_WANTED,HW_CPU_X86_MPX")) == 1
    said = openstack.fails(version, "allocation candidate list --resource CUSTOM_NOT_THERE=1")
    assert "CUSTOM_NOT_THERE" in said


def test_a_user_who_is_no_administrator(state_dir: Path) -> None:
    with contextlib.closing(Shell(state_dir, "nova-lite-demo")) as demo:
        assert "HTTP 403" in demo.fails("1.39", "resource provider list")
