import string
import textwrap

text = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor. " * 4
[
    textwrap.fill(text, 30),
    string.Template("$a and ${b}").substitute(a=1, b=2),
    "{:>10}|{:<5}|{:^7}|{!r}".format("x", 3, "m", "q"),
    text.title().swapcase().translate(str.maketrans("aeiou", "12345"))[:60],
    [f"{i:05.2f}" for i in range(5)],
]
