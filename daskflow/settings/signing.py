"""What an agent needs to perform jobs of flows: the key that signs them, and the way to the artifact store."""

from __future__ import annotations

from daskflow.settings.options import Settings
from daskflow.settings.parts import values_of


def prepare_agent(settings: Settings) -> None:
    """Let this process, and those that it starts by forking, perform jobs that are signed with the configured key.

    Raises
    ------
    SettingsInvalid
        The file of the key cannot be read, or others may read it.

    Notes
    -----
    Where no key is configured that of the user is taken, when it is needed. The artifact store is known from now on by
    its URL, with all that is configured of it; nothing is read from it.
    """
    values = values_of(settings)
    if settings.signing_key is not None:
        _ = values.signer
