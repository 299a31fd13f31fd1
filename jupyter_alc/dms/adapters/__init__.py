"""How bytes move between an archive and here; a facility adds its own by the entry points `jupyter_alc.adapters`."""
