"""A person at a browser: Debian's Chromium, driven by Playwright."""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, ViewportSize

SHOTS = "TAO_SCREENSHOTS"
"""Names a folder to keep a picture of each step in, light and dark."""

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
WAIT_MS = 60_000
"""Two busy cores make a page late; on idle ones nothing waits so long."""
SETTLED_MS = 800
SIZE: "ViewportSize" = {"width": 1280, "height": 800}
OVER_THE_GRAPH = tuple(f".react-flow__{part}" for part in ("minimap", "controls", "panel", "attribution"))
COLORS, TALLEST = 256, 2000


@contextmanager
def chromium() -> Iterator["Browser"]:
    """The browser; skips the test, and says what to install, where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("the browser's test needs Playwright: pip install playwright axe-playwright-python")
    if program is None:
        pytest.skip("the browser's test needs Chromium: apt-get install chromium fonts-dejavu-core")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Person:
    """Somebody who has logged in to Airflow."""

    def __init__(self, browser: "Browser", url: str, name: str, password: str) -> None:
        self.url = url
        folder = os.environ.get(SHOTS)
        self._shots = Path(folder) if folder else None
        context = browser.new_context(
            base_url=url,
            viewport=SIZE,
            device_scale_factor=1.25 if folder else 1,
            color_scheme="light",
            locale="en-GB",
            timezone_id="UTC",
        )
        self.page: Page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(f"{self.page.url}: {error}"))
        self.page.on("request", lambda request: self._note(request.url))
        self.page.goto("/auth/login/")
        self.page.fill("input[name=username]", name)
        self.page.fill("input[name=password]", password)
        if name == "admin":
            self.shot("login")
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(lambda where: "login" not in where)

    def _note(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:", "about:")):
            self.problems.append(f"{self.page.url} asks {url}")

    def sees(self, text: str, *, within: "Locator | None" = None) -> "Locator":
        """Wait until the page shows ``text``."""
        found = (within or self.page).get_by_text(text).filter(visible=True).first
        found.wait_for()
        return found

    def dialog(self) -> "Locator":
        """The dialog that is open."""
        return self.page.get_by_role("dialog").filter(visible=True).last

    def schemes(self) -> Iterator[str]:
        """Dark, then light: the page is shown in each of them."""
        for scheme in ("dark", "light"):
            self.page.emulate_media(color_scheme=scheme)
            self.page.wait_for_timeout(SETTLED_MS)  # charts are drawn anew
            yield scheme

    def shot_graph(self, name: str) -> None:
        """Keep a picture of all tasks of a run, whose page is open; the last thing, since it rearranges the page."""
        if self._shots is None:
            return
        self.page.set_viewport_size({"width": 2100, "height": 800})
        for button in ("Expand all task groups", "Collapse Details Panel", "Fit View"):
            found = self.page.get_by_role("button", name=button).first
            if found.is_enabled():  # Airflow remembers which groups are open
                found.click()
            self.page.wait_for_timeout(SETTLED_MS)
        self.page.add_style_tag(content=f"{', '.join(OVER_THE_GRAPH)} {{ display: none !important }}")
        boxes = [box for node in self.page.locator(".react-flow__node").all() if (box := node.bounding_box())]
        left, top = min(box["x"] for box in boxes) - 16, min(box["y"] for box in boxes) - 16
        right, bottom = (max(box[a] + box[b] for box in boxes) + 16 for a, b in (("x", "width"), ("y", "height")))
        for scheme in self.schemes():
            taken = self.page.screenshot(clip={"x": left, "y": top, "width": right - left, "height": bottom - top})
            self._keep(taken, name, scheme)

    def shot(self, name: str, *, of: "Locator | None" = None, whole: bool = False, height: int = 0) -> None:
        """Keep a picture of what is seen, of a part, or of the whole page, where pictures are wanted.

        Args:
            height: of the window, where it has to be taller than usual.
        """
        if self._shots is None:
            return
        if of:  # a dialog scrolls with the page behind it
            height = int((of.bounding_box() or SIZE)["height"]) + 200
        self.page.set_viewport_size({**SIZE, "height": height or SIZE["height"]})
        for scheme in self.schemes():
            taken = of.screenshot() if of else self.page.screenshot(full_page=whole)
            self._keep(taken, name, scheme)
        self.page.set_viewport_size(SIZE)

    def _keep(self, picture: bytes, name: str, scheme: str) -> None:
        """Write a picture with few colours: half the size, and no eye sees the difference."""
        from PIL import Image

        assert self._shots is not None
        self._shots.mkdir(parents=True, exist_ok=True)
        path = self._shots / f"{name}{'-dark' if scheme == 'dark' else ''}.png"
        with Image.open(io.BytesIO(picture)) as image:
            shown = image.convert("RGB").crop((0, 0, image.width, min(image.height, TALLEST)))
            few = shown.quantize(COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            few.save(path, optimize=True)


def findings(page: Any) -> list[str]:
    """What axe finds serious or critical on a page or in a frame, one line for each rule."""
    from axe_playwright_python.sync_playwright import Axe

    grave = [each for each in Axe().run(page).response["violations"] if each["impact"] in ("serious", "critical")]
    return [f"{page.url}: {each['id']}: {each['help']}: {each['nodes'][0]['html'][:300]}" for each in grave]
