"""Lines of query logs that cannot be used: each is counted, in one turn, and kept in quarantine."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tao_ops.identities import Identities, Known
from tao_ops.intake import Intake
from tao_ops.lake import Lake
from tao_ops.sources.records import BrokenLine, Window
from tao_ops.spool import Spool
from tao_ops.tables import QUARANTINE
from tao_ops.turn import Turn

EXCERPT = 200


class Refusals:
    """The broken lines of one turn.

    A line belongs to the turn that holds its time. One whose time can't be read counts as of the day that its file's
    name begins with; where that is no date either, the first turn that reads it takes it. A line of an earlier turn
    that has run is late, as a query would be.

    Args:
        window: what the turn looks at.
        waiting: turns of the window that have not run: what is theirs is left for them.
        spool: takes the rows of ``quarantine``.
        erased: hashes of users of whom nothing is kept.
    """

    def __init__(
        self,
        lake: Lake,
        turn: Turn,
        window: Window,
        *,
        waiting: Sequence[Turn],
        intake: Intake,
        spool: Spool,
        erased: Collection[str],
    ) -> None:
        self._lake, self._turn, self._window, self._waiting = lake, turn, window, waiting
        self._intake, self._spool, self._erased = intake, spool, erased
        self._here = Identities(0)
        self._elsewhere: Identities | None = None
        self.reasons: Counter[str] = Counter()
        self.first = ""

    def add(self, line: BrokenLine, source: str, file: str) -> None:
        """Count a line and keep it, where it belongs to the turn and was not counted before."""
        place = f"{source}\x1f{line.position}\x1f{line.reason.value}".encode()
        if not self._may_take(line.received_at or self._date(file)) or self._other_turns().known([place])[0]:
            return
        if self._here.add([place], [0])[0] != Known.NEW:
            return
        self.reasons[line.reason.value] += 1
        self.first = self.first or line.position
        user_hash = None if line.user is None else self._intake.user_hash(line.user)
        if user_hash not in self._erased:
            self._spool.add(
                {
                    "source": source,
                    "position": line.position,
                    "reason": line.reason.value,
                    "excerpt": self._intake.excerpt(line.text, EXCERPT, line.user),
                    "user_hash": user_hash,
                }
            )

    def _may_take(self, at: datetime | None) -> bool:
        """Whether a line of that time is this turn's, or may be: of no time, or late."""
        if at is None:
            return True
        return self._window.start <= at < self._window.end and not any(t.start <= at < t.end for t in self._waiting)

    def _date(self, file: str) -> datetime | None:
        try:
            day = datetime.strptime(file.rsplit("/", 1)[-1][:10], "%Y-%m-%d")
        except ValueError:
            return None
        return day.replace(tzinfo=ZoneInfo(self._intake.flywheel.timezone)).astimezone(UTC)

    def _other_turns(self) -> Identities:
        """The places that other turns have in quarantine."""
        if self._elsewhere is None:
            turn, self._elsewhere = self._turn, Identities(0)
            condition = f"flywheel = '{turn.flywheel}' and turn <> '{turn.key}' and stage = 'ingest'"
            for batch in self._lake.scan(QUARANTINE, ["source", "position", "reason"], condition):
                joined = pc.cast(pc.binary_join_element_wise(*batch.columns, "\x1f"), pa.binary()).to_pylist()
                self._elsewhere.add(joined, np.zeros(len(joined), np.uint64))
        return self._elsewhere
