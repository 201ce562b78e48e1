"""The nftables table at work: rules kept, elements changed, counters read."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address
from typing import Final, Self

from mag.dataplane.kernel import filter_table, reassembly
from mag.dataplane.kernel.binding_batch import ElementChanges
from mag.dataplane.kernel.filter_table import Element
from mag.dataplane.kernel.netlink_channel import NetlinkChannel, NotInKernelError
from mag.dataplane.kernel.nf_tables import (
    NETLINK_NETFILTER,
    FoundElement,
    counter_dump,
    decode_counter,
    decode_elements,
    decode_set,
    element_dump,
    set_dump,
)
from mag.dataplane.kernel.nftables import Nftables
from mag.frozen import frozen

USUAL_PREFIX_LENGTH: Final = 64
"""Its sets are there from the start: making them takes the kernel 80 ms, a handover has 20."""


@frozen
class FilterListing:
    """The table as it is."""

    elements: dict[str, dict[bytes, FoundElement]]
    """By set and key."""
    drops: Mapping[str, int]

    @classmethod
    def read(cls, channel: NetlinkChannel) -> Self:
        """channel: of the kernel's netfilter. Empty where there is no table."""
        table = filter_table.TABLE_NAME
        names = _set_names(channel)
        if not names:
            return cls({}, {})
        return cls(
            elements={
                name: {
                    found.key: found
                    for body in channel.dump(element_dump(table, name))
                    for found in decode_elements(body)
                }
                for name in names
            },
            drops=dict(map(decode_counter, channel.dump(counter_dump(table)))),
        )

    def count_of(self, element: Element) -> FoundElement | None:
        """None if it is not there."""
        return self.elements.get(element.set_name, {}).get(element.key)


def _set_names(channel: NetlinkChannel) -> list[str]:
    try:
        found = list(map(decode_set, channel.dump(set_dump(filter_table.TABLE_NAME))))
    except NotInKernelError:
        return []
    return [name for name in found if filter_table.is_set_of_ours(name)]


class FilterSets:
    """Changes to the table in the language of rules, readings of it in the kernel's own."""

    def __init__(self, writer: Nftables, *, joins_fragments: bool) -> None:
        """joins_fragments: whether the kernel can."""
        self.joins_fragments = joins_fragments
        self._writer = writer
        self._channel = NetlinkChannel(NETLINK_NETFILTER)
        self._lengths: set[int] = set()

    def close(self) -> None:
        """Free context and socket."""
        self._channel.close()
        self._writer.close()

    def listing(self) -> FilterListing:
        """The table now, empty if there is none."""
        return FilterListing.read(self._channel)

    def has_table(self) -> bool:
        """Whether our table is there."""
        try:
            return any(True for _ in self._channel.dump(set_dump(filter_table.TABLE_NAME)))
        except NotInKernelError:
            return False

    def ensure_base(
        self, core_interfaces: tuple[str, ...], proxy_care_of_address: IPv6Address
    ) -> None:
        """Rules, sets and drop counters; elements and counts that are there stay."""
        self._lengths = filter_table.lengths_in(_set_names(self._channel))
        self._writer.run(
            filter_table.base_commands(core_interfaces, proxy_care_of_address, self._lengths)
            + (reassembly.commands(proxy_care_of_address) if self.joins_fragments else "")
        )
        self._ensure_lengths({USUAL_PREFIX_LENGTH})

    def remove_all(self) -> None:
        """Delete the table."""
        self._writer.run(filter_table.DELETE_TABLE)

    def ensure(self, element: Element) -> None:
        """Have the element in its set."""
        self._writer.run(filter_table.element_commands("add", [element]))

    def delete(self, elements: Iterable[Element]) -> None:
        """Have the elements out of their sets, there or not."""
        members = list(elements)
        if members:
            self._writer.run(
                filter_table.element_commands("add", members)
                + filter_table.element_commands("delete", members)
            )

    def change(self, changes: ElementChanges) -> None:
        """One transaction. Raises DataplaneError, nothing changed, if a deleted one is absent."""
        self._ensure_lengths(map(filter_table.length_of, (*changes.deleted, *changes.added)))
        self._writer.run(
            filter_table.element_commands("delete", changes.deleted)
            + filter_table.element_commands("add", changes.added)
        )

    def change_whatever_is_there(self, changes: ElementChanges) -> None:
        """As `change`, for elements that may be absent."""
        self._ensure_lengths(map(filter_table.length_of, (*changes.deleted, *changes.added)))
        self._writer.run(
            filter_table.element_commands("add", changes.deleted)
            + filter_table.element_commands("delete", changes.deleted)
            + filter_table.element_commands("add", changes.added)
        )

    def _ensure_lengths(self, lengths: Iterable[int]) -> None:
        for length in lengths:
            if length not in self._lengths:
                self._writer.run(filter_table.length_commands(length))
                self._lengths.add(length)
