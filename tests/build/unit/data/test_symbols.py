# pyright: reportPrivateUsage=false
from __future__ import annotations

from pathlib import Path

import pytest

from recipe.data.symbols import Object, Separator, defined

DEFINED, WEAK, LOCAL, UNDEFINED = 0, 1, 2, 0x10
FUNCTION, DATA = 0, 1


def sized(data: bytes) -> bytes:
    assert len(data) < 128
    return bytes([len(data)]) + data


def object_of(imports: list[str], symbols: list[tuple[int, int, int, str]]) -> bytes:
    """An object file with these imported functions, and these symbols: kind, flags, index, name."""
    table = bytes([len(symbols)])
    for kind, flags, index, name in symbols:
        table += bytes([kind, flags])
        if kind == DATA:
            table += sized(name.encode()) + (b"" if flags & UNDEFINED else bytes([0, 0, 4]))
        else:
            table += bytes([index]) + (b"" if flags & UNDEFINED else sized(name.encode()))
    taken = b"".join(sized(b"env") + sized(name.encode()) + b"\0\0" for name in imports)
    linking = sized(b"linking") + b"\2" + b"\x08" + sized(table)
    return b"\0asm\1\0\0\0" + b"\2" + sized(bytes([len(imports)]) + taken) + b"\0" + sized(linking) + b"\x0b\1\0"


def write(folder: Path, name: str, imports: list[str], symbols: list[tuple[int, int, int, str]]) -> Path:
    path = folder / name
    path.write_bytes(object_of(imports, symbols))
    return path


def names(path: Path) -> list[str]:
    return [symbol.name for symbol in Object.read(path.read_bytes()).symbols]


def test_an_object_that_is_not_changed_has_the_same_bytes() -> None:
    data = object_of(["g"], [(FUNCTION, UNDEFINED, 0, ""), (FUNCTION, DEFINED, 1, "f"), (DATA, LOCAL, 0, "d")])
    assert Object.read(data).packed() == data


def test_only_what_is_defined_for_others_is_found(tmp_path: Path) -> None:
    symbols = [
        (FUNCTION, DEFINED, 1, "f"),
        (FUNCTION, WEAK, 2, "w"),
        (FUNCTION, LOCAL, 3, "l"),
        (DATA, DEFINED, 0, "d"),
    ]
    path = write(tmp_path, "a.o", ["g"], [(FUNCTION, UNDEFINED, 0, ""), *symbols])
    assert defined([path]) == {"f", "d"}


def test_a_function_that_is_used_is_renamed_too(tmp_path: Path) -> None:
    path = write(tmp_path, "a.o", ["g"], [(FUNCTION, UNDEFINED, 0, ""), (FUNCTION, DEFINED, 1, "f")])
    item = Object.read(path.read_bytes())
    assert item.rename({"g": "h"})
    assert [symbol.name for symbol in Object.read(item.packed()).symbols] == ["h", "f"]


def test_the_second_module_with_a_name_has_one_of_its_own_in_all_its_objects(tmp_path: Path) -> None:
    first = write(tmp_path, "p+a.so.p+x.o", ["g"], [(FUNCTION, DEFINED, 1, "helper")])
    second = write(tmp_path, "p+b.so.p+x.o", ["g"], [(FUNCTION, DEFINED, 1, "helper")])
    user = write(tmp_path, "p+b.so.p+y.o", ["helper"], [(FUNCTION, UNDEFINED, 0, "")])
    made = Separator(tmp_path / "new", set()).add("p", [first, second, user], [])
    assert first in made
    renamed = [names(path) for path in made if path != first]
    assert renamed == [["helper__p_p_b_so"], ["helper__p_p_b_so"]]


def test_a_library_of_a_package_is_renamed_where_the_package_uses_it(tmp_path: Path) -> None:
    library = write(tmp_path, "p+libq.a.p+x.o", ["g"], [(FUNCTION, DEFINED, 1, "qhull")])
    user = write(tmp_path, "p+a.so.p+y.o", ["qhull"], [(FUNCTION, UNDEFINED, 0, "")])
    made = Separator(tmp_path / "new", {"qhull"}).add("p", [user, library], [])
    assert [names(path) for path in made] == [["qhull__p_p_libq_a"], ["qhull__p_p_libq_a"]]


def test_modules_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    paths = [
        write(tmp_path, f"p+{folder}+_tree.so.p+x.o", ["g"], [(FUNCTION, DEFINED, 1, "PyInit__tree")])
        for folder in ("a", "b")
    ]
    separator = Separator(tmp_path / "new", set())
    separator.add("p", paths, ["p.a._tree", "p.b._tree"])
    assert separator.init_of("p.a._tree") == "PyInit__tree"
    assert separator.init_of("p.b._tree") == "PyInit__tree__p_p_b_tree_so"


@pytest.mark.parametrize("name", ["PyArray_API", "_npy_f2py_ARRAY_API"])
def test_the_table_of_functions_of_numpy_is_shared(tmp_path: Path, name: str) -> None:
    paths = [
        write(tmp_path, f"p+{module}.so.p+x.o", ["g"], [(DATA, DEFINED, 0, name.replace("PyArray", "MY_ARRAY"))])
        for module in ("a", "b")
    ]
    made = Separator(tmp_path / "new", set()).add("p", paths, [])
    assert len({names(path)[0] for path in made}) == 1
    assert defined(made) == set()
