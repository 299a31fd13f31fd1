"""Ceph's S3 (RADOS gateway, from Debian's packages) on 127.0.0.1: one monitor, one store in memory, no systemd."""

from labs.ceph.cluster import Ceph

__all__ = ["Ceph"]
