"""`python -m services.primary_agent [--config FILE]`: the agent alone, the same as `warmstandby agent`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from services.primary_agent.app import serve
from shared.process import run_service

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="services.primary_agent", description="Runs the agent of a node.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="node.toml; else WARMSTANDBY_CONFIG names it")
    sys.exit(run_service("agent", parser.parse_args().config, serve))
