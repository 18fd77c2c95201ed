"""Models by the names that smolagents has for them: thin names over LiteLLM, and ways to name one by text alone."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cloche.agent.models.base import AnyModel
from cloche.agent.models.chat import MessagesModel, takes_messages
from cloche.agent.models.litellm import LiteLLMModel, litellm_module
from cloche.runtime.errors import ConfigurationError

__all__ = [
    "AmazonBedrockModel",
    "AzureOpenAIModel",
    "HfApiModel",
    "InferenceClientModel",
    "LiteLLMRouterModel",
    "MLXModel",
    "Model",
    "OpenAIModel",
    "VLLMModel",
    "as_model",
    "model_named",
    "reference_of",
]


class Model(AnyModel, Protocol):
    """What an agent asks: any object with these methods, whether it names this class or not.

    A subclass may also write ``generate(self, messages, stop_sequences=None)`` as smolagents has it. Called with a
    name, ``Model("ollama_chat/qwen3")``, it is a :class:`LiteLLMModel`.
    """

    # Type checkers would take these as parts of what every model has to have.
    if not TYPE_CHECKING:

        def __new__(cls, name="", **options):
            """Return a LiteLLMModel, or an object of a subclass, whose arguments are its own."""
            return LiteLLMModel(name, **options) if cls is Model else object.__new__(cls)

        def __init__(self, *args, **options):
            """Take what smolagents' base class takes."""
            self.model_id = str(options.get("model_id") or "")


def as_model(given: Any) -> AnyModel:
    """Return what an agent was given as its model as one: a name, a model of smolagents' kind, or any other as it is.

    Raises ConfigurationError for None, a class, or anything that cannot be asked.
    """
    if isinstance(given, str) and given:
        return LiteLLMModel(given)
    if given is None or isinstance(given, str | type):
        problem = "an agent needs one: a name such as 'openai/gpt-5-mini', or LiteLLMModel('openai/gpt-5-mini')"
        raise ConfigurationError("model", problem)
    if takes_messages(given):
        return MessagesModel(given)
    if not hasattr(given, "generate"):
        raise ConfigurationError("model", f"a {type(given).__name__} cannot be asked: it has no generate method")
    return given  # type: ignore[no-any-return]


