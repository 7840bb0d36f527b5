"""The shipped files of the three WSGI applications: what one of them can, all can."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

_ETC = Path(__file__).resolve().parents[2] / "etc"
_PORTS = {"api": "8774", "placement": "8778", "metadata": "8775"}
#: What only some of them have, for a reason: /metrics; sizes of headers and bodies; how the application is loaded.
_OWN = re.compile(r"set-ph|hook-as-user|env = PROM|buffer-size|chunked-input-limit|lazy-apps|SuccessExitStatus")
_LOADING = re.compile(r"if-not-env = NOVA_LITE_IT_RELOAD\nhook-pre-app = .*\nendif =")


def _shape(name: str, lines: Iterable[str]) -> list[str]:
    """Return lines of ``name``'s file with what is called after it called otherwise."""
    text = "\n".join(line for line in lines if not line.startswith("#") and not _OWN.match(line))
    text = text.replace(f"NOVA_LITE_{name.upper()}_", "NOVA_LITE_IT_").replace(_PORTS[name], "PORT")
    text = _LOADING.sub("", text)
    return re.sub(rf"nova([-_])lite([-_.]){name}\b", r"nova\1lite\2it", text).split()


def _lines(name: str, kind: str) -> list[str]:
    return (_ETC / f"nova-lite-{name}{kind}").read_text().splitlines()


@pytest.mark.parametrize("name", ["placement", "metadata"])
def test_uwsgi_s_files_agree(name: str) -> None:
    lines = _lines(name, "-uwsgi.ini")
    assert _shape(name, lines) == _shape("api", _lines("api", "-uwsgi.ini"))
    assert any("PROMETHEUS" in line for line in lines) == (name == "placement")


@pytest.mark.parametrize("name", list(_PORTS))
def test_comments_name_every_variable(name: str) -> None:
    text = "\n".join(_lines(name, "-uwsgi.ini"))
    comments = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    variables = set(re.findall(r"^if-env = (\w+)", text, re.MULTILINE))
    assert len(variables) == 5
    assert variables <= set(re.findall(r"NOVA_LITE_\w+", comments))


@pytest.mark.parametrize("name", ["placement", "metadata"])
def test_units_agree(name: str) -> None:
    def rest(unit: str) -> list[str]:
        return _shape(
            unit, (line for line in _lines(unit, ".service") if not line.startswith(("Description", "Environment=")))
        )

    assert rest(name) == rest("api")
