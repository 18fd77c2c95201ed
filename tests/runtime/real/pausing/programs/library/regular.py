import re

text = "one 1, two 22, three 333; " * 12
[
    re.findall(r"(\w+) (\d+)", text)[:5],
    re.sub(r"\d+", lambda m: str(len(m[0])), text),
    re.split(r"[,;] ?", text)[:6],
    len(list(re.finditer(r"t(?=w|h)", text))),
    [bool(re.compile(f"a{{{i}}}b").match("a" * i + "b")) for i in range(8)],
]
