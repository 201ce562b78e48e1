"""`mag lab`: a whole domain in private namespaces, with real kernels as mobile nodes."""
