"""The names of the screens, with their keys; the one that is shown stands out."""

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from console.commands import SCREENS


class ScreenBar(Widget):
    """One line: a click or the number opens a screen."""

    def __init__(self, shown: str) -> None:
        super().__init__(id="screen-bar")
        self._shown = shown

    def render(self) -> RenderResult:
        """Draw the names."""
        parts = []
        for number, (name, title, _) in enumerate(SCREENS, start=1):
            # Brackets as well as colour: it is to be seen without colour, too.
            here = name == self._shown
            label = f"[{number} {title}]" if here else f" {number} {title} "
            style = "bold $primary" if here else "$text-muted"
            part = Content.styled(label, style)
            parts.append(part if here else part.stylize(f"@click=app.show('{name}')"))
        return Content.assemble(*parts)