class OpenAIModel(LiteLLMModel):
    """A model of OpenAI, or of any server with its API at ``api_base``; other keywords as for LiteLLMModel."""

    def __init__(self, model_id: str, *, client_kwargs: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init__(f"openai/{_named(model_id)}", **{**(client_kwargs or {}), **options})


class AzureOpenAIModel(LiteLLMModel):
    """A deployment at Azure: ``azure_endpoint`` and ``api_version`` default to AZURE_API_BASE and AZURE_API_VERSION."""

    def __init__(
        self,
        model_id: str,
        *,
        azure_endpoint: str | None = None,
        client_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        place: dict[str, Any] = {} if azure_endpoint is None else {"api_base": azure_endpoint}
        super().__init__(f"azure/{_named(model_id)}", **{**(client_kwargs or {}), **place, **options})


class AmazonBedrockModel(LiteLLMModel):
    """A model of Amazon Bedrock. Region and keys are those of ``client``, or what boto3 finds by itself."""

    def __init__(
        self,
        model_id: str,
        *,
        client: Any = None,
        client_kwargs: Mapping[str, Any] | None = None,
        api_key: str | None = None,
        **options: Any,
    ) -> None:
        account = {} if client is None else _account(client)
        super().__init__(
            f"bedrock/{_named(model_id)}", api_key=api_key, **{**_aws(client_kwargs), **account, **options}
        )


def _account(client: Any) -> dict[str, Any]:
    signer = getattr(client, "_request_signer", None)
    keys = getattr(signer, "_credentials", None)
    found = {
        "aws_region_name": client.meta.region_name,
        "aws_access_key_id": getattr(keys, "access_key", None),
        "aws_secret_access_key": getattr(keys, "secret_key", None),
        "aws_session_token": getattr(keys, "token", None),
    }
    return {name: value for name, value in found.items() if value}


def _aws(client_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name if name.startswith("aws_") else f"aws_{name}": value for name, value in (client_kwargs or {}).items()}


_HUGGING_FACE = "https://router.huggingface.co/v1"
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


class InferenceClientModel(LiteLLMModel):
    """A model that Hugging Face serves, or its partners: ``provider="together"``, ``"novita"``, ...

    ``token`` (or ``api_key``) is by default HF_TOKEN, or what ``hf auth login`` has kept. ``base_url`` is another place
    that serves the model.
    """

    def __init__(
        self,
        model_id: str = "Qwen/Qwen3-Next-80B-A3B-Thinking",
        *,
        provider: str | None = None,
        token: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        bill_to: str | None = None,
        client_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        name = f"openai/{_named(model_id)}{f':{provider}' if provider and provider != 'auto' else ''}"
        billed: dict[str, Any] = {"extra_headers": {"X-HF-Bill-To": bill_to}} if bill_to else {}
        # Never none at all: LiteLLM would send OpenAI's key there.
        key = token or api_key or _kept_token() or "no-token"
        place = options.pop("api_base", None) or base_url or _HUGGING_FACE
        super().__init__(name, api_base=place, api_key=key, **{**(client_kwargs or {}), **billed, **options})


class HfApiModel(InferenceClientModel):
    """The former name of :class:`InferenceClientModel`."""


class LiteLLMRouterModel(LiteLLMModel):
    """A group of models behind LiteLLM's router, with its ``model_list`` and, in ``client_kwargs``, other settings."""

    def __init__(
        self,
        model_id: str,
        model_list: Sequence[Mapping[str, Any]] = (),
        client_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(_named(model_id), **options)
        self._group = {"model_list": [dict(one) for one in model_list], **(client_kwargs or {})}

    def _target(self) -> Any:
        if self._router is None:
            self._router = litellm_module().Router(**self._group)
        return self._router


class MLXModel(LiteLLMModel):
    """A model that ``mlx_lm.server`` serves on this machine; ``api_base`` default: http://localhost:8080/v1."""

    def __init__(self, model_id: str, *, api_base: str = "http://localhost:8080/v1", **options: Any) -> None:
        super().__init__(f"openai/{_named(model_id)}", **_local(api_base, options))


class VLLMModel(LiteLLMModel):
    """A model that ``vllm serve`` serves; ``api_base`` default: http://localhost:8000/v1."""

    def __init__(self, model_id: str, *, api_base: str = "http://localhost:8000/v1", **options: Any) -> None:
        super().__init__(f"openai/{_named(model_id)}", **_local(api_base, options))


_PREFIXES: dict[type[LiteLLMModel], str] = {
    LiteLLMModel: "",
    OpenAIModel: "openai/",
    AzureOpenAIModel: "azure/",
    AmazonBedrockModel: "bedrock/",
    InferenceClientModel: "openai/",
    HfApiModel: "openai/",
}


def reference_of(model: Any) -> str:
    """Return a model's class and name as text, ``"OpenAIModel:gpt-5-mini"``, without its keys and options.

    Empty for a model that its name alone does not make again: one at a place of its own, or of another class.
    """
    if not isinstance(model, LiteLLMModel):
        return ""
    prefix = _PREFIXES.get(type(model))
    usual = _HUGGING_FACE if isinstance(model, InferenceClientModel) else None
    if prefix is None or model.api_base != usual:
        return ""
    return f"{type(model).__name__}:{model.name.removeprefix(prefix)}"


def model_named(reference: str) -> AnyModel:
    """Return the model that :func:`reference_of` named, with this host's keys. Raises ConfigurationError for others."""
    kind, _, name = reference.partition(":")
    for known in _PREFIXES:
        if known.__name__ == kind:
            return known(_named(name))
    raise ConfigurationError("model", f"{reference[:100]!r} names no class of models: pass a model")


def _local(api_base: str, options: Mapping[str, Any]) -> dict[str, Any]:
    # Such servers want no key, and LiteLLM wants one.
    return {"api_base": api_base, "api_key": "none", **options}


def _named(model_id: Any) -> str:
    if not isinstance(model_id, str) or not model_id:
        raise ConfigurationError("model_id", f"{model_id!r} is not a model's name")
    return model_id


def _kept_token() -> str:
    kept = next((os.environ[name] for name in _TOKENS if os.environ.get(name)), "")
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    path = Path(os.environ.get("HF_TOKEN_PATH") or home / "token")
    return kept or (path.read_text(encoding="utf-8").strip() if path.is_file() else "")
