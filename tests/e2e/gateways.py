"""What stands before a server in a company: a listener with TLS under a private authority, and a proxy.

`TlsFront` speaks TLS and passes the bytes on to a real server. `ConnectProxy` is a real CONNECT proxy: it
alone knows where the names it is asked for live, so that what arrives under such a name came through it.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from parts import DEADLINE_SECS, Server

# Nothing of this machine's own network settings reaches a program under test.
PLAIN = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"), "")
PLAIN |= {name.lower(): "" for name in PLAIN}


class Authority:
    """A certificate authority of one's own, made with the openssl command."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.name = name
        self.certificate = directory / f"{name}.pem"
        self._key = directory / f"{name}.key"
        extensions = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
        _openssl(f"req -x509 -days 2 -subj /CN={name} {extensions} {self._new_key(self._key)} -out {self.certificate}")

    def sign(self, *hosts: str) -> Path:
        """A file with a key and its certificate for these hosts (`DNS:…`, `IP:…`)."""
        stem = self.directory / f"{self.name}-signed"
        key, request, extensions = (stem.with_suffix(f".{suffix}") for suffix in ("key", "csr", "ext"))
        extensions.write_text(f"subjectAltName={','.join(hosts)}\nbasicConstraints=critical,CA:FALSE\n")
        _openssl(f"req -new -subj /CN=staso {self._new_key(key)} -out {request}")
        authority = f"-CA {self.certificate} -CAkey {self._key} -CAcreateserial"
        _openssl(f"x509 -req -days 2 -in {request} {authority} -extfile {extensions} -out {stem}.pem")
        both = stem.with_suffix(".both")
        both.write_text(stem.with_suffix(".pem").read_text() + key.read_text())
        return both

    @staticmethod
    def _new_key(path: Path) -> str:
        return f"-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {path}"


def _openssl(arguments: str) -> None:
    command = ["openssl", *arguments.split()]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise AssertionError("these tests make certificates with openssl: apt install openssl") from None
    assert done.returncode == 0, done.stderr


class _Listener:
    """Accepts on an ephemeral port, or that of one before it; each connection has a thread of its own."""

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(DEADLINE_SECS)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # Whoever hangs up in the middle is what these tests are about.
        with contextlib.suppress(OSError), connection:
            self.serve(connection)

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Nobody listens any more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class TlsFront(_Listener):
    """TLS in front of a server."""

    def __init__(self, server: Server, key_and_certificate: Path, port: int = 0) -> None:
        self.server = server
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(key_and_certificate)
        super().__init__(port)

    def serve(self, connection: socket.socket) -> None:
        address = urlsplit(self.server.url)
        with self._context.wrap_socket(connection, server_side=True) as safe:
            with socket.create_connection((str(address.hostname), int(address.port or 0))) as inner:
                _pass_on(safe, inner)


class ConnectProxy(_Listener):
    """Knows where names live; refuses whoever does not bring the password, where there is one."""

    def __init__(self, names: dict[str, int], password: str | None = None) -> None:
        self.names = names
        self.password = password
        self.asked: list[str] = []
        super().__init__()

    def url(self, userinfo: str = "") -> str:
        return f"http://{userinfo}127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = connection.recv(1)
            if not piece:
                return
            head += piece
        first, *lines = head.decode().split("\r\n")
        method, target, _ = first.split()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.asked.append(f"{method} {target}")
        if self.password is not None:
            wanted = "Basic " + base64.b64encode(self.password.encode()).decode()
            if headers.get("proxy-authorization") != wanted:
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
        port = self.names.get(target)
        if method != "CONNECT" or port is None:
            connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", port)) as inner:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _pass_on(connection, inner)


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    """Both ways, until either side has had enough."""

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            while piece := source.recv(65_536):
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    back = threading.Thread(target=copy, args=(other, one), daemon=True)
    back.start()
    copy(one, other)
    back.join()


@contextlib.contextmanager
def closing(*listeners: _Listener) -> Iterator[None]:
    """They are gone when the test is."""
    try:
        yield
    finally:
        for listener in listeners:
            listener.close()
