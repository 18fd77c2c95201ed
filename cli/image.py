"""``cloche image``: images with packages of one's own: built, listed, checked, moved between machines."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from cloche.cli.exit_codes import CommandError, ExitCode
from cloche.cli.flags import Commands, add_limit_flags, limits_from
from cloche.runtime.errors import bytes_text
from cloche.runtime.images import Image, images_home

__all__ = ["add_parser", "command"]

_IMAGE = """\
An image is what a fresh interpreter has: its files, and the modules that it has imported. On top of one that is there
you can build your own, from packages in pure Python and a program that sets things up; then run --image NAME.
"""
_BUILD = """\
pip finds the packages and what they need. They are compiled to bytecode and imported by a guest: nothing of them runs
outside of one. The image is kept once it is complete, in place of one of that name.
"""
_WORD = "the image's name, or the path of its folder"


def add_parser(commands: Commands, name: str, help: str) -> None:
    """Add the command's grammar, with that of its actions."""
    image = commands.add_parser(name, help=help, description=_IMAGE)
    actions = image.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = _action(actions, _build, "build", "build an image from packages, imports and a set-up program", _BUILD)
    build.add_argument("-o", "--name", dest="output", metavar="NAME", required=True, help="the new image's name")
    build.add_argument("--package", action="append", default=[], metavar="NAME[==V]", help="may be repeated")
    build.add_argument("--requirements", metavar="FILE", help="more packages, one a line as pip takes them")
    build.add_argument(
        "--import", dest="imports", action="append", metavar="MODULE", help="what to import (default: the packages)"
    )
    build.add_argument("--setup", metavar="FILE", help="a program to run last, whose names each new isolate has")
    build.add_argument("--base", default="core", metavar="IMAGE", help="the image to build on (default: core)")
    build.add_argument("--without-compiled", action="append", default=[], metavar="NAME", help="leave out its compiled")
    build.add_argument("--find-links", metavar="PLACE", help="where pip looks for wheels too")
    build.add_argument("--no-index", action="store_true", help="have pip look nowhere else")
    add_limit_flags(build)
    _action(actions, _list, "list", "show the images that there are")
    for do, word, about in (
        (_info, "info", "show what is in an image"),
        (_verify, "verify", "check an image against its manifest"),
        (_remove, "rm", "delete an image"),
        (_export, "export", "write an image to one file"),
    ):
        parser = _action(actions, do, word, about)
        parser.add_argument("name", metavar="IMAGE", help=_WORD)
        if do is _info:
            parser.add_argument("--json", action="store_true", help="print the manifest")
        if do is _export:
            parser.add_argument("file", metavar="FILE", help="a tar archive, compressed if its name ends in .gz")
    take = _action(actions, _import, "import", "take an image from a file that export wrote")
    take.add_argument("file", metavar="FILE", help="the archive")
    take.add_argument("--as", dest="name", metavar="NAME", help="keep it under this name")


def command(arguments: argparse.Namespace) -> int:
    """Do what the action says and return the exit code. Raises CommandError or CallerError."""
    code: int = arguments.do(arguments)
    return code


def _action(
    actions: Commands, do: Callable[[argparse.Namespace], int], name: str, text: str, more: str = ""
) -> argparse.ArgumentParser:
    about = f"{text[0].upper()}{text[1:]}."
    parser = actions.add_parser(name, help=text, description=f"{about}\n\n{more}" if more else about)
    parser.set_defaults(do=do)
    return parser


def _build(arguments: argparse.Namespace) -> int:
    packages = [*arguments.package, *_requirements(arguments.requirements)]
    options = ["--no-index"] if arguments.no_index else []
    options += ["--find-links", arguments.find_links] if arguments.find_links else []
    base = Image(arguments.base)
    limits = limits_from(arguments, base.limits)
    image = Image.build(
        arguments.output,
        packages,
        imports=arguments.imports,
        setup=_text(arguments.setup) if arguments.setup else "",
        base=base,
        limits=limits if limits != base.limits else None,
        without_compiled=arguments.without_compiled,
        pip_options=options,
        on_progress=lambda line: print(line, file=sys.stderr),
    )
    print(_line(image))
    return ExitCode.OK


def _requirements(file: str | None) -> list[str]:
    lines = [] if file is None else [line.partition("#")[0].strip() for line in _text(file).splitlines()]
    options = [line for line in lines if line.startswith("-")]
    if options:
        raise CommandError(f"{file}: {options[0]!r} is an option of pip, and not a package")
    return [line for line in lines if line]


def _text(file: str) -> str:
    try:
        return Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file}: {error}") from error


def _list(arguments: argparse.Namespace) -> int:
    _print(_line(image) for image in Image.all())
    return ExitCode.OK


def _line(image: Image) -> str:
    base = f" on {image.base}" if image.base else ""
    return f"{image.name:<20} {bytes_text(image.size):>10}  {image.digest[:12]}  {len(image.packages)} packages{base}"


def _info(arguments: argparse.Namespace) -> int:
    image = Image(arguments.name)
    if arguments.json:
        print(json.dumps(image.manifest, indent=2))
        return ExitCode.OK
    rows = [[each.get(key, "") for key in ("name", "version", "licence", "url")] for each in image.packages]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    facts = [
        ("name", image.name),
        ("folder", str(image.path)),
        ("digest", image.digest),
        ("size", bytes_text(image.size)),
        ("built on", image.base or "nothing: made by the recipe"),
        ("imported", ", ".join(image.modules) or "the standard library's usual modules"),
        ("limits", str(image.limits)),
    ]
    _print(f"{name:<10} {value}" for name, value in facts)
    _print("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return ExitCode.OK


def _verify(arguments: argparse.Namespace) -> int:
    image = Image(arguments.name)
    image.verify()
    print(f"{image.name} is sound: {image.digest}")
    return ExitCode.OK


def _remove(arguments: argparse.Namespace) -> int:
    image = Image(arguments.name)
    image.remove()
    print(f"{image.name} is gone from {images_home()}")
    return ExitCode.OK


def _export(arguments: argparse.Namespace) -> int:
    try:
        Image(arguments.name).export(arguments.file)
    except OSError as error:
        raise CommandError(f"{arguments.file}: {error}") from error
    print(f"{arguments.file}: {bytes_text(Path(arguments.file).stat().st_size)}")
    return ExitCode.OK


def _import(arguments: argparse.Namespace) -> int:
    try:
        image = Image.load_file(arguments.file, arguments.name)
    except OSError as error:
        raise CommandError(f"{arguments.file}: {error}") from error
    print(_line(image))
    return ExitCode.OK


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
