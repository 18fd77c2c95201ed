"""LiteLLM in a process of its own, as it leaves loops and connections behind: ``python -m`` this, with URL and key.

Prints what a server answered, as JSON.
"""

import json
import sys
from typing import Any

import litellm

_ANY: Any = litellm


def main(url: str, key: str) -> None:
    """Ask a server's agent ``helper``."""
    known = {"model": "openai/helper", "api_base": f"{url}/v1", "api_key": key, "num_retries": 0}
    said = [{"role": "user", "content": "do: count"}]
    whole = _ANY.completion(messages=said, user="lite", **known)
    message = whole.choices[0].message
    again = [*said, {"role": "assistant", "content": message.content}, *said]
    pieces = [chunk.choices[0].delta for chunk in _ANY.completion(messages=again, user="lite", stream=True, **known)]
    response = _ANY.responses(input="do: count", **known)
    kinds = [str(event.type) for event in _ANY.responses(input="do: price", stream=True, **known)]
    try:
        _ANY.completion(messages=said, **{**known, "model": "openai/other"})
    except Exception as error:
        refused = type(error).__name__
    else:
        refused = ""
    answers = {
        "text": message.content,
        "reasoning": message.reasoning_content,
        "tokens": whole.usage.total_tokens,
        "pieces": "".join(piece.content or "" for piece in pieces),
        "reasoning_pieces": "".join(getattr(piece, "reasoning_content", None) or "" for piece in pieces),
        "response": response.output[-1].content[0].text,
        "last_kind": kinds[-1],
        "refused": refused,
    }
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
