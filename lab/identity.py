"""As whom the PostgreSQL programs run: they refuse root, so root lends them another name without giving files away.

An ordinary user runs them as itself. Root runs them in a user namespace in which it is called ``nobody``: the files
stay root's, nothing has to be readable for others. Where namespaces are refused (as in most containers), they run as
the real ``nobody``, which then owns the data directories and may pass through private folders.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NOBODY: Final = 65534


class IdentityError(Exception):
    """Root has no way to run PostgreSQL under another name on this machine."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A way to start programs: what goes before the command, and who owns the data directories (None: ourselves)."""

    prefix: tuple[str, ...]
    owner: int | None

    def give(self, folder: Path) -> None:
        """Make the owner own everything in a folder, itself included; safe to repeat."""
        if self.owner is None:
            return
        os.chown(folder, self.owner, self.owner, follow_symlinks=False)
        for parent, folders, files in os.walk(folder):
            for name in (*folders, *files):
                os.chown(Path(parent, name), self.owner, self.owner, follow_symlinks=False)


OURSELVES: Final = Identity((), None)
NAMESPACE: Final = Identity(("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--"), None)
REAL_NOBODY: Final = Identity(
    (
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        "--securebits=+no_setuid_fixup",  # or else access(2) forgets the capability, and initdb asks it
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        "--",
    ),
    NOBODY,
)


@functools.cache
def choose_identity() -> Identity:
    """Return the first way that works here."""
    if os.geteuid() != 0:
        return OURSELVES
    for identity in (NAMESPACE, REAL_NOBODY):
        if works(identity):
            return identity
    raise IdentityError(
        "PostgreSQL does not run as root, and neither 'unshare' (user namespaces) nor 'setpriv' lets root run it under "
        "another name here: install util-linux, or run this as an ordinary user"
    )


def works(identity: Identity) -> bool:
    """Say whether a program started this way sees itself as somebody who is not root."""
    if identity.prefix and shutil.which(identity.prefix[0]) is None:
        return False
    done = subprocess.run([*identity.prefix, "id", "-u"], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() not in ("", "0")
