"""A message reaches a chat or a mailbox, and errors show no secret when it doesn't."""

import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from loopback_notices import SECRET_PATH, running_chat, running_mail

from pipeline.core import notices
from pipeline.core.errors import SettingError
from pipeline.core.notices import Mail, Notice, NotSentError, Webhook, recipient, send

NOTICE = Notice(
    subject="The job retrain failed",
    text="The job retrain failed.",
    quoted="splits: 'Why `not` <!channel>?' is a\nquestion",
    link="https://ui.example.org/runs/1",
)


@pytest.fixture(autouse=True)
def _in_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "_PAUSE", 0.01)
    monkeypatch.setattr(notices, "_TIMEOUT", 0.5)


def named(target: str, server: str = "smtp://localhost") -> notices.Recipient:
    return recipient(target, "PIPELINE_NOTIFY", server, "PIPELINE_SMTP")


def not_sent(to: notices.Recipient) -> str:
    with pytest.raises(NotSentError) as caught:
        send(to, NOTICE)
    message = str(caught.value)
    assert message.splitlines() == [message]
    assert "SECRET" not in message
    # Nor does a traceback lead to an error that has it.
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message


def test_a_webhook_is_sent_what_chats_show_and_nothing_in_it_calls_anybody() -> None:
    with running_chat() as chat:
        send(named(chat.url), NOTICE)
    assert chat.texts == [
        "The job retrain failed.\n`splits: 'Why 'not' ‹!channel›?' is a question`\nhttps://ui.example.org/runs/1"
    ]
    assert chat.asked == [f"POST {SECRET_PATH}"]


def test_a_webhook_that_is_busy_is_asked_a_second_time() -> None:
    with running_chat() as chat:
        chat.answers = [503]
        send(named(chat.url), NOTICE)
        assert len(chat.texts) == 1


@pytest.mark.parametrize(
    "status",
    [404, 302, 599, 500],
)
def test_a_webhook_that_refuses_is_told_by_its_status(status: int) -> None:
    with running_chat() as chat:
        chat.answers = [status] * 2
        assert str(status) in not_sent(named(chat.url))
        # A redirection is not followed.
        assert chat.asked == [f"POST {SECRET_PATH}"] * 2


def test_a_webhook_that_is_not_there_or_never_answers_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert "no answer in 0.5 seconds" in not_sent(Webhook(f"http://127.0.0.1:{port}/SECRET"))
    assert "Connection refused" in not_sent(Webhook(f"http://127.0.0.1:{port}/SECRET"))
    assert not_sent(Webhook("https://127.0.0.1/SECRET with blanks"))


def test_a_mail_is_sent_to_all_addresses() -> None:
    with running_mail() as mail:
        to = named("mailto:team@example.org,boss%40example.org?from=bot@example.org", f"smtp://127.0.0.1:{mail.port}")
        send(to, NOTICE)
    ((sender, recipients, message),) = mail.sent
    assert (sender, recipients) == ("<bot@example.org>", ["<team@example.org>", "<boss@example.org>"])
    assert (message["Subject"], message["To"]) == ("The job retrain failed", "team@example.org, boss@example.org")
    assert message.get_content().splitlines() == [
        "The job retrain failed.",
        "",
        "splits: 'Why `not` <!channel>?' is a question",
        "",
        "https://ui.example.org/runs/1",
    ]


def test_a_mail_server_may_ask_for_a_login() -> None:
    with running_mail(login=("bot@example.org", "p:ss/w@rd")) as mail:
        server = f"smtp://bot%40example.org:p%3Ass%2Fw%40rd@127.0.0.1:{mail.port}"
        send(named("mailto:team@example.org", server), NOTICE)
        assert [sender for sender, _, _ in mail.sent] == ["<bot@example.org>"]
        wrong = f"smtp://USER-SECRET:WORD-SECRET@127.0.0.1:{mail.port}"
        assert "SMTPAuthenticationError" in not_sent(named("mailto:team@example.org", wrong))
        assert "530" in not_sent(named("mailto:team@example.org", f"smtp://127.0.0.1:{mail.port}"))


def test_a_password_is_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_mail(login=("me", "SECRET")) as mail:
        monkeypatch.setattr(notices, "_LOOPBACK", ())
        to = named("mailto:team@example.org", f"smtp://me:SECRET@127.0.0.1:{mail.port}")
        assert "no encryption" in not_sent(to)


def test_an_encrypted_mail_server_is_used_if_its_certificate_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    about = [
        "-subj",
        "/CN=loopback",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run([*made, *about], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with running_mail(login=("me", "SECRET"), tls=tls) as mail:
        to = named("mailto:team@example.org", f"smtps://me:SECRET@127.0.0.1:{mail.port}")
        assert "certificate verify failed" in not_sent(to)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        send(to, NOTICE)
    assert len(mail.sent) == 1


def test_who_is_meant_is_read_from_the_values() -> None:
    assert named("https://hooks.example.org/SECRET") == Webhook("https://hooks.example.org/SECRET")
    for server, port, is_tls in (
        ("smtp://mail.example.org", 25, False),
        ("smtp://me:x@mail.example.org", 587, False),
        ("smtps://mail.example.org", 465, True),
        ("smtp://mail.example.org:2525", 2525, False),
    ):
        to = named("mailto:team@example.org", server)
        assert isinstance(to, Mail)
        assert (to.host, to.port, to.is_tls) == ("mail.example.org", port, is_tls)
        assert to.sender == "team@example.org"


@pytest.mark.parametrize(
    ("target", "server", "variable"),
    [
        ("hooks.example.org/SECRET", "smtp://localhost", "PIPELINE_NOTIFY"),
        ("ftp://example.org/SECRET", "smtp://localhost", "PIPELINE_NOTIFY"),
        ("https:///SECRET", "smtp://localhost", "PIPELINE_NOTIFY"),
        ("https://[SECRET", "smtp://localhost", "PIPELINE_NOTIFY"),
        ("https://host:SECRET/", "smtp://localhost", "PIPELINE_NOTIFY"),
        ("mailto:SECRET", "smtp://localhost", "PIPELINE_NOTIFY"),
        ("mailto:a@b.org\nBcc: SECRET@b.org", "smtp://localhost", "PIPELINE_NOTIFY"),
        ("mailto:a@b.org?from=SECRET", "smtp://localhost", "PIPELINE_NOTIFY"),
        ("mailto:a@b.org", "SECRET", "PIPELINE_SMTP"),
        ("mailto:a@b.org", "smtp://me:SECRET@", "PIPELINE_SMTP"),
        ("mailto:a@b.org", "https://SECRET@host", "PIPELINE_SMTP"),
    ],
)
def test_what_names_nobody_is_refused_by_its_variable_alone(target: str, server: str, variable: str) -> None:
    with pytest.raises(SettingError) as caught:
        named(target, server)
    assert caught.value.values["variable"] == variable
    assert "SECRET" not in f"{caught.value} {caught.value.values}"
    assert "SECRET" not in repr(caught.value)


def test_a_recipient_shows_no_secret() -> None:
    for to in (named("https://h.org/SECRET"), named("mailto:a@b.org", "smtp://SECRET:SECRET@mail.example.org")):
        assert "SECRET" not in repr(to)
