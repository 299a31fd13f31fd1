"""One instance of the whole system on one computer: its folders, ports, programs, and the order they start and end in."""
