"""The whole contract, for two fixtures."""

import zipfile

import pytest
from alc_zip import ZipAdapter

from jupyter_alc.testing.adapters import AdapterContract


class TestZip(AdapterContract):
    @pytest.fixture
    def put(self, tmp_path):
        held = {}

        def put(path, data):
            held[path] = data
            with zipfile.ZipFile(tmp_path / "data.new", "w") as archive:
                for name, content in held.items():
                    archive.writestr(name, content)
            (tmp_path / "data.new").replace(tmp_path / "data.zip")

        return put

    @pytest.fixture
    async def adapter(self, put, tmp_path):
        return ZipAdapter(f"zip://{tmp_path}/data.zip", {})
