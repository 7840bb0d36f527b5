"""Who calls, by Keystone: what is refused before anybody asks."""

import sys
import types
from collections.abc import Mapping
from pathlib import Path

import pytest
from oslo_config import cfg

from nova_lite import errors
from nova_lite.web.caller import KeystoneAuth


class _Nothing:
    def allows(self, action: str, target: Mapping[str, object], credentials: Mapping[str, object]) -> bool:
        return False


def _built(directory: Path, options: str) -> KeystoneAuth:
    file = directory / "api.conf"
    file.write_text(f"[keystone_authtoken]\n{options}")
    conf = cfg.ConfigOpts()
    conf(["--config-file", str(file)], project="api")
    return KeystoneAuth(conf, _Nothing())


@pytest.mark.parametrize(
    ("options", "module", "package"),
    [
        ("", "memcache", "python-memcached"),
        ("memcache_sasl_enabled = true\n", "bmemcached", "python-binary-memcached"),
    ],
)
def test_memcached_that_nothing_here_can_speak_to_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, module: str, package: str
) -> None:
    options += "memcached_servers = 127.0.0.1:11211\n"
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(errors.Misconfigured, match=f"memcached_servers: {package} is not installed"):
        _built(tmp_path, options)
    monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
    _built(tmp_path, options)


def test_nothing_is_needed_where_tokens_are_kept_in_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "memcache", None)
    _built(tmp_path, "")
