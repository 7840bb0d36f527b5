"""A configuration file that changes below a running process, which is told by SIGHUP."""

from pathlib import Path

from nova_lite import config, reloading


class Changing:
    """The configuration of one process; ``become`` is what an operator's editor and SIGHUP do."""

    def __init__(self, directory: Path, text: str = "") -> None:
        self.file = directory / "nova-lite.conf"
        self.file.write_text(text)
        self._argv = ["--config-file", str(self.file)]
        self.conf = config.load(self._argv)

    def become(self, text: str) -> None:
        """Change the file, and have it read again; raises where it is wrong."""
        self.file.write_text(text)
        config.values(config.load(self._argv))
        self.reload()

    def reload(self) -> None:
        """Have the file read again."""
        reloading.reload(self.conf, lambda: config.load(self._argv))
