"""Text: words split, cleaned, counted, joined and turned around."""

TEXT = "The quick brown fox jumps over the lazy dog; the dog, being lazy, does not mind at all. "


def tidy(word):
    """Return the word without punctuation, in lower case."""
    return word.strip(".,;").lower()


def work(rounds):
    """Return a few facts about the text, after going through it that many times."""
    seen = ""
    length = 0
    for number in range(rounds):
        words = [tidy(word) for word in TEXT.split()]
        line = " ".join(word[::-1] for word in words if word.startswith(("t", "d", "l")))
        seen = f"{line[:20]}-{number:05d}"
        length += len(line.replace("eht", "the")) + line.count("y") + line.find("god")
    return [seen, str(length)]


result = work(2000)
