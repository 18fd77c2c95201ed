"""Logging files."""

import logging, logging.handlers, io, os, tempfile, unittest


def task(path):
    lg = logging.getLogger("t" + path)
    lg.setLevel(logging.DEBUG)
    h = logging.FileHandler(path)
    h.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
    lg.addHandler(h)
    lg.info("hello %s", "x")
    try:
        1 / 0
    except ZeroDivisionError:
        lg.exception("bad")
    h.close()
    lg.removeHandler(h)


class T(unittest.TestCase):
    def test(self):
        p = os.path.join(tempfile.mkdtemp(), "l")
        task(p)
        t = open(p).read()
        self.assertIn("INFO:t", t)
        self.assertIn("ZeroDivisionError: division by zero", t)
        self.assertIn("1 / 0", t)

    def test_logs(self):
        with self.assertLogs("foo", "WARNING") as c:
            logging.getLogger("foo").warning("w %d", 3)
        self.assertEqual(c.output, ["WARNING:foo:w 3"])

    def test_nologs(self):
        with self.assertNoLogs("foo", "ERROR"):
            logging.getLogger("foo").warning("w")

    def test_rotating(self):
        p = os.path.join(tempfile.mkdtemp(), "r")
        h = logging.handlers.RotatingFileHandler(p, maxBytes=50, backupCount=2)
        for i in range(20):
            h.emit(logging.LogRecord("a", 20, "f", 1, "message %d", (i,), None))
        h.close()
        self.assertEqual(sorted(os.listdir(os.path.dirname(p))), ["r", "r.1", "r.2"])

    def test_dict(self):
        import logging.config

        logging.config.dictConfig(
            {
                "version": 1,
                "handlers": {"m": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
                "loggers": {"zz": {"handlers": ["m"]}},
            }
        )
        self.assertEqual(len(logging.getLogger("zz").handlers), 1)

    def test_basic(self):
        s = io.StringIO()
        logging.basicConfig(stream=s, force=True, format="%(threadName)s %(processName)s %(funcName)s %(message)s")
        logging.warning("x")
        self.assertEqual(s.getvalue(), "MainThread MainProcess test_basic x\n")

    def test_queue(self):
        import queue

        q = queue.Queue()
        lg = logging.getLogger("q")
        lg.addHandler(logging.handlers.QueueHandler(q))
        got = []

        class H(logging.Handler):
            def emit(self, r):
                got.append(r.getMessage())

        l = logging.handlers.QueueListener(q, H())
        l.start()
        lg.warning("hi")
        l.stop()
        self.assertEqual(got, ["hi"])
