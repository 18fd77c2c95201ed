"""An agent as a page of Gradio: ``GradioUI(agent).launch()``, as smolagents has it, or ``gradio_app(agent)``."""

import base64
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from cloche.agent import CodeAgent, MultiStepAgent
from cloche.agent.events import AgentEvent, CodeStarted, PlanMade, RunEnded, StepEnded
from cloche.agent.messages import ImagePart
from cloche.agent.values import answer_text, fenced, safe_str
from cloche.host_tools.json_schema import as_dict
from cloche.runtime._imports import need

__all__ = ["GradioUI", "gradio_app", "messages_of"]

_MAX_TEXT = 50_000
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")

Shown = dict[str, Any]
"""One message of the page: ``role``, ``content``, and for parts that are folded ``metadata`` with their title."""


class GradioUI:
    """A page on which people give an agent tasks and see its steps.

    ``file_upload_folder``  whether files may be sent along; images are shown to the model, and others are files of the
    guest. The folder itself is not needed: nothing is written on this host.
    ``reset_agent_memory``  whether each task begins afresh. Default: a conversation goes on where it was.
    """

    def __init__(
        self, agent: MultiStepAgent, file_upload_folder: str | Path | None = None, reset_agent_memory: bool = False
    ) -> None:
        self.agent = agent
        self._uploads = file_upload_folder is not None
        self._reset = reset_agent_memory

    def create_app(self) -> Any:
        """Return the page as Gradio's Blocks."""
        return gradio_app(self.agent, uploads=self._uploads, reset=self._reset)

    def launch(self, share: bool = False, **options: Any) -> Any:
        """Serve the page, and wait for Ctrl-C in a script; ``options`` are those of Gradio's ``launch``.

        ``share=True`` has it reachable from anywhere, by Gradio's servers: whoever has the address spends your tokens.
        """
        return self.create_app().launch(share=share, **options)


def gradio_app(agent: MultiStepAgent, *, uploads: bool = False, reset: bool = False) -> Any:
    """Return a page for an agent, as Gradio's Blocks, to be launched or mounted.

    Each visitor has a copy of the agent, with memory and session of its own, which is closed when the visitor leaves.
    ``uploads`` lets files be sent along; ``reset`` begins each task afresh. Stopping an answer ends its run.
    Raises ConfigurationError where gradio is not installed (``cloche[gradio-app]``).
    """
    gr = need("gradio", "gradio-app", what="the page", field="agent")

    def answer(message: Any, _: Any, copied: _Copied | None) -> Iterator[tuple[list[Shown], _Copied]]:
        given: dict[str, Any] = as_dict(message) or {"text": message}
        files = [Path(file) for file in given.get("files") or ()]
        own = copied or _Copied(agent)
        for shown in _answer(own.agent, str(given.get("text") or ""), files, reset):
            yield shown, own

    with gr.Blocks(title=agent.name or "Agent") as page:
        own = gr.State(None, delete_callback=_close)
        gr.ChatInterface(
            answer,
            additional_inputs=[own],
            additional_outputs=[own],
            multimodal=uploads,
            chatbot=gr.Chatbot(label=agent.name or "Agent", height="75vh"),
            description=agent.description or None,
            api_name="chat",
        )
    return page


class _Copied:
    """A visitor's copy of the agent. Gradio does not copy it again."""

    def __init__(self, agent: MultiStepAgent) -> None:
        self.agent = agent.copy()

    def __deepcopy__(self, _: Any) -> "_Copied":
        return self


def _close(copied: _Copied | None) -> None:
    if copied is not None:
        copied.agent.interrupt()
        copied.agent.close()


def _answer(agent: MultiStepAgent, task: str, files: list[Path], reset: bool) -> Iterator[list[Shown]]:
    """Work on a task and yield all messages of the answer, each time there is another one."""
    shown: list[Shown] = []
    images = [file.read_bytes() for file in files if file.suffix.lower() in _IMAGES]
    others = [file for file in files if file.suffix.lower() not in _IMAGES]
    if reset:
        agent.reset()
    if others and isinstance(agent, CodeAgent):
        for file in others:
            agent.session.put_file(file.name, file.read_bytes())
        task += "\n\nFiles in the working folder: " + ", ".join(file.name for file in others)
    try:
        for event in agent.run(task, stream=True, reset=False, images=images):
            more = messages_of(event)
            if more:
                shown += more
                yield shown
    except Exception as error:
        # The page's own words are "Error"; a visitor is to see which.
        yield [*shown, _said(f"**{type(error).__name__}:** {_inert(str(error))}")]


def messages_of(event: AgentEvent) -> list[Shown]:
    """Return what the page shows of an event of its agent; nothing for most, and for those of agents it manages."""
    match event:
        case PlanMade(step=step):
            return [_folded("Plan", _inert(step.plan))]
        case CodeStarted(code=code):
            return [_folded("Program", _fenced(code, "python"))]
        case StepEnded(step=step):
            return _of_step(step)
        case RunEnded(result=result) if result.output is not None:
            return _of_answer(result.output)
        case RunEnded(result=result) if result.error is not None:
            return [_said(f"**{type(result.error).__name__}:** {_inert(safe_str(result.error))}")]
        case RunEnded():
            return [_said("(no answer)")]
        case _:
            return []


def _of_step(step: Any) -> list[Shown]:
    requests = [f"{request.name}({request.arguments})" for request in step.requests or ()]
    calls = [_folded("Calls", _fenced("\n".join(requests), "text"))] if requests else []
    title = f"Step {step.number}: error" if step.error is not None else f"Step {step.number}"
    observed = [_folded(title, _fenced(step.observation, "text"))] if step.observation else []
    return [*calls, *observed, *(_said(_picture(image)) for image in step.images or ())]


def _of_answer(output: Any) -> list[Shown]:
    # A path among a program's values names nothing that this page may read.
    if isinstance(output, ImagePart) or type(output).__module__.partition(".")[0] == "PIL":
        return [_said(_picture(ImagePart.load(output)))]
    return [_said(_inert(answer_text(output)))]


def _picture(image: ImagePart) -> Any:
    """Return an image as Gradio's component shows it: from bytes that are here, never from an address."""
    gr = need("gradio", "gradio-app")
    if not image.data:
        return "(an image that is elsewhere)"
    pixels = need("PIL.Image", "gradio-app").open(BytesIO(base64.b64decode(image.data)))
    return gr.Image(pixels)


def _said(content: Any) -> Shown:
    return {"role": "assistant", "content": content}


def _folded(title: str, content: str) -> Shown:
    return {"role": "assistant", "content": content, "metadata": {"title": title, "status": "done"}}


def _fenced(text: str, language: str) -> str:
    cut = text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}\n... ({len(text):,} characters)"
    return fenced(cut, language)


def _inert(text: str) -> str:
    """Return Markdown whose images and HTML are text: showing an answer makes no request."""
    return text[:_MAX_TEXT].replace("![", "!\\[").replace("<", "&lt;")
