"""A real Gradio app, in a process of its own: prints its address, and serves until its input ends."""

import os
import sys
import tempfile
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr


def shout(text: str, times: float = 2) -> str:
    return text.upper() * int(times)


def size(file: str) -> list[Any]:
    return [os.path.getsize(file), os.path.basename(file)]


def parts(count: float) -> tuple[float, str]:
    with tempfile.NamedTemporaryFile(suffix=".txt", delete=False) as file:
        file.write(b"x" * int(count))
    return count, file.name


def refuse(text: str) -> str:
    raise gr.Error(f"no {text} today")


def remember(text: str, seen: list[str]) -> tuple[str, list[str]]:
    return " ".join([*seen, text]), [*seen, text]


def app() -> Any:
    with gr.Blocks() as blocks:
        text, times, answer = gr.Textbox(label="Text"), gr.Number(2, label="Times"), gr.Textbox()
        file, data, other, seen = gr.File(label="File"), gr.JSON(), gr.File(), gr.State([])
        gr.Button().click(shout, [text, times], answer, api_name="shout")
        gr.Button().click(size, file, data, api_name="size")
        gr.Button().click(parts, times, [data, other], api_name="parts")
        gr.Button().click(refuse, text, answer, api_name="refuse")
        gr.Button().click(remember, [text, seen], [answer, seen], api_name="remember")
    return blocks


if __name__ == "__main__":
    _, url, _ = app().launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    print(url, flush=True)
    sys.stdin.read()
