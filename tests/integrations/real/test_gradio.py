"""An agent as a page of Gradio: what the page shows, and the page itself where the package is installed."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from cloche import CodeAgent, GradioUI, gradio_app
from cloche.agent import ScriptedModel
from cloche.agent.messages import ImagePart
from cloche.integrations.gradio import messages_of
from cloche.runtime.errors import ConfigurationError

FIRST = "<code>\nx = 6 * 7\nprint('<script>```', x)\n</code>"
ANSWER = "<code>\nfinal_answer('![x](https://example.com/?q=secret) is <b>')\n</code>"

installed = pytest.mark.skipif(
    not (find_spec("gradio") and find_spec("gradio_client")), reason="gradio is not installed"
)


def shown(*replies: str, **options: Any) -> list[dict[str, Any]]:
    with CodeAgent([], ScriptedModel(list(replies)), **options) as agent:
        return [message for event in agent.run("t", stream=True) for message in messages_of(event)]


def test_programs_and_observations_are_folded_and_cannot_leave_their_fence() -> None:
    program, step, last, answer = shown(FIRST, ANSWER)
    assert [program["metadata"]["title"], step["metadata"]["title"]] == ["Program", "Step 1"]
    assert step["content"] == "````text\nPrinted:\n<script>``` 42\n````"
    assert last["content"].startswith("```python")
    assert "metadata" not in answer


def test_an_answer_loads_no_images_and_is_no_html() -> None:
    assert shown(ANSWER)[-1]["content"] == "!\\[x](https://example.com/?q=secret) is &lt;b>"


def test_a_path_that_a_program_answers_with_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"\x89PNG")
    answer = shown(f"<code>\nimport pathlib\nfinal_answer(pathlib.Path({str(secret)!r}))\n</code>")[-1]
    assert answer["content"] == str(secret)


def test_what_ended_a_run_is_said() -> None:
    assert shown("<code>\n1\n</code>", "no more", max_steps=1)[-1]["content"] == "no more"
    assert shown()[-1]["content"].startswith("**ModelRefused:** ")


def test_a_plan_is_shown() -> None:
    messages = shown("Look, then answer.", "<code>\nfinal_answer(1)\n</code>", planning_interval=1)
    assert messages[0] == {
        "role": "assistant",
        "content": "Look, then answer.",
        "metadata": {"title": "Plan", "status": "done"},
    }


@pytest.mark.skipif(find_spec("gradio") is not None, reason="gradio is installed")
def test_without_gradio_it_says_what_to_install() -> None:
    with CodeAgent([], ScriptedModel([])) as agent, pytest.raises(ConfigurationError, match=r"cloche\[gradio-app\]"):
        gradio_app(agent)


@installed
@pytest.mark.filterwarnings("ignore")
def test_each_visitor_has_a_conversation_of_their_own(tmp_path: Path) -> None:
    client: Any = import_module("gradio_client").Client

    notes = tmp_path / "notes.txt"
    notes.write_text("seven", encoding="utf-8")
    read = "<code>\nfinal_answer(open('notes.txt').read())\n</code>"
    model = ScriptedModel([FIRST, ANSWER, "<code>\nfinal_answer(x + 1)\n</code>", read])
    with CodeAgent([], model, name="helper", description="Helps.") as agent:
        ui: Any = GradioUI(agent, file_upload_folder=tmp_path)
        page = ui.create_app()
        _, url, _ = page.launch(prevent_thread_lock=True, quiet=True)
        try:
            one, other = client(url, verbose=False), client(url, verbose=False)
            first = one.predict({"text": "what is it?", "files": []}, api_name="/chat")
            assert first[-1]["content"].endswith("is &lt;b>")
            assert one.predict({"text": "and more?", "files": []}, api_name="/chat")[-1]["content"] == "43"
            given = {"text": "read", "files": [_handle(notes)]}
            assert other.predict(given, api_name="/chat")[-1]["content"] == "seven"
        finally:
            page.close()
        # The agent itself is only what visitors get copies of.
        assert agent.memory.steps == []


@installed
def test_an_image_is_shown_from_its_bytes() -> None:
    pil = pytest.importorskip("PIL.Image")
    from cloche.agent.events import StepEnded
    from cloche.agent.steps import ActionStep

    step = ActionStep(
        number=1, images=[ImagePart.load(pil.new("RGB", (2, 2))), ImagePart.load("https://example.com/a.png")]
    )
    picture, elsewhere = messages_of(StepEnded(step))
    assert type(picture["content"]).__name__ == "Image"
    assert elsewhere["content"] == "(an image that is elsewhere)"


def _handle(path: Path) -> Any:
    return import_module("gradio_client").handle_file(path)
