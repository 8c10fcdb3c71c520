"""Embeds the texts of a JSON file with sentence-transformers at several batch sizes; prints the best one's seconds of
clock and processor, and the number of texts."""

import json
import sys
import time

import torch
from sentence_transformers import SentenceTransformer

model, texts, threads = sys.argv[1], json.load(open(sys.argv[2])), int(sys.argv[3])
torch.set_num_threads(threads)
model = SentenceTransformer(model, device="cpu")
model.encode(texts[:8])
took = []
for batch in (8, 16, 32):
    wall, cpu = time.perf_counter(), time.process_time()
    model.encode(texts, batch_size=batch)
    took.append((time.perf_counter() - wall, time.process_time() - cpu))
print(*min(took, key=lambda times: times[1]), len(texts))
