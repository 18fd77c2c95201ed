"""An analysis over several steps: load a file, clean it, group it, fit a line, draw it. Needs ``make data``.

The figures of the agent's programs are written to the folder ``charts``, and its run to ``analysis.jsonl``, which
``cloche trace analysis.jsonl --html analysis.html`` turns into a page with the charts in it.
"""

from pathlib import Path

from models import code, model_or

from cloche import Limits, Sandbox
from cloche.agent import AgentEvent, CodeAgent, RunRecorder
from cloche.agent.events import CodeFinished
from cloche.host_tools import ToolRegistry

SALES = """day,region,units,price
2026-01-05,north,12,9.5
2026-01-05,south,7,9.9
2026-01-06,north,,9.5
2026-01-06,South,9,9.9
2026-01-07,north,15,9.2
2026-01-07,south,8,9.7
2026-01-08,north,18,8.9
2026-01-08,south,10,9.5
"""
CHARTS = Path("charts")
LINES = [
    code(
        "I look at the file.",
        "import pandas as pd\nsales = pd.read_csv('sales.csv')\nsales.head(3)",
    ),
    code(
        "A count is missing, and a region is spelt in two ways.",
        "sales['day'] = pd.to_datetime(sales.day)\nsales['region'] = sales.region.str.lower()\n"
        "sales = sales.dropna(subset='units')\nprint(len(sales), sorted(sales.region.unique()))",
    ),
    code("Now by region.", "by_region = sales.groupby('region').units.agg(['sum', 'mean'])\nby_region"),
    code(
        "Do units depend on the price?",
        "import numpy as np\nslope, start = np.polyfit(sales.price, sales.units, 1)\nprint(f'{slope:.2f} a unit')",
    ),
    code(
        "I draw it.",
        "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\n"
        "for region, rows in sales.groupby('region'):\n    ax.scatter(rows.price, rows.units, label=region)\n"
        "line = np.array([sales.price.min(), sales.price.max()])\nax.plot(line, slope * line + start, 'k--')\n"
        "ax.set_xlabel('price'); ax.set_ylabel('units'); ax.legend()\nplt.show()",
    ),
    code("That is the answer.", "final_answer({'units': by_region['sum'].to_dict(), 'slope': round(float(slope), 2)})"),
]


def save_charts(event: AgentEvent) -> None:
    """Write the images of each program to the folder of charts."""
    if isinstance(event, CodeFinished):
        CHARTS.mkdir(exist_ok=True)
        for display in event.result.displays:
            if display.png is not None:
                print("wrote", *display.save(CHARTS, f"{len(list(CHARTS.iterdir())) + 1}"))


def _sandbox(tools: ToolRegistry, limits: Limits) -> Sandbox:
    return Sandbox(tools, image="data", limits=limits)


def main() -> None:
    """Have the agent analyse the file, and print its answer."""
    limits = Limits(fuel=30_000_000_000, time=60, memory="512 MiB")
    watchers = [RunRecorder("analysis.jsonl"), save_charts]
    with CodeAgent([], model_or(LINES), sandbox=_sandbox, limits=limits, observers=watchers) as agent:
        agent.session.put_file("sales.csv", SALES)
        # Not reset, as the file is in the session already.
        print(agent.run("How many units did each region sell, and how do they depend on the price?", reset=False))


if __name__ == "__main__":
    main()
