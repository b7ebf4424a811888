"""Networks of other tools as network files, and network files as networks of other tools."""
