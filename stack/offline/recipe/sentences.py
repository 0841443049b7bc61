"""The closed vocabulary and the sentences made of it.

Pure: no file is read and nothing but the standard library is imported. The order of
``VOCABULARY`` and of ``CAPITALISED`` fixes the token numbers of the tokenizer, so that a word may
only be added at the end.
"""

import hashlib
import random
from dataclasses import dataclass
from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


DIGITS: Final = _words("zero one two three four five six seven eight nine")
HOURS: Final = (*DIGITS[1:], "ten", "eleven", "twelve")
TENS: Final = _words("twenty thirty forty fifty")
LETTERS: Final = _words(
    "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar "
    "papa quebec romeo sierra tango uniform victor whiskey yankee zulu"
)
COLOURS: Final = _words("red green blue white black yellow")
QUALITIES: Final = _words("small big old new slow fast warm cold")
VEHICLES: Final = _words("train bus boat plane")
ANIMALS: Final = _words("dog cat bird horse")
PEOPLE: Final = _words("teacher doctor driver farmer")
OBJECTS: Final = _words("book box table door window letter lamp")
PLACES: Final = _words("house garden river station market school bridge city")
DAYS: Final = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
POSITIONS: Final = _words("in near under behind")
ACTIONS: Final = _words("bring find take move open close check")
TIMES: Final = _words("today tomorrow tonight now")
OTHERS: Final = _words(
    "the a and is are at on to from with will please call send number room platform gate code "
    "message leaves arrives stops opens closes turn left right walk waiting where when it we you "
    "my your very not yes no good hello thank morning evening hundred have need more minutes "
    "weather of"
)

VOCABULARY: Final[tuple[str, ...]] = tuple(
    dict.fromkeys(
        DIGITS + HOURS + TENS + LETTERS + COLOURS + QUALITIES + VEHICLES + ANIMALS + PEOPLE
        + OBJECTS + PLACES + DAYS + POSITIONS + ACTIONS + TIMES + OTHERS
    )
)  # fmt: skip
"""Every word the model can write, without the capital of a sentence's first word."""

STARTERS: Final[tuple[str, ...]] = _words(
    "the please call my your room gate platform we you where when it turn yes no hello good send "
    "thank number take bring find open close check walk a one two three four five"
)
"""The words a sentence may begin with."""

CAPITALISED: Final[tuple[str, ...]] = tuple(word.capitalize() for word in STARTERS)

HELD_OUT_SHARE: Final = 16
"""One sentence in this many is kept from training, by its text alone."""


@dataclass(frozen=True)
class Sentence:
    """Words as spoken, with the mark that ends them (``.`` or ``?``)."""

    words: tuple[str, ...]
    mark: str = "."

    @property
    def text(self) -> str:
        """The sentence as it is written: a capital first, the mark last."""
        first, *rest = self.words
        return " ".join((first[0].upper() + first[1:], *rest)) + self.mark


def parse(text: str) -> Sentence:
    """Turn a written sentence of the vocabulary back into its words and mark."""
    first, *rest = text[:-1].split()
    if first.lower() in VOCABULARY:
        first = first.lower()
    words = (first, *rest)
    unknown = [word for word in words if word not in VOCABULARY]
    if unknown or text[-1] not in ".?":
        raise ValueError(f"not a sentence of the closed vocabulary: {text!r} {unknown}")
    return Sentence(words, text[-1])


def is_held_out(sentence: Sentence) -> bool:
    """Say whether a sentence is kept for evaluation and test audio, whoever speaks it.

    The split depends on nothing but the words: training refuses these sentences, evaluation and
    the test audio use no others.
    """
    digest = hashlib.sha256(" ".join(sentence.words).lower().encode()).digest()
    return digest[0] % HELD_OUT_SHARE == 0


