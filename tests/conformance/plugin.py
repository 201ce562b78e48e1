"""A pytest plugin that notes which tests carry which requirements; scripts/conformance uses it."""

import pytest


class RequirementCollector:
    """Give it to pytest.main; afterwards `tests` holds what the marked tests show."""

    def __init__(self) -> None:
        self.tests: dict[str, tuple[str, ...]] = {}
        """Requirement ids by node id; tests without the mark are left out."""
        self.selected: set[str] = set()
        """Node ids of what is left after -m and -k."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            marks = item.iter_markers("requirement")
            if ids := tuple(dict.fromkeys(str(name) for mark in marks for name in mark.args)):
                self.tests[item.nodeid] = ids

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.selected = {item.nodeid for item in session.items}
