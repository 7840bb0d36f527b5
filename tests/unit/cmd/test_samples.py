"""The committed samples say what the code says. What libraries add may differ with their versions, and is not compared.

Generate them again with the commands in the first line of each ``etc/*-generator.conf``, in an installed tree.
"""

import re
from pathlib import Path

import pytest
from oslo_config import cfg, generator
from oslo_policy import generator as policy_generator

from nova_lite import config

ETC = Path(__file__).resolve().parents[3] / "etc"
_LIBRARIES = {*config.NEIGHBOURS, config.VENDORS, "keystone_authtoken"}


def options(text: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Return (section, option) → its comment as one line, and its value as printed."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    section, comment = "", []
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line.startswith("# "):
            comment.append(line[2:].strip())
        elif match := re.match(r"#(\w+) = ?(.*)", line):
            found[section, match[1]] = (" ".join(comment), match[2])
        if not line.startswith("#") or re.match(r"#(\w+) =", line):
            comment = []
    return found


def our_options() -> dict[tuple[str, str], cfg.Opt]:
    ours = {
        (group, option.name): option
        for group, listed in config.list_opts()
        for option in listed
        if group not in _LIBRARIES
    }
    ours |= {("glance", option.name): option for option in config.GLANCE_OPTS}
    return ours | {("placement", option.name): option for option in config.PLACEMENT_OPTS}


def test_the_sample_configuration_is_up_to_date(tmp_path: Path) -> None:
    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    conf(["--config-file", str(ETC / "nova-lite-config-generator.conf")], project="generator")
    with (tmp_path / "sample").open("w") as output:
        generator.generate(conf, output)
    fresh = options((tmp_path / "sample").read_text())
    committed = options((ETC / "nova_lite" / "nova-lite.conf.sample").read_text())

    ours = our_options()
    assert {name: fresh[name][1] for name in ours} == {name: committed.get(name, ("", "missing"))[1] for name in ours}
    for name, option in ours.items():
        assert " ".join((option.help or "").split()) in committed[name][0], name
    sections = {group for group, _ in ours} - {"DEFAULT", *_LIBRARIES}
    assert [name for name in committed if name[0] in sections and name not in ours] == []
    assert {section for section, _ in committed} >= {*_LIBRARIES, "oslo_messaging_rabbit", "oslo_policy"}
    assert committed["DEFAULT", "transport_url"][1] == "rabbit://"


@pytest.mark.parametrize(
    ("name", "sample"),
    [
        pytest.param("nova-lite-policy-generator.conf", "policy.yaml.sample", id="compute"),
        pytest.param("nova-lite-placement-policy-generator.conf", "placement-policy.yaml.sample", id="placement"),
    ],
)
def test_the_sample_policies_are_up_to_date(tmp_path: Path, name: str, sample: str) -> None:
    output = tmp_path / "sample"
    policy_generator.generate_sample(["--config-file", str(ETC / name), "--output-file", str(output)], cfg.ConfigOpts())
    rules = re.compile(r'^#"(.+?)": "(.+)"$', re.MULTILINE)
    fresh, committed = output.read_text(), (ETC / "nova_lite" / sample).read_text()
    assert rules.findall(committed) == rules.findall(fresh)
    assert len(rules.findall(committed)) > 20
    assert "".join(committed.split()) == "".join(fresh.split())
