"""Ast tools."""

import ast, tokenize, io, symtable, py_compile, compileall, os, tempfile, unittest, keyword, token, codeop, pyclbr, modulefinder, sys, builtins


class Rename(ast.NodeTransformer):
    def visit_Name(self, n):
        return ast.copy_location(ast.Name(n.id.upper(), n.ctx), n)


class T(unittest.TestCase):
    def test_rename(self):
        self.assertEqual(ast.unparse(Rename().visit(ast.parse("a = b + 1"))), "A = B + 1")

    def test_tok(self):
        self.assertEqual(
            [t.string for t in tokenize.generate_tokens(io.StringIO("a=1 # c").readline) if t.string.strip()],
            ["a", "=", "1", "# c"],
        )

    def test_sym(self):
        t = symtable.symtable("def f(x): y = x; return g", "s", "exec")
        self.assertEqual(sorted(t.get_children()[0].get_locals()), ["x", "y"])

    def test_py_compile(self):
        d = tempfile.mkdtemp()
        p = os.path.join(d, "a.py")
        open(p, "w").write("x = 1")
        c = py_compile.compile(p, doraise=True)
        self.assertTrue(os.path.exists(c))
        self.assertTrue(compileall.compile_dir(d, quiet=2))
        open(p, "w").write("x = ")
        with self.assertRaises(py_compile.PyCompileError):
            py_compile.compile(p, doraise=True)

    def test_funcs(self):
        self.assertEqual(
            [
                n.name
                for n in ast.walk(ast.parse("def a(): pass\nasync def b(): pass"))
                if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))
            ],
            ["a", "b"],
        )

    def test_kw(self):
        self.assertTrue(keyword.iskeyword("async"))
        self.assertTrue(keyword.issoftkeyword("match"))

    def test_incomplete(self):
        self.assertIsNone(codeop.compile_command("if 1:"))
        self.assertIsNotNone(codeop.compile_command("x = 1"))

    def test_docstring(self):
        self.assertEqual(ast.get_docstring(ast.parse('"""hi\n  there"""')), "hi\nthere")

    def test_eval_bad(self):
        with self.assertRaises(ValueError):
            ast.literal_eval("__import__('os')")

    def test_complexity(self):
        self.assertEqual(
            sum(
                (
                    isinstance(n, (ast.If, ast.For, ast.While))
                    for n in ast.walk(ast.parse("for i in x:\n  if i: pass\n  elif j: pass"))
                )
            ),
            3,
        )
