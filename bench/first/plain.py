# A whole program, as a new user would write it; timed from its process's start to its first line of output.
print(6 * 7)
