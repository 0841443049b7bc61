"""From a checkpoint to the CTranslate2 directory that faster-whisper loads."""

import json
import tempfile
from pathlib import Path
from typing import Any, Final

import torch
from ctranslate2.converters import TransformersConverter
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

from stack.offline.recipe import tokenizer
from stack.offline.recipe.features import HOP, MELS, WINDOW
from stack.offline.recipe.network import (
    ALIGNED_HEADS,
    HEADS,
    LAYERS,
    SOURCE_POSITIONS,
    TARGET_POSITIONS,
    WIDTH,
)
from stack.offline.recipe.speech import SAMPLE_RATE

SPECIAL_ROLES: Final = {
    "bos_token_id": tokenizer.END,
    "eos_token_id": tokenizer.END,
    "pad_token_id": tokenizer.END,
    "decoder_start_token_id": tokenizer.START,
}
PREPROCESSOR: Final[dict[str, Any]] = {
    "chunk_length": 30,
    "feature_extractor_type": "WhisperFeatureExtractor",
    "feature_size": MELS,
    "hop_length": HOP,
    "n_fft": WINDOW,
    "n_samples": 30 * SAMPLE_RATE,
    "nb_max_frames": 3000,
    "padding_side": "right",
    "padding_value": 0.0,
    "processor_class": "WhisperProcessor",
    "return_attention_mask": False,
    "sampling_rate": SAMPLE_RATE,
}


def hugging_face_model(weights: dict[str, torch.Tensor]) -> WhisperForConditionalGeneration:
    """Give Hugging Face's model with these weights."""
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=tokenizer.SIZE,
            num_mel_bins=MELS,
            d_model=WIDTH,
            encoder_layers=LAYERS,
            decoder_layers=LAYERS,
            encoder_attention_heads=HEADS,
            decoder_attention_heads=HEADS,
            encoder_ffn_dim=4 * WIDTH,
            decoder_ffn_dim=4 * WIDTH,
            max_source_positions=SOURCE_POSITIONS,
            max_target_positions=TARGET_POSITIONS,
            dropout=0.0,
            suppress_tokens=None,
            begin_suppress_tokens=None,
            tie_word_embeddings=True,
            **SPECIAL_ROLES,
        )
    )
    named = {
        f"model.{name}": value
        for name, value in weights.items()
        if name.startswith(("encoder.", "decoder."))
    }
    named["proj_out.weight"] = named["model.decoder.embed_tokens.weight"]
    model.load_state_dict(named, strict=True)
    generation = GenerationConfig(max_length=TARGET_POSITIONS, **SPECIAL_ROLES)
    generation.suppress_tokens = []
    # Not the end token: a window of silence ends right after its first timestamp.
    generation.begin_suppress_tokens = [tokenizer.BARE_SPACE]
    generation.alignment_heads = [
        [layer, head] for layer in (LAYERS - 2, LAYERS - 1) for head in range(ALIGNED_HEADS)
    ]
    generation.lang_to_id = {"<|en|>": tokenizer.NUMBERS["<|en|>"]}
    generation.is_multilingual = False
    generation.no_timestamps_token_id = tokenizer.NO_TIMESTAMPS
    model.generation_config = generation
    return model


def convert(checkpoint: Path, model: Path, quantization: str = "int8") -> None:
    """Write the model's directory and print the sizes of its files."""
    weights = torch.load(checkpoint, map_location="cpu")["model"]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        hugging_face_model(weights).save_pretrained(directory)
        tokenizer.write(directory / "tokenizer.json")
        (directory / "tokenizer_config.json").write_text(
            json.dumps(
                {
                    "tokenizer_class": "PreTrainedTokenizerFast",
                    **dict.fromkeys(
                        ("bos_token", "eos_token", "unk_token", "pad_token"), "<|endoftext|>"
                    ),
                    "model_max_length": TARGET_POSITIONS,
                }
            )
        )
        (directory / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=1))
        converter = TransformersConverter(
            str(directory), copy_files=["tokenizer.json", "preprocessor_config.json"]
        )
        converter.convert(str(model), quantization=quantization, force=True)
    sizes = {path.name: path.stat().st_size for path in sorted(model.iterdir())}
    print(json.dumps(sizes | {"total": sum(sizes.values())}, indent=1))
