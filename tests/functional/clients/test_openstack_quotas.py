"""Quotas and server groups by the ``openstack`` command, as it comes."""

from tests.functional.clients.conftest import OpenStack

JSON = ("-f", "json")
BOOT = ("server", "create", "--flavor", "m1.nano", "--image", "tiny", "--nic", "none")


def limits(openstack: OpenStack, *words: str) -> dict[str, object]:
    """Return what the command prints as limits: resource → limit."""
    shown = openstack("quota", "show", "--compute", *words, *JSON)
    return {row["Resource"]: row["Limit"] for row in shown}


def test_quotas_are_set_shown_and_forgotten(openstack: OpenStack) -> None:
    project = openstack("token", "issue", "-c", "project_id", *JSON)["project_id"]
    openstack("quota", "set", "--instances", "3", "--cores", "6", project)
    shown = limits(openstack, project)
    assert (shown["instances"], shown["cores"], shown["key-pairs"]) == (3, 6, 100)
    openstack("quota", "set", "--class", "--ram", "1024", "default")
    assert limits(openstack, "--default", project)["ram"] == 1024
    openstack("quota", "set", "--class", "--ram", "51200", "default")
    openstack("quota", "delete", "--compute", project)
    assert limits(openstack, project) == {**shown, "instances": 10, "cores": 20}


def test_a_project_that_is_full_says_so(openstack: OpenStack, demo: OpenStack) -> None:
    project = demo("token", "issue", "-c", "project_id", *JSON)["project_id"]
    openstack("quota", "set", "--instances", "1", project)
    demo(*BOOT, "--wait", "vm1", *JSON)
    assert "Quota exceeded for instances: requested 1, used 1 of 1" in demo(*BOOT, "vm2", fails=True)
    used = {row["Resource"]: row["In Use"] for row in demo("quota", "show", "--compute", "--usage", project, *JSON)}
    assert used["instances"] == 1
    assert "greater than or equal to 1" in openstack("quota", "set", "--instances", "0", project, fails=True)
    openstack("quota", "set", "--instances", "0", "--force", project)
    demo("server", "delete", "vm1")
    openstack("quota", "delete", "--compute", project)


def test_server_groups(openstack: OpenStack) -> None:
    made = openstack(
        *("--os-compute-api-version", "2.64", "server", "group", "create", "--policy", "anti-affinity"),
        *("--rule", "max_server_per_host=2", "apart", *JSON),
    )
    assert (made["name"], made["policy"]) == ("apart", "anti-affinity")
    [listed] = openstack("--os-compute-api-version", "2.64", "server", "group", "list", *JSON)
    assert (listed["ID"], listed["Policy"]) == (made["id"], "anti-affinity")
    assert openstack("server", "group", "show", "apart", *JSON)["id"] == made["id"]
    openstack("server", "group", "delete", "apart")
    assert openstack("server", "group", "list", *JSON) == []
