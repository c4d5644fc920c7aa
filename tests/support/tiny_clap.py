"""A CLAP model for the tests: tiny, with random weights, saved as real ones are.

Transformers takes seconds to import: only the process that makes a model does it.
"""

from pathlib import Path
from typing import Any

import torch

N_DIMS = 8


def tiny_clap(fusion: bool = False) -> Any:
    """The model; the same weights each time."""
    from transformers import ClapConfig, ClapModel

    text = {
        "vocab_size": 32,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    audio = {
        "window_size": 8,
        "patch_embeds_hidden_size": 8,
        "depths": [1, 1],
        "num_attention_heads": [1, 2],
        "num_hidden_layers": 2,
        "hidden_size": 16,
        "enable_fusion": fusion,
        "fusion_type": "aff_2d" if fusion else None,
    }
    torch.manual_seed(0)
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=N_DIMS)
    return ClapModel(config).eval()


def save_clap(folder: Path, card: str = "", fusion: bool = False) -> Path:
    """Write the folder of a model, with this text as its model card."""
    from transformers import ClapFeatureExtractor
    from transformers.utils import logging

    logging.disable_progress_bar()
    tiny_clap(fusion).save_pretrained(folder)
    truncation = "fusion" if fusion else "rand_trunc"
    # windows of a second, where real models have ten
    ClapFeatureExtractor(truncation=truncation, max_length_s=1).save_pretrained(folder)
    if card:
        (folder / "README.md").write_text(card, encoding="utf-8")
    return folder
