"""The network: Whisper's architecture, very small, with two heads that only training uses.

Parameters bear the names that Hugging Face's ``WhisperForConditionalGeneration`` gives them, so
that conversion is a copy. B is the batch, F mel frames, T = F / 2 encoder positions, N tokens.
"""

import math
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stack.offline.recipe.features import MELS
from stack.offline.recipe.sentences import VOCABULARY
from stack.offline.recipe.tokenizer import FIRST_TIMESTAMP, SIZE, TIMESTAMPS
from stack.offline.recipe.windows import PLACES

WIDTH: Final = 128
LAYERS: Final = 3
HEADS: Final = 4
HEAD_WIDTH: Final = WIDTH // HEADS
SOURCE_POSITIONS: Final = 1500
TARGET_POSITIONS: Final = 448
PHONEME_CLASSES: Final = 96
"""Room for espeak-ng's phonemes in all accents of the recipe; 0 is silence."""

ALIGNED_HEADS: Final = 2
"""The first heads of the last two decoder layers are taught where the word is."""


def sinusoids(count: int, width: int) -> Tensor:
    """Give Whisper's sinusoidal positions, (count, width)."""
    step = math.log(10_000) / (width // 2 - 1)
    frequencies = torch.exp(-step * torch.arange(width // 2))
    angles = torch.arange(count)[:, None] * frequencies[None]
    return torch.cat([angles.sin(), angles.cos()], 1)


class Attention(nn.Module):
    """Attention with Whisper's projections (no bias on the keys)."""

    def __init__(self) -> None:
        super().__init__()
        self.k_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.v_proj = nn.Linear(WIDTH, WIDTH)
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def project(self, queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give queries, keys and values by head, each (B, HEADS, positions, HEAD_WIDTH)."""

        def by_head(values: Tensor) -> Tensor:
            return values.view(len(values), -1, HEADS, HEAD_WIDTH).transpose(1, 2)

        return (
            by_head(self.q_proj(queries)),
            by_head(self.k_proj(keys)),
            by_head(self.v_proj(keys)),
        )

    def join(self, values: Tensor) -> Tensor:
        """Bring the heads together again, (B, positions, WIDTH)."""
        return self.out_proj(values.transpose(1, 2).reshape(len(values), -1, WIDTH))

    def forward(self, states: Tensor, causal: bool = False) -> Tensor:
        """Attend to the states themselves, without keeping the weights."""
        queries, keys, values = self.project(states, states)
        return self.join(
            functional.scaled_dot_product_attention(queries, keys, values, is_causal=causal)
        )

    def attend(self, states: Tensor, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Attend to the encoder; give the weights too, (B, HEADS, N, T)."""
        queries, keys, values = self.project(states, encoded)
        scores = (queries @ keys.transpose(-1, -2)).float() * HEAD_WIDTH**-0.5
        weights = torch.softmax(scores, -1)
        return self.join(weights.to(values.dtype) @ values), weights


class EncoderLayer(nn.Module):
    """One layer of the encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = Attention()
        self.self_attn_layer_norm = nn.LayerNorm(WIDTH)
        self.fc1 = nn.Linear(WIDTH, 4 * WIDTH)
        self.fc2 = nn.Linear(4 * WIDTH, WIDTH)
        self.final_layer_norm = nn.LayerNorm(WIDTH)

    def feed(self, states: Tensor) -> Tensor:
        """Apply the part that looks at each position alone."""
        return states + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(states))))

    def forward(self, states: Tensor) -> Tensor:
        """Give the states after this layer."""
        return self.feed(states + self.self_attn(self.self_attn_layer_norm(states)))


class DecoderLayer(EncoderLayer):
    """One layer of the decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder_attn = Attention()
        self.encoder_attn_layer_norm = nn.LayerNorm(WIDTH)

    def decode(self, states: Tensor, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Give the states after this layer and its attention to the encoder."""
        states = states + self.self_attn(self.self_attn_layer_norm(states), causal=True)
        attended, weights = self.encoder_attn.attend(self.encoder_attn_layer_norm(states), encoded)
        return self.feed(states + attended), weights


class Encoder(nn.Module):
    """From log mel frames to states, two frames to a position."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(MELS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(SOURCE_POSITIONS, WIDTH)
        self.embed_positions.weight.data = sinusoids(SOURCE_POSITIONS, WIDTH)
        self.embed_positions.weight.requires_grad = False
        self.layers = nn.ModuleList(EncoderLayer() for _ in range(LAYERS))
        self.layer_norm = nn.LayerNorm(WIDTH)
        look_nearby(self.layers)

    def forward(self, mels: Tensor, offsets: Tensor) -> Tensor:
        """Encode mels (B, 80, F), whose positions start at the offsets (B,); give (B, T, WIDTH)."""
        states = functional.gelu(self.conv1(mels))
        states = functional.gelu(self.conv2(states)).transpose(1, 2)
        positions = offsets[:, None] + torch.arange(states.shape[1])[None]
        states = states + self.embed_positions(positions)
        for layer in self.layers:
            states = layer(states)
        return self.layer_norm(states)


def look_nearby(layers: nn.ModuleList) -> None:
    """Start each encoder head as attention to a fixed distance, from 40 to 400 ms.

    With sinusoidal positions, a rotation of each sine and cosine pair turns a position into the
    one at a distance: keys take the pair as it is, queries turn it. Alignment of words with sound
    then appears within the first thousand steps instead of many thousands.
    """
    distances = ((-5, -2, 2, 5), (-12, -4, 4, 12), (-20, -8, 8, 20))
    half, pairs, gain = WIDTH // 2, HEAD_WIDTH // 2, 1.3
    frequencies = 10_000 ** (-torch.arange(half) / (half - 1))
    for layer, by_head in zip(layers, distances, strict=True):
        queries, keys = torch.randn(2, WIDTH, WIDTH) * 0.01
        for head, distance in enumerate(by_head):
            for pair in range(pairs):
                angle = float(frequencies[pair]) * distance
                sine = head * HEAD_WIDTH + pair
                cosine = sine + pairs
                keys[sine, pair] += gain
                keys[cosine, half + pair] += gain
                queries[sine, pair] += gain * math.cos(angle)
                queries[sine, half + pair] += gain * math.sin(angle)
                queries[cosine, half + pair] += gain * math.cos(angle)
                queries[cosine, pair] -= gain * math.sin(angle)
        layer.self_attn.q_proj.weight.data = queries
        layer.self_attn.k_proj.weight.data = keys
        layer.self_attn.q_proj.bias.data.zero_()


class Decoder(nn.Module):
    """From tokens and the encoder's states to states from which the next tokens are read."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(SIZE, WIDTH)
        self.embed_tokens.weight.data.normal_(0, 0.15)
        # Timestamps start as the positions they stand for.
        stamps = sinusoids(len(TIMESTAMPS), WIDTH) * 0.2
        self.embed_tokens.weight.data[FIRST_TIMESTAMP:] = stamps
        self.embed_positions = nn.Embedding(TARGET_POSITIONS, WIDTH)
        self.embed_positions.weight.data = sinusoids(TARGET_POSITIONS, WIDTH) * 0.3
        self.layers = nn.ModuleList(DecoderLayer() for _ in range(LAYERS))
        self.layer_norm = nn.LayerNorm(WIDTH)

    def forward(self, tokens: Tensor, encoded: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Give states (B, N, WIDTH), every layer's attention, and the first layer's states."""
        states = self.embed_tokens(tokens) + self.embed_positions.weight[: tokens.shape[1]]
        attention, after = [], []
        for layer in self.layers:
            states, weights = layer.decode(states, encoded)
            attention.append(weights)
            after.append(states)
        return self.layer_norm(states), attention, after[0]


class Network(nn.Module):
    """The whole, with heads that only training uses.

    For every encoder position they name the word, the phoneme, and the word's place in its
    sentence; after the first decoder layer, how many words of the sentence are written. Only by
    that can the decoder tell the second of two equal words from the first: it has no memory of
    where it looked, but it knows what it wrote.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.word_head = nn.Linear(WIDTH, len(VOCABULARY) + 1)
        self.phoneme_head = nn.Linear(WIDTH, PHONEME_CLASSES)
        self.place_heads = nn.ModuleList(nn.Linear(WIDTH, count) for count in PLACES.values())
        self.count_head = nn.Linear(WIDTH, PLACES["ordinal"])


_FREE: Final = ("phoneme_head.", "place_heads.", "count_head.")


def load_weights(network: nn.Module, path: Path) -> list[str]:
    """Load a checkpoint's weights; give the names it had nothing fitting for.

    Earlier checkpoints call the word head ``wh``, number phonemes otherwise and know no places:
    what doesn't fit keeps its random start, provided it serves training alone.
    """
    stored = torch.load(path, map_location="cpu")["model"]
    stored = {name.replace("wh.", "word_head."): value for name, value in stored.items()}
    own = network.state_dict()
    fitting = {
        name: value
        for name, value in stored.items()
        if name in own and own[name].shape == value.shape
    }
    network.load_state_dict(fitting, strict=False)
    missing = sorted(set(own) - set(fitting))
    if any(not name.startswith(_FREE) for name in missing):
        raise ValueError(f"{path} is no checkpoint of this network: it lacks {missing}")
    return missing
