"""The packet path of a plain Linux kernel (design of the layout: `layout`)."""
