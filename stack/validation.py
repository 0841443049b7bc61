"""What pydantic finds wrong, as a person would say it. Pure."""

from pydantic import ValidationError


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Return where the first thing wrong is, such as ``clients.0``, and what is wrong with it.

    The second is the end of a sentence without its full stop: "it should be greater than 0".
    """
    first = error.errors()[0]
    said = first["msg"].removeprefix("Value error, ")
    for word in ("Input", "String", "List", "Tuple", "Dictionary"):
        said = said.replace(f"{word} should", "it should")
    if not said[:2].isupper():
        said = said[:1].lower() + said[1:]
    return ".".join(str(part) for part in first["loc"]), said.rstrip(".")