class Grammar:
    """Draws sentences, reproducibly, from one random source."""

    def __init__(self, source: random.Random) -> None:
        self.source = source

    def pick(self, *groups: tuple[str, ...]) -> str:
        """Choose a group, then a word of it."""
        return self.source.choice(self.source.choice(groups))

    def maybe(self, text: str, probability: float = 0.5) -> str:
        """Give the text or nothing."""
        return text if self.source.random() < probability else ""

    def thing(self, *groups: tuple[str, ...]) -> str:
        """Give a noun with its article, and half of the time a word that describes it."""
        noun = self.pick(*(groups or (VEHICLES, ANIMALS, PEOPLE, OBJECTS)))
        described = self.maybe(self.pick(QUALITIES, COLOURS), 0.6)
        return f"the {described} {noun}"

    def number(self) -> str:
        """Give a number as it is spoken."""
        return self.source.choice(
            (
                self.pick(HOURS),
                self.pick(TENS),
                f"{self.pick(TENS)} {self.pick(DIGITS[1:])}",
                f"{self.pick(DIGITS[1:])} hundred",
            )
        )

    def moment(self) -> str:
        """Give a time."""
        return self.source.choice(
            (
                self.pick(TIMES),
                f"on {self.pick(DAYS)}",
                f"in the {self.source.choice(('morning', 'evening'))}",
                f"at {self.pick(HOURS)}",
            )
        )

    def series(self, words: tuple[str, ...], low: int, high: int, repeats: float = 0.3) -> str:
        """Give a series of words in which each repeats the one before with some probability."""
        series = [self.source.choice(words)]
        for _ in range(self.source.randint(low, high) - 1):
            repeated = self.source.random() < repeats
            series.append(series[-1] if repeated else self.source.choice(words))
        return " ".join(series)

    def ordinary(self) -> Sentence:
        """Draw a sentence that reads naturally."""
        choose, pick, thing, moment = self.source.choice, self.pick, self.thing, self.moment
        later, place = self.maybe(moment()), pick(PLACES)
        possessive = choose(("my", "your"))
        forms = (
            lambda: (
                f"{thing(VEHICLES)} {choose(('leaves', 'arrives', 'stops'))} at {pick(HOURS)} "
                f"{later}"
            ),
            lambda: f"{thing(ANIMALS)} is {pick(POSITIONS)} {thing(PLACES, OBJECTS)}",
            lambda: (
                f"{thing(PEOPLE)} will {pick(ACTIONS)} {thing(OBJECTS)} "
                f"{self.maybe('to the ' + place)} {later}"
            ),
            lambda: f"please {pick(ACTIONS)} {thing(OBJECTS)} {later}",
            lambda: f"{possessive} number is {self.series(DIGITS, 3, 7)}",
            lambda: f"call {self.series(LETTERS, 2, 2)} {self.series(DIGITS, 1, 3)}",
            lambda: f"{choose(('the', 'my', 'your'))} code is {self.series(LETTERS, 2, 5)}",
            lambda: (
                f"room {self.number()} is "
                f"{choose(('open', 'not open', 'near the ' + place))} {later}"
            ),
            lambda: f"we {choose(('have', 'need'))} {self.number()} more minutes {later}",
            lambda: f"where is {thing()} {later}?",
            lambda: (
                f"it is {choose(('', 'very', 'not', 'very very'))} {pick(QUALITIES)} "
                f"{pick(POSITIONS)} the {place} {later}"
            ),
            lambda: (
                f"turn {choose(('left', 'right'))} at the {place} and walk to the {pick(PLACES)}"
            ),
            lambda: (
                f"{thing(PEOPLE)} and {thing(PEOPLE)} are waiting "
                f"{choose(('at', 'in', 'near'))} the {place}"
            ),
            lambda: (
                f"{choose(('gate', 'platform', 'room'))} {pick(HOURS)} "
                f"{choose(('opens', 'closes'))} at {pick(HOURS)} {self.maybe(pick(TENS))}"
            ),
            lambda: choose(GREETINGS),
            lambda: (
                f"send {choose(('the', 'a', 'my', 'your'))} message to "
                f"{self.series(LETTERS, 2, 2)} {moment()}"
            ),
            lambda: f"when will {thing(VEHICLES, PEOPLE)} {choose(('move', 'call', 'call you'))}?",
            lambda: (
                f"the weather in the {place} is {choose(('', 'very', 'not'))} "
                f"{choose(('warm', 'cold', 'good'))} {pick(TIMES)}"
            ),
            lambda: (
                f"{thing(VEHICLES)} from the {place} to the {pick(PLACES)} "
                f"{choose(('leaves', 'arrives', 'stops'))} {moment()}"
            ),
            lambda: (
                f"{choose(('take', 'bring', 'find'))} a {pick(COLOURS, QUALITIES)} "
                f"{pick(OBJECTS)} with {thing()}"
            ),
        )
        return _sentence(choose(forms)())

    def repeating(self) -> Sentence:
        """Draw a sentence full of repeated words."""
        choose = self.source.choice
        words = choose((DIGITS, DIGITS, LETTERS, LETTERS, HOURS, VOCABULARY))
        opening = choose(
            ("my number is", "your number is", "the code is", "call", "number", "room", "")
        )
        series = self.series(words, 2, 8, choose((0.4, 0.6, 0.8)))
        if not opening:
            opening = choose(
                (*DIGITS[1:6], "yes yes", "no no no", "hello hello", "no", "very very")
            )
            if opening.startswith("very"):
                opening = "it is very"
        return _sentence(f"{opening} {series}")

    def salad(self) -> Sentence:
        """Draw words at random, which keeps the model listening rather than guessing."""
        length = self.source.randint(2, 7)
        return _sentence(f"{self.pick(STARTERS)} {self.series(VOCABULARY, length, length, 0.08)}")

    def draw(self, salads: float = 0.15, repeating: float = 0.12) -> Sentence:
        """Draw any sentence; the rest after both shares is ordinary."""
        where = self.source.random()
        if where < salads:
            return self.salad()
        return self.repeating() if where < salads + repeating else self.ordinary()


GREETINGS: Final = (
    "yes thank you",
    "no not today",
    "hello",
    "good morning",
    "good evening",
    "thank you very good",
    "yes please",
    "no thank you",
    "hello and good morning",
    "good morning teacher",
    "good evening doctor",
    "good morning driver",
    "hello farmer",
    "yes yes thank you",
    "no no not now",
    "hello hello",
    "thank you thank you",
)


def _sentence(text: str) -> Sentence:
    mark = "?" if text.endswith("?") else "."
    return Sentence(tuple(text.rstrip("?").split()), mark)


def draw_for_training(grammar: Grammar, salads: float = 0.15, repeating: float = 0.12) -> Sentence:
    """Draw a sentence that training may use: never a held-out one."""
    while True:
        sentence = grammar.draw(salads, repeating)
        if not is_held_out(sentence):
            return sentence


def draw_held_out(grammar: Grammar) -> Sentence:
    """Draw an ordinary sentence that training never uses."""
    while True:
        sentence = grammar.ordinary()
        if is_held_out(sentence):
            return sentence
