# pyright: reportPrivateUsage=false
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from recipe import inputs, patching
from recipe.data import image, packages, projects
from recipe.data.projects import NUMPY, PANDAS, Project


def test_every_project_is_pinned_and_every_patch_says_why() -> None:
    pins = inputs.load(inputs.DATA)
    for name in (part.name for part in image.PARTS):
        assert len(pins[name].sha256) == 64
        for patch in patching.patches_for(name):
            assert patching.reasons(patch)
            assert patching.parse(patch.read_text())
    assert inputs.load().keys().isdisjoint(pins)


@pytest.mark.parametrize(
    ("target", "is_left_out"),
    [
        ("numpy/linalg/_umath_linalg.cpython-311.so.p/lapack_lite_f2c.c.o", True),
        ("numpy/linalg/lapack_lite.cpython-311.so.p/lapack_lite_f2c.c.o", False),
        ("numpy/random/mtrand.cpython-311.so.p/src_distributions_distributions.c.o", True),
        ("numpy/random/mtrand.cpython-311.so.p/src_legacy_legacy-distributions.c.o", False),
        ("numpy/_core/_umath_tests.cpython-311.so.p/x.c.o", True),
    ],
)
def test_what_another_module_has_as_well_is_left_out(target: str, is_left_out: bool) -> None:
    assert projects._is_left_out(NUMPY, target) is is_left_out


def test_headers_are_followed_through_their_includes(tmp_path: Path) -> None:
    (tmp_path / "a.h").write_text('#  include "internal/b.h"\n#include <stdio.h>\n')
    (tmp_path / "b.h").write_text('#include "a.h"\n#include "elsewhere.h"\n')
    (tmp_path / "c.h").write_text("")
    assert [path.name for path in packages._included(tmp_path, "a.h")] == ["a.h", "b.h"]


def test_pandas_is_compiled_with_the_declarations_of_numpy() -> None:
    assert PANDAS.needs == ("numpy",)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--modversion", "blis"], "1.3.4"),
        (["--cflags", "blis"], ""),
        (["--variable=prefix", "blis"], ""),
        (["--libs"], None),
    ],
)
def test_builds_find_the_libraries_that_are_pinned_and_no_others(
    tmp_path: Path, arguments: list[str], said: str | None
) -> None:
    script = tmp_path / "pkg-config"
    script.write_text(projects.pkg_config(NUMPY))
    done = subprocess.run(["sh", script, *arguments], capture_output=True, text=True, check=False)
    assert (done.stdout.strip() if done.returncode == 0 else None) == said
    assert subprocess.run(["sh", script, "--modversion", "openblas"], check=False).returncode == 1


def test_whole_folders_are_installed_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "work" / "meson-info").mkdir(parents=True)
    (tmp_path / "data" / "inner").mkdir(parents=True)
    (tmp_path / "data" / "inner" / "x.txt").write_text("")
    plan = f'{{"{tmp_path}/data": "/usr/lib/site-packages/p/data", "/s/p.h": "/usr/include/p.h"}}'
    (tmp_path / "work" / "meson-info" / "intro-installed.json").write_text(plan)
    found = projects._installed(tmp_path / "work")
    assert found == {f"{tmp_path}/data/inner/x.txt": "p/data/inner/x.txt"}


def test_a_project_is_a_value() -> None:
    assert Project("x") == Project("x")
    assert repr(Project("x")) != repr(Project("x", ("-Da=b",)))


def test_wheels_are_pinned_and_pure() -> None:
    wheels = inputs.load_wheels()
    assert "seaborn" in wheels
    for name, wheel in wheels.items():
        assert len(wheel.sha256) == 64, name
        assert wheel.file.endswith("-none-any.whl"), name
        assert wheel.index == f"{name}=={wheel.version}"


def test_files_that_the_image_has_no_use_for_are_left_out() -> None:
    package = packages.Package("pillow", left_out=("Dib.c",))
    assert packages._lacks(package, "src/libImaging/Dib.c")
    assert not packages._lacks(package, "src/libImaging/Draw.c")
