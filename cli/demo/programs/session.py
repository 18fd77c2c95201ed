# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Three runs of one session: variables, imports, functions and files stay."""

from collections import Counter

words = "the cat and the hat and the bat".split()


# %%
def most_common(n):
    return Counter(words).most_common(n)


open("words.txt", "w").write("\n".join(words))
# %%
words.append("the")
{"top": most_common(1)[0], "in the file": len(open("words.txt").read().split())}
