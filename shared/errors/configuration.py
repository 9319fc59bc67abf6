"""node.toml or the environment cannot be used."""

from __future__ import annotations

from shared.errors.base import WarmstandbyError


class ConfigurationError(WarmstandbyError):
    """The configuration of this node cannot be used."""

    code = "configuration_invalid"
    default_hint = "Correct the named key in node.toml or in the environment and start the service again."


class PlaintextRefused(ConfigurationError):
    """The service would listen beyond loopback without TLS."""

    code = "plaintext_refused"
    default_hint = "Set tls_certificate and tls_key for the service, or allow_plaintext = true in a private network."
