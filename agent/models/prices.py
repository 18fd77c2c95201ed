"""What a model call costs."""

from cloche.agent.messages import TokenUsage
from cloche.agent.models.litellm_extra import litellm
from cloche.agent.models.protocol import Reply

__all__ = ["Price", "priced"]

Price = tuple[float, float]
"""US dollars for a million tokens of prompt and of reply."""

_MILLION = 1_000_000


def priced(reply: Reply, model: str, price: Price | None) -> Reply:
    """Return the reply with its cost, or without one where nobody knows the price."""
    usage = reply.usage
    if usage is None or usage.cost is not None:
        return reply
    cost = _known(usage, model) if price is None else _from(price, usage)
    return reply if cost is None else reply.model_copy(update={"usage": usage.model_copy(update={"cost": cost})})


def _from(price: Price, usage: TokenUsage) -> float:
    return (usage.input_tokens * price[0] + usage.output_tokens * price[1]) / _MILLION


def _known(usage: TokenUsage, model: str) -> float | None:
    try:
        parts = litellm().cost_per_token(
            model=model, prompt_tokens=usage.input_tokens, completion_tokens=usage.output_tokens
        )
    except Exception:  # LiteLLM raises its own classes, and plain Exception, for models it has no price of
        return None
    return float(sum(parts))
