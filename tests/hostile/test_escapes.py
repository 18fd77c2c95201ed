"""Programs that try to get out: at the host's files, processes, network, environment, memory and modules.

Interpreters of a subset of Python refuse such programs by name, one way after the other. Here each of them may run.
What is shown is that it comes to nothing; and, by the same program under this machine's own Python, that outside it
does not.
"""

import builtins
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the attempts are those of a POSIX machine")


@dataclass
class Host:
    """What there is to take or to change on this machine, and what of it was."""

    folder: Path
    port: int
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    visits: int = 0

    @property
    def file(self) -> Path:
        return self.folder / "secret.txt"

    @property
    def target(self) -> Path:
        return self.folder / "made"

    def knowing(self, program: str) -> str:
        """Return the program with all that an attacker could know of the place."""
        known = {"FOLDER": str(self.folder), "SECRET": str(self.file), "TARGET": str(self.target), "PORT": self.port}
        return "".join(f"{name} = {value!r}\n" for name, value in known.items()) + program

    def harmed(self, *told: object) -> list[str]:
        """Name what was taken or changed, given all that a program gave out."""
        signs = {
            "the secret is out": any(self.secret in str(one) for one in told),
            "a file was made": self.target.exists() or self.target.is_symlink(),
            "the secret was changed": not self.file.exists() or self.file.read_text() != self.secret,
            "a server was called": self.visits > 0,
        }
        return [sign for sign, seen in signs.items() if seen]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = Host(tmp_path, server.getsockname()[1])
        here.file.write_text(here.secret)
        monkeypatch.setenv("CLOCHE_SECRET", here.secret)
        waiting = threading.Thread(target=_count_visits, args=(server, here), daemon=True)
        waiting.start()
        yield here
        server.shutdown(socket.SHUT_RDWR)
    waiting.join(10)


def _count_visits(server: socket.socket, here: Host) -> None:
    while True:
        try:
            visitor, _ = server.accept()
        except OSError:
            return
        here.visits += 1
        visitor.sendall(here.secret.encode())
        visitor.close()


@pytest.fixture(scope="module")
def box() -> Sandbox:
    return Sandbox(limits=Limits(time=60))


def children() -> set[str]:
    """The processes that this one has started and that are there."""
    tasks = Path("/proc/self/task")
    return {child for task in tasks.glob("*/children") for child in task.read_text().split()}


def belongings() -> Any:
    """What a program could change in this process."""
    return (
        {name: id(value) for name, value in vars(builtins).items() if name != "_"},
        {name: id(module) for name, module in sys.modules.items() if name in ("os", "sys", "io", "json", "subprocess")},
        dict(os.environ),
        Path.cwd(),
        list(sys.path),
        children(),
    )


def attempt(box: Sandbox, host: Host, program: str) -> None:
    """Run a program in a session, and check that it neither took nor changed anything, and that all still works."""
    before = belongings()
    with box.session() as session:
        session.run("kept = 41").unwrap()
        result = session.run(host.knowing(program))
        error: Any = result.error
        told = (result.value, result.stdout, result.stderr, error, getattr(error, "traceback", ""), result.calls)
        assert host.harmed(*told) == []
        assert belongings() == before
        # The session lives, or begins anew where the program ended its interpreter; others never notice.
        assert session.run("globals().get('kept', 41) + 1").unwrap() == 42
    assert box.run("import os, json, sys; [print.__name__, json.loads('[1]'), len(sys.argv)]").unwrap()[:2] == [
        "print",
        [1],
    ]


def outside(host: Host, program: str) -> list[str]:
    """Run the same program under this machine's Python, and return what it took or changed."""
    shown = f"{host.knowing(program)}\nprint(took)\n"
    environment = {**os.environ, "CLOCHE_SECRET": host.secret}
    command = [sys.executable, "-W", "ignore", "-c", shown]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    return host.harmed(done.stdout, done.stderr)


