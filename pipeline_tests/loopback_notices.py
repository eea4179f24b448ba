"""A chat's webhook and a mail server on 127.0.0.1, which keep what they are sent."""

import base64
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET_PATH = "/services/T0SECRET/B0SECRET"


@dataclass
class LoopbackChat:
    """The state of a webhook.

    Attributes:
        url: its URL.
        answers: status of each answer to come; 200 when there is none left.
        posted: the JSON of each accepted message.
        asked: method and path of each request.
    """

    url: str = ""
    answers: list[int] = field(default_factory=list)
    posted: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """What the chat shows."""
        return [message["text"] for message in self.posted]


@contextmanager
def running_chat() -> Iterator[LoopbackChat]:
    """A webhook that takes messages until the block ends."""
    chat = LoopbackChat()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            chat.asked.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = chat.answers.pop(0) if chat.answers else 200
            if status == 200 and self.headers["Content-Type"] == "application/json":
                chat.posted.append(json.loads(body))
            self.send_response(status)
            if status // 100 == 3:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        chat.url = f"http://127.0.0.1:{server.server_port}{SECRET_PATH}"
        with _serving(server):
            yield chat


@dataclass
class LoopbackMail:
    """The state of a mail server.

    Attributes:
        port: where it listens.
        login: user and password that it asks for; None where it asks for none.
        sent: sender, recipients and message of each mail.
    """

    port: int = 0
    login: tuple[str, str] | None = None
    sent: list[tuple[str, list[str], EmailMessage]] = field(default_factory=list)


@contextmanager
def running_mail(login: tuple[str, str] | None = None, tls: ssl.SSLContext | None = None) -> Iterator[LoopbackMail]:
    """A mail server that takes mail until the block ends.

    Args:
        tls: encrypts from the beginning.
    """
    mail = LoopbackMail(login=login)

    class Handler(socketserver.StreamRequestHandler):
        def setup(self) -> None:
            if tls:
                self.request = tls.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            super().finish()
            self.request.close()

        def handle(self) -> None:
            sender, recipients, is_known = "", list[str](), login is None
            self._say("220 loopback")
            while line := self.rfile.readline().decode().strip():
                verb, _, rest = line.partition(" ")
                match verb.upper():
                    case "EHLO":
                        self._say("250-loopback", "250 AUTH PLAIN")
                    case "AUTH":
                        _, user, password = base64.b64decode(rest.removeprefix("PLAIN ")).decode().split("\0")
                        is_known = (user, password) == login
                        self._say("235 welcome" if is_known else f"535 {user} has another password than {password}")
                    case "MAIL":
                        sender = rest.partition(":")[2].split()[0]
                        self._say("250 ok" if is_known else "530 log in first")
                    case "RCPT":
                        recipients.append(rest.partition(":")[2])
                        self._say("250 ok")
                    case "DATA":
                        self._say("354 go on")
                        content = b"".join(iter(self.rfile.readline, b".\r\n"))
                        message = message_from_bytes(content, policy=policy.default)
                        assert isinstance(message, EmailMessage)
                        mail.sent.append((sender, recipients, message))
                        self._say("250 taken")
                    case "QUIT":
                        self._say("221 bye")
                        return
                    case _:
                        self._say("250 ok")

        def _say(self, *lines: str) -> None:
            self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that doesn't trust the certificate hangs up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        mail.port = server.server_address[1]
        with _serving(server):
            yield mail


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
