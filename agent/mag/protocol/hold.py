"""What keeps Proxy Binding Updates from going out until an operator acts."""

from mag.frozen import frozen


@frozen
class Hold:
    """Why a binding sends nothing more; `mag clear binding` lifts it, and nothing else."""

    reason: str
    """In an operator's words."""
    status: int | None = None
    """The LMA's, None where the fault is in what it echoed or in what we would have to send."""
    is_of_node: bool = False
    """It bars every interface of the node, not only this one (RFC 5213 §6.9.1.2(7))."""
