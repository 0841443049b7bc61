"""What options of the benchmarks' command lines may say."""

import argparse
from collections.abc import Callable, Sequence

from loadtest.plan import MAX_CLIENTS


def keys(what: str, known: Sequence[str]) -> Callable[[str], list[str]]:
    """Return who reads a list of the ``known`` names, separated by commas."""

    def read(text: str) -> list[str]:
        named = list(dict.fromkeys(text.split(",")))
        for key in named:
            if key not in known:
                raise argparse.ArgumentTypeError(f"no {what} '{key}'; there are {', '.join(known)}")
        return named

    return read


def counts(text: str) -> list[int]:
    """Read client counts, separated by commas."""
    return [count(part) for part in text.split(",")]


def count(text: str) -> int:
    """Read a number of clients or the like."""
    if not text.strip().isdecimal() or not 1 <= int(text) <= MAX_CLIENTS:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to {MAX_CLIENTS}")
    return int(text)


def seconds(text: str) -> float:
    """Read a length of time."""
    value = number(text)
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds from 0.1 to 3600")
    return value


def fraction(text: str) -> float:
    """Read a share of one."""
    value = number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a fraction from 0 to 1")
    return value


def number(text: str) -> float:
    """Read any number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None
