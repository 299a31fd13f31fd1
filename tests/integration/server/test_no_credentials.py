"""A notebook does all that it can with data, right and wrong: no credential stands in it, or where Jupyter writes."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.testing.archive_service import ArchiveService
from jupyter_alc.testing.data_service import DataService
from tests.integration.server.conftest import jupyter_environment, start_server, stop_server
from tests.integration.server.test_notebooks import Notebook
from tests.integration.server.test_spark import remove_sockets, short_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.server.conftest import Running

pytestmark = [pytest.mark.integration, pytest.mark.fuse]

_CELLS = (
    "%load_ext jupyter_alc",
    "%dms status",
    "%dms ls results",
    "%dms plan results",
    "%dms fetch results",
    "%dms fetch shut",
    "%dms plan away/object",
    "%dms transfers",
    "%dms history",
    "%dms ls shut",
    "%dms ls away",
    "%dms ls nowhere",
    "%dms unmount results",
    "%dms mount results",
    "%dms notebooks",
    "%dms flush",
    "import fsspec\ndms = fsspec.filesystem('dms')\nprint(dms.cat_file('results/result'), vars(dms))",
    "dms.ls('shut')",
    "dms.open('away/object').read()",
    "open('{mount}/results/result').read()",
    "open('{mount}/shut/secret').read()",
    "open('{mount}/away/object').read()",
    "import jupyter_alc\njupyter_alc.client().dms.status()",
    "%env",
    "!mount; cat /proc/self/mountinfo; ps auxww; alc dms ls shut",
    "import os\n[(one, getattr(os.stat('{mount}/results'), one)) for one in dir(os.stat_result) if one[:3] == 'st_']",
)
"""Questions, answers and mistakes; the outputs of all, tracebacks too, are saved as a person's notebook is."""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[tuple[Running, DataService, list[MountedDataset]]]:
    """A server whose data has credentials: right ones, wrong ones, and such for an archive where nobody is."""
    archive, short = ArchiveService(tmp_path / "archive"), short_folder()
    archive.place.mkdir(mode=0o700)
    archive.start()
    (archive.results() / "result").write_bytes(b"a result" * 9)
    right = archive.dataset()
    wrong = {"username": "ada", "password": "a-password-that-was-refused"}
    keys = {"access_key": "KEYOFNOBODY0123456789", "secret_key": "secret-key-of-nobody-0123456789"}
    away = "s3://bucket/top?endpoint=http://127.0.0.1:1&region=us-east-1"
    datasets = [
        right,
        MountedDataset("shut", "Shut", "webdav", right.url, Access.READ, credentials=wrong),
        MountedDataset("away", "Away", "s3", away, Access.READ, credentials=keys),
    ]
    service = DataService(short, datasets, mount=tmp_path / "mnt")
    server: Running | None = None
    try:
        service.start()
        environment = jupyter_environment(tmp_path / "jupyter", ALC_DMS_SOCKET=str(service.socket))
        config = tmp_path / "jupyter/config/jupyter_server_config.py"
        config.write_text('c.ServerApp.jpserver_extensions = {"jupyter_alc": True}\n')
        server = start_server(tmp_path / "jupyter", environment)
        yield server, service, datasets
    finally:
        if server is not None:
            stop_server(server)
        service.stop()
        archive.stop()
        remove_sockets(short)


def test_no_credential_stands_in_a_notebook_that_did_and_got_wrong_all_it_can(here: Any) -> None:
    server, service, datasets = here
    notebook = Notebook(server, "all.ipynb")
    cells, failed = [], 0
    try:
        for cell in _CELLS:
            code = cell.replace("{mount}", str(service.mount))
            reply, outputs = notebook.run(code)
            failed += reply["status"] == "error"
            shown = [
                nbformat.v4.new_output("display_data", data=one["data"])
                if "data" in one
                else nbformat.v4.new_output("stream", text=one.get("text") or "\n".join(one.get("traceback", [])))
                for one in outputs
                if one["kind"] in {"stream", "error", "display_data", "execute_result", "update_display_data"}
            ]
            cells.append(nbformat.v4.new_code_cell(code, outputs=shown))
        content = json.loads(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))
        saved = server.ask("PUT", "api/contents/all.ipynb", {"type": "notebook", "content": content})
        assert saved.status in {200, 201}
    finally:
        notebook.close()
    written = {str(one): one.read_bytes() for one in server.folder.rglob("*") if one.is_file()}
    text = written[str(server.folder / "all.ipynb")]
    assert failed >= 5
    for word in (b"a result", b"credentials", b"shut", b"/proc", b"results"):
        assert word in text, word
    for one in datasets:
        for kind, secret in one.credentials.items():
            if kind == "username":
                continue
            pair = f"{one.credentials.get('username')}:{secret}".encode()
            for form in (secret.encode(), base64.b64encode(pair), secret.encode().hex().encode()):
                assert [name for name, told in written.items() if form in told] == [], f"the {kind} of {one.id}"
