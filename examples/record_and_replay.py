"""Record a run, look at it, and run it again without the model."""

import tempfile
from pathlib import Path

from models import code, model_or
from tools.maths import factorial

from cloche.agent import CodeAgent, RecordingModel, ReplayModel, RunRecorder
from cloche.agent.monitoring.trace_page import as_html
from cloche.agent.monitoring.traces import as_text, read_record

LINES = [code("I compute it.", "x = factorial(10)\nprint(x)"), code("That is it.", "final_answer(x)")]


def main() -> None:
    """Run twice: with the model, then with its recorded answers."""
    folder = Path(tempfile.mkdtemp())
    recording = RecordingModel(model_or(LINES), folder / "answers.jsonl")
    with CodeAgent([factorial], recording, observers=[RunRecorder(folder / "run.jsonl")]) as agent:
        first = agent.run("What is 10!?")
    with CodeAgent([factorial], ReplayModel(folder / "answers.jsonl")) as agent:
        print(first, agent.run("What is 10!?"))
    runs = read_record(folder / "run.jsonl")
    (folder / "run.html").write_text(as_html(runs), encoding="utf-8")
    print(next(line for line in as_text(runs).splitlines() if line.startswith("task: ")))


if __name__ == "__main__":
    main()
