"""LiteLLM's many exceptions as ours."""

import math
from typing import Any

from cloche.agent.errors import (
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelReplyInvalid,
    ModelTimeout,
    ModelUnavailable,
)
from cloche.agent.models.secret import Secret
from cloche.runtime.errors import ConfigurationError

__all__ = ["model_error"]

_LONGEST = 2_000
_BUSY = {408: ModelTimeout, 409: ModelUnavailable, 425: ModelUnavailable, 429: ModelRateLimited}


def model_error(error: Exception, key: Secret) -> ModelError:
    """Return the ModelError for what a request raised; no text of it holds the key. Raises a ConfigurationError on."""
    if isinstance(error, ModelError):
        return error
    if isinstance(error, ConfigurationError):
        raise error
    text = key.hidden_in(str(error))[:_LONGEST] or type(error).__name__
    status = getattr(error, "status_code", None)
    status = status if isinstance(status, int) and 400 <= status < 600 else None
    kind = _kind(error, status)
    return ModelRateLimited(text, status, _retry_after(error)) if kind is ModelRateLimited else kind(text, status)


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
