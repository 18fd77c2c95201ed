"""Any model that LiteLLM reaches: keys, retries, pace, prices, and its errors as ours."""

import asyncio
import contextlib
import functools
import logging
import math
import os
import random
import re
import sys
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from cloche.agent.errors import (
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelReplyInvalid,
    ModelTimeout,
    ModelUnavailable,
)
from cloche.agent.messages import TokenUsage
from cloche.agent.models.base import Delta, ModelRequest, Piece, Reply
from cloche.agent.models.chat import ChatModel
from cloche.agent.models.wire import StreamParts, completion_arguments, reply_of
from cloche.runtime._imports import need
from cloche.runtime.errors import ConfigurationError

__all__ = [
    "REMOVE_PARAMETER",
    "Attempts",
    "LiteLLMModel",
    "Pace",
    "Price",
    "Secret",
    "litellm_module",
    "model_error",
    "priced",
]


class _Removed:
    """The type of REMOVE_PARAMETER."""

    def __repr__(self) -> str:
        return "REMOVE_PARAMETER"


REMOVE_PARAMETER: Any = _Removed()
"""As the value of a model's option, ``stop=REMOVE_PARAMETER``: requests do not have the option at all."""


@functools.cache
def litellm_module() -> Any:
    """Return the module, set up to be quiet and to fetch nothing by itself. Raises ConfigurationError if missing."""
    # Otherwise it downloads its table of prices while it is imported.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    module = need("litellm", "agent", what="LiteLLMModel", field="model")
    module.suppress_debug_info = True
    module.drop_params = True
    if "LITELLM_LOG" not in os.environ:
        # Its tracebacks of what fails: the error says it in a line.
        logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
    return module


def _import_quietly() -> None:
    with contextlib.suppress(Exception):
        # Whatever is wrong with it is raised where it is needed.
        litellm_module()


@functools.cache
def _begin_import() -> None:
    """Import it on another thread; once, however many agents ask for it meanwhile."""
    threading.Thread(target=_import_quietly, name="cloche-litellm", daemon=True).start()


_SHORTEST = 4


class Secret:
    """Holds a key. Its repr, its text and pickles of it do not."""

    __slots__ = ("_key",)

    def __init__(self, key: str | None) -> None:
        self._key = key or ""

    def reveal(self) -> str:
        """Return the key."""
        return self._key

    def hidden_in(self, text: str) -> str:
        """Return the text with the key in it replaced by ``***``: providers repeat keys in their errors."""
        return text.replace(self._key, "***") if len(self._key) >= _SHORTEST else text

    def __bool__(self) -> bool:
        return bool(self._key)

    def __repr__(self) -> str:
        return "Secret(***)" if self._key else "Secret()"

    def __reduce__(self) -> tuple[type["Secret"], tuple[None]]:
        return (Secret, (None,))


_FIRST = 0.5
_MAX_WAIT = 30.0


class Attempts:
    """Counts one request's failures and says how long to wait after each.

    The waits double from half a second to thirty, each shortened by up to a half at random, so that many agents do not
    come back at once. A provider's own word on when to come back is kept to, up to a minute.
    """

    def __init__(self, retries: int) -> None:
        self._left = retries
        self._wait = _FIRST

    def delay(self, error: ModelError) -> float:
        """Return the seconds to wait before asking again, or raise the error if asking again is no use or too often."""
        if not error.retryable or self._left <= 0:
            raise error
        self._left -= 1
        asked = error.retry_after if isinstance(error, ModelRateLimited) else None
        wait, self._wait = self._wait, min(_MAX_WAIT, 2 * self._wait)
        return min(asked, 2 * _MAX_WAIT) if asked is not None else wait * random.uniform(0.5, 1)


class Pace:
    """Spreads requests evenly: so many per minute. Safe to use from several threads."""

    def __init__(self, per_minute: float | None) -> None:
        if per_minute is not None and not per_minute > 0:
            raise ConfigurationError(
                "requests_per_minute", f"{per_minute!r} must be a number above 0, or None for no limit"
            )
        self._gap = 0.0 if per_minute is None else 60.0 / per_minute
        self._next = 0.0
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take the next place and return how many seconds to wait for it."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._gap
        return start - now


Price = tuple[float, float]
"""US dollars for a million tokens of prompt and of reply."""

