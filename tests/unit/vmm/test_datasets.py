"""What a catalogue says of a dataset reaches its machine: VMM's door takes all of it."""

from dataclasses import fields

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset, Transfer
from jupyter_alc.core.views import View
from jupyter_alc.vmm.service.checks import dataset

pytestmark = pytest.mark.unit


def test_a_dataset_with_all_that_it_can_have_is_taken_as_it_is():
    whole = MountedDataset(
        id="sans",
        title="SANS",
        adapter="s3",
        url="s3://bucket/sans",
        access=Access.READ,
        where="in the archive",
        size_bytes=5 << 40,
        published=True,
        credentials={"access_key": "a", "secret_key": "b"},
        transfer=Transfer(connections=4),
        views=(View("by-run", "{cycle}/{run:digits}.nxs", "{run}/"),),
    )
    plain = MountedDataset(id="sans", title="SANS", adapter="s3", url="s3://bucket/sans", access=Access.READ)
    assert all(getattr(whole, one.name) != one.default for one in fields(whole))
    for each in (whole, plain):
        assert MountedDataset.from_json(dataset(each.as_json(), "datasets[0]")) == each
