"""Sends a short message to the webhook of a chat, or by mail.

Written by hand, as apprise 2.3 breaks three promises of docs/operations.md: it sends a password over a connection
without encryption, it returns only whether a message was sent and logs the reason, at debug level with the whole URL,
and it refuses webhooks of unknown hosts. A webhook's URL is as secret as a password, because anybody who knows it can
write into the chat, so errors here show no URL, address or credential.
"""

import smtplib
import ssl
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from http import HTTPStatus
from http.client import HTTPException
from json import dumps
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.core.errors import SettingError, reason_of
from pipeline.core.foreign_text import for_chat, for_terminal

_TIMEOUT = 5.0
"""Seconds to wait for an answer of a server."""

_PAUSE = 1.0
"""Seconds before the second attempt."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PORTS = {"smtp": 25, "smtps": 465}
_SUBMISSION_PORT = 587
"""The port of a server that asks for a login."""


class NotSentError(Exception):
    """Why a message couldn't be sent: one line without a URL or a credential."""


@dataclass(frozen=True)
class Notice:
    """A message.

    Attributes:
        subject: of a mail.
        text: a sentence of our own.
        quoted: the line of an error or a check, which may contain foreign text.
        link: where to read on: a URL, or the id of a run.
    """

    subject: str
    text: str
    quoted: str
    link: str


@dataclass(frozen=True)
class Webhook:
    """The incoming webhook of a chat, which takes `{"text": …}`, as those of Slack, Mattermost and Google Chat do."""

    url: str = field(repr=False)

    def send(self, notice: Notice) -> None:
        """Send a message once.

        Raises:
            NotSentError: when it isn't accepted.
        """
        request = urllib.request.Request(  # noqa: S310  (`recipient` has checked the scheme)
            self.url,
            data=dumps({"text": f"{notice.text}\n`{for_chat(notice.quoted)}`\n{notice.link}"}).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "question-pairs"},
        )
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=_TIMEOUT) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            # The error keeps the connection open as long as it lives.
            error.close()
            status = error.code
        except (OSError, ValueError, HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            url = urlsplit(self.url)
            raise NotSentError(
                f"the webhook can't be reached ({_reason(reason, url.path.strip('/'), url.query)})"
            ) from None
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise NotSentError(f"the webhook answered with status {status}")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirection, which could send the message to anybody."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class Mail:
    """Mail addresses, and the server that delivers to them.

    Attributes:
        is_tls: the connection is encrypted from the start; otherwise as soon as the server offers it.
        user, password: for the login; None where the server needs none.
    """

    to: tuple[str, ...]
    sender: str
    host: str
    port: int
    is_tls: bool
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def send(self, notice: Notice) -> None:
        """Send a message once. A password is sent over an encrypted connection only, or to this machine.

        Raises:
            NotSentError: when it isn't accepted.
        """
        message = EmailMessage()
        message["Subject"], message["From"], message["To"] = notice.subject, self.sender, ", ".join(self.to)
        message["Date"], message["Message-ID"] = formatdate(localtime=True), make_msgid(domain="question-pairs")
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(f"{notice.text}\n\n{for_terminal(notice.quoted)}\n\n{notice.link}\n")
        try:
            with self._connect() as connection:
                if self.user is not None:
                    if not isinstance(connection.sock, ssl.SSLSocket) and self.host not in _LOOPBACK:
                        raise NotSentError("the mail server offers no encryption, so the password wasn't sent")
                    connection.login(self.user, self.password or "")
                connection.send_message(message)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            reason = _reason(error, self.user or "", self.password or "")
            raise NotSentError(f"the mail server didn't accept the message ({reason})") from None

    def _connect(self) -> smtplib.SMTP:
        if self.is_tls:
            return smtplib.SMTP_SSL(self.host, self.port, timeout=_TIMEOUT, context=ssl.create_default_context())
        connection = smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT)
        try:
            connection.ehlo()
            # A mail server on this machine has a self-signed certificate, and needs no encryption.
            if connection.has_extn("starttls") and self.host not in _LOOPBACK:
                connection.starttls(context=ssl.create_default_context())
        except Exception:
            connection.close()
            raise
        return connection


Recipient = Webhook | Mail


def send(recipient: Recipient, notice: Notice) -> None:
    """Send a message, in two attempts.

    Raises:
        NotSentError: when neither is accepted.
    """
    with suppress(NotSentError):
        return recipient.send(notice)
    time.sleep(_PAUSE)
    return recipient.send(notice)


def recipient(target: str, variable: str, server: str, server_variable: str) -> Recipient:
    """Parse a recipient from the values of environment variables.

    Args:
        target: `https://…` or `http://…`, or `mailto:` and addresses with a comma between them.
        variable: the name of the target's variable, for errors, which never show the value.
        server: `smtp://…` or `smtps://…`, for mail.
        server_variable: the name of the server's variable.

    Raises:
        SettingError: when a value is invalid.
    """
    scheme, host, _ = _parts(target, variable)
    if scheme in ("http", "https"):
        if not host:
            raise SettingError(
                f"{variable} is a URL without a host: set it to the whole URL of the webhook", variable=variable
            )
        return Webhook(target.strip())
    if scheme != "mailto":
        raise SettingError(
            f"{variable} is neither a webhook (https://…) nor addresses (mailto:team@example.org): correct or unset it",
            variable=variable,
        )
    path, _, query = target.strip().partition(":")[2].partition("?")
    to = tuple(unquote(address).strip() for address in path.split(","))
    scheme, host, port = _parts(server, server_variable)
    if scheme not in _PORTS or not host:
        raise SettingError(
            f"{server_variable} is no mail server: write smtp://user:password@host:587 or smtps://…",
            variable=server_variable,
        )
    parts = urlsplit(server)
    user, password = (None if text is None else unquote(text) for text in (parts.username, parts.password))
    senders = [*parse_qs(query).get("from", []), user if user and "@" in user else to[0]]
    if wrong := [address for address in (*to, senders[0]) if not _is_address(address)]:
        raise SettingError(
            f"{variable} has invalid mail addresses: write mailto:team@example.org, further addresses after a comma, "
            "and ?from= with the sender's",
            variable=variable,
            invalid=len(wrong),
        )
    default_port = _SUBMISSION_PORT if scheme == "smtp" and user else _PORTS[scheme]
    return Mail(to, senders[0], host, port or default_port, scheme == "smtps", user, password)


def _is_address(text: str) -> bool:
    name, at, host = text.rpartition("@")
    return bool(name and at and host) and text.isprintable() and not set(text) & set(" <>,;\"'")


def _parts(url: str, variable: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of a URL."""
    try:
        parts = urlsplit(url.strip())
        return parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        # Its message may quote the URL.
        raise SettingError(f"{variable} is no URL: correct or unset it", variable=variable) from None


def _reason(error: object, *secrets: str) -> str:
    """The message of an error, or only its type where a secret is in it."""
    if isinstance(error, TimeoutError):
        return f"no answer in {_TIMEOUT:g} seconds"
    message = reason_of(error) if isinstance(error, BaseException) else str(error)
    return type(error).__name__ if any(secret in message for secret in secrets if secret) else message
