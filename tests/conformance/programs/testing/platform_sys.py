"""Platform sys."""

import platform, sys, os, unittest, getpass, time, locale, sysconfig, signal
from unittest.mock import patch


def task():
    return {"os": platform.system(), "arch": platform.machine(), "py": platform.python_version()}


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(sorted(task()), ["arch", "os", "py"])
        self.assertTrue(task()["py"].startswith("3.13"))

    @patch("platform.system", return_value="Windows")
    def test_p(self, s):
        self.assertEqual(task()["os"], "Windows")

    def test_arch(self):
        self.assertEqual(len(platform.architecture()), 2)
        self.assertIsInstance(platform.uname().node, str)
        self.assertIsInstance(platform.platform(), str)

    def test_sys(self):
        self.assertEqual(sys.byteorder, "little")
        self.assertGreaterEqual(sys.version_info, (3, 13))
        self.assertEqual(sys.getsizeof(0) > 0, True)
        self.assertEqual(sys.implementation.name, "cpython")
        self.assertEqual(sys.getrecursionlimit(), 1000)

    def test_cpu(self):
        self.assertGreaterEqual(os.cpu_count(), 1)

    def test_env(self):
        with patch.dict(os.environ, {"A": "1"}, clear=True):
            self.assertEqual(dict(os.environ), {"A": "1"})
        self.assertIsNone(os.getenv("NOPE_X"))
        self.assertRaises(KeyError, lambda: os.environ["NOPE_X"])

    def test_pid(self):
        self.assertGreater(os.getpid(), 0)
        self.assertIsInstance(os.getppid(), int)

    def test_clock(self):
        a = time.perf_counter()
        b = time.perf_counter_ns()
        self.assertLess(a, b)
        self.assertGreater(time.monotonic(), 0)
        self.assertGreater(time.time(), 1000000000.0)

    def test_uid(self):
        self.assertIsInstance(os.getuid(), int)
        self.assertEqual(len(os.getloadavg()) if hasattr(os, "getloadavg") and sys.platform != "wasi" else 3, 3)

    def test_term(self):
        import shutil

        self.assertEqual(shutil.get_terminal_size((80, 24)).columns, 80)

    def test_exit(self):
        with self.assertRaises(SystemExit) as c:
            sys.exit("bad")
        self.assertEqual(c.exception.code, "bad")

    def test_sig(self):
        got = []
        old = signal.signal(signal.SIGTERM, lambda s, f: got.append(s))
        signal.raise_signal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, old)
        self.assertEqual(got, [15])
        self.assertEqual(signal.Signals(2).name, "SIGINT")

    def test_mac(self):
        import uuid

        self.assertEqual(len(hex(uuid.getnode())) > 2, True)