# Ways to a module with effects, for whom its name is forbidden. Each ends with `os`.
ROUTES = {
    "by its name": "import os",
    "under another name": "import os as harmless; os = harmless",
    "by a part of it": "from os import path; os = path.os",
    "by the builtin": "import builtins; os = builtins.__import__('os')",
    "by the name of builtins": "b = __builtins__; os = (b if isinstance(b, dict) else vars(b))['__import__']('os')",
    "by exec": "space = {}; exec('import os', space); os = space['os']",
    "by eval": "os = eval('__import__(\"o\" + \"s\")')",
    "by compile": "space = {}; eval(compile('import os', '', 'exec'), space); os = space['os']",
    "by globals": "b = globals()['__builtins__']; os = (b if isinstance(b, dict) else vars(b))['__import__']('os')",
    "by locals": "import os as other; os = locals()['other']",
    "from the table of modules": "import sys; os = sys.modules['os']",
    "by importlib": "import importlib; os = importlib.import_module('os')",
    "by the import system": (
        "import importlib.util as u\nspec = u.find_spec('os')\n"
        "os = u.module_from_spec(spec); spec.loader.exec_module(os)"
    ),
    "by runpy": "import runpy; found = runpy.run_module('glob'); os = found['os']",
    "out of another module": "import random; os = random._os",
    "out of a module in a module": "import queue; os = queue.threading._os",
    "out of a module's dict": "import tempfile; os = tempfile.__dict__['_os']",
    "out of a module's vars": "import glob; os = vars(glob)['os']",
    "over a module that documents": "import doctest; os = doctest.inspect.os",
    "over a module's table of modules": "import warnings; os = warnings.sys.modules['os']",
    "over a loop's module": "import asyncio; os = asyncio.base_events.events.os",
    "by getattr": "import random; os = getattr(random, '_' + 'os')",
    "by getattr in map": "import glob; [os] = map(getattr, [glob], ['os'])",
    "by getattr in filter": (
        "import functools, glob\n[name] = filter(functools.partial(getattr, glob), ['os'])\nos = getattr(glob, name)"
    ),
    "by a getter": "import operator, random; os = operator.attrgetter('_os')(random)",
    "by a pattern": "import random\nmatch random:\n  case object(_os=os): pass",
    "by a with": (
        "import glob\nclass C:\n  __enter__ = staticmethod(lambda: glob.os)\n  def __exit__(self, *_): pass\n"
        "with C() as os: pass"
    ),
    "by the builtins of a frame": "import sys; os = sys._getframe().f_builtins['__import__']('os')",
    "by a traceback": (
        "try: 1 / 0\nexcept ZeroDivisionError as error:\n"
        "  os = error.__traceback__.tb_frame.f_builtins['__import__']('os')"
    ),
    "by the frames below": (
        "import sys\nframe = sys._getframe()\nwhile frame.f_back: frame = frame.f_back\n"
        "os = frame.f_builtins['__import__']('os')"
    ),
    "by a generator's frame": "g = (x for x in [1]); os = g.gi_frame.f_builtins['__import__']('os')",
    "by a function's globals": "import json; os = json.loads.__globals__['__builtins__']['__import__']('os')",
    "by a function's builtins": "os = (lambda: 0).__builtins__['__import__']('os')",
    "by the object of an error": "import glob\ntry: glob.nothing\nexcept AttributeError as error: os = error.obj.os",
    "by the classes there are": (
        "[one] = [c for c in object.__subclasses__() if c.__name__ == 'catch_warnings']\n"
        "os = one()._module.__builtins__['__import__']('os')"
    ),
    "by the importer among them": (
        "[one] = [c for c in ''.__class__.__base__.__subclasses__() if c.__name__ == 'BuiltinImporter']\n"
        "os = one.load_module('posix')"
    ),
    "by a class that knows a module": (
        "[one] = [c for c in ().__class__.__mro__[-1].__subclasses__() if c.__name__ == '_wrap_close']\n"
        "os = one.__init__.__globals__['sys'].modules['os']"
    ),
    "by dunder names in getattr": (
        "walk = getattr(getattr(getattr((), '__class__'), '__base__'), '__subclasses__')()\n"
        "[one] = [c for c in walk if getattr(c, '__name__') == '_wrap_close']\n"
        "os = getattr(getattr(one, '__init__'), '__globals__')['sys'].modules['os']"
    ),
    "by a module's loader": "import json; os = type(json.__spec__.loader).get_data.__globals__['_os']",
    "by what collects garbage": (
        "import gc\n[os] = [m for m in gc.get_objects() if type(m) is type(gc) and m.__name__ == 'os'][:1]"
    ),
    "by unpickling": "import pickle; os = pickle.loads(b'cbuiltins\\n__import__\\n(S\"os\"\\ntR.')",
}  # fmt: skip

