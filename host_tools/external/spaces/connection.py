"""A connection to a Gradio app, by gradio_client."""

import re
import tempfile
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Executor, Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from cloche.host_tools.errors import HubError, ToolFailed, ToolRejected
from cloche.host_tools.external.hub.repo import hub_api
from cloche.host_tools.external.spaces.files import Folder, Purse, received
from cloche.host_tools.json_schema import as_dict
from cloche.runtime._imports import need
from cloche.runtime.errors import ClocheError
from cloche.runtime.threads import tool_threads

__all__ = ["Daemons", "SpaceConnection", "app_errors"]


T = TypeVar("T")


class Daemons(Executor):
    """Runs each function on a daemon thread of its own.

    The interpreter waits at its end for the threads of other executors: an app that keeps its line open and never
    answers would keep this process from ending.
    """

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Start the function and return its future."""
        return tool_threads.submit(lambda: fn(*args, **kwargs))


_MAX_ERROR = 4_000
# The client waits for a silent stream a little longer than this side waits for its answer.
_GRACE = 5.0
# Where below its own address an app may have its endpoints; a whole address here would lead the client anywhere.
_PREFIX = re.compile(r"(/[A-Za-z0-9_~-]+)*/?")


class SpaceConnection:
    """A Gradio app, by its address or by the name of a Space; connects when it is made.

    ``token``    of the Hub, for private Spaces; it is sent to the app. None: no token is sent, not even that of the
                 machine's login.
    ``timeout``  seconds for connecting and for each call.
    ``max_bytes``  of the files that one answer may bring.

    Raises HubError if the app cannot be reached, ConfigurationError where ``cloche[gradio]`` is not installed.
    """

    def __init__(self, source: str, *, token: str | None, timeout: float, max_bytes: int, endpoint: str | None) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._httpx: Any = need("httpx", "gradio")
        gradio: Any = need("gradio_client", "gradio")
        with app_errors(source):
            address = source if source.startswith(("http://", "https://")) else _host(source, token, endpoint)
            self._client: Any = _client(gradio, address, token, self._httpx.Timeout(timeout + _GRACE))

    @property
    def endpoints(self) -> dict[str, Any]:
        """What the app says of each endpoint that has a name."""
        return as_dict(as_dict(self._client.view_api(return_format="dict", print_info=False)).get("named_endpoints"))

    def call(self, api_name: str, arrange: Callable[[Folder], list[Any]], name: str) -> Any:
        """Call an endpoint with what ``arrange`` makes of the program's values, and return the answer with its files.

        Raises ToolFailed if the app fails, cannot be reached, or takes too long.
        """
        with tempfile.TemporaryDirectory(prefix="cloche-") as folder:
            values = arrange(Folder(folder))
            try:
                return self._called(api_name, values)
            except (ToolFailed, ToolRejected):
                raise
            except FutureTimeout as error:
                raise ToolFailed("TimeoutError", f"{name}() did not answer within {self._timeout:g} s") from error
            except (OSError, CancelledError, self._httpx.HTTPError) as error:
                raise ToolFailed("ConnectionError", f"the app of {name}() cannot be reached") from error
            except Exception as error:
                # The app's own words, which its author chose, or the client's.
                raise ToolFailed("RuntimeError", f"{name}() failed: {str(error)[:_MAX_ERROR]}") from error

    def close(self) -> None:
        """Disconnect. Safe to call twice."""
        self._client.close()

    def _called(self, api_name: str, values: list[Any]) -> Any:
        # All of them, in order: the client would fill in defaults of the app's, and upload those that look like files.
        job = self._client.submit(*values, api_name=api_name)
        try:
            answer = job.result(self._timeout)
        except FutureTimeout:
            job.cancel()
            raise
        purse = Purse(self._max_bytes)
        return received(answer, lambda file: self._fetched(file, purse))

    def _fetched(self, file: dict[str, Any], purse: Purse) -> bytes:
        """Return a file of the app, by its path there; the address it names could be any."""
        address = f"{self._client.src_prefixed}file={quote(file['path'])}"
        request: dict[str, Any] = {"headers": self._client.headers, "cookies": self._client.cookies}
        content = bytearray()
        with self._httpx.stream("GET", address, timeout=self._timeout, follow_redirects=False, **request) as response:
            if response.status_code != 200:
                raise ToolFailed("RuntimeError", f"the app did not give its file (HTTP status {response.status_code})")
            for chunk in response.iter_bytes():
                purse.take(len(chunk))
                content += chunk
        return bytes(content)


@contextmanager
def app_errors(source: str) -> Generator[None, None, None]:
    """Make a HubError of whatever comes of what an app says of itself: it may say anything."""
    try:
        yield
    except ClocheError:
        raise
    except Exception as error:
        raise HubError(source, f"the app cannot be used ({type(error).__name__}: {error})"[:500]) from error


def _client(gradio: Any, address: str, token: str | None, timeout: Any) -> Any:
    def no_telemetry(client: Any) -> None:
        """Take the place of the client's telemetry, whose switch is overruled by its environment variable's default."""

    def checked_config(client: Any) -> Any:
        # Before anything else is asked: it says where the client connects to.
        return _checked(gradio.Client._get_config(client))

    parts: dict[str, Any] = {"_telemetry_thread": no_telemetry, "_get_config": checked_config}
    kind: Any = type("Client", (gradio.Client,), parts)
    options: dict[str, Any] = {"verbose": False, "download_files": False, "analytics_enabled": False}
    # False, and not None, which would send the token of the machine's login to whoever runs the app.
    client = kind(address, token=token or False, httpx_kwargs={"timeout": timeout}, **options)
    if urlsplit(client.src_prefixed)[:2] != urlsplit(address)[:2]:
        raise HubError(address, f"it sends its callers elsewhere, to {client.src_prefixed[:200]!r}")
    client.executor = client.helper_executor = client.stream_executor = Daemons()
    return client


def _checked(config: Any) -> Any:
    """Return what an app says of itself if it keeps to itself. Raises ValueError."""
    version, prefix = str(as_dict(config).get("version") or "?"), str(as_dict(config).get("api_prefix") or "")
    if not version.partition(".")[0].isdigit() or int(version.partition(".")[0]) < 4:
        raise ValueError(f"Gradio {version[:20]} is too old to be called: the app needs Gradio 4")
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"it sends its callers elsewhere, to {prefix[:200]!r}")
    return config


def _host(space_id: str, token: str | None, endpoint: str | None) -> str:
    """Return a Space's own address. The client itself would wait for ever for one that is being built."""
    info = hub_api(endpoint, token or False).space_info(space_id)
    stage = str(getattr(info.runtime, "stage", "") or "")
    if not info.host or stage.endswith(("ERROR", "BUILDING", "NO_APP_FILE", "PAUSED", "DELETING", "STOPPED")):
        raise HubError(space_id, f"the Space is not running ({stage or 'no app'}): its page says why")
    return str(info.host)
