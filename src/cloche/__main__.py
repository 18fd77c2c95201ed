"""``python -m cloche`` is the command line."""

from cloche.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
