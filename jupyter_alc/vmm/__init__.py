"""Machines: a few kept warm, one given to a person for one server, none given twice (docs/semantics/vmm.md)."""
