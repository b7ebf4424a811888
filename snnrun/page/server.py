"""The page of a run that goes on, for a browser on this machine: made anew from the unfinished file when it has changed."""

import json
import os
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from snnrun import page
from snnrun.results import Results, ResultsError


def serve(path: Path, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page of a results file on localhost until interrupted; `ready` is told its address. Raises OSError."""
    with ThreadingHTTPServer(("127.0.0.1", port), _handler(path)) as server:
        ready(f"http://127.0.0.1:{server.server_address[1]}/")
        server.serve_forever()


def _stamp(path: Path) -> str:
    found = os.stat(path)  # noqa: PTH116
    return f"{path.name} {found.st_mtime_ns} {found.st_size}"


def _handler(path: Path) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            host = (self.headers.get("Host") or "").rpartition(":")[0]
            if host not in ("127.0.0.1", "localhost"):  # a page from elsewhere that calls itself by this address
                self._answer(403, "text/plain", "")
                return
            try:
                with Results(path) as found:
                    if asked.path == "/":
                        self._answer(200, "text/html; charset=utf-8", page.page(found, live=True))
                    elif asked.path == "/body":
                        stamp = _stamp(found.path)
                        if stamp == unquote(asked.query):
                            self._answer(204, "application/json", "")
                            return
                        facts = {**page.body(found), "stamp": stamp, "complete": found.complete}
                        self._answer(200, "application/json", json.dumps(facts))
                    else:
                        self._answer(404, "text/plain", "there is nothing here")
            except (ResultsError, OSError) as error:  # looked at while it changed: the page asks again
                self._answer(503, "text/plain; charset=utf-8", str(error))

        def _answer(self, code: int, kind: str, text: str) -> None:
            content = text.encode("utf-8", "replace")
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if code != 204:
                self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler
