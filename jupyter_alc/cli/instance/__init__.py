"""One instance of the whole system on one computer: folders, ports, programs, and the order they start and end in."""
