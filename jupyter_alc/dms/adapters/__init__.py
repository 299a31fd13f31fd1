"""How bytes move between an archive and here. A facility adds its own by the entry point group `jupyter_alc.adapters`."""
