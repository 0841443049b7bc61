"""A report taken apart."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

_VOID = {"meta", "br"}


class Page(HTMLParser):
    """A page taken apart; fails where its elements are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def said(self) -> str:
        return " ".join(self.words)


def plots(page: str) -> dict[str, ET.Element]:
    """Return the plots by their titles."""
    found = [ET.fromstring(one) for one in re.findall(r"(?s)<svg.*?</svg>", page)]  # noqa: S314 - our own
    return {one[0].text or "": one for one in found}


def titles(page: str) -> list[str]:
    return list(plots(page))


def described(page: str, title: str) -> str:
    return plots(page)[title][1].text or ""
