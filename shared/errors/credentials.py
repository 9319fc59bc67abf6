"""The caller may not."""

from __future__ import annotations

from shared.errors.base import WarmstandbyError


class CredentialError(WarmstandbyError):
    """The caller's credential is not accepted."""

    code = "credential_invalid"
    status = 401
    default_hint = "Send a valid credential as `Authorization: Bearer …`."


class CredentialMissing(CredentialError):
    """The request carries no credential."""

    code = "credential_missing"


class CredentialExpired(CredentialError):
    """The credential has expired."""

    code = "credential_expired"
    default_hint = "Make a new token with `warmstandby token create` on the node."


class ForbiddenError(CredentialError):
    """The credential does not give this right."""

    code = "forbidden"
    status = 403
    default_hint = "Use a credential with the role that the operation names."
