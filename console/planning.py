"""A load plan as a person types it: fields, what is wrong with them, and back again. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import SecretStr, ValidationError

from loadtest.address import HOW_TO_WRITE, read_url, url_of
from loadtest.plan import DEFAULT_MAX_CLIENTS, MAX_CLIENTS, LoadPlan, check_messages
from stack.validation import first_problem

MOST_STEPS: Final = 100

Values = Mapping[str, str | bool]
"""What stands in the fields, by their names."""


@dataclass(frozen=True, slots=True)
class Field:
    """One line of the form."""

    name: str
    label: str
    hint: str = ""
    """Shown in the empty field, or beside the box."""
    switch: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that fold away together; those without a title are always seen."""

    name: str
    title: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """What a field with a number takes."""

    low: float
    high: float
    unit: str
    scale: float = 1.0
    """The plan's figure is the typed one times this."""
    above: bool = False
    """``low`` itself is not allowed."""
    whole: bool = False
    empty: str = ""
    """What an empty field means; "" where it means nothing."""

    def sentence(self, label: str) -> str:
        """Say what may be typed."""
        kind = "whole number" if self.whole else "number"
        unit = f" of {self.unit}" if self.unit else ""
        low = f"above {self.low:g}, up to" if self.above else f"from {self.low:g} to"
        empty = f", or empty: {self.empty}" if self.empty else ""
        return f"{label} is a {kind}{unit} {low} {self.high:,.0f}{empty}."


BASIC: Final = (
    Field("clients", "Clients", "one number a step, such as 1,2,4"),
    Field("find", "Find the capacity", "from the first number of clients upwards", switch=True),
    Field("most", "… up to clients", f"{DEFAULT_MAX_CLIENTS}"),
    Field("duration", "Audio of each, s", "empty: one clip each"),
    Field("label", "Label", "a name for these runs"),
    Field("note", "Note", "what you want to remember of them"),
)
GROUPS: Final = (
    Group("basic", "", BASIC),
    Group(
        "limits",
        "Limits (SLO)",
        (
            Field("p95", "p95 latency, s", "empty: not checked"),
            Field("success", "Success, %", "empty: not checked"),
            Field("wer", "WER over 1st step, %", "empty: not checked"),
            Field("early", "Stop early", "end a step that is certain to miss them", switch=True),
        ),
    ),
    Group(
        "pace",
        "Pace",
        (
            Field("chunk", "Message, ms", "100"),
            Field("ramp", "Ramp, s", "over which the clients start"),
            Field("gap", "Silence gaps, s", "mean, between two clips of a client"),
            Field("pause", "Pause, s", "between two steps"),
            Field("seed", "Seed", "the same seed sends the same audio"),
            Field("reconnect", "Reconnect", "clients that are cut off come back", switch=True),
        ),
    ),
    Group(
        "server",
        "Server",
        (
            Field("url", "Address", "empty: this stack; or ws://… or wss://…"),
            Field("key", "API key", "only where the server asks for one; never saved", secret=True),
            Field("language", "Language", "such as en, or auto"),
            Field("vad", "Voice detection", "ask the server for it", switch=True),
        ),
    ),
)
_NUMBERS: Final = {
    "most": Number(1, MAX_CLIENTS, "clients", whole=True, empty=f"{DEFAULT_MAX_CLIENTS}"),
    "duration": Number(0, 24 * 3600, "seconds", above=True, empty="one clip each"),
    "p95": Number(0, 3600, "seconds", above=True, empty="not checked"),
    "success": Number(0, 100, "per cent", scale=0.01, empty="not checked"),
    "wer": Number(0, 1000, "per cent", scale=0.01, empty="not checked"),
    "chunk": Number(10, 10_000, "milliseconds", scale=0.001),
    "ramp": Number(0, 3600, "seconds", empty="over one message"),
    "gap": Number(0, 600, "seconds", empty="none"),
    "pause": Number(0, 3600, "seconds", empty="none"),
    "seed": Number(-(2**31), 2**31, "", whole=True),
}
_PLAN_FIELDS: Final = {
    "clients": "clients",
    "find_capacity": "most",
    "cool_down": "pause",
    "use_vad": "vad",
    "api_key": "key",
    "host": "url",
    "port": "url",
    "path": "url",
}
"""Which field shows a problem that the plan itself finds; others bear the plan's own name."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What the fields come to."""

    plan: LoadPlan | None
    """None where a field is wrong."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """By the field's name, one sentence each."""
    elsewhere: bool = False
    """The load goes to another server than the console's stack."""


def plan_values(plan: LoadPlan, *, elsewhere: bool) -> dict[str, str | bool]:
    """Return what the fields show of a plan."""
    slo, search = plan.slo, plan.find_capacity is not None
    return {
        "clients": ",".join(map(str, plan.clients)),
        "find": search,
        "most": f"{plan.find_capacity}" if search else "",
        "duration": _text(plan.duration),
        "label": plan.label,
        "note": plan.note,
        "p95": _text(slo.p95_latency),
        "success": _text(slo.success_rate, 100),
        "wer": _text(slo.wer_over_baseline, 100),
        "early": plan.stop_early,
        "chunk": _text(plan.chunk, 1000),
        "ramp": _text(plan.ramp),
        "gap": _text(plan.gap),
        "pause": _text(plan.cool_down),
        "seed": str(plan.seed),
        "reconnect": plan.reconnect,
        "url": url_of(plan) if elsewhere else "",
        "key": plan.api_key.get_secret_value() if plan.api_key else "",
        "language": plan.language or "auto",
        "vad": plan.use_vad,
    }


