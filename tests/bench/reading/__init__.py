"""Reading through a mount beside its peers: one S3 server, one counting proxy, every client in turn in one run."""
