"""The parts of one screen with their keys; the one that is shown stands out."""

from collections.abc import Sequence

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget


class SectionBar(Widget):
    """One line: a click or the key shows a part."""

    DEFAULT_CSS = """
    SectionBar { height: 1; padding: 0 1; background: $surface; link-style: none;
        link-color: $text-muted; link-background: $surface; }
    """

    def __init__(self, sections: Sequence[tuple[str, str, str]]) -> None:
        super().__init__()
        self._sections = sections
        """Name, key and title of each."""
        self._shown = sections[0][0]

    def show(self, name: str) -> None:
        """Let this one stand out."""
        self._shown = name
        self.refresh()

    def render(self) -> RenderResult:
        """Draw the titles."""
        parts = []
        for name, key, title in self._sections:
            # Brackets as well as colour: it is to be seen without colour, too.
            here = name == self._shown
            label = f"[{key} {title}]" if here else f" {key} {title} "
            part = Content.styled(label, "bold $primary" if here else "$text-muted")
            parts.append(part if here else part.stylize(f"@click=screen.section('{name}')"))
        return Content.assemble(*parts)
