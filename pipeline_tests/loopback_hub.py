"""A Hugging Face hub on 127.0.0.1 that speaks what the real client asks: repository info, trees, HEAD and GET of files.

It holds repositories in memory, counts requests, and can demand a token, deny access or never answer. Point a process
at it with `HF_ENDPOINT`, which the client reads when it is imported.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_INFO = re.compile(r"^/api/(?P<kind>datasets|models)/(?P<id>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?$")
_TREE = re.compile(r"^/api/(?P<kind>datasets|models)/(?P<id>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)(?:/(?P<path>.*))?$")
_FILE = re.compile(r"^/(?P<kind>datasets/)?(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)$")


@dataclass
class Repository:
    """Files of one repository by revision.

    Attributes:
        files: bytes by path.
        revisions: branches that stand for the one commit.
        token: who doesn't bring it is told that there is no such repository, as the hub does.
        gated: its terms have not been accepted by anybody.
    """

    files: dict[str, bytes]
    revisions: tuple[str, ...] = ("main",)
    token: str | None = None
    gated: bool = False

    @property
    def commit(self) -> str:
        """Hash of the files, as a commit is one."""
        digest = hashlib.sha1(usedforsecurity=False)
        for path, content in sorted(self.files.items()):
            digest.update(path.encode() + b"\0" + content)
        return digest.hexdigest()


@dataclass
class LoopbackHub:
    """The hub's state.

    Attributes:
        url: what to set `HF_ENDPOINT` to.
        repositories: by (`datasets` or `models`, id).
        requests: method and path of each request so far.
        is_silent: take connections and never answer.
    """

    url: str = ""
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    is_silent: bool = False
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def loopback_hub() -> Iterator[LoopbackHub]:
    """Run a hub until the block ends."""
    hub = LoopbackHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="loopback hub", daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: tests read the process's output."""

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        self.hub.requests.append(f"{self.command} {unquote(parts.path)}")
        if self.hub.is_silent:
            self.hub.over.wait()
            self.close_connection = True
            return
        for pattern, answer in ((_INFO, self._info), (_TREE, self._tree), (_FILE, self._file)):
            if match := pattern.match(parts.path):
                found = {name: unquote(value or "") for name, value in match.groupdict().items()}
                repository = self._repository(found["kind"].rstrip("/") or "models", found["id"], found["revision"])
                if repository:
                    answer(repository, found, parse_qs(parts.query))
                return
        self._send(404, b"{}")

    def _repository(self, kind: str, repository_id: str, revision: str) -> Repository | None:
        repository = self.hub.repositories.get((kind, repository_id))
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if repository is None or (repository.token and token != repository.token):
            self._send(401, b'{"error": "Invalid username or password."}', {"X-Error-Code": "RepoNotFound"})
        elif repository.gated and "/resolve/" in self.path:
            self._send(403, b'{"error": "Access is restricted."}', {"X-Error-Code": "GatedRepo"})
        elif revision and revision not in (*repository.revisions, repository.commit):
            self._send(404, b'{"error": "Invalid rev id"}', {"X-Error-Code": "RevisionNotFound"})
        else:
            return repository
        return None

    def _info(self, repository: Repository, found: dict[str, str], query: dict[str, list[str]]) -> None:
        siblings = [
            {"rfilename": path, **({"size": len(content)} if "blobs" in query else {})}
            for path, content in repository.files.items()
        ]
        info = {"_id": "0", "id": found["id"], "sha": repository.commit, "siblings": siblings, "tags": []}
        self._send(200, json.dumps(info).encode())

    def _tree(self, repository: Repository, found: dict[str, str], query: dict[str, list[str]]) -> None:
        entries = [
            {"type": "file", "path": path, "size": len(content), "oid": _etag(content)}
            for path, content in repository.files.items()
        ]
        self._send(200, json.dumps(entries).encode())

    def _file(self, repository: Repository, found: dict[str, str], query: dict[str, list[str]]) -> None:
        content = repository.files.get(found["path"])
        if content is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"ETag": f'"{_etag(content)}"', "X-Repo-Commit": repository.commit, "Accept-Ranges": "bytes"}
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start, end = int(asked[1]), int(asked[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            self._send(206, content[start : end + 1], headers)
        else:
            self._send(200, content, headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _etag(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
