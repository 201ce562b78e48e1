"""Whose doing it is that an access link is down: ours, or its operator's."""

from mag.dataplane.base import AccessLink


class LinksLeft:
    """How this process has left each access link, by the index of its interface.

    A link that was left up and is down was taken down by somebody else, who brings it up again. Of
    one that an earlier process has set up, the interface tells by its marks whether that process
    had it down; one without any, made anew or new to us, is for the gateway to bring up.
    """

    def __init__(self) -> None:
        self._left: dict[int, AccessLink] = {}

    def leave(self, index: int, link: AccessLink) -> None:
        """It is as `link` says, as far as whoever took it down allows."""
        self._left[index] = link

    def forget(self, index: int) -> None:
        """It is no access link, or not one that this process has set up."""
        self._left.pop(index, None)

    def forget_all(self) -> None:
        """What indices stood for is no more."""
        self._left.clear()

    def is_somebody_elses_doing(self, index: int, *, is_up: bool, is_marked: bool) -> bool:
        """Whether the link is down because somebody else has taken it down.

        is_up: what the interface is now. is_marked: it says that it has been set up, and not that
        it is down for our sake.
        """
        if is_up:
            return False
        left = self._left.get(index)
        return is_marked if left is None else left.is_up

    def taken_down(self, index: int, *, is_up: bool) -> AccessLink | None:
        """The link as it was left, if somebody else has taken it down since.

        is_up: what the interface is now.
        """
        left = self._left.get(index)
        return None if is_up or left is None or not left.is_up else left
