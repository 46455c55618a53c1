"""HTTP servers for untrusted clients: connections with limits, errors of one line, which hosts are answered."""
