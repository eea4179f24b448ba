"""Sends a short message to people: to the webhook of a chat, or by mail.

Whoever knows the URL of a webhook can write into its chat, so it is as secret as a password. Errors say what happened,
but show no URL, address or credential.
"""

import smtplib
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from http import HTTPStatus
from http.client import HTTPException
from json import dumps
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.foreign_text import for_chat, for_terminal

_SECONDS = 5.0
"""How long a server may take for one answer."""

_TRIES = 2
_PAUSE = 1.0
"""Seconds between two tries."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class NotSentError(Exception):
    """Why a message couldn't be sent: one line without a URL or a credential."""


@dataclass(frozen=True)
class Notice:
    """A message.

    Attributes:
        subject: of a mail.
        said: a sentence of our own.
        quoted: what an error or a check says, which may have foreign text in it.
        place: where to read on: a URL, or the id of a run.
    """

    subject: str
    said: str
    quoted: str
    place: str


class Recipient(Protocol):
    """Who is told."""

    def send(self, notice: Notice) -> None:
        """Send the message once.

        Raises:
            NotSentError: when it wasn't accepted.
        """


@dataclass(frozen=True)
class Webhook:
    """The incoming webhook of a chat, in the form that Slack, Mattermost and others accept: `{"text": …}`."""

    url: str = field(repr=False)

    def send(self, notice: Notice) -> None:
        """See `Recipient`. A redirection is not followed: it could lead to anybody."""
        request = urllib.request.Request(  # noqa: S310  (the scheme was checked)
            self.url,
            data=dumps({"text": f"{notice.said}\n`{for_chat(notice.quoted)}`\n{notice.place}"}).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "question-pairs"},
        )
        try:
            with urllib.request.build_opener(_NoRedirection).open(request, timeout=_SECONDS) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            # It holds the connection open as long as it lives.
            error.close()
            status = error.code
        except (OSError, ValueError, HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            parts = urlsplit(self.url)
            raise NotSentError(
                f"the webhook can't be reached ({_reason(reason, [parts.path.strip('/'), parts.query])})"
            ) from None
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise NotSentError(f"the webhook answered {_status(status)}")


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _status(number: int) -> str:
    try:
        return f"{number} {HTTPStatus(number).phrase}"
    except ValueError:
        return str(number)


@dataclass(frozen=True)
class MailServer:
    """A server that takes mail.

    Attributes:
        host, port: where it listens.
        is_tls: encrypted from the beginning; else as soon as the server offers it.
        user, password: to log in with; None where it asks for none.
    """

    host: str
    port: int
    is_tls: bool
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Mail:
    """Addresses, and the server that takes mail to them."""

    to: tuple[str, ...]
    sender: str
    server: MailServer

    def send(self, notice: Notice) -> None:
        """See `Recipient`. A password is sent over an encrypted connection only, or to this machine."""
        message = EmailMessage()
        message["Subject"], message["From"], message["To"] = notice.subject, self.sender, ", ".join(self.to)
        message["Date"], message["Message-ID"] = formatdate(localtime=True), make_msgid(domain="question-pairs")
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(f"{notice.said}\n\n{for_terminal(notice.quoted)}\n\n{notice.place}\n")
        server = self.server
        try:
            with self._connection() as connection:
                if server.user is not None:
                    if not isinstance(connection.sock, ssl.SSLSocket) and server.host not in _LOOPBACK:
                        raise NotSentError("the mail server offers no encryption, so the password wasn't sent")
                    connection.login(server.user, server.password or "")
                connection.send_message(message)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            secrets = [server.user or "", server.password or ""]
            raise NotSentError(f"the mail server didn't take it ({_reason(error, secrets)})") from None

    def _connection(self) -> smtplib.SMTP:
        server = self.server
        if server.is_tls:
            return smtplib.SMTP_SSL(server.host, server.port, timeout=_SECONDS, context=ssl.create_default_context())
        connection = smtplib.SMTP(server.host, server.port, timeout=_SECONDS)
        try:
            connection.ehlo()
            # What listens on this machine has a certificate that nobody has signed, and needs none.
            if connection.has_extn("starttls") and server.host not in _LOOPBACK:
                connection.starttls(context=ssl.create_default_context())
        except Exception:
            connection.close()
            raise
        return connection


def send(recipient: Recipient, notice: Notice) -> None:
    """Send a message, and try a second time where it wasn't accepted.

    Raises:
        NotSentError: when it wasn't accepted the second time either.
    """
    for left in reversed(range(_TRIES)):
        try:
            return recipient.send(notice)
        except NotSentError:
            if not left:
                raise
            time.sleep(_PAUSE)
    return None


# --- from the environment ---------------------------------------------------------------------------------------

_PORTS = {"smtp": 25, "smtps": 465}
_SUBMISSION = 587
"""Where a server that asks for a login listens."""


def recipient(target: str, variable: str, server: str, server_variable: str) -> Recipient:
    """Who is meant by the value of an environment variable.

    Args:
        target: `https://…` or `http://…`, or `mailto:` and addresses with a comma between them.
        variable: what it was read from, for errors; the value is never shown.
        server: `smtp://…` or `smtps://…`, for mail.
        server_variable: likewise.

    Raises:
        PipelineError: for what is none of these.
    """
    scheme, host, _ = _parts(target, variable)
    if scheme in ("http", "https"):
        if not host:
            raise PipelineError(f"{variable} is a URL without a host: set it to the whole URL of the webhook")
        return Webhook(target.strip())
    if scheme != "mailto":
        raise PipelineError(
            f"{variable} is neither a webhook (https://…) nor addresses (mailto:team@example.org): correct or unset it"
        )
    path, _, query = target.strip().partition(":")[2].partition("?")
    addresses = tuple(unquote(address).strip() for address in path.split(","))
    takes_mail = _mail_server(server, server_variable)
    senders = parse_qs(query).get("from", [])
    sender = senders[0] if senders else takes_mail.user if "@" in (takes_mail.user or "") else addresses[0]
    if wrong := [address for address in (*addresses, sender or "") if not _is_address(address)]:
        raise PipelineError(
            f"{variable} has {len(wrong)} part that is no mail address: write mailto:team@example.org, further "
            "addresses after a comma, and ?from= with the sender's"
        )
    return Mail(addresses, str(sender), takes_mail)


def _is_address(text: str) -> bool:
    name, at, host = text.rpartition("@")
    return bool(name and at and host) and text.isprintable() and not set(text) & set(" <>,;\"'")


def _mail_server(server: str, variable: str) -> MailServer:
    scheme, host, port = _parts(server, variable)
    if scheme not in _PORTS or not host:
        raise PipelineError(f"{variable} is no mail server: write smtp://user:password@host:587 or smtps://…")
    parts = urlsplit(server)
    user, password = (None if text is None else unquote(text) for text in (parts.username, parts.password))
    default = _SUBMISSION if scheme == "smtp" and user else _PORTS[scheme]
    return MailServer(host, port or default, scheme == "smtps", user, password)


def _parts(url: str, variable: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of a URL."""
    try:
        parts = urlsplit(url.strip())
        return parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        # What it says may quote the URL.
        raise PipelineError(f"{variable} is no URL: correct or unset it") from None


def _reason(error: object, secrets: list[str]) -> str:
    """What an error says, where none of the secrets is in it; else only what kind it is."""
    if isinstance(error, TimeoutError):
        return f"no answer in {_SECONDS:g} seconds"
    said = reason_of(error) if isinstance(error, BaseException) else str(error)
    return type(error).__name__ if any(secret in said for secret in secrets if secret) else said
