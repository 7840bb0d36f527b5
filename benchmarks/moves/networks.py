"""A network service that has no networks: the real Nova asks it at every move, also for servers without any.

Run as ``python -m benchmarks.moves.networks PORT``. It answers at once, and as little as it may.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Nothing(BaseHTTPRequestHandler):
    """Every list is empty."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        noun = self.path.partition("?")[0].rstrip("/").rpartition("/")[2].removesuffix(".json")
        data = json.dumps({noun: []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Nothing).serve_forever()
