# A whole program, as a new user would write it; timed from its process's start to its first line of output.
from cloche import Sandbox

print(Sandbox().run("6 * 7").unwrap())