# What is then done with it. One refusal does not save the rest from being tried.
USE = """
import sys
took = []
def command(): return os.system("cp '" + SECRET + "' '" + TARGET + "'")
def output(): return os.popen("cat '" + SECRET + "'").read()
def content(): return os.read(os.open(SECRET, os.O_RDONLY), 100)
def names(): return os.listdir(FOLDER)
def variable(): return dict(os.environ)
def bytes_variable(): return os.environ["CLOCHE_SECRET"] if hasattr(os, "getenv") else os.environ[b"CLOCHE_SECRET"]
def replaced(): return os.rename(SECRET, TARGET)
def removed(): return os.unlink(SECRET)
for one in (command, output, content, names, variable, bytes_variable, replaced, removed):
    try:
        took.append(one())
    except Exception as error:
        took.append(repr(error))
took
"""


@pytest.mark.parametrize("route", ROUTES)
def test_every_way_to_the_system_leads_to_the_guests_own(box: Sandbox, host: Host, route: str) -> None:
    attempt(box, host, ROUTES[route] + USE)


@pytest.mark.parametrize("route", ROUTES)
def test_outside_that_way_leads_to_harm(host: Host, route: str) -> None:
    assert outside(host, ROUTES[route] + USE)


# Other modules that an interpreter of a subset has to forbid, and what each is good for; `took` is what it got.
HARMS = {
    "subprocess.run": "import subprocess\ntook = subprocess.run(['cat', SECRET], capture_output=True).stdout",
    "subprocess in a shell": "import subprocess\ntook = subprocess.getoutput(f'cat {SECRET}')",
    "Popen among the classes": (
        "import subprocess\n[one] = [c for c in object.__subclasses__() if c.__name__ == 'Popen']\n"
        "took = one(['cat', SECRET], stdout=-1).communicate()[0]"
    ),
    "asyncio.subprocess": (
        "import asyncio\nasync def main():\n"
        "  p = await asyncio.create_subprocess_exec('cat', SECRET, stdout=-1)\n  return await p.communicate()\n"
        "took = asyncio.run(main())"
    ),
    "fork": (
        "import os\nif os.fork() == 0:\n  open(TARGET, 'w').close()\n  os._exit(0)\ntook = os.wait()"
    ),
    "exec": "import os\nos.execv('/bin/cat', ['cat', SECRET])",
    "spawn": "import os\ntook = os.spawnv(os.P_WAIT, '/bin/cp', ['cp', SECRET, TARGET])",
    "posix_spawn": "import os\ntook = os.waitpid(os.posix_spawn('/bin/cp', ['cp', SECRET, TARGET], {}), 0)",
    "posix": "import posix\ntook = posix.system(f'cp {SECRET} {TARGET}')",
    "pty": "import pty\ntook = pty.spawn(['cp', SECRET, TARGET])",
    "multiprocessing": (
        "import multiprocessing, os\np = multiprocessing.get_context('fork').Process(target=os.mkdir, args=[TARGET])\n"
        "p.start(); p.join()\ntook = p.exitcode"
    ),
    "a pool of processes": (
        "import concurrent.futures, multiprocessing, os\n"
        "pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('fork'))\n"
        "took = pool.submit(os.mkdir, TARGET).result()"
    ),
    "ctypes": (
        "import ctypes\ntook = ctypes.CDLL(None).mkdir(TARGET.encode(), 0o700)"
    ),
    "open": "took = open(SECRET).read()",
    "io.open": "import io\ntook = io.open(SECRET, 'rb').read()",
    "io.FileIO": "import io\ntook = io.FileIO(SECRET).readall()",
    "pathlib": "import pathlib\ntook = pathlib.Path(SECRET).read_text()",
    "shutil": "import shutil\ntook = shutil.copy(SECRET, TARGET)",
    "codecs": "import codecs\ntook = codecs.open(SECRET).read()",
    "fileinput": "import fileinput\ntook = list(fileinput.input(SECRET))",
    "linecache": "import linecache\ntook = linecache.getlines(SECRET)",
    "tarfile": "import io, tarfile\nto = io.BytesIO()\ntarfile.open('', 'w', to).add(SECRET); took = to.getvalue()",
    "mmap": "import mmap\nfile = open(SECRET)\ntook = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)[:]",
    "sqlite3": "import sqlite3\ntook = sqlite3.connect(TARGET).execute('create table t (x)').fetchall()",
    "importlib": (
        "import importlib.machinery as m\ntook = m.SourceFileLoader('x', SECRET).get_data(SECRET)"
    ),
    "runpy": "import runpy\ntry: runpy.run_path(SECRET)\nexcept SyntaxError as error: took = error.text\n"
    "except NameError as error: took = error",
    "open by another path": "took = open('/proc/self/root' + SECRET).read()",
    "open by the parent of everything": "took = open('../' * 40 + SECRET[1:]).read()",
    "open by a link": "import os\nos.symlink(SECRET, TARGET)\ntook = open(TARGET).read()",
    "open by a descriptor": (
        "import os\ntook = []\nfor n in range(64):\n  try: took.append(os.readlink(f'/proc/self/fd/{n}'))\n"
        "  except OSError: pass\n"
        "took.append(os.open(FOLDER, 0)); took = os.read(os.open('secret.txt', 0, dir_fd=took[-1]), 100)"
    ),
    "mkdir": "import os\ntook = os.makedirs(TARGET)",
    "write": "took = open(TARGET, 'w').write('here')",
    "write over": "took = open(SECRET, 'w').write('gone')",
    "truncate": "import os\ntook = os.truncate(SECRET, 0)",
    "environ": "import os\ntook = os.environ['CLOCHE_SECRET']",
    "environ of the process": "took = open('/proc/self/environ').read()",
    "environ of another module": "import posix\ntook = posix.environ",
    "memory of the process": (
        "import re\nlines = open('/proc/self/maps').read().splitlines()\nmemory = open('/proc/self/mem', 'rb')\n"
        "import os\nown = os.environ['CLOCHE_SECRET']\n"
        "for line in lines:\n  if '[heap]' in line or '[stack]' in line:\n"
        "    a, b = (int(x, 16) for x in line.split()[0].split('-')); memory.seek(a)\n"
        "    if own.encode() in memory.read(b - a): took = own"
    ),
    "socket": "import socket\ntook = socket.create_connection(('127.0.0.1', PORT), 5).recv(100)",
    "_socket": (
        "import _socket\ns = _socket.socket(2, 1, 0); s.connect(('127.0.0.1', PORT)); took = s.recv(100)"
    ),
    "asyncio streams": (
        "import asyncio\nasync def main():\n  r, _ = await asyncio.open_connection('127.0.0.1', PORT)\n"
        "  return await r.read(100)\ntook = asyncio.run(main())"
    ),
    "urllib": "import urllib.request\ntook = urllib.request.urlopen(f'http://127.0.0.1:{PORT}', timeout=5).read()",
    "http.client": (
        "import http.client\nc = http.client.HTTPConnection('127.0.0.1', PORT, timeout=5)\n"
        "c.request('GET', '/'); took = c.getresponse()"
    ),
    "unpickling": (
        "import pickle\nclass C:\n  def __reduce__(self): return (eval, (f'open({SECRET!r}).read()',))\n"
        "took = pickle.loads(pickle.dumps(C()))"
    ),
    "a program of its own bytecode": (
        "import types\ncode = compile('open(SECRET).read()', '', 'eval')\n"
        "took = types.FunctionType(code, {'SECRET': SECRET})()"
    ),
    "a thread": (
        "import threading\ntook = []\nt = threading.Thread(target=lambda: took.append(open(SECRET).read()))\n"
        "t.start(); t.join()"
    ),
    "at the end of the interpreter": (
        "import atexit, sys\natexit.register(lambda: open(TARGET, 'w').close())\nsys.exit(0)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_what_every_module_is_good_for_comes_to_nothing(box: Sandbox, host: Host, harm: str) -> None:
    attempt(box, host, HARMS[harm] + "\ntook")


@pytest.mark.parametrize("harm", HARMS)
def test_outside_that_module_does_harm(host: Host, harm: str) -> None:
    if "/proc/" in HARMS[harm] and sys.platform != "linux":
        pytest.skip("the attempt is one on Linux")
    assert outside(host, HARMS[harm])


# What would be the end of an interpreter in the host's own process, or change it for everybody after.
CHANGES = {
    "the end of the process": "import os\nos._exit(3)",
    "a signal to the process": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "a signal to the parent": "import os, signal\nos.kill(os.getppid(), signal.SIGTERM)",
    "abort": "import os\nos.abort()",
    "a fault": "import faulthandler\nfaulthandler._sigsegv()",
    "a jump into nothing": "import ctypes\nctypes.string_at(0)",
    "bytecode that is none": (
        "import types\nc = compile('0', '', 'eval')\neval(c.replace(co_code=bytes(range(200)), co_stacksize=0))"
    ),
    "another print": "import builtins\nbuiltins.print = None; builtins.len = lambda x: 0",
    "no builtins": "import builtins\nvars(builtins).clear()",
    "another json": "import json, sys\njson.loads = None; sys.modules['json'] = None; sys.modules['os'] = None",
    "no modules": "import sys\nsys.modules.clear()",
    "no path": "import sys\nsys.path[:] = []; sys.meta_path[:] = []",
    "another folder": "import os\nos.chdir('/')",
    "other variables": "import os\nos.environ.clear(); os.environ['PATH'] = '/nowhere'",
    "another recursion limit": "import sys\nsys.setrecursionlimit(5)",
    "no garbage collection": "import gc\ngc.disable(); gc.freeze()",
    "a trace of everything": "import sys\nsys.settrace(lambda *a: 1 / 0); sys.setprofile(lambda *a: 1 / 0)",
    "an audit hook": "import sys\nsys.addaudithook(lambda *a: 1 / 0)",
    "another import": "import builtins\nbuiltins.__import__ = lambda *a, **k: 1 / 0",
    "another excepthook": "import sys\nsys.excepthook = sys.unraisablehook = sys.displayhook = None\n1 / 0",
    "other streams": "import sys\nsys.stdout = sys.stderr = sys.stdin = None",
    "closed descriptors": "import os\nos.closerange(0, 256)",
    "a class with another base": "class A: pass\nclass B(A): pass\nB.__bases__ = (B,); A.__class__ = int",
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_program_changes_is_its_own(box: Sandbox, host: Host, change: str) -> None:
    before = belongings()
    box.run(host.knowing(CHANGES[change]))
    assert belongings() == before
    assert host.harmed() == []
    look = "import os, json, sys; [len('abc'), json.loads('[1]'), sys.getrecursionlimit(), os.getcwd(), sys.gettrace()]"
    assert box.run(f"print('here')\n{look}").unwrap() == [3, [1], 1000, "/work", None]
