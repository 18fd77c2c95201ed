"""A real browser that programs look at pages with: open, read, find, click, type, go back, and screenshots."""

import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, Self, TypeVar

from cloche.host_tools.errors import ToolFailed, ToolRejected
from cloche.host_tools.tools import FunctionTool, Tool
from cloche.runtime._imports import need
from cloche.runtime.errors import ConfigurationError

__all__ = ["WebBrowser"]

T = TypeVar("T")
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAX_LABEL = 500
# Nothing goes round the proxy: not this machine's own addresses, no name is looked up elsewhere, no UDP is sent.
_FLAGS = (
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-pings",
)
_CLICKABLE = "a, button, [role=button], [role=link], input[type=submit], input[type=button], summary, label"


class WebBrowser:
    """A Chromium of this machine, driven by Playwright, and ``tools`` that drive it. A context manager.

    ``private``     addresses of private networks that pages may be on, as for ReadPage: every connection of the
                    browser, also those that pages make, goes through a proxy with the same address rules.
    ``size``        of the window in pixels; default 1000 by 1350.
    ``time``        seconds for one action; default 20.
    ``characters``  of a page's text that a tool returns; default 8,000.
    ``executable``  the browser; default: chromium or google-chrome, as found in PATH.

    It starts with the first page. All calls are done one after the other on a thread of its own. Raises
    ConfigurationError where the extra ``cloche[browser]`` is not installed, or there is no browser.
    """

    def __init__(
        self,
        *,
        private: Iterable[str] = (),
        size: tuple[int, int] = (1000, 1350),
        time: float = 20.0,
        characters: int = 8_000,
        executable: str | None = None,
    ) -> None:
        self._playwright: Any = need("playwright.sync_api", "browser")
        self._rules: Any = need("cloche.host_tools.builtin._network", "browser").AddressRules(private)
        found = executable or next(filter(None, map(shutil.which, _NAMES)), None)
        if not found:
            raise ConfigurationError("executable", f"no browser is installed: looked for {', '.join(_NAMES)} in PATH")
        self._executable = found
        self._size, self._time, self._characters = size, time, characters
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cloche-browser")
        self._proxy: Any = None
        self._driver: Any = None
        self._context: Any = None
        self._page: Any = None
        self.tools: list[Tool] = [FunctionTool(method, name=name) for name, method in self._methods().items()]
        """The tools, for ``CodeAgent([*browser.tools], model)``."""

    def _methods(self) -> dict[str, Callable[..., Any]]:
        return {
            "open_page": self.open_page,
            "page_text": self.page_text,
            "find_on_page": self.find_on_page,
            "click": self.click,
            "type_text": self.type_text,
            "scroll": self.scroll,
            "go_back": self.go_back,
            "screenshot": self.picture,
        }

    def open_page(self, url: str) -> str:
        """Open a page and return its title, address and text.

        Args:
            url: the page's address, http or https
        """
        if not url.startswith(("http://", "https://")):
            raise ToolRejected("ValueError", f"{url[:200]!r} is no address of the web: it begins with http or https")
        return self._done(lambda page: page.goto(url, wait_until="domcontentloaded"), self._shown)

    def page_text(self, start: int = 0) -> str:
        """Return the text of the open page.

        Args:
            start: how many characters to leave out, to read on in a long page
        """
        return self._done(None, lambda page: self._shown(page, start))

    def find_on_page(self, text: str, nth: int = 1) -> str:
        """Look for text on the open page and scroll to it. Returns how often it is there, and the text around it.

        Args:
            text: what to look for
            nth: which of the places to go to, counted from 1
        """

        def find(page: Any) -> str:
            places = page.get_by_text(text[:_MAX_LABEL])
            count = places.count()
            if not 0 < nth <= count:
                raise ToolRejected("ValueError", f"{text[:100]!r} is {count} times on this page, so there is no {nth}")
            place = places.nth(nth - 1)
            place.scroll_into_view_if_needed(timeout=self._time * 1000)
            return f"{nth} of {count}: {place.inner_text()[:1_000]}"

        return self._done(None, find)

    def click(self, text: str, nth: int = 1) -> str:
        """Click on a link, a button or a label by its text, and return the page that is then open.

        Args:
            text: what it says, or a part of it
            nth: which one, if there are several, counted from 1
        """

        def press(page: Any) -> None:
            places = page.locator(_CLICKABLE).filter(has_text=text[:_MAX_LABEL])
            if not places.count():
                places = page.get_by_role("button", name=text[:_MAX_LABEL])
            self._only(places, text, nth).click(timeout=self._time * 1000)
            page.wait_for_load_state("domcontentloaded")

        return self._done(press, self._shown)

    def type_text(self, field: str, text: str, submit: bool = False) -> str:
        """Type text into a field of a form, and return the page that is then open.

        Args:
            field: its label, its placeholder or its name
            text: what to type
            submit: whether to press Enter afterwards
        """

        def fill(page: Any) -> None:
            label = field[:_MAX_LABEL]
            ways = (page.get_by_label(label), page.get_by_placeholder(label), page.locator(f"[name={_quoted(label)}]"))
            places = next((way for way in ways if way.count()), ways[0])
            place = self._only(places, field, 1)
            place.fill(text, timeout=self._time * 1000)
            if submit:
                place.press("Enter")
                page.wait_for_load_state("domcontentloaded")

        return self._done(fill, self._shown)

    def scroll(self, pixels: int = 1_200) -> str:
        """Scroll the open page down; up, if the number is negative.

        Args:
            pixels: how far
        """
        return self._done(lambda page: page.mouse.wheel(0, pixels), lambda _: "scrolled")

    def go_back(self) -> str:
        """Go back to the page before, and return it."""
        return self._done(lambda page: page.go_back(wait_until="domcontentloaded"), self._shown)

    def picture(self) -> Any:
        """Return a picture of what the window shows now. Print it to look at it."""
        image: Any = need("PIL.Image", "browser")
        return image.open(BytesIO(self.screenshot()))

    def screenshot(self) -> bytes:
        """Return a PNG of what the window shows now."""
        return self._done(None, lambda page: bytes(page.screenshot(timeout=self._time * 1000)))

    def watch(self, step: Any, agent: Any = None) -> None:
        """Show the model the window after each step, and no earlier one: ``step_callbacks=[browser.watch]``."""
        if self._page is None:
            return
        for earlier in agent.memory.steps if agent is not None else ():
            if earlier is not step and getattr(earlier, "images", None):
                earlier.images = []
        step.observations_images = [self.screenshot()]
        step.observations = f"{step.observations or ''}\nOpen page: {self.url}".strip()

    @property
    def url(self) -> str:
        """The address of the open page; empty before the first."""
        return "" if self._page is None else self._on_thread(lambda: str(self._page.url))

    def close(self) -> None:
        """End the browser. Safe to call twice; afterwards it cannot be used."""
        if self._driver is not None:
            self._on_thread(self._stop)
        self._thread.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _done(self, act: Callable[[Any], object] | None, then: Callable[[Any], T]) -> T:
        def work() -> T:
            if self._driver is None:
                self._start()
            try:
                if act is not None:
                    act(self._page)
                # A link may have opened another one.
                self._page = self._context.pages[-1]
                return then(self._page)
            except self._playwright.Error as error:
                raise ToolFailed("RuntimeError", self._reason(error)) from error

        return self._on_thread(work)

    def _on_thread(self, work: Callable[[], T]) -> T:
        return self._thread.submit(work).result()

    def _start(self) -> None:
        proxy: Any = need("cloche.host_tools.builtin._proxy", "browser")
        self._proxy = proxy.CheckedProxy(self._rules, self._time)
        self._driver = self._playwright.sync_playwright().start()
        # Chromium's own sandbox cannot be had by root.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = self._driver.chromium.launch(
            executable_path=self._executable,
            args=[*_FLAGS, *root],
            proxy={"server": f"socks5://127.0.0.1:{self._proxy.port}"},
        )
        width, height = self._size
        self._context = browser.new_context(
            viewport={"width": width, "height": height}, accept_downloads=False, service_workers="block"
        )
        self._context.set_default_timeout(self._time * 1000)
        self._page = self._context.new_page()

    def _stop(self) -> None:
        driver, self._driver, self._page = self._driver, None, None
        driver.stop()
        self._proxy.close()

    def _only(self, places: Any, text: str, nth: int) -> Any:
        count = places.count()
        if not 0 < nth <= count:
            raise ToolRejected(
                "ValueError", f"{count} things on this page are called {text[:100]!r}: there is no {nth}"
            )
        return places.nth(nth - 1)

    def _shown(self, page: Any, start: int = 0) -> str:
        text = page.locator("body").inner_text()
        part = text[max(start, 0) :][: self._characters]
        left = len(text) - max(start, 0) - len(part)
        more = f"\n[{left} more characters: page_text(start={max(start, 0) + len(part)})]" if left > 0 else ""
        return f"{page.title()[:300]}\n{page.url[:2_000]}\n\n{part}{more}"

    def _reason(self, error: Exception) -> str:
        problem = self._proxy.problems[-1] if self._proxy.problems and "net::" in str(error) else ""
        text = str(error).partition("\nCall log")[0]
        return f"{text[:1_000]}{f' ({problem})' if problem else ''}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
