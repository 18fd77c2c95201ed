"""The guest's file system: modes, links, devices and times, as on a Linux machine where one is root."""

from typing import Any

import pytest

from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox

BOX = Sandbox()


def value(program: str, **settings: Any) -> Any:
    return BOX.run(f"import os, stat\nfrom pathlib import Path\n{program}", **settings).unwrap()


def failure(program: str, **settings: Any) -> str:
    error = BOX.run(f"import os, stat\nfrom pathlib import Path\n{program}", **settings).error
    return f"{getattr(error, 'type_name', error)}: {error}"


MODE = "def mode(path, **how): return oct(stat.S_IMODE(os.stat(path, **how).st_mode))\n"


def test_new_files_and_folders_have_the_usual_modes() -> None:
    made = "Path('a').touch()\nos.mkdir('d')\n[mode('a'), mode('d'), mode('/tmp'), mode('/lib'), mode('/lib/json')]"
    assert value(MODE + made) == ["0o644", "0o755", "0o1777", "0o755", "0o755"]


def test_the_mode_that_is_asked_for_counts_and_so_does_the_mask() -> None:
    program = """
os.close(os.open('a', os.O_CREAT | os.O_WRONLY, 0o600))
os.mkdir('d', 0o700)
Path('later').touch()
before = os.umask(0o077)
Path('b').touch()
os.mkdir('e')
[mode('a'), mode('d'), mode('later'), oct(before), mode('b'), mode('e'), oct(os.umask(before))]
"""
    assert value(MODE + program) == ["0o600", "0o700", "0o644", "0o22", "0o600", "0o700", "0o77"]


def test_the_mode_of_an_open_that_failed_is_forgotten() -> None:
    program = """
for flags in (0, os.O_CREAT | os.O_EXCL):
    try: os.open('d/x' if flags else 'missing', flags, 0o600)
    except OSError: pass
Path('a').touch()
mode('a')
"""
    assert value(MODE + program) == "0o644"


def test_chmod_keeps_the_mode() -> None:
    program = """
import shutil
Path('a').touch()
os.chmod('a', 0o755)
with open('a') as file:
    os.fchmod(file.fileno(), 0o751)
os.mkdir('d')
os.chmod('d', 0o711)
shutil.copy('a', 'b')
os.symlink('a', 'c')
os.chmod('c', 0o640)
[mode('a'), mode('d'), mode('b'), mode('c'), mode('c', follow_symlinks=False), mode('/work')]
"""
    assert value(MODE + program) == ["0o640", "0o711", "0o751", "0o640", "0o777", "0o755"]
    assert "Read-only file system" in failure("os.chmod('/lib', 0o777)")
    assert "No such file" in failure("os.chmod('missing', 0o777)")


def test_symbolic_links_lead_to_files_and_folders() -> None:
    program = """
os.makedirs('d/e')
Path('d/e/file').write_text('text')
os.symlink('e/file', 'd/one')
os.symlink('/work/d', 'two', target_is_directory=True)
os.symlink('missing', 'three')
[
    Path('d/one').read_text(), Path('two/one').read_text(), Path('two/e/../one').read_text(), os.readlink('d/one'),
    os.path.islink('two'), os.path.isdir('two'), os.path.exists('three'), os.path.lexists('three'),
    os.path.realpath('two/one'), sorted(os.listdir('two')), stat.S_ISLNK(os.lstat('two').st_mode),
    [entry.is_symlink() for entry in sorted(os.scandir('.'), key=lambda entry: entry.name)],
]
"""
    assert value(program) == [
        *("text", "text", "text", "e/file", True, True, False, True, "/work/d/e/file", ["e", "one"], True),
        [False, True, True],
    ]


def test_a_file_is_made_where_a_dangling_link_leads() -> None:
    program = """
os.mkdir('d')
os.symlink('d/file', 'link')
Path('link').write_text('text')
[Path('d/file').read_text(), os.path.islink('link')]
"""
    assert value(program) == ["text", True]
    assert "FileExistsError" in failure("os.symlink('file', 'link')\nopen('link', 'x')")
    assert "No such file" in failure("os.symlink('d/file', 'link')\nopen('link', 'w')")


def test_removing_and_renaming_are_for_the_link() -> None:
    program = """
Path('file').write_text('text')
os.symlink('file', 'link')
os.rename('link', 'other')
os.symlink('nothing', 'link')
os.replace('link', 'other')
left = os.readlink('other')
os.remove('other')
[left, os.listdir('.'), Path('file').read_text()]
"""
    assert value(program) == ["nothing", ["file"], "text"]


