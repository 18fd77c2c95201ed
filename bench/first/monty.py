# A whole program, as a new user would write it; timed from its process's start to its first line of output.
from pydantic_monty import Monty

with Monty() as pool, pool.checkout() as session:
    print(session.feed_run("6 * 7"), flush=True)
