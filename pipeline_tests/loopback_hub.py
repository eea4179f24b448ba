"""A Hugging Face hub on 127.0.0.1 that speaks what the real client asks: repository info, trees, HEAD and GET of files,
and making a model's repository and committing to it.

It holds repositories in memory, counts requests, and can demand a token, deny access or never answer. Point a process
at it with `HF_ENDPOINT`, which the client reads when it is imported.
"""

import base64
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
_WRITE = re.compile(r"^/api/models/(?P<id>[^/]+/[^/]+)/(?P<what>preupload|commit)/main$")
_FILE = re.compile(r"^/(?P<kind>datasets/)?(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)$")


@dataclass
class Repository:
    """Files of one repository by revision.

    Attributes:
        files: bytes by path.
        revisions: branches that stand for the one commit.
        token: who doesn't bring it is told that there is no such repository, as the hub does.
        gated: its terms have not been accepted by anybody.
        private: only its owner sees it.
    """

    files: dict[str, bytes]
    revisions: tuple[str, ...] = ("main",)
    token: str | None = None
    gated: bool = False
    private: bool = False

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
        write_token: who may make repositories and commit to them; None: nobody.
    """

    url: str = ""
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    is_silent: bool = False
    write_token: str | None = None
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

    def do_POST(self) -> None:
        """Make a repository, or commit to one: all files as regular ones, in the request's body."""
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"POST {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path == "/api/validate-yaml":
            self._send(200, b'{"errors": [], "warnings": []}')
        elif self.hub.write_token is None or self._token() != self.hub.write_token:
            self._send(401, b'{"error": "Invalid username or password."}')
        elif path == "/api/repos/create":
            asked = json.loads(body)
            repository_id = f"{asked['organization']}/{asked['name']}"
            if ("models", repository_id) in self.hub.repositories:
                self._send(409, json.dumps({"url": f"{self.hub.url}/{repository_id}"}).encode())
            else:
                is_private = asked.get("visibility") == "private"
                self.hub.repositories["models", repository_id] = Repository({}, private=is_private)
                self._send(200, json.dumps({"url": f"{self.hub.url}/{repository_id}"}).encode())
        elif match := _WRITE.match(path):
            self._write(match["id"], match["what"], body)
        else:
            self._send(404, b"{}")

    def _write(self, repository_id: str, what: str, body: bytes) -> None:
        repository = self.hub.repositories["models", repository_id]
        if what == "preupload":
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self._send(200, json.dumps({"files": files}).encode())
            return
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                repository.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "deletedFile":
                del repository.files[line["value"]["path"]]
        commit = {
            "commitOid": repository.commit,
            "commitUrl": f"{self.hub.url}/{repository_id}/commit/{repository.commit}",
        }
        self._send(200, json.dumps({"success": True, **commit}).encode())

    def _token(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

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
        if repository is None or (repository.token and self._token() != repository.token):
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
        info: dict[str, Any] = {
            "_id": "0",
            "id": found["id"],
            "sha": repository.commit,
            "siblings": siblings,
            "tags": [],
        }
        info["private"] = repository.private
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
