"""``make bench``: the standard run of ``cloche bench``, with the bars. Arguments are passed on."""

import sys

from cloche.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["bench", "--bars", *sys.argv[1:]]))
