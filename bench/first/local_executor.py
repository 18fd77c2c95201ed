# A whole program, as a new user would write it; timed from its process's start to its first line of output.
from smolagents.local_python_executor import LocalPythonExecutor

executor = LocalPythonExecutor([])
executor.send_tools({})
print(executor("6 * 7").output)
