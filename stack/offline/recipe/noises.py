"""Sounds that are not speech: every colour of noise, hum, clicks, tones, and near silence.

Used to train the model to write nothing for them, to lay noise under speech, and, from other
seeds, to test both. Pure but for numpy.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from stack.offline.recipe.speech import SAMPLE_RATE, Samples

Generator = np.random.Generator

COLOURS: Final[dict[str, float]] = {
    "white": 0.0,
    "pink": -1.0,
    "brown": -2.0,
    "blue": 1.0,
    "violet": 2.0,
}
"""Colours of noise with the exponent of the frequency in their power."""


def coloured(source: Generator, count: int, exponent: float) -> Samples:
    """Draw noise whose power goes with the given power of the frequency; root mean square 1."""
    size = 1 << max(8, (count - 1).bit_length())
    spectrum = np.fft.rfft(source.standard_normal(size))
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    shape = np.maximum(frequency, 10.0) ** (exponent / 2)
    shape[0] = 0
    return unit(np.fft.irfft(spectrum * shape, size)[:count])


def unit(samples: Samples) -> Samples:
    """Bring samples to a root mean square of 1 (silence stays silent)."""
    level = float(np.sqrt(np.mean(np.square(samples))))
    return (samples / level if level > 0 else samples).astype(np.float32)


def random_walk(source: Generator, count: int) -> Samples:
    """Draw brown noise as summed steps, with the drift that comes of it."""
    return unit(np.cumsum(source.standard_normal(count)))


def filtered(source: Generator, count: int) -> Samples:
    """Draw noise of a random smooth spectrum that wavers, as machines and rooms have it."""
    noise = coloured(source, count, float(source.uniform(-2.5, 2)))
    spectrum = np.fft.rfft(noise)
    points = np.sort(source.uniform(0, 1, 6))
    gains = source.normal(0, 0.8, 6)
    spectrum *= 10 ** np.interp(np.linspace(0, 1, len(spectrum)), points, gains)
    return unit(np.fft.irfft(spectrum, count) * envelope(source, count))


def envelope(source: Generator, count: int) -> Samples:
    """Draw a slowly wavering gain, between a hundredth and some."""
    points = max(3, int(count / SAMPLE_RATE * source.uniform(0.3, 6)))
    gains = source.normal(0, source.uniform(0.05, 0.5), points)
    return (10 ** np.interp(np.linspace(0, points - 1, count), range(points), gains)).astype(
        np.float32
    )


def hum(source: Generator, count: int) -> Samples:
    """Draw mains hum with harmonics."""
    time = np.arange(count) / SAMPLE_RATE
    base = float(source.choice([50.0, 60.0, source.uniform(40, 130)]))
    total = np.zeros(count)
    for harmonic in range(1, int(source.integers(2, 12))):
        phase = source.uniform(0, 2 * np.pi)
        total += (
            source.uniform(0, 1) / harmonic * np.sin(2 * np.pi * base * harmonic * time + phase)
        )
    return unit(total + source.choice([0, 1e-3, 1e-2]) * source.standard_normal(count))


def tones(source: Generator, count: int) -> Samples:
    """Draw one to three steady or gliding tones, as dial tones and alarms are."""
    total = np.zeros(count)
    for _ in range(int(source.integers(1, 4))):
        start = source.uniform(60, 4000)
        stop = start if source.random() < 0.6 else source.uniform(60, 4000)
        phase = 2 * np.pi * np.cumsum(np.linspace(start, stop, count)) / SAMPLE_RATE
        total += source.uniform(0.2, 1) * np.sin(phase)
    if source.random() < 0.4:  # beeps
        period = int(source.uniform(0.2, 1.5) * SAMPLE_RATE)
        total *= (np.arange(count) % period) < period * source.uniform(0.2, 0.8)
    return unit(total)


def clicks(source: Generator, count: int) -> Samples:
    """Draw clicks, knocks and keystrokes: short decaying bursts, far apart."""
    total = np.zeros(count)
    for at in source.integers(0, count, max(1, int(count / SAMPLE_RATE * source.uniform(0.3, 8)))):
        length = min(count - int(at), int(source.uniform(1, 1200)))
        burst = source.standard_normal(length) * np.exp(-np.linspace(0, 6, length))
        total[at : at + length] += source.uniform(0.1, 1) * burst
    return unit(total)


def offset(source: Generator, count: int) -> Samples:
    """Draw a constant, as of a bad sound card, sometimes with a little noise."""
    return unit(np.ones(count) + source.choice([0, 1e-4, 1e-2]) * source.standard_normal(count))


def steps(source: Generator, count: int) -> Samples:
    """Draw the last bit of a converter at rest: -1, 0 and 1 of 32,768, scaled."""
    return unit(source.integers(-1, 2, count).astype(np.float32))


KINDS: Final[dict[str, Callable[[Generator, int], Samples]]] = {
    **{
        name: (lambda source, count, exponent=exponent: coloured(source, count, exponent))
        for name, exponent in COLOURS.items()
    },
    "random walk": random_walk,
    "filtered": filtered,
    "hum": hum,
    "tones": tones,
    "clicks": clicks,
    "offset": offset,
    "steps": steps,
}
"""Every kind of sound that is not speech, by name."""


def fade(source: Generator, samples: Samples) -> Samples:
    """Let a sound swell, die away or start late."""
    count = len(samples)
    shape = source.integers(4)
    if shape == 0:
        ramp = np.linspace(0, 1, count)
    elif shape == 1:
        ramp = np.linspace(1, 0, count)
    elif shape == 2:
        ramp = np.hanning(count)
    else:
        ramp = np.arange(count) > source.uniform(0, 0.9) * count
    return (samples * ramp).astype(np.float32)


def draw(source: Generator, count: int, kind: str | None = None) -> Samples:
    """Draw a sound of the given kind or of any, at a root mean square of about 1."""
    name = kind or str(source.choice(list(KINDS)))
    sound = KINDS[name](source, count)
    if kind is None and source.random() < 0.25:
        sound = fade(source, sound)
    return sound
