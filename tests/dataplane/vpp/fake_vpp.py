"""The API socket of a VPP that a test plays: framing, handshake, a message table, its moods."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from mag.dataplane.vpp.compatibility import REQUIRED_MESSAGES
from mag.dataplane.vpp.definitions import MessageDefinitions

_FRAME: Final = struct.Struct("!QII")
_REQUEST: Final = struct.Struct("!HII")
_FIRST_ID: Final = 100

EXTRA: Final = {
    "probe": "00000001",
    "probe_reply": "00000002",
    "probe_dump": "00000003",
    "probe_details": "00000004",
    "probe_event": "00000005",
}
"""Messages of no real VPP: layouts live as long as the process, so none of VPP's is borrowed."""
_REQUEST_FIELDS: Final = [["u16", "_vl_msg_id"], ["u32", "client_index"], ["u32", "context"]]
_REPLY_FIELDS: Final = [["u16", "_vl_msg_id"], ["u32", "context"]]
DEFINITIONS: Final = [
    {
        "types": [],
        "messages": [
            ["probe", *_REQUEST_FIELDS, ["u32", "value"], {"crc": "0x00000001"}],
            ["probe_reply", *_REPLY_FIELDS, ["i32", "retval"], {"crc": "0x00000002"}],
            ["probe_dump", *_REQUEST_FIELDS, {"crc": "0x00000003"}],
            ["probe_details", *_REPLY_FIELDS, ["u32", "value"], {"crc": "0x00000004"}],
            [
                "probe_event",
                ["u16", "_vl_msg_id"],
                ["u32", "client_index"],
                ["u32", "pid"],
                ["u32", "value"],
                {"crc": "0x00000005"},
            ],
        ],
        "unions": [],
        "enums": [],
        "enumflags": [],
        "aliases": {},
        "services": {},
    }
]


class FakeVpp:
    """Answers `probe` with its value as retval, `probe_dump` with details 1 and 2."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.messages = dict(REQUIRED_MESSAGES) | EXTRA
        """The table it tells, name to CRC."""
        self.asked: list[str] = []
        """Names of all messages it was sent."""
        self.is_silent = False
        """Takes what it is sent, answers nothing."""
        self.held: list[Callable[[], None]] = []
        """Answers that were due while it was silent."""
        self._definitions = MessageDefinitions()
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def ids(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.messages, _FIRST_ID)}

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        """As if killed: clients see the end of the connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.close()
            await writer.wait_closed()
        self._writers.clear()

    def tell_event(self, value: int) -> None:
        self._write(struct.pack("!HIII", self.ids["probe_event"], 1, 0, value))

    def write_garbage(self) -> None:
        self._writers[-1].write(_FRAME.pack(0, 1 << 31, 0))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            while True:
                _, length, _ = _FRAME.unpack(await reader.readexactly(_FRAME.size))
                self._take(await reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _take(self, octets: bytes) -> None:
        message_id, _, context = _REQUEST.unpack_from(octets)
        name = {number: name for name, number in self.ids.items()}.get(message_id, "introduction")
        self.asked.append(name)
        answers: dict[str, Callable[[], None]] = {
            "introduction": self._introduce,
            "get_api_json": lambda: self._tell_definitions(context),
            "control_ping": lambda: self._reply("control_ping_reply", context, "iII", 0, 1, 1),
            "probe": lambda: self._reply(
                "probe_reply", context, "i", *struct.unpack_from("!i", octets, _REQUEST.size)
            ),
            "probe_dump": lambda: self._tell_details(context),
        }
        if self.is_silent:
            self.held.append(answers[name])
        else:
            answers[name]()

    def _introduce(self) -> None:
        table = [
            {"index": number, "name": f"{name}_{self.messages[name]}"}
            for name, number in self.ids.items()
        ]
        reply = self._definitions.bootstrap("sockclnt_create_reply")
        fields: dict[str, Any] = {"_vl_msg_id": 16, "client_index": 1, "context": 0, "response": 0}
        self._write(reply.pack(fields | {"index": 1, "count": len(table), "message_table": table}))

    def _tell_definitions(self, context: int) -> None:
        reply = self._definitions.bootstrap("get_api_json_reply")
        text = json.dumps(DEFINITIONS)
        number = self.ids["get_api_json_reply"]
        self._write(
            reply.pack({"_vl_msg_id": number, "context": context, "retval": 0, "json": text})
        )

    def _tell_details(self, context: int) -> None:
        for value in (1, 2):
            self._reply("probe_details", context, "I", value)

    def _reply(self, name: str, context: int, layout: str, *values: int) -> None:
        self._write(struct.pack(f"!HI{layout}", self.ids[name], context, *values))

    def _write(self, octets: bytes) -> None:
        self._writers[-1].write(_FRAME.pack(0, len(octets), 0) + octets)


@asynccontextmanager
async def fake_vpp() -> AsyncIterator[FakeVpp]:
    """Started; gone in the end."""
    with TemporaryDirectory(prefix="mag-vpp-") as folder:
        vpp = FakeVpp(Path(folder) / "api.sock")
        await vpp.start()
        try:
            yield vpp
        finally:
            await vpp.stop()
