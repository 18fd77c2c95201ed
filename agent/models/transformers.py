"""A model whose weights are in this process, run by transformers."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from cloche.agent.errors import ModelRefused
from cloche.agent.messages import ImagePart, TokenUsage
from cloche.agent.models.base import Delta, ModelRequest, Piece, Reply, trimmed
from cloche.agent.models.chat import ChatModel
from cloche.agent.models.wire import assistant, completion_arguments
from cloche.runtime._imports import need
from cloche.runtime.errors import ConfigurationError

__all__ = ["TransformersModel"]


_GENERATION = frozenset(
    {"do_sample", "min_p", "num_beams", "repetition_penalty", "temperature", "top_k", "top_p", "typical_p"}
)


class TransformersModel(ChatModel):
    """A causal language model of transformers, for text without images.

    ``name``        a folder, or a repository of the Hub, whose weights are loaded when it is first asked.
    ``max_tokens``  of one reply. Default 2,048.
    ``model``, ``tokenizer``  take the place of what would be loaded.
    ``trust_remote_code``  whether a repository's own Python may run, with all rights of this process. Default False.
    ``options``     ``temperature``, ``top_p`` and the like go into each request; the others (``device_map``, ``dtype``,
                    ...) to ``AutoModelForCausalLM.from_pretrained``.
    ``model_id``, ``max_new_tokens``  other words for ``name`` and ``max_tokens``.

    One request at a time: others wait. Tool calls are read from the text. Raises ConfigurationError where transformers
    is not installed, when it is first asked.
    """

    def __init__(
        self,
        name: str = "",
        *,
        model_id: str = "",
        max_tokens: int = 2_048,
        max_new_tokens: int | None = None,
        model: Any = None,
        tokenizer: Any = None,
        trust_remote_code: bool = False,
        **options: Any,
    ) -> None:
        if (model is None) != (tokenizer is None):
            raise ConfigurationError("model", "a model needs its tokenizer: pass both, or neither")
        self.name = name or model_id
        if not self.name:
            raise ConfigurationError("name", "name a folder or a repository, such as 'Qwen/Qwen3-0.6B'")
        self._max_tokens = max_tokens if max_new_tokens is None else max_new_tokens
        self._parts = None if model is None else (model, tokenizer)
        self._trust = trust_remote_code
        self._generation = {key: value for key, value in options.items() if key in _GENERATION}
        self._options = {key: value for key, value in options.items() if key not in _GENERATION}
        self._lock = threading.Lock()

    @property
    def takes_tools(self) -> bool:
        """Whether the model's chat template shows it the schemas of tools; loads the model."""
        with self._lock:
            return "tools" in str(getattr(self._loaded()[1], "chat_template", ""))

    def generate(self, request: ModelRequest, /) -> Reply:
        """Return the answer. Raises ModelRefused for images, and for whatever transformers raises."""
        with self._lock:
            model, tokenizer = self._loaded()
            try:
                text, usage = self._completed(model, tokenizer, request)
            except Exception as error:
                raise ModelRefused(f"{type(error).__name__}: {error}") from error
        return Reply(message=assistant(trimmed(text, request.stop), ()), usage=usage, model=self.name)

    def stream(self, request: ModelRequest, /) -> Iterator[Piece]:
        """Yield the answer in one piece, then the Reply."""
        reply = self.generate(request)
        yield Delta(reply.message.text)
        yield reply

    def _completed(self, model: Any, tokenizer: Any, request: ModelRequest) -> tuple[str, TokenUsage]:
        arguments = completion_arguments(request, stream=False)
        if any(isinstance(part, ImagePart) for message in request.messages for part in message.content):
            raise ValueError("this model takes no images")
        inputs = tokenizer.apply_chat_template(
            arguments["messages"],
            tools=arguments.get("tools"),
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(model.device)
        asked = len(inputs["input_ids"][0])
        settings = {"max_new_tokens": self._max_tokens, **self._generation, **_stopping(tokenizer, request.stop)}
        produced = model.generate(**inputs, **settings)[0]
        text = str(tokenizer.decode(produced[asked:], skip_special_tokens=True))
        return text, TokenUsage(input_tokens=asked, output_tokens=len(produced) - asked)

    def _loaded(self) -> tuple[Any, Any]:
        if self._parts is None:
            library = need("transformers", "transformers", what="TransformersModel", field="model")
            trust = {"trust_remote_code": self._trust}
            model = library.AutoModelForCausalLM.from_pretrained(self.name, **trust, **self._options)
            self._parts = (model, library.AutoTokenizer.from_pretrained(self.name, **trust))
        return self._parts


def _stopping(tokenizer: Any, stop: Sequence[str]) -> dict[str, Any]:
    return {"stop_strings": list(stop), "tokenizer": tokenizer} if stop else {}
