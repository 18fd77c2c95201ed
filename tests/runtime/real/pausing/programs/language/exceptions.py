seen = []


def produce():
    try:
        while True:
            try:
                yield len(seen)
            except ValueError as error:
                yield str(error)
    finally:
        print("closed")


for i in range(20):
    it = produce()
    next(it)
    seen.append(it.throw(ValueError(i)))
    it.close()
try:
    try:
        1 / 0
    finally:
        for i in range(5):
            seen.append(i)
except ZeroDivisionError as error:
    import traceback

    seen.append(str(error))
    seen.append(traceback.format_exc())
try:
    try:
        {}["missing"]
    except KeyError as error:
        raise RuntimeError("second") from error
except RuntimeError as error:
    seen.append(repr(error.__cause__))
try:
    raise ExceptionGroup("many", [ValueError(1), TypeError(2), ValueError(3)])
except* ValueError as group:
    seen.append([e.args for e in group.exceptions])
except* TypeError as group:
    seen.append(len(group.exceptions))
seen
