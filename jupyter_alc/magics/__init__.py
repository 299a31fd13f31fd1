"""`%piezo`, `%dms` and `%vmm`, and the same as Python calls: parse, ask the user's own server, show. No decisions."""
