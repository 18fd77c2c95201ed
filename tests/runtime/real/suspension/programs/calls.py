# type: ignore  # what a model writes: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Calls in every position of an expression and a statement, with operands on the stack below them."""

first, second = ask(1), ask(2)
kept = ["a", first + ask(3) * 2, {"k": ask(4), ask(5): "v"}, (ask(6), [ask(7)])]
text = f"{ask(8)}-{ask(9):>6}"
chain = 5 < ask(10) < ask(11) <= 110
nested = ask(ask(ask(1)))
counts = [0] * 200
counts[ask(12)] += ask(13)
named = (walrus := ask(14)) + walrus
spread = [*range(ask(1)), *(ask(15), ask(16))]
match ask(17):
    case 170:
        matched = "yes"
    case _:
        matched = "no"
both = ask(0) or ask(18)
picked = ask(19) if ask(20) else None
same = ask(*[21]), ask(**{"x": 22}), ask(x=23)
print("printed", ask(24))
assert ask(25), "a truth"
del counts[ask(1)]
[first, second, kept, text, chain, nested, counts.count(0), named, spread, matched, both, picked, same]
