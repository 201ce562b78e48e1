"""libnftables through ctypes: the rule language without starting a program.

Works in the network namespace of the calling thread; ctypes releases the interpreter meanwhile.
"""

import ctypes
import errno
import os
from typing import Final

from mag.dataplane.base import DataplaneError

LIBRARY: Final = "libnftables.so.1"


class NftablesMissingError(DataplaneError):
    """This machine has no libnftables, or its kernel no nf_tables."""


class NotInNftablesError(DataplaneError):
    """What a command names is not there."""


class Nftables:
    """One libnftables context."""

    def __init__(self) -> None:
        """Raises NftablesMissingError."""
        self._context: int | None = None
        try:
            self._library = _load()
        except OSError as error:
            raise NftablesMissingError("load libnftables", str(error)) from error
        self._context = self._library.nft_ctx_new(0)
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def run(self, commands: str) -> None:
        """Carry out commands as one transaction: all of them or none. Raises DataplaneError."""
        if self._library.nft_run_cmd_from_buffer(self._context, commands.encode()) != 0:
            error = self._library.nft_ctx_get_error_buffer(self._context)
            raise _refusal(_first_line(error.decode(errors="replace")))

    def close(self) -> None:
        """Free the context."""
        if self._context is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(LIBRARY)
    context = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_new.restype = context
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free"):
        getattr(library, name).argtypes = [context]
    library.nft_ctx_get_error_buffer.argtypes = [context]
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    library.nft_run_cmd_from_buffer.argtypes = [context, ctypes.c_char_p]
    return library


def _refusal(reason: str) -> DataplaneError:
    if os.strerror(errno.ENOENT) in reason:
        return NotInNftablesError("nftables", reason)
    return DataplaneError("nftables", reason)


def _first_line(text: str) -> str:
    return text.partition("\n")[0] or "refused without a reason"