_MILLION = 1_000_000


def priced(reply: Reply, model: str, price: Price | None) -> Reply:
    """Return the reply with its cost, or without one where its price is unknown."""
    usage = reply.usage
    if usage is None or usage.cost is not None:
        return reply
    cost = _known(usage, model) if price is None else _from(price, usage)
    return reply if cost is None else reply.model_copy(update={"usage": usage.model_copy(update={"cost": cost})})


def _from(price: Price, usage: TokenUsage) -> float:
    return (usage.input_tokens * price[0] + usage.output_tokens * price[1]) / _MILLION


def _known(usage: TokenUsage, model: str) -> float | None:
    try:
        parts = litellm_module().cost_per_token(
            model=model, prompt_tokens=usage.input_tokens, completion_tokens=usage.output_tokens
        )
    except Exception:  # LiteLLM raises its own classes, and plain Exception, for models it has no price of
        return None
    return float(sum(parts))


_MAX_ERROR_TEXT = 600
# What LiteLLM puts around a provider's words: class names in front, a traceback or an advertisement behind.
_CLASS_NAMES = re.compile(r"^(?:litellm\.\w+: |\w*(?:Error|Exception)(?: - |: | (?=\w*Error))|\w+Exception )+")
_BEHIND = re.compile(
    r"\s*(?:Traceback \(most recent call last\)|This looks like a bug in LiteLLM|stack trace:).*", re.DOTALL | re.I
)
_NO_KEY = re.compile(
    r"missing (?:credentials|[\w ]*api[ _]?key)|api[ _]?key[\w ]* (?:is )?(?:not set|not provided|missing|required)"
    r"|no api[ _]?key|_KEY is not set|unable to locate credentials",
    re.IGNORECASE,
)
# What a provider needs that is not installed here: asking again changes nothing.
_NO_PACKAGE = re.compile(r"No module named|import failed|pip install|couldn't import", re.IGNORECASE)
_TOOL_CHOICE = re.compile(r"tool[_ ]choice", re.IGNORECASE)
_BUSY = {408: ModelTimeout, 409: ModelUnavailable, 425: ModelUnavailable, 429: ModelRateLimited}


def model_error(error: Exception, key: Secret) -> ModelError:
    """Return the ModelError for what a request raised; no text of it holds the key. Raises a ConfigurationError on."""
    if isinstance(error, ModelError):
        return error
    if isinstance(error, ConfigurationError):
        raise error
    text = _one_line(key.hidden_in(str(error))) or type(error).__name__
    status = _status(error)
    # LiteLLM gives its own failures the status 500.
    lacking = _NO_KEY.search(text) or (status in (None, 500) and _NO_PACKAGE.search(text))
    kind = ModelRefused if lacking else _kind(error, status)
    if kind is ModelRefused and status is not None and status >= 500:
        status = None
    return ModelRateLimited(text, status, _retry_after(error)) if kind is ModelRateLimited else kind(text, status)


def _one_line(text: str) -> str:
    """Return an error's own words: without tracebacks, class names and line breaks, at most 600 characters."""
    words = " ".join(_BEHIND.sub("", text).split())
    words = _CLASS_NAMES.sub("", words) or words
    return words if len(words) <= _MAX_ERROR_TEXT else f"{words[: _MAX_ERROR_TEXT - 3]}..."


def _status(error: Exception) -> int | None:
    """Return the HTTP status that a server gave; LiteLLM says 500 where there was no server at all."""
    status = getattr(error, "status_code", None)
    if not isinstance(status, int) or not 400 <= status < 600:
        return None
    return None if status == 500 and "[Errno" in str(error) else status


def _kind(error: Exception, status: int | None) -> type[ModelError]:
    name = type(error).__name__
    if "Timeout" in name or isinstance(error, TimeoutError):
        return ModelTimeout
    if isinstance(error, ConnectionError) or "Connection" in name or name in ("ReadError", "RemoteProtocolError"):
        return ModelUnavailable
    if "RateLimit" in name:
        return ModelRateLimited
    if isinstance(error, ValueError) and status is None:
        return ModelReplyInvalid
    if status is None or status >= 500:
        return ModelUnavailable
    return _BUSY.get(status, ModelRefused)


