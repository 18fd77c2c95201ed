from collections.abc import Iterator

import pytest
from tests.serve.servers import Served, serving

_TEAM = """
from cloche import tool
from cloche.agent import CodeAgent, ScriptedModel

@tool(approval=True)
def pay(to: str, amount: int) -> str:
    "Pay a person."
    return f"paid {amount} to {to}"

@tool
def price(item: str) -> float:
    "Return an item's price."
    return 2.5

def programs(request):
    "Be a model whose programs are chosen by the task's first word."
    task = [m.text for m in request.messages if m.role == "user" and "do:" in m.text][-1]
    word = task.split("do:")[-1].split()[0]
    text = {
        "count": "total = 1 + globals().get('total', 0)\\nprint('so far', total)\\nfinal_answer(total)",
        "price": "final_answer(price('tea'))",
        "pay": "try: said = pay('ann', 20)\\nexcept PermissionError as no: said = f'no: {no}'\\nfinal_answer(said)",
        "twice": "one = pay('ann', 1)\\ntwo = pay('bob', 2)\\nfinal_answer([one, two])",
        "fail": "1 / 0",
        "spin": "print('begun')\\nwhile True: pass",
    }[word]
    return f"I think.\\n<code>\\n{text}\\n</code>"

def helper():
    return CodeAgent([pay, price], ScriptedModel(programs), name="helper", description="Helps.", max_steps=2)
"""


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose tenants have an agent."""
    folder = tmp_path_factory.mktemp("team")
    (folder / "team_of_protocols.py").write_text(_TEAM)
    agents = {"agents": {"helper": "team_of_protocols:helper"}}
    with serving(folder, {"north": agents, "south": agents, "west": {}}, max_body="1 MiB", body_seconds=3.0) as served:
        yield served
