"""A sentence-embedding model that trains in a moment: a BERT of two layers with random weights."""

from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizerFast

from pipeline.models.bundled import bundled_folder

WIDTH = 32


def make_tiny_model(folder: Path) -> Path:
    """Write the model, the same one each time, with the bundled model's tokenizer; returns its folder."""
    torch.manual_seed(0)
    bert = folder / "bert"
    BertModel(
        BertConfig(
            hidden_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=2 * WIDTH,
            max_position_embeddings=64,
        )
    ).save_pretrained(bert)
    BertTokenizerFast.from_pretrained(str(bundled_folder())).save_pretrained(bert)
    modules = [Transformer(str(bert), max_seq_length=32), Pooling(WIDTH), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder / "tiny"), create_model_card=False)
    return folder / "tiny"
