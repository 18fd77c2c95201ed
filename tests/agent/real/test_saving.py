"""Agents saved with the state of their code."""

import os
import subprocess
import sys
from pathlib import Path

from cloche.agent import CodeAgent, ModelUnavailable, MultiStepAgent, ScriptedModel

FIRST = "<code>\nx = 20\ndef double(n): return 2 * n\nopen('note', 'w').write('two')\n</code>"
THEN = "<code>\nfinal_answer([double(x) + 2, open('note').read()])\n</code>"
# What the other process runs; it is given the folder and prints the answer.
OTHER = f"""
import sys
from cloche.agent import MultiStepAgent, ScriptedModel
with MultiStepAgent.load(sys.argv[1], ScriptedModel([{THEN!r}])) as agent:
    print(agent.resume(), [step.number for step in agent.memory.actions])
"""


def interrupted(folder: Path) -> CodeAgent:
    agent = CodeAgent([], ScriptedModel([FIRST, ModelUnavailable("down"), THEN]))
    assert agent.run("t", return_full_result=True).state == "model_error"
    agent.save(folder)
    return agent


def test_another_process_goes_on_where_this_one_was(tmp_path: Path) -> None:
    interrupted(tmp_path).close()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", OTHER, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.stdout == "[42, 'two'] [1, 2]\n", done.stderr


def test_saving_changes_nothing_for_the_agent(tmp_path: Path) -> None:
    with interrupted(tmp_path) as agent:
        assert agent.resume() == [42, "two"]


def test_a_loaded_agent_can_be_saved_again_and_reset(tmp_path: Path) -> None:
    interrupted(tmp_path / "one").close()
    fresh = "<code>\nfinal_answer('x' in globals())\n</code>"
    with MultiStepAgent.load(tmp_path / "one", ScriptedModel([fresh])) as loaded:
        loaded.save(tmp_path / "two")
        assert loaded.run("anew") is False
    with MultiStepAgent.load(tmp_path / "two", ScriptedModel([THEN])) as again:
        assert again.run("go on", reset=False) == [42, "two"]


def test_without_a_session_no_snapshot_is_left(tmp_path: Path) -> None:
    interrupted(tmp_path).close()
    CodeAgent([], ScriptedModel([])).save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent.json", "memory.json", "prompts.yaml"]
