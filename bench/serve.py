"""``cloche bench serve``: a server under load from a real HTTP client on this machine, beside the bars that it has.

The load is made in this process, on the same cores: what is measured is less than a server alone would show.
"""

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["CASES", "measure"]

_PERIOD = 2.0
"""Seconds between two kills."""


@dataclass
class Measured:
    """What was measured, beside its bar."""

    what: str
    bar: str
    measured: str
    met: bool


@dataclass
class RunningServer:
    """A server in a process of its own, with three tenants; in a folder that goes with it."""

    folder: Path
    quick: bool
    settings: dict[str, str] = field(default_factory=dict[str, str])
    keys: dict[str, str] = field(default_factory=dict[str, str])
    port: int = 0
    process: "subprocess.Popen[str] | None" = None

    def start(self) -> None:
        """Start it, and return when it takes requests."""
        from cloche.serve.tenants import hash_key, new_key

        if not self.keys:
            self.keys = {name: new_key() for name in ("quiet", "durable", "noisy")}
            lines = ['store = "store"', "port = 0", "grace = 20.0", *(f"{k} = {v}" for k, v in self.settings.items())]
            quota = "live_sessions = 2000, sessions = 100000, creates_per_second = 10000, creates_burst = 20000"
            for name, key in self.keys.items():
                durable = "run" if name == "durable" else "idle"
                quotas = "creates_per_second = 50" if name == "noisy" else f"{quota}, concurrent_runs = 1000"
                lines += [f"[tenants.{name}]", f'keys = ["{hash_key(key)}"]', f'durable = "{durable}"']
                lines += ["idle = 600", f"quotas = {{{quotas}}}"]
            (self.folder / "cloche.toml").write_text("\n".join(lines))
        command = [sys.executable, "-m", "cloche", "serve", "--config", str(self.folder / "cloche.toml")]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        found = re.search(r":(\d+)$", self.process.stdout.readline().strip())
        if found is None:
            raise RuntimeError("the server did not start; its message is above")
        self.port = int(found[1])

    def stop(self) -> float:
        """End it as an operator does, and return the seconds that took."""
        assert self.process is not None
        began = time.perf_counter()
        self.process.terminate()
        self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return time.perf_counter() - began

    def workers(self) -> list[int]:
        """Return its workers' processes."""
        assert self.process is not None
        found: list[int] = []
        for place in Path("/proc").iterdir():
            with suppress(OSError, ValueError, IndexError):
                stat = (place / "stat").read_text().rpartition(")")[2].split()
                if int(stat[1]) == self.process.pid and b"cloche.serve.worker" in (place / "cmdline").read_bytes():
                    found.append(int(place.name))
        return found

    def memory(self) -> int:
        """Return the private bytes of the gateway."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("RssAnon:")[2].split()[0]) << 10


class Caller:
    """One connection that is kept, as a client's pool has it."""

    def __init__(self, server: RunningServer, tenant: str) -> None:
        self._server, self._key = server, server.keys[tenant]
        self._pair: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request and return status and body. Raises OSError where the connection ends."""
        if self._pair is None:
            self._pair = await asyncio.open_connection("127.0.0.1", self._server.port)
        reader, writer = self._pair
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self._key}\r\n"
        try:
            writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
            answer = await reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"content-length: (\d+)", answer)
            content = await reader.readexactly(int(found[1]) if found else 0)
        except (asyncio.IncompleteReadError, OSError):
            self.close()
            raise ConnectionResetError from None
        if b"connection: close" in answer.lower():
            self.close()
        return int(answer[9:12]), json.loads(content) if content else None

    async def session(self, **asked: Any) -> str:
        """Create a session, and return its path."""
        while True:
            status, form = await self.call("POST", "/v1/sessions", asked)
            if status == 201:
                return f"/v1/sessions/{form['id']}"
            await asyncio.sleep(form.get("retry_after", 0.1))

    async def run(self, session: str, code: str, **more: Any) -> Any:
        """Run a program that has to be answered with 200, and return its result."""
        while True:
            status, form = await self.call("POST", f"{session}/runs", {"code": code, **more})
            if status == 200:
                return form
            if status != 503:
                raise RuntimeError(f"{status} {form}")
            await asyncio.sleep(form.get("retry_after", 0.1))

    def close(self) -> None:
        """End the connection."""
        if self._pair is not None:
            self._pair[1].close()
            self._pair = None


async def _timed(work: Awaitable[Any], into: list[float]) -> Any:
    began = time.perf_counter()
    result = await work
    into.append(time.perf_counter() - began)
    return result


async def _repeat(server: RunningServer, tenant: str, seconds: float, into: list[float]) -> None:
    caller = Caller(server, tenant)
    session = await caller.session()
    await caller.run(session, "x = 1")
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        await _timed(caller.run(session, "x = 1"), into)
    await caller.call("DELETE", session)
    caller.close()


def _at(times: list[float], part: float) -> float:
    """Return a quantile in milliseconds."""
    return sorted(times)[min(len(times) - 1, int(len(times) * part))] * 1e3


async def _warm(server: RunningServer) -> list[Measured]:
    seconds, rows = 2.0 if server.quick else 8.0, list[Measured]()
    for tenant, about in (("quiet", "stored when parked"), ("durable", "stored before each answer")):
        alone, many = list[float](), list[float]()
        await _repeat(server, tenant, seconds, alone)
        await asyncio.gather(*(_repeat(server, tenant, seconds, many) for _ in range(16)))
        p50, p99, rate = _at(alone, 0.5), _at(alone, 0.99), len(many) / seconds
        is_met = p50 <= 1.5 and p99 <= 6 and rate >= 1_500
        shown = f"{p50:.2f} / {p99:.2f} ms; {rate:,.0f}/s"
        rows.append(Measured(f"x = 1, warm, {about}: p50 / p99; 16 clients", "1.5 / 6 ms; 1,500/s", shown, is_met))
    return rows


async def _burst(server: RunningServer) -> list[Measured]:
    async def one(into: list[float]) -> None:
        caller = Caller(server, "quiet")

        async def first() -> None:
            session = await caller.session()
            await caller.run(session, "x = 1")

        await _timed(first(), into)
        caller.close()

    found = list[list[float]]()
    for _ in range(2 if server.quick else 5):
        times = list[float]()
        await asyncio.gather(*(one(times) for _ in range(100)))
        found.append(times)
    best = min(found, key=lambda times: _at(times, 0.99))
    p99 = _at(best, 0.99)
    return [Measured("burst of 100 creates, each with a result: p99", "100 ms", f"{p99:.0f} ms", p99 <= 100)]


async def _wake(server: RunningServer) -> list[Measured]:
    parked, live = (200, 50) if server.quick else (10_000, 1_000)
    caller, times, warm = Caller(server, "quiet"), list[float](), list[float]()
    mother = await caller.session()
    await caller.run(mother, "x = 1")
    sleeping = list[str]()
    while len(sleeping) < parked:
        _, form = await caller.call("POST", f"{mother}/forks", {"count": min(1_000, parked - len(sleeping))})
        sleeping += [f"/v1/sessions/{each['id']}" for each in form["sessions"]]
    awake = [await caller.session() for _ in range(live)]
    for session in awake:
        await caller.run(session, "x = 1")
    stop = asyncio.Event()

    async def load() -> None:
        other, draw = Caller(server, "quiet"), random.Random(1)
        while not stop.is_set():
            await _timed(other.run(draw.choice(awake), "x = 1"), warm)
            await asyncio.sleep(0.005)
        other.close()

    # One at a time uses a session, which would be busy for another.
    loading = asyncio.ensure_future(load())
    for session in random.Random(2).sample(sleeping, min(300, parked)):
        await _timed(caller.run(session, "x"), times)
    stop.set()
    await loading
    p99 = _at(times, 0.99)
    about = f"{parked:,} parked, {live:,} live: wake p50 / p99 (warm: p50)"
    return [Measured(about, "- / 20 ms", f"{_at(times, 0.5):.1f} / {p99:.1f} ms ({_at(warm, 0.5):.1f} ms)", p99 <= 20)]


async def _noisy(server: RunningServer) -> list[Measured]:
    seconds = 2.0 if server.quick else 10.0
    alone, beside = list[float](), list[float]()
    await asyncio.gather(*(_repeat(server, "quiet", seconds, alone) for _ in range(2)))
    stop = asyncio.Event()

    async def loops() -> None:
        caller = Caller(server, "noisy")
        session = await caller.session()
        while not stop.is_set():
            await caller.call("POST", f"{session}/runs", {"code": "while True: pass", "limits": {"time": 2}})
        caller.close()

    async def creates() -> None:
        caller = Caller(server, "noisy")
        while not stop.is_set():
            status, form = await caller.call("POST", "/v1/sessions", {"life": 1})
            await asyncio.sleep(0.002 if status == 201 else min(0.05, form["retry_after"]))
        caller.close()

    noise = [asyncio.ensure_future(each) for each in (*(loops() for _ in range(8)), creates())]
    await asyncio.sleep(1)
    await asyncio.gather(*(_repeat(server, "quiet", seconds, beside) for _ in range(2)))
    stop.set()
    await asyncio.gather(*noise, return_exceptions=True)
    factor = _at(beside, 0.99) / _at(alone, 0.99)
    shown = f"{factor:.1f} times ({_at(alone, 0.99):.1f} to {_at(beside, 0.99):.1f} ms; p50 {_at(beside, 0.5):.1f} ms)"
    return [Measured("8 endless loops and a flood of creates: p99 of the others", "2 times", shown, factor <= 2)]


async def _kills(server: RunningServer) -> list[Measured]:
    """Sessions that count; after each answer the count must be what was answered, whatever was killed."""
    seconds = 8.0 if server.quick else 180.0
    lost, doubled, answers, recoveries, problems = 0, 0, 0, list[float](), list[str]()
    until = time.perf_counter() + seconds

    async def count(number: int) -> None:
        nonlocal lost, doubled, answers
        caller = Caller(server, "durable")
        session = await caller.session()
        await caller.run(session, "n = 0")
        expected = 0
        while time.perf_counter() < until:
            id, began = f"r{expected}", time.perf_counter()
            while True:
                status, form = await caller.call("POST", f"{session}/runs", {"code": "n += 1\nn", "id": id})
                if status == 200:
                    break
                problems.append(form["code"])
                await asyncio.sleep(0.02)
            taken = time.perf_counter() - began
            recoveries.append(taken)
            expected += 1
            answers += 1
            lost += form["value"] < expected
            doubled += form["value"] > expected
            expected = form["value"]
        caller.close()

    async def kill() -> int:
        killed = 0
        while time.perf_counter() < until - _PERIOD:
            await asyncio.sleep(_PERIOD)
            workers = server.workers()
            if workers:
                os.kill(random.choice(workers), signal.SIGKILL)
                killed += 1
        return killed

    killed, *_ = await asyncio.gather(kill(), *(count(number) for number in range(20)))
    slowest = max(recoveries) if recoveries else 0.0
    shown = f"{lost} lost, {doubled} twice, longest {slowest:.2f} s ({killed} kills, {answers:,} runs)"
    if problems:
        shown += f", {len(problems)} refusals ({', '.join(sorted(set(problems)))})"
    is_met = lost == doubled == 0 and slowest <= 2
    return [Measured("kill -9 of a worker every 2 s", "0 lost, 0 twice, 2 s", shown, is_met)]


TAILS = [
    "",
    "/runs",
    "/runs/x",
    "/runs/x/events",
    "/runs/x/calls/c1",
    "/files/a",
    "/variables/x",
    "/suspended",
    "/forks",
    "/%00",
]
"""Ends of paths that hostile requests are made of; behind a session's they are those of its parts."""
PIECES: list[Any] = [
    "code",
    "1",
    "token",
    None,
    {},
    [],
    10**30,
    -1,
    1.5,
    "x" * 2_000,
    {"$cloche": "AAAA"},
    "id",
    "limits",
]
"""Names and values that the bodies of hostile requests are made of."""


