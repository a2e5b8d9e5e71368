"""When schedules are due: the times of a crontab line, in a time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from daskflow.errors import ExtraMissing, PipelineInvalid

_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
"""What crontab(5) gives a name to, but for `@reboot`, which is no time."""


def next_due(cron: str, timezone: str, after: float) -> float | None:
    """The first due time after some time; both in seconds since the epoch [s]. None: there is none for 50 years.

    Raises
    ------
    PipelineInvalid
        The line is no line of a crontab, or the time zone is not known.
    ExtraMissing
        The extra `schedule` is not installed.

    Notes
    -----
    When clocks are put forward, a fixed time that does not exist that day is due right after the gap; when they are put
    back, one that comes twice is due once. Lines with `*` in minutes or hours go by the time that really passes.

    Examples
    --------
    >>> next_due("30 4 * * *", "UTC", 0.0)
    16200.0
    """
    try:
        from cronsim import CronSim, CronSimError
    except ImportError:
        raise ExtraMissing("Schedules need cronsim. Install it: pip install 'daskflow[schedule]'") from None
    zone = _zone(timezone)
    fields = _NAMED.get(cron.strip(), cron)
    if len(fields.split()) != 5:
        raise PipelineInvalid(
            f"{cron!r:.100} is no line of a crontab: minute, hour, day of month, month and day of week make one, or "
            f"{', '.join(_NAMED)}."
        )
    try:
        found: datetime = next(CronSim(fields, datetime.fromtimestamp(after, UTC).astimezone(zone)))
    except CronSimError as error:
        raise PipelineInvalid(f"{cron!r:.100} is no line of a crontab: {error}.") from None
    except StopIteration:
        return None
    return found.timestamp()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise PipelineInvalid(
            f"There is no time zone {name!r:.100}. Write its name, such as America/Vancouver or UTC."
        ) from None
