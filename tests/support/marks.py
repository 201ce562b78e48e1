"""Conditions under which a test can run at all."""

import os

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
