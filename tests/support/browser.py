"""A headless Chromium, driven by way of its DevTools protocol, which is JSON on a WebSocket."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final, Self

import httpx
from websockets.sync.client import ClientConnection, connect

from support.waiting import until

CHROMIUM: Final = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_CATCH_TERMINAL: Final = """
Object.defineProperty(Object.prototype, "terminal", {
  configurable: true,
  set(made) {
    Object.defineProperty(this, "terminal", { value: made, writable: true, enumerable: true });
    if (made && made.buffer) window.caught = made;
  },
});
"""
"""xterm.js draws on a canvas. Its text is found through the property that its owner keeps it in."""
_READ_TERMINAL: Final = """
(() => {
  if (!window.caught) return "";
  const buffer = window.caught.buffer.active, lines = [];
  for (let y = 0; y < buffer.length; y++) lines.push(buffer.getLine(y).translateToString(true));
  return lines.join("\\n");
})()
"""


class Browser:
    """One page of a Chromium with a profile of its own."""

    def __init__(self, profile: Path, *, size: tuple[int, int] = (1500, 950)) -> None:
        assert CHROMIUM is not None
        self._process = subprocess.Popen(
            [
                *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu"),
                *("--remote-debugging-port=0", f"--user-data-dir={profile}", "--no-first-run"),
                *("--disable-background-networking", "--disable-dev-shm-usage"),
                *(f"--window-size={size[0]},{size[1]}", "about:blank"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._number = 0
        self.events: list[dict[str, Any]] = []
        """What the page told of itself, oldest first."""
        try:
            named = profile / "DevToolsActivePort"
            until(lambda: named.is_file() and named.read_text().count("\n"), "the browser")
            port = int(named.read_text().splitlines()[0])
            pages = httpx.get(f"http://127.0.0.1:{port}/json", timeout=30).json()
            (page,) = (one for one in pages if one["type"] == "page")
            self._socket: ClientConnection = connect(page["webSocketDebuggerUrl"], max_size=None)
            for domain in ("Page", "Network", "Runtime", "Log"):
                self.ask(f"{domain}.enable")
            self.ask("Page.addScriptToEvaluateOnNewDocument", source=_CATCH_TERMINAL)
        except BaseException:
            self._process.kill()
            raise

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return dict(message["result"])
            self.events.append(message)

    def open(self, url: str) -> None:
        """Go to an address."""
        self.ask("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    def press(self, key: str) -> None:
        """Type a character."""
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=key, key=key)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    @property
    def terminal(self) -> str:
        """What the page's terminal shows, line by line."""
        return str(self.evaluate(_READ_TERMINAL))

    @property
    def requested(self) -> list[str]:
        """Every address that the page asked for."""
        return [
            message["params"]["request"]["url"]
            for message in self.events
            if message.get("method") == "Network.requestWillBeSent"
        ]

    def picture(self) -> bytes:
        """Return a PNG of the page."""
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(20)
