"""The bench around the packet path in memory."""

from ipaddress import IPv6Address

from dataplane.contract.bench import PROXY_COA, Seen
from mag.dataplane.base import Dataplane
from mag.dataplane.fake import FakeDataplane
from mag.dataplane.verdict import Dropped, Ecn, InnerPacket, Verdict


class FakeBench:
    """Implements Bench."""

    def __init__(self) -> None:
        self.dataplane = FakeDataplane()

    def another_instance(self) -> Dataplane:
        return self.dataplane

    async def from_node(
        self, access_interface: str, link_layer_source: bytes, packet: InnerPacket
    ) -> list[Seen]:
        return _seen(self.dataplane.uplink(link_layer_source, access_interface, packet))

    async def from_tunnel(
        self,
        outer_source: IPv6Address,
        inner: InnerPacket,
        *,
        outer_ecn: Ecn = Ecn.NOT_ECT,
        has_encapsulation_limit: bool = False,
        fragment_octets: int | None = None,
    ) -> list[Seen]:
        return _seen(self.dataplane.downlink(outer_source, PROXY_COA, inner, outer_ecn=outer_ecn))


def _seen(verdict: Verdict) -> list[Seen]:
    return [] if isinstance(verdict, Dropped) else [verdict]