@pytest.mark.parametrize(
    ("program", "wanted"),
    {
        "os.symlink('a', 'b'); os.symlink('b', 'a'); open('a')": "Too many levels of symbolic links",
        "os.symlink('a/x', 'a'); os.listdir('a')": "Too many levels of symbolic links",
        "Path('a').touch(); os.symlink('b', 'a')": "FileExistsError",
        "Path('a').touch(); os.readlink('a')": "Invalid argument",
        "Path('a').touch(); os.symlink('a', 'b'); os.listdir('b/')": "Not a directory",
        "os.symlink('x' * 100, 'a')": "No space left",
        "os.symlink('a', '/lib/a')": "Read-only file system",
        "os.mkdir('a'); os.symlink('a', 'b'); os.rmdir('b')": "Not a directory",
        "Path('a').touch(); os.symlink('a', 'b'); os.open('b', os.O_RDONLY | os.O_NOFOLLOW)": "Too many levels",
        "Path('a').touch(); os.link('a', 'a')": "FileExistsError",
        "os.mkdir('a'); os.link('a', 'b')": "Operation not permitted",
        "os.link('/lib/json/__init__.py', 'b')": "Invalid cross-device link",
        "os.link('missing', 'b')": "No such file",
    }.items(),
)
def test_what_links_cannot_do(program: str, wanted: str) -> None:
    limits = Limits(file_bytes=50) if "space" in wanted else Limits()
    assert wanted in failure(program, limits=limits)


def test_a_chain_of_many_links_costs_no_more_than_their_number() -> None:
    links = "os.mkdir('d0')\nfor i in range(38): os.symlink(f'd{i}/../d{i}', f'd{i + 1}')\n"
    assert "Too many levels of symbolic links" in failure(links + "os.listdir('d38')")
    assert value(links + "os.listdir('d4')") == []


def test_hard_links_are_one_file() -> None:
    program = """
Path('a').write_text('one')
os.link('a', 'b')
both = [os.stat(name) for name in 'ab']
with open('b', 'a') as file:
    file.write(' two')
    os.remove('b')
    file.write(' three')
[os.path.samefile('a', 'a'), both[0].st_ino == both[1].st_ino, both[0].st_nlink, os.stat('a').st_nlink,
 Path('a').read_text(), os.listdir('.')]
"""
    assert value(program) == [True, True, 2, 1, "one two three", ["a"]]


def test_renaming_onto_another_name_of_the_file_changes_nothing() -> None:
    assert value("Path('a').touch()\nos.link('a', 'b')\nos.rename('a', 'b')\nsorted(os.listdir('.'))") == ["a", "b"]


def test_names_count_as_files_and_bytes_once() -> None:
    limits = Limits(files=3, file_bytes=1000)
    fill = "Path('a').write_bytes(bytes(900))\nos.link('a', 'b')\nos.symlink('a', 'c')\n"
    assert value(fill + "os.remove('a')\nos.remove('b')\nPath('d').write_bytes(bytes(999))", limits=limits) == 999
    assert "No space left" in failure(fill + "Path('d').touch()", limits=limits)


def test_an_open_folder_may_be_renamed_and_removed() -> None:
    program = """
os.mkdir('a')
Path('a/x').touch()
folder = os.open('a', os.O_RDONLY)
os.rename('a', 'a much longer name')
os.stat('x', dir_fd=folder)
os.remove('x', dir_fd=folder)
os.rmdir('a much longer name')
try:
    os.mkdir('y', dir_fd=folder)
except FileNotFoundError:
    gone = True
kept = stat.S_ISDIR(os.fstat(folder).st_mode)
os.close(folder)
[gone, kept, os.listdir('.')]
"""
    assert value(program) == [True, True, []]


def test_times_are_kept_apart() -> None:
    program = """
Path('a').touch()
os.utime('a', (1, 2.5))
a = os.stat('a')
os.utime('a', ns=(1_500_000_000, 7))
[a.st_atime, a.st_mtime, a.st_ctime > 1e9, os.stat('a').st_atime_ns, os.stat('a').st_mtime_ns]
"""
    assert value(program) == [1.0, 2.5, True, 1_500_000_000, 7]


