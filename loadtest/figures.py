"""How figures are written, the same everywhere. Pure."""

from enum import StrEnum


class Unit(StrEnum):
    """How a figure is written."""

    SECONDS = "s"
    FRACTION = "%"
    CORES = "cores"
    BYTES = "B"
    COUNT = ""
    RATIO = "×"


def format_figure(value: float | None, unit: Unit, *, signed: bool = False) -> str:
    """Write a figure in its unit; an unknown one is ``–``, never zero."""
    if value is None:
        return "–"
    gap = "" if unit in {Unit.COUNT, Unit.RATIO} else " "
    name = "MiB" if unit is Unit.BYTES else unit.value
    return f"{_number(value, unit, signed=signed)}{gap}{name}"


def format_part(value: float | None, whole: float | None, *, share: bool = True) -> str:
    """Write bytes of how many: ``5.1 / 24.0 GiB (21 %)``, or without the ``share`` in per cent."""
    if value is None or not whole:
        return format_figure(value, Unit.BYTES)
    text = f"{value / 2**30:.1f} / {whole / 2**30:.1f} GiB"
    return f"{text} ({value / whole * 100:.0f} %)" if share else text


def format_difference(value: float | None, interval: tuple[float, float] | None, unit: Unit) -> str:
    """Write a signed difference, and behind it its interval where there is one."""
    text = format_figure(value, unit, signed=True)
    if value is None or interval is None:
        return text
    low, high = (_number(end, unit, signed=True) for end in interval)
    return f"{text} [{low}, {high}]"


def _number(value: float, unit: Unit, *, signed: bool) -> str:
    sign = "+" if signed else ""  # and no minus before a zero: z
    match unit:
        case Unit.SECONDS:
            if abs(value) >= 100:
                return f"{value:{sign}z.0f}"
            return f"{value:{sign}z.2f}" if abs(value) >= 10 else f"{value:{sign}z.3f}"
        case Unit.FRACTION:
            return f"{value * 100:{sign}z.1f}"
        case Unit.CORES | Unit.RATIO:
            return f"{value:{sign}z.2f}"
        case Unit.BYTES:
            return f"{value / 2**20:{sign}z,.0f}"
        case Unit.COUNT:
            return f"{value:{sign}z.0f}"
