"""Models around models: one whose answers are kept in a SQLite file, and several of which the first answer counts."""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from cloche.agent.errors import ModelError
from cloche.agent.models.base import AnyModel, AsyncModel, Delta, ModelRequest, Piece, Reply, stream_in_thread
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.threads import acall_on_thread

__all__ = ["CachingModel", "FallbackModel"]

_TABLE = "CREATE TABLE IF NOT EXISTS replies (request TEXT PRIMARY KEY, model TEXT, reply TEXT, made REAL)"
_BUSY_SECONDS = 30.0


class CachingModel:
    """Answers a request that was made before from a store, and passes every other one on to a model.

    ``model``  the model that is asked.
    ``store``  a SQLite file, made if there is none; ``":memory:"`` keeps the answers for as long as this object lives.

    The same request is one with the same messages, tools, stop texts, and the same model with the same options; only
    the ids of tool calls may differ. A kept answer costs nothing: its usage has the tokens of then, and no dollars
    where they are known. Errors and answers that were cut off are not kept. ``hits`` and ``misses`` count requests.
    Several threads and processes may share a store; answers are kept until the file is deleted. A context manager;
    raises sqlite3.Error for a file that cannot be used.
    """

    def __init__(self, model: AnyModel, store: str | Path) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._database = sqlite3.connect(str(store), timeout=_BUSY_SECONDS, check_same_thread=False)
        with self._lock, self._database:
            self._database.execute(_TABLE)
        self.hits = 0
        self.misses = 0

    @property
    def name(self) -> str:
        """The name of the model that is asked."""
        return _name(self._model)

    @property
    def wrapped(self) -> tuple[AnyModel, ...]:
        """The model that is asked."""
        return (self._model,)

    def generate(self, request: ModelRequest, /) -> Reply:
        """Return the kept answer, or the model's. Raises what the model raises."""
        key = self._key(request)
        return self._kept(key) or self._keep(key, self._model.generate(request))

    def stream(self, request: ModelRequest, /) -> Iterator[Piece]:
        """Yield the kept answer in one piece, or the model's as it is written."""
        key = self._key(request)
        reply = self._kept(key)
        if reply is not None:
            yield from _pieces(reply)
            return
        for piece in self._model.stream(request):
            yield self._keep(key, piece) if isinstance(piece, Reply) else piece

    async def agenerate(self, request: ModelRequest, /) -> Reply:
        """Like :meth:`generate`."""
        key = self._key(request)
        return self._kept(key) or self._keep(key, await _ask(self._model, request))

    async def astream(self, request: ModelRequest, /) -> AsyncIterator[Piece]:
        """Like :meth:`stream`."""
        key = self._key(request)
        reply = self._kept(key)
        if reply is not None:
            for piece in _pieces(reply):
                yield piece
            return
        async for piece in _streamed(self._model, request):
            yield self._keep(key, piece) if isinstance(piece, Reply) else piece

    def close(self) -> None:
        """Close the store. Safe to call twice; requests are an error afterwards."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _key(self, request: ModelRequest) -> str:
        asked = {
            "model": [_name(self._model), str(getattr(self._model, "api_base", "") or "")],
            "options": getattr(self._model, "options", {}),
            "messages": _messages(request),
            "stop": request.stop,
            "tools": request.tools,
            "must_call": request.must_call,
        }
        text = json.dumps(asked, sort_keys=True, ensure_ascii=False, default=repr)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def _kept(self, key: str) -> Reply | None:
        with self._lock:
            row = self._database.execute("SELECT reply FROM replies WHERE request = ?", (key,)).fetchone()
            reply = None if row is None else _read(row[0])
            self.hits += reply is not None
            self.misses += reply is None
        return reply

    def _keep(self, key: str, reply: Reply) -> Reply:
        if not reply.cut_off:
            row = (key, _name(self._model), reply.model_dump_json(exclude_none=True), time.time())
            with self._lock, self._database:
                self._database.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", row)
        return reply


def _name(model: Any) -> str:
    return str(getattr(model, "name", "") or type(model).__name__)


def _messages(request: ModelRequest) -> list[dict[str, Any]]:
    """Return the messages as data, with ids of tool calls by their order: those of calls in text are made at random."""
    ids: dict[str, str] = {}
    messages: list[dict[str, Any]] = []
    for message in request.messages:
        data = message.model_dump(mode="json")
        for call in data["tool_calls"]:
            call["id"] = ids.setdefault(call["id"], f"call {len(ids)}")
        data["tool_call_id"] = ids.get(message.tool_call_id, message.tool_call_id)
        messages.append(data)
    return messages


def _read(text: str) -> Reply | None:
    try:
        reply = Reply.model_validate_json(text)
    except ValidationError:
        # Of another version: it is asked for again.
        return None
    usage = reply.usage
    if usage is None or usage.cost is None:
        return reply
    return reply.model_copy(update={"usage": usage.model_copy(update={"cost": 0.0})})


def _pieces(reply: Reply) -> Iterator[Piece]:
    if reply.message.text:
        yield Delta(reply.message.text)
    yield reply


class FallbackModel:
    """Asks its models in order until one answers; the last one's ModelError is raised if none does.

    A stream that breaks off is begun anew by the next model, after a Delta that says ``restart``.
    """

    def __init__(self, models: Sequence[AnyModel]) -> None:
        if not models:
            raise ConfigurationError("models", "give at least one model to ask")
        self._models = tuple(models)

    @property
    def wrapped(self) -> tuple[AnyModel, ...]:
        """Its models, in order."""
        return self._models

    def generate(self, request: ModelRequest, /) -> Reply:
        """Return the first answer."""
        for model in self._models[:-1]:
            try:
                return model.generate(request)
            except ModelError:
                continue
        return self._models[-1].generate(request)

    def stream(self, request: ModelRequest, /) -> Iterator[Piece]:
        """Stream the first answer."""
        for model in self._models[:-1]:
            try:
                yield from model.stream(request)
                return
            except ModelError:
                yield Delta(restart=True)
        yield from self._models[-1].stream(request)

    async def agenerate(self, request: ModelRequest, /) -> Reply:
        """Like :meth:`generate`."""
        for model in self._models[:-1]:
            try:
                return await _ask(model, request)
            except ModelError:
                continue
        return await _ask(self._models[-1], request)

    async def astream(self, request: ModelRequest, /) -> AsyncIterator[Piece]:
        """Like :meth:`stream`."""
        for model in self._models:
            try:
                async for piece in _streamed(model, request):
                    yield piece
                return
            except ModelError:
                if model is self._models[-1]:
                    raise
                yield Delta(restart=True)


async def _ask(model: AnyModel, request: ModelRequest) -> Reply:
    if isinstance(model, AsyncModel):
        return await model.agenerate(request)
    return await acall_on_thread(lambda: model.generate(request))


def _streamed(model: AnyModel, request: ModelRequest) -> AsyncIterator[Piece]:
    make: Callable[[], Iterator[Piece]] = lambda: model.stream(request)  # noqa: E731
    return model.astream(request) if isinstance(model, AsyncModel) else stream_in_thread(make)
