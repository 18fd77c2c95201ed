"""The model in this process, with a transformers that is none: letters are tokens."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import pytest

from cloche.agent import CodeAgent, ImagePart, Message, ModelRefused, ModelRequest, TransformersModel
from cloche.agent.models.base import Delta
from cloche.runtime.errors import ConfigurationError


class Inputs(dict[str, Any]):
    """A batch of one, on no device yet."""

    device = ""

    def to(self, device: str) -> Self:
        self.device = device
        return self


class Tokenizer:
    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.tools: Any = None

    def apply_chat_template(self, messages: list[dict[str, Any]], *, tools: Any, **options: Any) -> Inputs:
        assert options == {
            "add_generation_prompt": True,
            "tokenize": True,
            "return_dict": True,
            "return_tensors": "pt",
        }
        self.shown, self.tools = messages, tools
        return Inputs(input_ids=[[ord(letter) for message in messages for letter in message["content"]]])

    def decode(self, tokens: list[int], *, skip_special_tokens: bool) -> str:
        assert skip_special_tokens
        return "".join(map(chr, tokens))


class Weights:
    device = "a device"

    def __init__(self, text: str) -> None:
        self.text = text
        self.options: dict[str, Any] = {}

    def generate(self, *, input_ids: list[list[int]], **options: Any) -> list[list[int]]:
        self.options = options
        if not self.text:
            raise RuntimeError("out of memory")
        return [[*input_ids[0], *map(ord, self.text)]]


def request(*stop: str) -> ModelRequest:
    return ModelRequest((Message.of("user", "Hello"),), stop=stop)


def made(text: str) -> tuple[TransformersModel, Weights, Tokenizer]:
    weights, tokenizer = Weights(text), Tokenizer()
    return TransformersModel("local", model=weights, tokenizer=tokenizer, max_tokens=9), weights, tokenizer


def test_only_what_is_new_is_the_answer_up_to_the_stop_text() -> None:
    model, weights, tokenizer = made("one STOP two")
    reply = model.generate(request("STOP"))
    assert reply.message.text == "one "
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.model) == (5, 12, "local")
    assert weights.options == {"max_new_tokens": 9, "stop_strings": ["STOP"], "tokenizer": tokenizer}
    assert tokenizer.shown == [{"role": "user", "content": "Hello"}]


def test_a_stream_is_one_piece_and_the_reply() -> None:
    delta, reply = made("hi")[0].stream(request())
    assert delta == Delta("hi")
    assert getattr(reply, "message", None) == Message.of("assistant", "hi")


def test_what_goes_wrong_is_a_model_error() -> None:
    with pytest.raises(ModelRefused, match="out of memory"):
        made("")[0].generate(request())
    image = Message.of("user", "look", ImagePart(data="AAAA"))
    with pytest.raises(ModelRefused, match="no images"):
        made("x")[0].generate(ModelRequest((image,)))
    with pytest.raises(ConfigurationError, match="tokenizer"):
        TransformersModel("local", model=Weights("x"))


def test_weights_are_loaded_when_it_is_first_asked_and_never_run_code_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[Any] = []

    def loader(thing: Any) -> Any:
        def from_pretrained(name: str, **options: Any) -> Any:
            loads.append((name, options))
            return thing

        return SimpleNamespace(from_pretrained=from_pretrained)

    library: Any = ModuleType("transformers")
    library.AutoModelForCausalLM, library.AutoTokenizer = loader(Weights("hi")), loader(Tokenizer())
    monkeypatch.setitem(sys.modules, "transformers", library)
    model = TransformersModel("some/repository", device_map="auto")
    assert loads == []
    assert [model.generate(request()).message.text for _ in range(2)] == ["hi", "hi"]
    trust = {"trust_remote_code": False}
    assert loads == [("some/repository", {**trust, "device_map": "auto"}), ("some/repository", trust)]


def test_without_transformers_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigurationError, match=r"cloche\[transformers\]"):
        TransformersModel("local").generate(request())


def test_an_agent_works_with_it() -> None:
    model = made("I add.\n<code>\nfinal_answer(20 + 22)\n</code> and more")[0]
    with CodeAgent([], model) as agent:
        assert agent.run("t") == 42
