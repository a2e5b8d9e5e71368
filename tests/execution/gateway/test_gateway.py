"""What a server works with."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from daskflow.settings.gateway import open_gateway
from tests.conftest import settings_in


def test_calls_do_not_hold_each_other_up(tmp_path: Path) -> None:
    gateway = open_gateway(settings_in(tmp_path), lambda project, record, ended: None)

    async def both() -> tuple[str, str]:
        met = threading.Barrier(2, timeout=30)

        def meet(kind: str) -> str:
            met.wait()
            return f"{kind} in {threading.current_thread().name.rpartition('_')[0]}"

        return await asyncio.gather(gateway.call(meet, "store"), gateway.carry(meet, kind="bytes"))

    assert list(asyncio.run(both())) == ["store in daskflow-gateway", "bytes in daskflow-carrier"]
    gateway.close()


def test_all_is_closed(tmp_path: Path) -> None:
    gateway = open_gateway(settings_in(tmp_path), lambda project, record, ended: None)
    before = {thread.name for thread in threading.enumerate()}
    assert gateway.bell.ticket
    assert asyncio.run(gateway.call(gateway.desk.pipelines)) == []
    gateway.close()
    assert gateway.bell.closed
    left = {thread.name for thread in threading.enumerate()} - before
    assert not {name for name in left if name.startswith("daskflow")}
