# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The orders that a host is at work on: each in a thread of its own, tried again after failures, never lost."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..errors import BadInput, Conflict, ImagesError, NotFound, Refused, Untrusted, from_os_error
from .fetching import Cancelled, Fetch, Surroundings
from .jobs import AVAILABLE, CANCELLED, ENDED, REFUSED, RETRY_PENDING, WAITING, Job
from .orders import Order, OrderBook

LOG = logging.getLogger("goldsmith-seed")
_FOR_GOOD = (Refused, Untrusted, Conflict, BadInput, NotFound)  # errors that another attempt does not mend
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0  # seconds between two attempts


class Board:
    """The jobs of a host, by the keys of their orders; what ended stays until the same is ordered again."""

    def __init__(self, around: Surroundings, book: OrderBook, arrived: Callable[[Order], None]) -> None:
        """I(arrived) is called with each order that was fulfilled."""
        self._around = around
        self._book = book
        self._arrived = arrived
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(around.config.max_fetches, thread_name_prefix="fetch")

    def take(self, order: Order) -> Job:
        """Begin with the order; return the job that is at work on the same already, if there is one."""
        with self._lock:
            job = self._jobs.get(order.key)
            if job is not None and job.state not in ENDED:
                return job
            self._book.keep(order)
            job = self._jobs[order.key] = Job(order)
        self._threads.submit(self._work, job)
        return job

    def resume(self) -> None:
        """Begin with every order that is not fulfilled, unless a job is at work on it or it can never be."""
        for kept in self._book.all():
            job = self._jobs.get(kept.order.key)
            is_for_me = self._around.config.me.name in kept.order.receivers
            if not kept.fulfilled and is_for_me and (job is None or job.state == RETRY_PENDING):
                self.take(kept.order)

    def cancel(self, key: str) -> None:
        """End the job and forget its order; what is here stays. Raises NotFound where there is none."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None and self._book.get(key) is None:
                raise NotFound(f"no order {key} is known on this host")
            self._book.forget(key)
            if job is not None:
                job.cancel.set()

    def results(self, keys: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Return what is to be said of the jobs, of all or of those with the keys."""
        jobs = dict(self._jobs)
        return [jobs[key].result() for key in (sorted(jobs) if keys is None else keys) if key in jobs]

    def job(self, key: str) -> Job | None:
        return self._jobs.get(key)

    def at_work(self) -> list[Job]:
        return [job for job in list(self._jobs.values()) if job.state not in ENDED]

    def close(self) -> None:
        """End all jobs; the orders stay for the next start."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _work(self, job: Job) -> None:
        try:
            self._try_often(job)
        except Exception as error:  # a job that ends without a word would be waited for
            LOG.exception("%s: failed in a way that was not foreseen", job.order.subject)
            job.end(RETRY_PENDING, error)

    def _try_often(self, job: Job) -> None:
        pause = _FIRST_PAUSE
        while True:
            error = self._try(job)
            if error is None:
                with contextlib.suppress(ImagesError, OSError):
                    self._arrived(job.order)
                job.end(AVAILABLE)
                return
            if isinstance(error, Cancelled):
                job.end(CANCELLED, error)
                return
            if isinstance(error, _FOR_GOOD):
                LOG.error("%s: %s", job.order.subject, error)
                job.end(REFUSED, error)
                return
            job.attempts += 1
            LOG.warning("%s, attempt %d: %s", job.order.subject, job.attempts, error)
            if job.attempts > job.order.retries:
                job.end(RETRY_PENDING, error)
                return
            job.state, job.error = WAITING, str(error)
            if self._rest(job, pause):
                job.end(CANCELLED, Cancelled(f"the fetch of {job.order.subject} was stopped while it waited"))
                return
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _try(self, job: Job) -> ImagesError | None:
        try:
            Fetch(self._around, self._around.store_of(job.order.pool), job).run()
            return None
        except ImagesError as error:
            return error
        except OSError as error:
            return from_os_error(error)

    def _rest(self, job: Job, seconds: float) -> bool:
        """Wait; whether the job is to end meanwhile."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._around.stopping:
            if job.cancel.wait(0.2):
                return True
        return self._around.stopping
