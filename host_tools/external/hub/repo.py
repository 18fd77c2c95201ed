"""A repository of the Hugging Face Hub: files by name, of one commit and of bounded size, and commits of new ones."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, Unpack

from cloche.host_tools.errors import HubError
from cloche.runtime._imports import need
from cloche.runtime.errors import bytes_text

__all__ = ["MAX_TEXT", "HubOptions", "HubRepo", "hub_api", "hub_errors"]

MAX_TEXT = 1 << 20
"""Bytes of one file of code or settings."""

T = TypeVar("T")


class HubOptions(TypedDict, total=False):
    """Where on the Hub something is, and how it is fetched.

    ``revision``          branch, tag or commit; default: the main branch. Only a commit names the same code for ever.
    ``repo_type``         ``"space"`` (default), ``"model"`` or ``"dataset"``.
    ``token``             of the Hub; True: the one this machine is logged in with, False: none. Default: that of the
                          login, if there is one.
    ``cache_dir``         default: the one of huggingface_hub.
    ``local_files_only``  use what the cache has, without the network.
    ``endpoint``          default: huggingface.co, or ``HF_ENDPOINT``.
    """

    revision: str | None
    repo_type: Literal["space", "model", "dataset"]
    token: str | bool | None
    cache_dir: str | Path | None
    local_files_only: bool
    endpoint: str | None


class HubRepo:
    """A repository of which all files are read at one commit: that of the first one.

    Nothing is fetched but files asked for by name, so no name of a stranger's ever becomes a path here.
    Raises ConfigurationError where the extra ``cloche[hub]`` is not installed.
    """

    def __init__(self, repo_id: str, **options: Unpack[HubOptions]) -> None:
        self.repo_id = repo_id
        self.repo_type = options.get("repo_type") or "space"
        self.commit = ""
        """The commit that the files come from; empty until one was read."""
        self._revision = options.get("revision")
        self._fetching: dict[str, Any] = {
            "repo_id": repo_id,
            "repo_type": self.repo_type,
            **{name: options.get(name) for name in ("token", "cache_dir", "endpoint")},
            "local_files_only": options.get("local_files_only", False),
        }
        self._hub: Any = need("huggingface_hub", "hub")

    @property
    def address(self) -> str:
        """What a reference to it is: ``hf://spaces/owner/name``, with the commit once one is known."""
        return f"hf://{self.repo_type}s/{self.repo_id}{f'@{self.commit}' if self.commit else ''}"

    def read(self, name: str, limit: int = MAX_TEXT) -> bytes:
        """Return a file's content. Raises HubError if there is none, or it has more than ``limit`` bytes."""
        content = self.find(name, limit)
        if content is None:
            raise HubError(self.address, f"there is no {name} in it")
        return content

    def find(self, name: str, limit: int = MAX_TEXT) -> bytes | None:
        """Return a file's content, None if there is none. Raises HubError like :meth:`read`."""
        with hub_errors(self.address):
            return self._unless_missing(lambda: self._fetched(name, limit))

    def write(self, files: Mapping[str, bytes], message: str, *, private: bool | None, create_pr: bool) -> str:
        """Commit files, into a new repository if there is none, and return the commit's id.

        ``private`` is for a new one. Raises HubError.
        """
        api = hub_api(self._fetching["endpoint"], self._fetching["token"])
        kind: dict[str, Any] = {"repo_type": self.repo_type}
        sdk = {"space_sdk": "static"} if self.repo_type == "space" else {}
        added = [self._hub.CommitOperationAdd(name, content) for name, content in files.items()]
        with hub_errors(self.address):
            made = api.create_repo(self.repo_id, private=private, exist_ok=True, **kind, **sdk)
            done = api.create_commit(made.repo_id, added, commit_message=message, create_pr=create_pr, **kind)
            return str(done.oid)

    def _unless_missing(self, fetch: Callable[[], T]) -> T | None:
        errors: Any = need("huggingface_hub.errors", "hub")
        try:
            return fetch()
        except errors.LocalEntryNotFoundError:
            # Of the same family, and yet it says that the Hub could not be asked.
            raise
        except errors.EntryNotFoundError:
            return None

    def _fetched(self, name: str, limit: int) -> bytes:
        revision = self.commit or self._revision
        offered = self._download(name, revision, dry_run=True)
        self._check(name, offered.file_size, limit)
        self.commit = str(offered.commit_hash)
        # By the same revision, which the cache then knows: it can be used without a Hub.
        path = Path(self._download(name, revision))
        if self.commit not in path.parts:
            raise HubError(self.address, f"there is a newer commit since {name} was looked up: try again")
        # What was offered is not always what comes.
        with path.open("rb") as file:
            content = file.read(limit + 1)
        self._check(name, len(content), limit)
        return content

    def _download(self, name: str, revision: str | None, **options: Any) -> Any:
        quiet = {"tqdm_class": _quiet()}
        return self._hub.hf_hub_download(filename=name, revision=revision, **quiet, **self._fetching, **options)

    def _check(self, name: str, size: int | None, limit: int) -> None:
        if size is None or size > limit:
            found = "is of unknown size" if size is None else f"has {bytes_text(size)} or more"
            raise HubError(self.address, f"{name} {found}, and at most {bytes_text(limit)} are read")


def hub_api(endpoint: str | None, token: str | bool | None) -> Any:
    """Return huggingface_hub's client."""
    return need("huggingface_hub", "hub").HfApi(endpoint=endpoint, token=token, library_name="cloche")


@contextmanager
def hub_errors(source: str) -> Generator[None, None, None]:
    """Make a HubError of whatever huggingface_hub raises: what it is made of, HTTP and cache alike."""
    try:
        yield
    except HubError:
        raise
    except Exception as error:
        if not isinstance(error, OSError | ValueError) and not _is_http_error(error):
            raise
        raise HubError(source, _reason(error)) from error


def _is_http_error(error: Exception) -> bool:
    # By name: of httpx and its successors, each huggingface_hub has the one that it was made for.
    return any(base.__name__ == "HTTPError" for base in type(error).__mro__)


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines)}"[:500]


def _quiet() -> Any:
    """Return a progress bar that is never shown: a library draws nothing on its caller's terminal."""
    base: Any = need("huggingface_hub.utils", "hub").tqdm

    def init(self: Any, *args: Any, **options: Any) -> None:
        base.__init__(self, *args, **{**options, "disable": True})

    return type("Quiet", (base,), {"__init__": init})
