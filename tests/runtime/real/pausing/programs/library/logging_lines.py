import io
import logging

out = io.StringIO()
handler = logging.StreamHandler(out)
handler.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
logger = logging.getLogger("app")
logger.addHandler(handler)
logger.setLevel(logging.INFO)
for i in range(15):
    logger.log(logging.DEBUG if i % 3 else logging.WARNING, "item %d of %s", i, "many")
try:
    int("x")
except ValueError:
    logger.exception("failed")
out.getvalue()
