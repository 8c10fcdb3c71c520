"""Encodes the texts of a JSON file with tiktoken, one after the other; prints seconds of clock and processor."""

import json
import sys
import time

import tiktoken

# As in https://github.com/openai/tiktoken/blob/0.14.0/tiktoken_ext/openai_public.py
CL100K = (
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|"""
    r"""\s*[\r\n]|\s+(?!\S)|\s"""
)
texts = json.load(open(sys.argv[1]))
ranks = {bytes.fromhex(token): rank for rank, token in enumerate(json.load(open(sys.argv[2])))}
encoding = tiktoken.Encoding("cl100k", pat_str=CL100K, mergeable_ranks=ranks, special_tokens={})
wall, cpu = time.perf_counter(), time.process_time()
for text in texts:
    encoding.encode_ordinary(text)
print(time.perf_counter() - wall, time.process_time() - cpu)
