"""Dataclass enum."""

import dataclasses, enum, typing, unittest, abc, copy, pickle, collections, weakref, contextlib


@dataclasses.dataclass(order=True, frozen=True)
class P:
    x: int
    y: list = dataclasses.field(default_factory=list, compare=False)


class C(enum.Enum):
    R = 1
    G = enum.auto()


class F(enum.Flag):
    A = 1
    B = 2


class NT(typing.NamedTuple):
    a: int
    b: str = "q"


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(repr(P(1)), "P(x=1, y=[])")
        self.assertTrue(P(1) < P(2))
        self.assertRaises(dataclasses.FrozenInstanceError, setattr, P(1), "x", 2)
        self.assertEqual(dataclasses.asdict(P(1, [2])), {"x": 1, "y": [2]})

    def test_enum(self):
        self.assertEqual(repr(C.R), "<C.R: 1>")
        self.assertEqual(C(2), C.G)
        self.assertEqual(repr(F.A | F.B), "<F.A|B: 3>")
        self.assertRaises(ValueError, C, 9)
        self.assertEqual(C["R"], C.R)

    def test_pickle(self):
        self.assertEqual(pickle.loads(pickle.dumps((P(1, [3]), C.G, NT(1)))), (P(1, [3]), C.G, NT(1)))
        self.assertEqual(copy.deepcopy(P(1, [3])).y, [3])

    def test_abc(self):

        class A(abc.ABC):
            @abc.abstractmethod
            def f(self): ...

        with self.assertRaisesRegex(
            TypeError, "Can't instantiate abstract class A without an implementation for abstract method 'f'"
        ):
            A()

    def test_weak(self):

        class O:
            pass

        o = O()
        r = weakref.ref(o)
        self.assertIs(r(), o)
        del o
        self.assertIsNone(r())

    def test_ctx(self):
        with contextlib.ExitStack() as s:
            s.callback(lambda: None)
        with contextlib.suppress(KeyError):
            {}["a"]

        @contextlib.contextmanager
        def m():
            yield 4

        with m() as v:
            self.assertEqual(v, 4)

    def test_typing(self):
        self.assertEqual(typing.get_type_hints(NT), {"a": int, "b": str})
        self.assertEqual(str(typing.Optional[int]), "typing.Optional[int]")
        self.assertEqual(typing.get_args(dict[str, int]), (str, int))
