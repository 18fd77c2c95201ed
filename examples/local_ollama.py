"""An agent whose model runs on this machine: ``ollama pull qwen3`` first; OLLAMA_MODEL names another one."""

import os

from tools.maths import prime_checker

from cloche.agent import CodeAgent, LiteLLMModel, ModelUnavailable


def main() -> None:
    """Ask the local model, or say how to get it."""
    name = os.environ.get("OLLAMA_MODEL", "qwen3")
    base = os.environ.get("OLLAMA_HOST", "http://127.0.0.1:11434")
    model = LiteLLMModel(f"ollama_chat/{name}", api_base=base, retries=0, price=(0, 0))
    with CodeAgent([prime_checker], model, verbosity=1) as agent:
        try:
            print(agent.run("Which numbers from 90 to 100 are prime?"))
        except ModelUnavailable:
            print(f"no server answers at {base}: is Ollama running?")


if __name__ == "__main__":
    main()