def _retry_after(error: Any) -> float | None:
    headers: Any = getattr(getattr(error, "response", None), "headers", None)
    try:
        seconds = float(headers["retry-after"])
    except (KeyError, TypeError, ValueError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


T = TypeVar("T")


class LiteLLMModel(ChatModel):
    """A model by its LiteLLM name, such as ``"openai/gpt-5-mini"``, ``"anthropic/..."`` or ``"ollama_chat/qwen3"``.

    ``api_base``, ``api_key``   default: what LiteLLM finds in the environment. The key is shown nowhere.
    ``timeout``                 seconds for one request; default 120.
    ``retries``                 how often a request that may still succeed is repeated; default 3, with growing waits.
    ``requests_per_minute``     how many requests are started per minute; default: no limit.
    ``price``                   US dollars for a million tokens of (prompt, reply), where LiteLLM does not know it.
    ``model_id``, ``model_name``  other words for the name.
    ``router``                  a ``litellm.Router`` to send requests through.
    ``sees_images``             whether it is shown figures that its programs draw; default: what LiteLLM knows of it.

    Other keywords (``temperature``, ``max_tokens``, ...) go into each request, and ``stop=REMOVE_PARAMETER`` leaves one
    out of it. Called with messages, ``model([{"role": "user", "content": "Hi"}])``, it gives a ChatMessage.

    Safe to use from several threads.
    Raises ModelError from its methods; ConfigurationError where litellm is not installed.
    """

    def __init__(
        self,
        name: str = "",
        *,
        model_id: str = "",
        model_name: str = "",
        api_base: str | None = None,
        api_key: str | None = None,
        timeout: float = 120.0,
        retries: int = 3,
        requests_per_minute: float | None = None,
        price: Price | None = None,
        router: Any = None,
        sees_images: bool | None = None,
        **options: Any,
    ) -> None:
        self.name = name or model_id or model_name
        if not self.name:
            raise ConfigurationError("name", "name the model, such as 'openai/gpt-5-mini'")
        self.options = options
        self.api_base = api_base
        self.timeout = timeout
        self.retries = retries
        self._key = Secret(api_key)
        self._pace = Pace(requests_per_minute)
        self._price = price
        self._router = router
        self._sees_images = sees_images
        self._may_require = True

    @property
    def takes_tools(self) -> bool:
        """Whether the provider is sent the schemas of tools; waits for LiteLLM to be imported."""
        if self._router is not None:
            return True
        try:
            known = litellm_module().get_supported_openai_params(model=self.name)
        except ConfigurationError:
            raise
        except Exception:  # of providers that LiteLLM does not know, which the request will say
            return False
        return "tools" in (known or ())

    @property
    def sees_images(self) -> bool:
        """Whether the model takes images; waits for LiteLLM to be imported where it was not said."""
        if self._sees_images is not None:
            return self._sees_images
        try:
            return bool(litellm_module().supports_vision(model=self.name))
        except ConfigurationError:
            raise
        except Exception:  # of providers that LiteLLM does not know, which the request will say
            return False

    @property
    def loading(self) -> str:
        """What has to be loaded before a request can be sent, which takes seconds; empty if nothing has."""
        return "" if "litellm" in sys.modules and litellm_module.cache_info().currsize else "LiteLLM"

    def warm_up(self) -> None:
        """Begin to import LiteLLM, on another thread. What goes wrong is raised by the first request."""
        if self.loading:
            _begin_import()

    def generate(self, request: ModelRequest, /) -> Reply:
        """Return the answer, after as many retries as allowed."""
        return self._persist(lambda: self._reply(self._send(request, stream=False)))

    def stream(self, request: ModelRequest, /) -> Iterator[Piece]:
        """Yield the answer as it is written; a connection that breaks is begun anew, after a Delta that says so."""
        attempts = Attempts(self.retries)
        while True:
            try:
                self._wait()
                yield from self._stream_once(request)
                return
            except Exception as error:
                time.sleep(attempts.delay(self._error(error)))
                yield Delta(restart=True)

    async def agenerate(self, request: ModelRequest, /) -> Reply:
        """Like :meth:`generate`."""
        return await self._apersist(lambda: self._areply(request))

    async def astream(self, request: ModelRequest, /) -> AsyncIterator[Piece]:
        """Like :meth:`stream`."""
        attempts = Attempts(self.retries)
        while True:
            try:
                await asyncio.sleep(self._pace.take())
                async for piece in self._astream_once(request):
                    yield piece
                return
            except Exception as error:
                await asyncio.sleep(attempts.delay(self._error(error)))
                yield Delta(restart=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def _persist(self, ask: Callable[[], T]) -> T:
        attempts = Attempts(self.retries)
        while True:
            try:
                self._wait()
                return ask()
            except Exception as error:
                time.sleep(attempts.delay(self._error(error)))

    async def _apersist(self, ask: Callable[[], Awaitable[T]]) -> T:
        attempts = Attempts(self.retries)
        while True:
            try:
                await asyncio.sleep(self._pace.take())
                return await ask()
            except Exception as error:
                await asyncio.sleep(attempts.delay(self._error(error)))

    def _wait(self) -> None:
        time.sleep(self._pace.take())

    async def _areply(self, request: ModelRequest) -> Reply:
        return self._reply(await self._asend(request, stream=False))

    def _stream_once(self, request: ModelRequest) -> Iterator[Piece]:
        parts = StreamParts(self.name)
        for chunk in self._send(request, stream=True):
            if text := parts.add(chunk):
                yield Delta(text)
        yield self._priced(parts.reply())

    async def _astream_once(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        parts = StreamParts(self.name)
        async for chunk in await self._asend(request, stream=True):
            if text := parts.add(chunk):
                yield Delta(text)
        yield self._priced(parts.reply())

    def _send(self, request: ModelRequest, *, stream: bool) -> Any:
        target = self._target()
        try:
            return target.completion(**self._arguments(request, stream))
        except Exception as error:
            if not self._is_refused_choice(error, request):
                raise
        return target.completion(**self._arguments(request, stream))

    async def _asend(self, request: ModelRequest, *, stream: bool) -> Any:
        target = self._target()
        try:
            return await target.acompletion(**self._arguments(request, stream))
        except Exception as error:
            if not self._is_refused_choice(error, request):
                raise
        return await target.acompletion(**self._arguments(request, stream))

    def _target(self) -> Any:
        return self._router or litellm_module()

    def _is_refused_choice(self, error: Exception, request: ModelRequest) -> bool:
        """Return whether a server refuses to be made to call a tool; it is not asked to again."""
        asked = self._may_require and bool(request.tools) and request.must_call and "tool_choice" not in self.options
        if not asked or not _TOOL_CHOICE.search(str(error)):
            return False
        self._may_require = False
        return True

    def _arguments(self, request: ModelRequest, stream: bool) -> dict[str, Any]:
        if not self._may_require:
            request = replace(request, must_call=False)
        arguments = completion_arguments(request, stream) | {
            "model": self.name,
            "timeout": self.timeout,
            # Ours are the only retries: LiteLLM's and its clients' would multiply them.
            "num_retries": 0,
            "max_retries": 0,
            **({"api_base": self.api_base} if self.api_base else {}),
            **({"api_key": self._key.reveal()} if self._key else {}),
            **self.options,
        }
        return {name: value for name, value in arguments.items() if value is not REMOVE_PARAMETER}

    def _reply(self, response: Any) -> Reply:
        return self._priced(reply_of(response))

    def _priced(self, reply: Reply) -> Reply:
        return priced(reply, self.name, self._price)

    def _error(self, error: Exception) -> ModelError:
        made = model_error(error, self._key)
        missing = () if self._key or self.api_base or self._router else self._missing_keys(made)
        if not missing:
            return made
        return ModelRefused(f"{self.name} needs a key: pass api_key=..., or set {' or '.join(missing)}", made.status)

    def _missing_keys(self, error: ModelError) -> tuple[str, ...]:
        """Return the variables that a key would be in, if there is none, which may be why a request failed."""
        if not (error.retryable or error.status in (401, 403) or _NO_KEY.search(error.message)):
            return ()
        if any("key" in name or "token" in name or "credential" in name for name in self.options):
            return ()
        try:
            missing = litellm_module().validate_environment(model=self.name)["missing_keys"]
        except Exception:  # of providers that LiteLLM does not know
            return ()
        return tuple(name for name in missing if name.endswith(("_API_KEY", "_ACCESS_KEY_ID")))
