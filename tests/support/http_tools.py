"""A local web server that can break connections, ignore ranges and answer with errors."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nas.utils.remote_file import RemoteFile


@dataclass
class Site:
    """Contents by path, and the faults of the server.

    Attributes:
        files: contents by path, without the slash.
        cuts: bytes after which each of the next answers breaks off.
        errors: HTTP status codes of the next answers.
        ranges: honor requests for a part of a file.
        requests: (path, value of the header Range) of all requests so far.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    ranges: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""

    def file(self, name: str, content: bytes | None = None, **options: Any) -> RemoteFile:
        """Describe a file of this site, with the checksum of ``content`` or of the served content."""
        digest = hashlib.sha256(self.files[name] if content is None else content).hexdigest()
        return RemoteFile(name, (f"{self.address}/{name}",), digest, "sha256", **options)


@contextmanager
def serve(**files: bytes) -> Iterator[Site]:
    """Serve files from a thread of this process."""
    site = Site(dict(files))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802, the name that the base class calls
            name, wanted = self.path.lstrip("/"), self.headers.get("Range")
            site.requests.append((name, wanted))
            content = site.files.get(name)
            if site.errors or content is None:
                self.send_error(site.errors.pop(0) if site.errors else 404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and site.ranges else 0
            if start >= len(content) and start:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            body = content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: site.cuts.pop(0)] if site.cuts else body)

        def log_message(self, *arguments: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    site.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
