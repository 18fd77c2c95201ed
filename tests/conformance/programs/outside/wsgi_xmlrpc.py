"""Wsgi xmlrpc."""

import unittest, wsgiref.util, wsgiref.handlers, wsgiref.simple_server, xmlrpc.client, xmlrpc.server, io, ssl, imaplib, poplib
from unittest.mock import patch, MagicMock


def app(env, start):
    start("200 OK", [("X", "y")])
    return [b"hi " + env["PATH_INFO"].encode()]


class T(unittest.TestCase):
    def test_wsgi(self):
        env = {}
        wsgiref.util.setup_testing_defaults(env)
        out = []
        self.assertEqual(b"".join(app(env, lambda s, h: out.append(s))), b"hi /")
        self.assertEqual(out, ["200 OK"])
        o = io.BytesIO()
        h = wsgiref.handlers.SimpleHandler(io.BytesIO(), o, io.StringIO(), env)
        h.run(app)
        self.assertIn(b"200 OK", o.getvalue())

    def test_rpc(self):
        self.assertEqual(xmlrpc.client.loads(xmlrpc.client.dumps((1, "a", [True]), "m")), ((1, "a", [True]), "m"))
        d = xmlrpc.server.SimpleXMLRPCDispatcher()
        d.register_function(pow)
        self.assertEqual(xmlrpc.client.loads(d._marshaled_dispatch(xmlrpc.client.dumps((2, 3), "pow")))[0], (8,))

    @patch("ssl.create_default_context")
    def test_ssl(self, c):
        c.return_value = MagicMock()
        ssl.create_default_context().wrap_socket(None, server_hostname="x")
        self.assertTrue(c.called)

    def test_ssl_consts(self):
        self.assertTrue(issubclass(ssl.SSLError, OSError))
        self.assertTrue(ssl.PROTOCOL_TLS_CLIENT is not None and ssl.CERT_NONE == 0)

    @patch("imaplib.IMAP4_SSL")
    def test_imap(self, I):
        I.return_value.search.return_value = ("OK", [b"1 2"])
        self.assertEqual(imaplib.IMAP4_SSL("x").search(None, "ALL")[1][0].split(), [b"1", b"2"])

    @patch("poplib.POP3")
    def test_pop(self, P):
        P.return_value.stat.return_value = (2, 10)
        self.assertEqual(poplib.POP3("x").stat(), (2, 10))

    @patch("xmlrpc.client.ServerProxy")
    def test_proxy(self, S):
        S.return_value.f.return_value = 3
        self.assertEqual(xmlrpc.client.ServerProxy("http://x").f(), 3)
