"""`python -m services.standby_controller [--config FILE]`: the controller, as `warmstandby controller`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from services.standby_controller.app import serve
from shared.process import run_service

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="services.standby_controller", description="Runs the controller of a node.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="node.toml; else WARMSTANDBY_CONFIG names it")
    sys.exit(run_service("controller", parser.parse_args().config, serve))
