"""Runs Lambda functions: keeps a pool of warm workers for each version of each function."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from local.emulator.environment import Service, worker_environment
from local.emulator.function import Function
from local.emulator.packages import PackageStore
from local.emulator.worker import Worker


class Executor:
    """One worker for each concurrent invocation, reused when it is free again."""

    def __init__(self, folder: Path, repo: Path, service: Service, hooks: Path | None = None) -> None:
        """Keep workers below ``folder``; image functions run the code in ``repo``, and all import from ``hooks``."""
        self._folder, self._hooks = folder, hooks
        self._service = service
        self._packages = PackageStore(folder / "code", repo)
        self._lock = threading.Lock()
        self._idle: dict[tuple[str, str], list[Worker]] = {}
        self._workers: set[Worker] = set()
        self._numbers = count(1)
        # Linux kills the children of a thread that ends, and MiniStack's threads come and go: this one stays.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="worker-starter")
        (folder / "logs").mkdir(parents=True, exist_ok=True)

    def execute(self, function: Function, event: Any, request_id: str) -> dict[str, Any]:
        """Invoke the function and return MiniStack's kind of result: ``body``, ``log`` and maybe ``error``."""
        worker = self._take(function)
        try:
            result = worker.invoke(request_id, function.arn, event)
        finally:
            self._give_back(worker)
        self._log(function, str(result["log"]))
        return result

    def close(self) -> None:
        """Kill every worker."""
        with self._lock:
            workers, self._workers = self._workers, set()
            self._idle.clear()
        for worker in workers:
            worker.kill()
            self._log(worker.function, worker.new_output())
            worker.discard()

    def _take(self, function: Function) -> Worker:
        pool = (function.name, function.version)
        while worker := self._pop_idle(pool):
            if worker.alive and worker.function.revision == function.revision:
                return worker
            self._discard(worker)
        return self._starter.submit(self._start, function).result()

    def _pop_idle(self, pool: tuple[str, str]) -> Worker | None:
        with self._lock:
            workers = self._idle.get(pool)
            return workers.pop() if workers else None

    def _give_back(self, worker: Worker) -> None:
        if not worker.alive:
            return self._discard(worker)
        with self._lock:
            self._idle.setdefault((worker.function.name, worker.function.version), []).append(worker)
        return None

    def _discard(self, worker: Worker) -> None:
        with self._lock:
            self._workers.discard(worker)
        worker.discard()

    def _start(self, function: Function) -> Worker:
        code = self._packages.locate(function)
        folder = self._folder / "workers" / f"{function.name}-{function.version.lstrip('$')}-{next(self._numbers)}"
        environment = worker_environment(function, code, folder, self._service, self._hooks)
        worker = Worker(function, folder, code.task_root, environment)
        with self._lock:
            self._workers.add(worker)
        return worker

    def _log(self, function: Function, output: str) -> None:
        if not output:
            return
        with self._lock, (self._folder / "logs" / f"{function.name}.log").open("a") as log:
            log.write(output)
