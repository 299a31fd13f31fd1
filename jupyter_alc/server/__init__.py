"""HTTP and events on the user's own Jupyter server: parse, ask a part, answer. No decisions."""
