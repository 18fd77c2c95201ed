# A whole program, as a new user would write it; timed from its process's start to its first line of output.
from RestrictedPython import compile_restricted, safe_globals

print(eval(compile_restricted("6 * 7", "<program>", "eval"), dict(safe_globals)))  # noqa: S307