def test_devices() -> None:
    program = """
with open('/dev/null', 'w') as null:
    print('lost', file=null)
with open('/dev/null', 'rb') as null, open('/dev/zero', 'rb') as zero, open('/dev/urandom', 'rb') as chance:
    read = [null.read(), zero.read(5), len(chance.read(100)), chance.read(16) != chance.read(16)]
with open('/dev/stdout', 'w') as out, open('/dev/stderr', 'a') as errors:
    out.write('to out')
    errors.write('to errors')
read + [stat.S_ISCHR(os.stat(os.devnull).st_mode), os.path.exists('/dev/stdin'), sorted(os.listdir('/dev'))]
"""
    result = BOX.run(f"import os, stat\n{program}")
    names = ["null", "random", "stderr", "stdin", "stdout", "urandom", "zero"]
    assert result.unwrap() == [b"", bytes(5), 100, True, True, True, names]
    assert (result.stdout, result.stderr) == ("to out", "to errors")
    assert "Read-only file system" in failure("os.remove('/dev/null')")
    seeded = Sandbox(seed=5)
    program = "open('/dev/urandom', 'rb').read(8)"
    assert seeded.run(program).unwrap() == seeded.run(program).unwrap()


def test_archives_keep_modes_and_links() -> None:
    program = """
import io, tarfile, zipfile
os.makedirs('tree/sub')
Path('tree/run.sh').write_text('#!/bin/sh')
os.chmod('tree/run.sh', 0o755)
os.symlink('run.sh', 'tree/link')
os.link('tree/run.sh', 'tree/sub/same')
with tarfile.open('t.tar.gz', 'w:gz') as tar:
    tar.add('tree')
with tarfile.open('t.tar.gz') as tar:
    tar.extractall('out', filter='data')
with zipfile.ZipFile('t.zip', 'w') as archive:
    archive.write('tree/run.sh')
    mode_in_zip = archive.infolist()[0].external_attr >> 16
os.chdir('out/tree')
[mode('run.sh'), os.readlink('link'), Path('sub/same').read_text(), os.stat('run.sh').st_nlink, oct(mode_in_zip)]
"""
    assert value(MODE + program) == ["0o755", "run.sh", "#!/bin/sh", 2, "0o100755"]


def test_processor_time_leaves_sleeping_out() -> None:
    program = """
import time
start, wall = time.process_time(), time.monotonic()
time.sleep(0.2)
slept = time.process_time() - start
while time.monotonic() - wall < 0.3: pass
worked = time.process_time() - start
[slept < 0.05, 0.05 < worked < 0.2, 0 <= os.times().user < 10, os.times().elapsed > 0]
"""
    assert value(program, limits=Limits(fuel=None, time=30)) == [True, True, True, True]


def test_sources_of_a_programs_own_classes_are_found() -> None:
    program = "import inspect\nclass A:\n    x = 1\nclass B:\n    def m(self): pass\n"
    assert value(program + "[inspect.getsource(A), inspect.getsource(B)]") == [
        "class A:\n    x = 1\n",
        "class B:\n    def m(self): pass\n",
    ]
    with BOX.session() as session:
        session.run(program).unwrap()
        session.run("@repr\nclass C: pass\nclass D(A): y = 2").unwrap()
        assert session.run("inspect.getsource(A), inspect.getsource(D)").unwrap() == (
            "class A:\n    x = 1\n",
            "class D(A): y = 2\n",
        )
        assert getattr(session.run("inspect.getsource(type('E', (), {}))").error, "type_name", "") == "OSError"


def test_what_lies_beyond_any_file_is_refused_at_once() -> None:
    for after in ("f.write(b'x')\nf.flush()", "f.write(b'x')\nf.close()", "f.truncate(2**33)", "f.raw.write(b'x')"):
        text = failure(f"f = open('a', 'wb')\nf.seek(2**33)\n{after}")
        assert "No space left" in text or "File too large" in text


def test_sources_of_the_library_are_files() -> None:
    program = """
import inspect, json
here = [inspect.getsource(json.dumps).splitlines()[0], inspect.getsource(json.JSONDecoder)[:17], json.__file__]
here + [len(Path(json.__file__).read_text()) == os.path.getsize(json.__file__), os.path.exists(json.__cached__)]
"""
    first = "def dumps(obj, *, skipkeys=False, ensure_ascii=True, check_circular=True,"
    assert value(program) == [first, "class JSONDecoder", "/lib/json/__init__.py", True, True]
    traceback = getattr(BOX.run("import json\njson.loads('{')").error, "traceback", "")
    assert "return _default_decoder.decode(s)" in traceback


def test_a_packed_file_can_be_opened_twice_and_costs_memory_only_while_it_is_open() -> None:
    program = """
name = '/lib/inspect.py'
with open(name, 'rb') as one, open(name, 'rb') as other:
    same = one.read() == other.read()
for _ in range(3_000):
    with open(name, 'rb') as file: file.read(10)
same
"""
    assert value(program, limits=Limits(fuel=None, time=60, memory="64 MiB")) is True
