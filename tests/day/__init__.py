"""A scientist's day, end to end, through the real surfaces: what `make demo` runs and what the browser tests assert."""
