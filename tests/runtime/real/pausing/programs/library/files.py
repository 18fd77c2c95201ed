import os
import pathlib
import tempfile

with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    for i in range(12):
        (root / f"f{i}.txt").write_text("line\n" * i)
    sizes = {path.name: path.stat().st_size for path in sorted(root.glob("*.txt"))}
    with open(root / "f5.txt") as file:
        lines = [line.strip() for line in file]
    names = sorted(os.listdir(folder))
[sizes, lines, names]
