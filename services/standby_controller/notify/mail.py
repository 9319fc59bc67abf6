"""Sends a letter by SMTP, each recipient for itself; the only place that knows of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP as MAIL_POLICY
from email.utils import format_datetime
from typing import Final

import aiosmtplib

from services.standby_controller.notify.addresses import LONGEST_PROBLEM, connect, describe
from services.standby_controller.notify.letters import Letter
from services.standby_controller.pair_channels import MailChannel
from services.standby_controller.policy.delivery import Outcome

_GOODBYE_SECONDS: Final = 2.0
_POLICY: Final = MAIL_POLICY.clone(max_line_length=900)  # folded ids are read wrongly by some
_FOR_EVER: Final = 500


async def send_letter(
    channel: MailChannel, letter: Letter, recipients: Sequence[str], *, context: ssl.SSLContext, now: datetime
) -> Outcome:
    """Hand the letter to the channel's server for these recipients, and return for whom it took it; raises nothing."""
    message = _message(channel, letter, now).as_bytes()
    client: aiosmtplib.SMTP | None = None
    try:
        async with asyncio.timeout(channel.timeout_seconds):
            client = aiosmtplib.SMTP(
                hostname=channel.host,
                sock=await connect(channel.host, channel.port),
                timeout=channel.timeout_seconds,
                use_tls=channel.security == "tls",
                start_tls=channel.security == "starttls",
                tls_context=context,
                local_hostname=socket.gethostname(),
            )
            await client.connect()
            if channel.user is not None and channel.password is not None:
                await client.login(channel.user, channel.password)
            answers, _ = await client.sendmail(channel.sender, list(recipients), message)
        outcome = _outcome(recipients, {name: (answer.code, answer.message) for name, answer in answers.items()})
        with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await client.quit()
    except aiosmtplib.SMTPRecipientsRefused as error:
        return _outcome(recipients, {one.recipient: (one.code, one.message) for one in error.recipients})
    except aiosmtplib.SMTPDataError as error:
        return Outcome(problem=_words(f"{error.code} {error.message}"), is_final=error.code >= _FOR_EVER)
    except aiosmtplib.SMTPResponseException as error:
        return Outcome(problem=_words(f"{error.code} {error.message}"))
    except TimeoutError:
        return Outcome(problem=f"{channel.host} did not answer within {channel.timeout_seconds:g} s")
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        return Outcome(problem=describe(channel.host, error))
    else:
        return outcome
    finally:
        if client is not None:
            client.close()


def _outcome(recipients: Sequence[str], refusals: Mapping[str, tuple[int, str]]) -> Outcome:
    """Return what the server's word on each recipient comes to: 4xx is tried again, 5xx is not."""
    later = {name: answer for name, answer in refusals.items() if answer[0] < _FOR_EVER}
    problem = "; ".join(f"{name}: {code} {text}" for name, (code, text) in later.items())
    return Outcome(
        problem=_words(problem) if problem else None,
        delivered=tuple(name for name in recipients if name not in refusals),
        refused={name: _words(f"{code} {text}") for name, (code, text) in refusals.items() if name not in later},
    )


def _message(channel: MailChannel, letter: Letter, now: datetime) -> EmailMessage:
    message = EmailMessage(policy=_POLICY)
    message["From"] = channel.sender
    message["To"] = ", ".join(channel.recipients)
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(now)
    message["Message-ID"] = letter.message_id
    if letter.first_id != letter.message_id:
        message["In-Reply-To"] = letter.first_id
        message["References"] = letter.first_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    return message


def _words(text: str) -> str:
    return " ".join(text.split())[:LONGEST_PROBLEM]
