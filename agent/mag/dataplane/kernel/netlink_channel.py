"""A plain netlink socket for bulk: many packed messages a send, dumps without a decoder."""

import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Final, Self

from mag.dataplane.base import DataplaneError
from mag.dataplane.kernel.message_run import MessageRun
from mag.dataplane.kernel.route_encoder import numbered

_MESSAGES_PER_SEND: Final = 50
_RECEIVE_OCTETS: Final = 1 << 18
_TIMEOUT_S: Final = 10.0

_SOL_NETLINK: Final = 270
_NETLINK_GET_STRICT_CHK: Final = 12
_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3

_HEADER: Final = struct.Struct("=IHHII")
_ERROR: Final = struct.Struct("=i")


class NotInKernelError(DataplaneError):
    """What a dump was asked of is not there."""


class NetlinkChannel:
    """Blocking; works in the namespace of the thread that opened it."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        """Raises DataplaneError."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        try:
            self._socket.settimeout(_TIMEOUT_S)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
            self._socket.bind((0, 0))
        except OSError as error:
            self._socket.close()
            raise DataplaneError("open netlink", error.strerror or str(error)) from error
        self._sequence = 0

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def execute(self, messages: Sequence[bytes]) -> dict[int, int]:
        """Send all messages in order; every one is carried out, whatever became of the others.

        Returns the errno of each message that failed, by its position.
        Raises DataplaneError when the kernel does not answer.
        """
        failures: dict[int, int] = {}
        for start in range(0, len(messages), _MESSAGES_PER_SEND):
            chunk = messages[start : start + _MESSAGES_PER_SEND]
            for position, number in self._execute_chunk(chunk):
                failures[start + position] = number
        return failures

    def _execute_chunk(self, chunk: Sequence[bytes]) -> Iterator[tuple[int, int]]:
        first = self._sequence + 1
        self._sequence += len(chunk)
        last = len(chunk) - 1
        # Failures are always reported; success only for the last, which ends the chunk.
        self._send(
            b"".join(
                numbered(message, first + position, acknowledge=position == last)
                for position, message in enumerate(chunk)
            )
        )
        answered = -1
        while answered < last:
            for kind, sequence, message in _messages(self._receive()):
                if kind != _NLMSG_ERROR or not first <= sequence <= first + last:
                    continue
                answered = sequence - first
                if code := _code_of(message):
                    yield answered, code

    def dump(self, request: bytes) -> Iterator[bytes]:
        """The answers to a dump request, each without its netlink header.

        Raises DataplaneError when the kernel refuses, NotInKernelError for what is not there.
        """
        for run in self.dump_runs(request):
            yield from run.bodies()

    def dump_runs(self, request: bytes) -> Iterator[MessageRun]:
        """The same, as many together as came together and are of one length."""
        self._sequence += 1
        sequence = self._sequence
        self._send(numbered(request, sequence, acknowledge=False))
        while True:
            data = self._receive()
            length, kind, _, answer_to, _ = _HEADER.unpack_from(data)
            run = MessageRun(data, _padded(length))
            is_of_answers = answer_to == sequence and kind not in (_NLMSG_DONE, _NLMSG_ERROR)
            if is_of_answers and run.is_alike_in(range(_HEADER.size)):
                yield run
                continue
            for kind, answer_to, message in _messages(data):
                if answer_to != sequence:
                    continue
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    raise _failure("netlink dump", _code_of(message))
                yield MessageRun(message, len(message))

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendto(data, (0, 0))
        except OSError as error:
            raise DataplaneError("netlink send", error.strerror or str(error)) from error

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_RECEIVE_OCTETS)
        except TimeoutError as error:
            raise DataplaneError("netlink", f"no answer within {_TIMEOUT_S:g} s") from error
        except OSError as error:
            raise DataplaneError("netlink receive", error.strerror or str(error)) from error


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, sequence number and the whole of each message in a datagram."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
        end = offset + _padded(length)
        yield kind, sequence, data[offset:end]
        offset = end


def _padded(length: int) -> int:
    return (length + 3) & ~3


def _code_of(message: bytes) -> int:
    """The errno that an error message tells; 0 for an acknowledgement."""
    (code,) = _ERROR.unpack_from(message, _HEADER.size)
    return -int(code)


def _failure(operation: str, number: int) -> DataplaneError:
    kind = NotInKernelError if number == errno.ENOENT else DataplaneError
    return kind(operation, errno.errorcode.get(number, str(number)))
