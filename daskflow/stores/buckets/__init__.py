"""Buckets: where works wait for agents, and where their results are found again."""

from daskflow.stores.buckets.buckets import Buckets as Buckets