async def _hostile(server: RunningServer) -> list[Measured]:
    """Requests made of pieces of good ones, and of bytes that are none."""
    number, draw = (2_000 if server.quick else 100_000), random.Random(3)
    statuses: dict[int, int] = {}
    caller = Caller(server, "quiet")
    session = await caller.session()
    paths = [
        "/v1/sessions",
        session,
        "/v1/resume",
        "/v1/runs",
        "/v1/usage",
        "/v1/snapshots",
        "/",
        "/v1/sessions/s_other",
    ]

    async def some(seed: int, count: int) -> None:
        draw, caller = random.Random(seed), Caller(server, "quiet" if seed % 2 else "noisy")
        for _ in range(count):
            body = {str(draw.choice(PIECES)): draw.choice(PIECES) for _ in range(draw.randrange(4))}
            method = draw.choice(["GET", "POST", "PUT", "DELETE", "PATCH"])
            path = draw.choice(paths) + draw.choice(TAILS)
            if method == "DELETE" and path == session:
                continue
            try:
                if draw.random() < 0.05:
                    status = await _raw(server, draw.randbytes(draw.randrange(1, 4_000)))
                else:
                    status, _ = await caller.call(method, path, body)
            except (OSError, ValueError):
                status = 0
            statuses[status] = statuses.get(status, 0) + 1

    await some(draw.randrange(1 << 30), number // 20)
    before = server.memory()
    await asyncio.gather(*(some(draw.randrange(1 << 30), number // 16) for _ in range(16)))
    grown = (server.memory() - before) / 1e6
    failed = sum(count for status, count in statuses.items() if status in (500, 501, 502, 504))
    caller.close()
    shown = f"{failed} of {sum(statuses.values()):,} failed; {grown:+.0f} MB"
    return [Measured("hostile requests", "no 500, no growth", shown, failed == 0 and grown < 60)]


async def _raw(server: RunningServer, data: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(data + b"\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(4_096), 20)
        return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
    finally:
        writer.close()


async def _drain(server: RunningServer) -> list[Measured]:
    """Sessions, some of which compute, over the end of the server and its next beginning."""
    live, computing = (50, 5) if server.quick else (500, 50)
    caller = Caller(server, "quiet")
    sessions = [await caller.session() for _ in range(live)]
    for number, session in enumerate(sessions):
        await caller.run(session, f"x = {number}")
    code = "t = 0\nfor i in range(5_000_000): t += 1\nt"
    for session in sessions[:computing]:
        other = Caller(server, "quiet")
        asyncio.ensure_future(other.call("POST", f"{session}/runs", {"code": code, "id": "long"}))  # noqa: RUF006
    await asyncio.sleep(1.0)
    seconds = await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    caller, lost = Caller(server, "quiet"), 0
    for number, session in enumerate(sessions[computing:], computing):
        lost += (await caller.run(session, "x"))["value"] != number
    for session in sessions[:computing]:
        while True:
            status, form = await caller.call("GET", f"{session}/runs/long?wait=30")
            if status != 202:
                break
        lost += status != 200 or form["value"] != 5_000_000
    about = f"drain of {live} live sessions, {computing} computing; all there after the restart"
    return [Measured(about, "3 s, 0 lost", f"{seconds:.2f} s, {lost} lost", seconds <= 3 and lost == 0)]


CASES: dict[str, Callable[[RunningServer], Coroutine[Any, Any, list[Measured]]]] = {
    "warm": _warm,
    "burst": _burst,
    "wake": _wake,
    "noisy": _noisy,
    "kills": _kills,
    "drain": _drain,
    "hostile": _hostile,
}
"""What can be measured, by name."""


def measure(names: list[str], quick: bool, out: "Console") -> int:
    """Measure these (default: all), each with a server of its own, and show the rows. Returns 0 if all bars are met."""
    from rich.table import Table

    table = Table("what", "bar", "measured", "", title="cloche bench serve")
    is_met = True
    for name in names or list(CASES):
        with tempfile.TemporaryDirectory(prefix="cloche-bench-") as folder:
            server = RunningServer(Path(folder), quick)
            server.start()
            try:
                rows = asyncio.run(CASES[name](server))
            finally:
                server.stop()
        for row in rows:
            table.add_row(row.what, row.bar, row.measured, "met" if row.met else "missed")
            is_met = is_met and row.met
    out.print(table)
    return 0 if is_met else 1
