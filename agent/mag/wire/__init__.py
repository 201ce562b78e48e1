"""Bytes to frozen dataclasses and back; standard library only, no clock, no log, no socket."""
