"""Fakes and contract suites, shipped: a facility proves its adapter, cloud or backend with them, without us."""