def _text(value: float | None, scale: float = 1.0) -> str:
    # Nine digits: 0.0029 of 1 is 0.29 %, and not 0.29000000000000004.
    return "" if value is None else f"{value * scale:.9g}"


def read_draft(values: Values, base: LoadPlan) -> Draft:
    """Read the fields; what they don't say is as in ``base``."""
    texts = {name: value.strip() for name, value in values.items() if isinstance(value, str)}
    problems: dict[str, str] = {}
    labels = {each.name: each.label for group in GROUPS for each in group.fields}
    numbers: dict[str, float | None] = {}
    for name, number in _NUMBERS.items():
        value, good = _number(texts[name], number)
        numbers[name] = value
        if not good and (name != "most" or values["find"]):
            problems[name] = number.sentence(labels[name].split(",")[0].removeprefix("… "))
    clients = _clients(texts["clients"], problems)
    most = None
    if values["find"]:
        most = int(numbers["most"] or max(DEFAULT_MAX_CLIENTS, *clients, 1))
        if clients and clients[0] > most:
            problems.setdefault(
                "most", f"A search up to {most} clients can't begin with {clients[0]}."
            )
    address = read_url(texts["url"]) if texts["url"] else {}
    if address is None:
        problems["url"] = f"This address is not usable; {HOW_TO_WRITE}."
    _check_messages(numbers, problems)
    if not texts["language"]:
        problems["language"] = "Language is a code such as en, or auto."
    if problems:
        return Draft(None, problems, bool(texts["url"]))
    changes: dict[str, Any] = {
        # Of a search the first number is where it begins.
        "clients": clients,
        "find_capacity": most,
        "duration": numbers["duration"],
        "label": texts["label"],
        "note": texts["note"],
        "slo": {
            "p95_latency": numbers["p95"],
            "success_rate": numbers["success"],
            "wer_over_baseline": numbers["wer"],
        },
        "stop_early": values["early"],
        "chunk": numbers["chunk"],
        "ramp": numbers["ramp"] or 0.0,
        "gap": numbers["gap"] or 0.0,
        "cool_down": numbers["pause"] or 0.0,
        "seed": int(numbers["seed"] or 0),
        "reconnect": values["reconnect"],
        "language": None if texts["language"] == "auto" else texts["language"],
        "use_vad": values["vad"],
        "api_key": SecretStr(texts["key"]) if texts["key"] else None,
        **(address or {}),
    }
    try:
        plan = LoadPlan.model_validate(base.model_dump() | changes)
    except ValidationError as error:
        where, what = first_problem(error)
        name = where.partition(".")[0]
        return Draft(None, {_PLAN_FIELDS.get(name, name): f"Not usable: {what}."})
    return Draft(plan, {}, bool(texts["url"]))


def _number(text: str, asked: Number) -> tuple[float | None, bool]:
    """Return the plan's figure, and whether what was typed is one."""
    if not text:
        return None, bool(asked.empty)
    try:
        value = float(int(text)) if asked.whole else float(text)
    except (ValueError, OverflowError):
        return None, False
    low_enough = value > asked.low if asked.above else value >= asked.low
    if not low_enough or not value <= asked.high:
        return None, False
    # 5 per cent are 0.05, and not 0.05000000000000001.
    return round(value * asked.scale, 12), True


def _clients(text: str, problems: dict[str, str]) -> tuple[int, ...]:
    try:
        counts = tuple(int(part) for part in text.replace(" ", "").split(","))
    except ValueError:
        problems["clients"] = "Clients are whole numbers with commas between, like 1,2,4."
        return ()
    if not all(1 <= count <= MAX_CLIENTS for count in counts):
        problems["clients"] = f"Each number of clients is from 1 to {MAX_CLIENTS:,}."
        return ()
    if len(counts) > MOST_STEPS:
        problems["clients"] = f"A series has at most {MOST_STEPS} steps."
        return ()
    return counts


def _check_messages(numbers: Mapping[str, float | None], problems: dict[str, str]) -> None:
    """Find what is wrong with the two together."""
    chunk, duration = numbers["chunk"], numbers["duration"]
    if chunk is None or "duration" in problems:
        return
    try:
        check_messages(chunk, None)
    except ValueError:
        problems["chunk"] = "A message is a whole number of samples at 16 kHz, like 62.5 or 100 ms."
        return
    try:
        check_messages(chunk, duration)
    except ValueError:
        problems["duration"] = f"The audio is at least one message of {chunk * 1000:g} ms long."


def group_summary(group: Group, values: Values) -> str:
    """Say in a few words what a folded group holds."""
    texts = {name: str(value).strip() for name, value in values.items()}
    match group.name:
        case "limits":
            parts = [
                f"p95 {texts['p95']} s" if texts["p95"] else "",
                f"success {texts['success']} %" if texts["success"] else "",
                f"WER +{texts['wer']} %" if texts["wer"] else "",
                "stop early" if values["early"] else "",
            ]
            return ", ".join(filter(None, parts)) or "none"
        case "pace":
            parts = [
                f"{texts['chunk']} ms messages",
                f"ramp {texts['ramp']} s" if texts["ramp"] not in {"", "0"} else "",
                f"gaps {texts['gap']} s" if texts["gap"] not in {"", "0"} else "",
                f"seed {texts['seed']}",
                "reconnect" if values["reconnect"] else "",
            ]
            return ", ".join(filter(None, parts))
        case _:
            parts = [
                texts["url"] or "this stack",
                "with a key" if texts["key"] else "",
                texts["language"],
                "" if values["vad"] else "no voice detection",
            ]
            return ", ".join(filter(None, parts))
