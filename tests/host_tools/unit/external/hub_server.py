"""A Hub on this machine: the few requests that huggingface_hub makes, answered from memory."""

import base64
import hashlib
import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.serving import served

__all__ = ["HubServer", "hub_server"]

_FILE = re.compile(r"/(?:(datasets|spaces)/)?([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)")
_API = re.compile(r"/api/(models|datasets|spaces)/([\w.-]+/[\w.-]+)(?:/(preupload|commit)/([^/]+))?")


class HubServer:
    """Repositories by kind and name, each a list of commits: an id, and what all files hold at it."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.repos: dict[tuple[str, str], list[tuple[str, dict[str, bytes]]]] = {}
        self.collections: dict[str, list[tuple[str, str]]] = {}
        self.spaces: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.claims: dict[str, int] = {}
        """Sizes told instead of the true ones, by file."""

    def commit(self, repo_id: str, files: dict[str, Any], kind: str = "spaces") -> str:
        """Add a commit, with these files over those there were, and return its id."""
        commits = self.repos.setdefault((kind, repo_id), [])
        content = {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}
        now = {**(commits[-1][1] if commits else {}), **content}
        sha = hashlib.sha1(repr((repo_id, len(commits), sorted(now.items()))).encode()).hexdigest()
        commits.append((sha, now))
        return sha

    def files(self, repo_id: str, kind: str = "spaces") -> dict[str, bytes]:
        """Return the files of the latest commit."""
        return self.repos[kind, repo_id][-1][1]

    def found(self, kind: str, repo_id: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return a commit by its id, the latest for ``main``."""
        commits = self.repos.get((kind, repo_id), [])
        return next((one for one in reversed(commits) if revision in ("main", one[0])), None)


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(f"{self.command} {path}")
            if match := _FILE.fullmatch(path):
                self._file(match[1] or "models", match[2], match[3], match[4])
            elif path.startswith("/api/collections/"):
                self._collection(path.removeprefix("/api/collections/"))
            elif match := _API.fullmatch(path):
                self._info(match[2])
            else:
                self._missing("EntryNotFound")

        def do_POST(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(f"{self.command} {path}")
            body = self.rfile.read(int(self.headers["content-length"]))
            if path == "/api/repos/create":
                self._create(json.loads(body))
            elif path == "/api/validate-yaml":
                self._json({"errors": [], "warnings": []})
            elif match := _API.fullmatch(path):
                self._upload(match, body)
            else:
                self._missing("RepoNotFound")

        def _file(self, kind: str, repo_id: str, revision: str, name: str) -> None:
            if (kind, repo_id) not in hub.repos:
                return self._missing("RepoNotFound")
            found = hub.found(kind, repo_id, revision)
            if found is None:
                return self._missing("RevisionNotFound")
            if name not in found[1]:
                return self._missing("EntryNotFound", found[0])
            content = found[1][name]
            etag = hashlib.sha1(content).hexdigest()
            size = hub.claims.get(name, len(content)) if self.command == "HEAD" else len(content)
            return self._answer(content, {"X-Repo-Commit": found[0], "ETag": f'"{etag}"'}, size)

        def _collection(self, slug: str) -> None:
            if slug not in hub.collections:
                return self._missing("RepoNotFound")
            items = [
                {"_id": str(place), "id": name, "type": kind, "position": place}
                for place, (kind, name) in enumerate(hub.collections[slug])
            ]
            told = {"lastUpdated": "2026-01-01T00:00:00.000Z", "position": 0, "private": False, "upvotes": 0}
            return self._json(
                {"slug": slug, "title": "t", "owner": {"name": "o"}, "theme": "blue", "items": items, **told}
            )

        def _info(self, repo_id: str) -> None:
            if repo_id not in hub.spaces:
                return self._missing("RepoNotFound")
            return self._json({"id": repo_id, "sha": "0" * 40, "private": False, **hub.spaces[repo_id]})

        def _create(self, asked: dict[str, Any]) -> None:
            repo_id = f"{asked.get('organization') or 'me'}/{asked['name']}"
            kind = f"{asked.get('type', 'model')}s"
            hub.sent.append(asked)
            if (kind, repo_id) in hub.repos:
                return self._json({"error": "exists", "url": self._url(kind, repo_id)}, 409)
            hub.repos[kind, repo_id] = [("0" * 40, {})]
            return self._json({"url": self._url(kind, repo_id)})

        def _upload(self, match: re.Match[str], body: bytes) -> None:
            kind, repo_id, what = match[1], match[2], match[3]
            if what == "preupload":
                files = [file["path"] for file in json.loads(body)["files"]]
                modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in files]
                return self._json({"files": modes})
            lines = [json.loads(line) for line in body.splitlines()]
            hub.sent.append({"summary": lines[0]["value"]["summary"], "query": urlsplit(self.path).query})
            added = {one["value"]["path"]: one["value"]["content"] for one in lines if one["key"] == "file"}
            sha = hub.commit(repo_id, {path: base64.b64decode(content) for path, content in added.items()}, kind)
            url = f"{self._url(kind, repo_id)}/commit/{sha}"
            pull = f"{self._url(kind, repo_id)}/discussions/1" if "create_pr=1" in self.path else None
            return self._json({"success": True, "commitOid": sha, "commitUrl": url, "pullRequestUrl": pull})

        def _url(self, kind: str, repo_id: str) -> str:
            return f"{hub.endpoint}/{'' if kind == 'models' else kind + '/'}{repo_id}"

        def _missing(self, code: str, commit: str = "") -> None:
            headers = {"X-Error-Code": code, "X-Error-Message": code} | ({"X-Repo-Commit": commit} if commit else {})
            self._answer(b"{}", headers, 2, 404)

        def _json(self, data: Any, status: int = 200) -> None:
            content = json.dumps(data).encode()
            self._answer(content, {"Content-Type": "application/json"}, len(content), status)

        def _answer(self, content: bytes, headers: dict[str, str], size: int, status: int = 200) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(size)}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Stay quiet."""

    return Handler


@contextmanager
def hub_server() -> Generator[HubServer, None, None]:
    """Serve a Hub until the block ends."""
    hub = HubServer()
    with served(_handler(hub)) as port:
        hub.endpoint = f"http://127.0.0.1:{port}"
        yield hub
