# A whole program, as a new user would write it; timed from its process's start to its first line of output.
import eryx

print(eryx.Sandbox().execute("result = 6 * 7").result)
