import ast
import xml.etree.ElementTree as ElementTree

tree = ast.parse("def f(x):\n    return [x + i for i in range(3)]\n")
names = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
root = ElementTree.fromstring("<a>" + "".join(f"<b n='{i}'>{i}</b>" for i in range(20)) + "</a>")
[names, ast.unparse(tree), sum(int(b.get("n")) for b in root), ElementTree.tostring(root)[:40]]
