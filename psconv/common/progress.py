"""How far something is: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import threading
import time
from typing import Any

from rich import progress

FIRST, EVERY = 10.0, 30.0  # seconds to the first line, and from one to the next


class Progress(progress.Progress):
    """rich's bars, which show nothing before the end where the output is no terminal: there, a line for each task."""

    def __init__(self, *columns: progress.ProgressColumn, **options: Any) -> None:
        super().__init__(*columns, **options)
        self._ended, self._began = threading.Event(), time.monotonic()
        self._writer = threading.Thread(target=self._write, daemon=True)

    def start(self) -> None:
        super().start()
        if not self.console.is_terminal:
            self._writer.start()

    def stop(self) -> None:
        self._ended.set()
        if self._writer.is_alive():
            self._writer.join()
        super().stop()

    def _write(self) -> None:
        wait = FIRST
        while not self._ended.wait(wait):
            for task in self.tasks:
                if not task.finished:
                    self.console.print(self._line(task), markup=False, highlight=False)
            self.console.file.flush()
            wait = EVERY

    def _line(self, task: progress.Task) -> str:
        of = "" if task.total is None else f" of {task.total:,.0f}"
        state = f" {task.fields['state']}" if task.fields.get("state") else ""
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return f"{task.description.strip()}: {task.completed:,.0f}{of}{state}, {minutes}:{seconds:02d}"
