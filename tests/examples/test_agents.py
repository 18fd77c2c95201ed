"""The examples of agents, offline."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloche import Image

EXAMPLES = Path(__file__).parents[2] / "examples"
NEEDS = {"mcp_agent": "mcp", "sql_agent": "sqlalchemy"}
IMAGES = {"data_analysis": "data"}
PRINTED = {
    "agentic_rag": (
        "After 30 days a receipt needs the head of department's signature (page 1).\n"
        "step 1: ['late invoice']\nstep 2: ['receipts handed in after days']\nstep 3: []\n"
    ),
    "approval_later": (
        "waits: order('paper', 20)\nwaits: order('a printer', 400)\n"
        "paper ordered for 20 euros; refused: order() is not allowed: too expensive\n"
    ),
    "async_fan_out": "['Cairo', 'Delhi', 'Rome']\n",
    "budgeted_research": (
        "the run used 21 tool calls and its budget is 20: raise RunBudget(...)\n1 step is remembered\n"
    ),
    "data_analysis": "wrote charts/1.png\n{'units': {'north': 45.0, 'south': 34.0}, 'slope': -10.42}\n",
    "factorial_and_prime": "[1, 2, 3, 11]\nstep 1: NameError\nstep 2: ok\nstep 3: ok\n",
    "human_approval": (
        "The paper is ordered, the printer was refused.\n"
        "order {'what': 'paper', 'price': 20} returned kim\n"
        "order {'what': 'a printer', 'price': 400} denied kim\n"
    ),
    "local_ollama": "no server answers at http://127.0.0.1:9: is Ollama running?\n",
    "manager_and_specialists": (
        "Prime: [2, 3, 7]. Squares: 4! + 1 = 25, 5! + 1 = 121, 7! + 1 = 5041. "
        "Brocard's problem: for which n is n! + 1 a square? Known are n = 4, 5 and 7 only.\n"
        "manager: 2 steps, 1,099 tokens\nmaths: 2 steps, 805 tokens\nresearch: 2 steps, 705 tokens\n"
    ),
    "mcp_agent": "8 tools, run_python among them: True\n332833500\n",
    "memo_agent": "Noted.\nAda's birthday is on 10 December.\n",
    "planning": (
        "plan: 1. Find the primes below 50.\nplan: The twins are known. 1. Answer.\n6 pairs, the last is (41, 43)\n"
    ),
    "record_and_replay": "3628800 3628800\ntask: What is 10!?\n",
    "sql_agent": (
        "Margaret, with 6.63\nstep 1: the database refused: no such column: waiter\nstep 2: ok\nstep 3: ok\n"
    ),
    "step_callbacks": (
        "plan: 1. Count. 2. Answer.\nstep 1: 13898 characters of observation\n"
        "step 2: 15 characters of observation\nthe caller interrupted the agent\n(long output, left out)\n"
    ),
    "typed_answer": "City(name='Oslo', people=717710)\n",
    "weather_report": "Oslo: 26.6 F, Rome: 57.2 F\n",
}


def test_every_example_has_its_output_here() -> None:
    helpers = {"models"}
    assert {path.stem for path in EXAMPLES.glob("*.py")} - helpers == set(PRINTED)


def _draws(image: Image) -> bool:
    return "matplotlib" in image.modules


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_prints_this(name: str, tmp_path: Path) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    if name in IMAGES and not any(image.name == IMAGES[name] and _draws(image) for image in Image.all()):
        pytest.skip(f"the image {IMAGES[name]} is not built, or an older one: make {IMAGES[name]}")
    environment = {key: value for key, value in os.environ.items() if key != "CLOCHE_MODEL"}
    environment |= {"OLLAMA_HOST": "http://127.0.0.1:9", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=300,
        check=False,
    )
    assert run.stdout == PRINTED[name], run.stderr
    assert run.returncode == 0
