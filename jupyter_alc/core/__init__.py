"""Our words: values, states, errors, clock, names, settings. Knows no cloud, no web framework, no kernel."""
