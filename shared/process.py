"""A service as a process: settings, log, event loop, and an exit code that says how it ended."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from shared.configuration import load_settings, secrets_of
from shared.errors import ConfigurationError
from shared.log import Redactor, configure_logging
from shared.postgres.sessions import forget_lost_sessions
from shared.settings import Settings

log = logging.getLogger(__name__)

EXIT_STOPPED: Final = 0
EXIT_BROKEN: Final = 1
EXIT_CONFIGURATION: Final = 2


def run_service(name: str, config: Path | None, serve: Callable[[Settings], Coroutine[Any, Any, None]]) -> int:
    """Run a service until it is stopped and return the exit code: 0 stopped, 1 broken, 2 bad configuration."""
    redact = Redactor()
    try:
        settings = load_settings(config)
        redact = Redactor(secrets_of(settings))
        configure_logging(settings.log.level, as_json=settings.log.format == "json", redact=redact, service=name)
        logging.getLogger("asyncio").addFilter(forget_lost_sessions)
        asyncio.run(serve(settings))
    except ConfigurationError as error:
        sys.stderr.write(explain_configuration(error, redact))
        return EXIT_CONFIGURATION
    except Exception:
        log.exception("service broken")
        return EXIT_BROKEN
    log.info("stopped")
    return EXIT_STOPPED


def explain_configuration(error: ConfigurationError, redact: Redactor) -> str:
    """Return the lines for people: each fault, then what to do."""
    return "".join(f"{redact(line)}\n" for line in [*error.detail.splitlines(), error.hint])
