"""Xml html."""

import unittest, io, html, xml.etree.ElementTree as ET, xml.dom.minidom, html.parser, xml.sax


class P(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.links = []

    def handle_starttag(self, t, a):
        if t == "a":
            self.links.append(dict(a).get("href"))


class T(unittest.TestCase):
    def test_et(self):
        r = ET.fromstring("<r><a x='1'>t</a><a x='2'/></r>")
        self.assertEqual([e.get("x") for e in r.findall("a[@x]")], ["1", "2"])
        self.assertEqual(ET.tostring(r), b'<r><a x="1">t</a><a x="2" /></r>')

    def test_indent(self):
        r = ET.Element("a")
        ET.SubElement(r, "b").text = "x"
        ET.indent(r)
        self.assertEqual(ET.tostring(r, encoding="unicode"), "<a>\n  <b>x</b>\n</a>")

    def test_dom(self):
        self.assertEqual(
            xml.dom.minidom.parseString("<a><b/></a>").toprettyxml(indent=" "),
            '<?xml version="1.0" ?>\n<a>\n <b/>\n</a>\n',
        )

    def test_html(self):
        p = P()
        p.feed("<p><a href='u'>x</a><a>y")
        self.assertEqual(p.links, ["u", None])
        self.assertEqual(html.unescape("&lt;&#233;&nbsp;"), "<é\xa0")

    def test_sax(self):

        class H(xml.sax.ContentHandler):
            def __init__(self):
                self.n = []

            def startElement(self, n, a):
                self.n.append(n)

        h = H()
        xml.sax.parseString(b"<a><b/></a>", h)
        self.assertEqual(h.n, ["a", "b"])
