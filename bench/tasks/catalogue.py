"""Every task that runs in a peer's own process, by name."""

from cloche.bench.tasks import compute, crowd, durable, runs, tools
from cloche.bench.tasks.base import Task

__all__ = ["TASKS"]

_TEXT = "text = 'x' * 1000"
_DATA = "data = b'x' * 1000000"

_SIX = {
    function.__name__: function
    for function in (tools.add, tools.ask, tools.echo_data, tools.echo_text, tools.find_rows, tools.look_up)
}

TASKS: dict[str, Task] = {
    "fresh.ready": Task(runs.open_paused("fresh.ready", runs.TRIVIAL)),
    "fresh.sustained": Task(runs.open_sustained),
    "fresh.imports": Task(runs.open_paused("fresh.imports", runs.IMPORTS)),
    "fresh.tools": Task(runs.open_tools, _SIX),
    "session.next": Task(runs.open_next),
    "session.repeat": Task(runs.open_repeat("session.repeat")),
    "session.tools": Task(runs.open_repeat("session.tools"), _SIX),
    "durable.snapshot": Task(durable.open_snapshot("durable.snapshot", durable.SMALL)),
    "durable.restore": Task(durable.open_restore),
    "durable.fork": Task(durable.open_fork),
    "durable.large": Task(durable.open_snapshot("durable.large", durable.LARGE)),
    "durable.resume": Task(durable.open_resume, {"ask": tools.ask}),
    "durable.size": Task(durable.open_size("durable.size", durable.TINY)),
    "durable.data": Task(durable.open_size("durable.data", durable.DATA)),
    "tool.ints": Task(tools.open_calls("tool.ints", "", "add(a=1, b=2)", "value", 3), {"add": tools.add}),
    "tool.text": Task(
        tools.open_calls("tool.text", _TEXT, "echo_text(text=text)", "value == text", True),
        {"echo_text": tools.echo_text},
    ),
    "tool.data": Task(
        tools.open_calls("tool.data", _DATA, "echo_data(data=data)", "value == data", True),
        {"echo_data": tools.echo_data},
    ),
    "tool.rows": Task(
        tools.open_calls("tool.rows", "", "find_rows()", "value[7]['name'] + str(len(value))", "customer 710000"),
        {"find_rows": tools.find_rows},
    ),
    "transcript": Task(runs.open_transcript, {"look_up": tools.look_up}),
    **{f"compute.{name}": Task(compute.open_program(name)) for name in compute.PROGRAMS},
    **{name: Task(compute.open_threads_inside(name)) for name in compute.THREADS},
    "memory": Task(crowd.open_memory),
    "throughput.1": Task(crowd.open_threads(1)),
    "throughput.2": Task(crowd.open_threads(2)),
    "live": Task(crowd.open_live),
    "feeds": Task(runs.open_feeds),
    "burst": Task(crowd.open_burst),
    "busy": Task(crowd.open_busy),
    "waiting": Task(crowd.open_waiting),
    "rest": Task(crowd.open_resting),
    "await": Task(crowd.open_awaited),
    "request": Task(crowd.open_requests),
    "beside": Task(crowd.open_beside),
    "pause": Task(crowd.open_pauses),
}
