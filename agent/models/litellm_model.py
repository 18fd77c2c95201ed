"""Any model that LiteLLM reaches."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

from cloche.agent.errors import ModelError
from cloche.agent.models.litellm_errors import model_error
from cloche.agent.models.litellm_extra import litellm
from cloche.agent.models.pacing import Attempts, Pace
from cloche.agent.models.prices import Price, priced
from cloche.agent.models.protocol import Delta, ModelRequest, Piece, Reply
from cloche.agent.models.secret import Secret
from cloche.agent.models.stream_parts import StreamParts
from cloche.agent.models.wire import completion_arguments, reply_of

__all__ = ["LiteLLMModel"]

T = TypeVar("T")


class LiteLLMModel:
    """A model by its LiteLLM name, such as ``"openai/gpt-5-mini"``, ``"anthropic/..."`` or ``"ollama_chat/qwen3"``.

    ``api_base``, ``api_key``   default: what LiteLLM finds in the environment. The key is shown nowhere.
    ``timeout``                 seconds for one request; default 120.
    ``retries``                 how often a request that may still succeed is repeated; default 3, with growing waits.
    ``requests_per_minute``     how often a request is begun at most; default: no limit.
    ``price``                   US dollars for a million tokens of (prompt, reply), where LiteLLM does not know it.
    ``router``                  a ``litellm.Router`` to send requests through.

    Other keywords (``temperature``, ``max_tokens``, ...) go into each request. Safe to use from several threads.
    Raises ModelError from its methods; ConfigurationError where litellm is not installed.
    """

    def __init__(
        self,
        name: str,
        *,
        api_base: str | None = None,
        api_key: str | None = None,
        timeout: float = 120.0,
        retries: int = 3,
        requests_per_minute: float | None = None,
        price: Price | None = None,
        router: Any = None,
        **options: Any,
    ) -> None:
        self.name = name
        self.options = options
        self.api_base = api_base
        self.timeout = timeout
        self.retries = retries
        self._key = Secret(api_key)
        self._pace = Pace(requests_per_minute)
        self._price = price
        self._router = router

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
        return f"LiteLLMModel({self.name!r})"

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
        parts = StreamParts(self.name, request.stop)
        for chunk in self._send(request, stream=True):
            if text := parts.add(chunk):
                yield Delta(text)
        yield self._priced(parts.reply())

    async def _astream_once(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        parts = StreamParts(self.name, request.stop)
        async for chunk in await self._asend(request, stream=True):
            if text := parts.add(chunk):
                yield Delta(text)
        yield self._priced(parts.reply())

    def _send(self, request: ModelRequest, *, stream: bool) -> Any:
        target = self._router or litellm()
        return target.completion(**self._arguments(request, stream))

    async def _asend(self, request: ModelRequest, *, stream: bool) -> Any:
        target = self._router or litellm()
        return await target.acompletion(**self._arguments(request, stream))

    def _arguments(self, request: ModelRequest, stream: bool) -> dict[str, Any]:
        return completion_arguments(request, stream) | {
            "model": self.name,
            "timeout": self.timeout,
            # Ours are the only retries: LiteLLM's and its clients' would multiply them.
            "num_retries": 0,
            "max_retries": 0,
            **({"api_base": self.api_base} if self.api_base else {}),
            **({"api_key": self._key.reveal()} if self._key else {}),
            **self.options,
        }

    def _reply(self, response: Any) -> Reply:
        return self._priced(reply_of(response))

    def _priced(self, reply: Reply) -> Reply:
        return priced(reply, self.name, self._price)

    def _error(self, error: Exception) -> ModelError:
        return model_error(error, self._key)
