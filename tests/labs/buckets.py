"""Plant and look in the buckets of an S3 server, by botocore, behind everybody's back."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import Any

_NUMBERS = itertools.count()


class Buckets:
    """For a lab whose `state` has endpoint, region and keys."""

    state: dict[str, Any]

    @cached_property
    def client(self) -> Any:
        """A plain botocore client of the owner."""
        import botocore.config
        import botocore.session

        return botocore.session.Session().create_client(
            "s3",
            endpoint_url=self.state["endpoint"],
            region_name=self.state["region"],
            aws_access_key_id=self.state["access_key"],
            aws_secret_access_key=self.state["secret_key"],
            config=botocore.config.Config(
                s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}, proxies={}
            ),
        )

    @property
    def keys(self) -> dict[str, str]:
        """The owner's credentials, as a dataset has them."""
        return {"access_key": self.state["access_key"], "secret_key": self.state["secret_key"]}

    def bucket(self, name: str = "") -> str:
        """Make a bucket that was not there before."""
        name = name or f"bucket-{next(_NUMBERS)}"
        self.client.create_bucket(Bucket=name)
        return name

    def url(self, bucket: str, prefix: str = "", endpoint: str = "") -> str:
        """The address of a dataset there."""
        return f"s3://{bucket}/{prefix}?endpoint={endpoint or self.state['endpoint']}&region={self.state['region']}"
