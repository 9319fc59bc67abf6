"""How every command runs: settings, errors as plain lines without secrets, and an exit code."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from shared.configuration import load_settings, secrets_of
from shared.errors import ConfigurationError, WarmstandbyError
from shared.log import Redactor
from shared.process import EXIT_BROKEN, EXIT_CONFIGURATION, explain_configuration
from shared.settings import Settings


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add `--config`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="node.toml; else WARMSTANDBY_CONFIG names it")


def run_command(config: Path | None, work: Callable[[Settings], Coroutine[Any, Any, int]]) -> int:
    """Do the work with this node's settings; 0 is success, 1 failure, 2 a bad configuration."""
    redact = Redactor()
    try:
        settings = load_settings(config)
        redact = Redactor(secrets_of(settings))
        return asyncio.run(work(settings))
    except ConfigurationError as error:
        sys.stderr.write(explain_configuration(error, redact))
        return EXIT_CONFIGURATION
    except WarmstandbyError as error:
        sys.stderr.write(f"{redact(error.detail)}\n{redact(error.hint)}\n")
        return EXIT_BROKEN
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return EXIT_BROKEN
