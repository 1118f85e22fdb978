"""Virtual time for tests of coroutines: hours of waiting pass in milliseconds."""

import asyncio
import selectors


class _NoWait(selectors.SelectSelector):
    """Lets the loop's clock jump to the next timer instead of waiting for it, unless there is
    something to be read or written, such as by a server of the test's own.
    """

    loop: "VirtualTimeLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            self.loop.now += timeout or 0.0
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only by waiting."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _NoWait()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now
