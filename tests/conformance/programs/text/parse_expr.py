"""Parse expr."""

import operator, re, unittest, ast, math

OPS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
}


def ev(n):
    if isinstance(n, ast.Expression):
        return ev(n.body)
    if isinstance(n, ast.Constant) and isinstance(n.value, (int, float)):
        return n.value
    if isinstance(n, ast.BinOp):
        return OPS[type(n.op)](ev(n.left), ev(n.right))
    if isinstance(n, ast.UnaryOp):
        return OPS[type(n.op)](ev(n.operand))
    raise ValueError(f"unsupported: {ast.dump(n)}")


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(ev(ast.parse("2 + 3 * -4 ** 2", mode="eval")), -46)

    def test_bad(self):
        with self.assertRaisesRegex(ValueError, "unsupported: Call\\(func=Name\\(id='f', ctx=Load\\(\\)\\)\\)"):
            ev(ast.parse("f()", mode="eval"))

    def test_syntax(self):
        with self.assertRaises(SyntaxError) as c:
            ast.parse("2 +* 3", mode="eval")
        self.assertEqual((c.exception.lineno, c.exception.offset), (1, 4))

    def test_roman(self):
        v = dict(I=1, V=5, X=10, L=50, C=100, D=500, M=1000)
        f = lambda s: sum((-v[a] if v[a] < v[b] else v[a] for a, b in zip(s, s[1:] + s[-1])))
        self.assertEqual(f("MCMXCIV"), 1994)
