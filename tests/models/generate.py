#!/usr/bin/env python3
"""Writes the small models of `tests/data/models`, and the vectors that sentence-transformers gives with them.

They are BERTs of random weights, each of another build, small enough to be committed. In a virtual
environment with `sentence-transformers==6.2.0`, `onnx` and `onnxscript` from the Python package index:

    tests/models/generate.py tests/data/models

The weights follow from the seed; torch may round them differently on another machine, which is why the
files are committed and this is only run to add one.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from sentence_transformers.base.modules import Transformer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, BertTokenizerFast

POOLINGS = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]

TEXTS = [
    "",
    " ",
    "a",
    "Sofia is the capital of Bulgaria.",
    "The river flows from the mountains to the sea, and carries sand and stones with it.",
    "Whales, which are mammals, live in all the oceans; the largest of them eat the smallest animals.",
    "Пловдив е град в България, разположен на река Марица.",
    "Ὁ ΣΟΦΟΣ ΟΔΥΣΣΕΥΣ ἦλθεν ΕΙΣ ΤΗΝ ΠΟΛΙΝ.",
    "東京は日本の首都である。人口は約千四百万人。",
    "서울은 대한민국의 수도이다.",
    "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย",
    "القاهرة هي عاصمة مصر وأكبر مدنها.",
    "İstanbul ve ÇANAKKALE, naïve café, coöperation.",
    "e = m·c², 3.14159 ≈ π, H₂O; 1,234,567 km²",
    "[CLS] and [SEP] and [MASK] written out",
    "one\ttwo\nthree\r\nfour\u00a0five\u200bsix\u0000seven",
    "Donaudampfschifffahrtsgesellschaftskapitän",
    "x" * 150,
    "stone " * 9,
    "The capital of a country is mostly its largest city. " * 8,
    "Mountains rise where plates of the crust meet; rivers cut valleys into them. " * 12,
]


def main():
    target = Path(sys.argv[1])
    shutil.rmtree(target, ignore_errors=True)
    uncased(target / "uncased")
    cased(target / "cased")
    exported(target / "uncased", target / "exported")
    for file in target.rglob("*.*"):
        file.chmod(0o644)


def uncased(folder):
    """As sentence-transformers 6 saves a model; vectors with every pooling, normalised or not."""
    tokenizer = trained_tokenizer(lowercase=True, size=420)
    network = random_bert(seed=1, vocab_size=420, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                          intermediate_size=96, max_position_embeddings=64)
    save(network, tokenizer, folder / "network", model_max_length=48)
    transformer = Transformer(str(folder / "network"))
    prompts = {"query": "query: ", "document": "passage: "}
    whole = SentenceTransformer(modules=[transformer, Pooling(32, "mean"), Normalize()], prompts=prompts)
    whole.save(str(folder), create_model_card=False)
    shutil.rmtree(folder / "network")
    vectors = {"normalized": encode(folder, prompt="")}
    vectors["passage"] = encode(folder, prompt="passage: ")
    for pooling in POOLINGS:
        plain = SentenceTransformer(modules=[transformer, Pooling(32, pooling)], device="cpu")
        vectors[pooling] = rows(plain.encode(TEXTS, batch_size=1))
    write_expected(folder, vectors)


def cased(folder):
    """As models were saved in 2021: flags for the pooling, a head's prefix, old names, bfloat16; lower-cased
    by the pipeline."""
    tokenizer = trained_tokenizer(lowercase=False, size=360)
    network = random_bert(seed=2, vocab_size=360, hidden_size=48, num_hidden_layers=3, num_attention_heads=3,
                          intermediate_size=80, max_position_embeddings=40, hidden_act="gelu_new",
                          type_vocab_size=1)
    save(network, tokenizer, folder, model_max_length=512)
    write(folder / "modules.json", [
        module(0, "", "Transformer"), module(1, "1_Pooling", "Pooling"), module(2, "2_Normalize", "Normalize")])
    write(folder / "1_Pooling/config.json", {
        "word_embedding_dimension": 48, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False,
        "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False})
    write(folder / "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": True})
    weights = load_file(folder / "model.safetensors")
    older = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new, old in older.items():
        weights = {name.replace(new, old): tensor for name, tensor in weights.items()}
    weights = {f"bert.{name}": tensor.to(torch.bfloat16) for name, tensor in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    write_expected(folder, {"normalized": encode(folder, prompt="")})


def exported(source, folder):
    """The uncased network as an ONNX file; all else is the uncased model's."""
    folder.mkdir()
    network = BertModel.from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()
    sample = {name: torch.ones(2, 5, dtype=torch.int64) for name in ["input_ids", "attention_mask", "token_type_ids"]}
    axes = {name: {0: "texts", 1: "pieces"} for name in [*sample, "last_hidden_state"]}
    torch.onnx.export(Bare(network), tuple(sample.values()), str(folder / "model.onnx"), dynamo=False,
                      input_names=list(sample), output_names=["last_hidden_state"], dynamic_axes=axes,
                      opset_version=17)


class Bare(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, input_ids, attention_mask, token_type_ids):
        output = self.network(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        return output.last_hidden_state


def trained_tokenizer(lowercase, size):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=special, show_progress=False, limit_alphabet=230)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")])
    # As all-MiniLM's: a limit and a padding of its own that must not be believed.
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=16)
    return tokenizer


def random_bert(seed, **shape):
    torch.manual_seed(seed)
    network = BertModel(BertConfig(**shape), add_pooling_layer=False).eval()
    for name, parameter in network.named_parameters():
        scale = 0.3 if parameter.dim() == 2 else 0.2
        noise = torch.randn_like(parameter) * scale
        parameter.data = 1 + noise if name.endswith("LayerNorm.weight") else noise
    return network


def save(network, tokenizer, folder, model_max_length):
    network.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    lowercase = json.loads(tokenizer.to_str())["normalizer"]["lowercase"]
    write(folder / "tokenizer_config.json", {
        "tokenizer_class": "BertTokenizerFast", "do_lower_case": lowercase, "model_max_length": model_max_length})


def encode(folder, prompt):
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    return rows(model.encode(TEXTS, prompt=prompt, batch_size=1))


def rows(vectors):
    return [[float(f"{number:.8g}") for number in vector] for vector in vectors]


def write_expected(folder, vectors):
    lines = [f'{json.dumps(name)}: [\n{",".join(chr(10) + json.dumps(row) for row in rows)}\n]' for name, rows in vectors.items()]
    texts = json.dumps(TEXTS)
    (folder / "expected.json").write_text('{"texts": ' + texts + ',\n"vectors": {\n' + ",\n".join(lines) + "\n}}\n")


def module(index, path, name):
    return {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{name}"}


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


if __name__ == "__main__":
    main()
