"""The one error of the lab."""


class LabError(Exception):
    """The lab cannot do what was asked; the text is one line for a person, cause included."""
