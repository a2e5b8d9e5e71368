"""What is remembered: runs, jobs, results, reports, events and works, in SQLite or PostgreSQL."""

from daskflow.stores.database import Database as Database
from daskflow.stores.journal import Journal as Journal
from daskflow.stores.liveness import is_gone as is_gone
from daskflow.stores.liveness import this_host as this_host
from daskflow.stores.writer import JournalWriter as JournalWriter
