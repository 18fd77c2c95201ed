# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Is 10! a prime number, and which numbers next to it are?"""

number = factorial(10)
neighbours = [number + step for step in range(-12, 13) if prime_checker(number + step)]
print(f"10! = {number:,} is {'' if prime_checker(number) else 'not '}a prime; near it: {neighbours}")
{"number": number, "prime": prime_checker(number), "neighbours": neighbours}
