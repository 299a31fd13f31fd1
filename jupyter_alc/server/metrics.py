"""The few counts of the extension, served by jupyter-server's own `/metrics`. Labels come from closed sets."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

ERRORS = Counter(
    "errors", "Errors told to a caller, by their code.", ["code"], namespace="jupyter_alc", subsystem="server"
)
CLUSTERS_ASKED = Counter("clusters_asked", "Clusters asked for.", namespace="jupyter_alc", subsystem="piezo")
CLUSTERS = Gauge("clusters", "Clusters that live now.", namespace="jupyter_alc", subsystem="piezo")
UNSENT_FILES = Gauge("unsent_files", "Written files not yet at the archive.", namespace="jupyter_alc", subsystem="dms")
UNSENT_BYTES = Gauge("unsent_bytes", "Written bytes not yet at the archive.", namespace="jupyter_alc", subsystem="dms")
