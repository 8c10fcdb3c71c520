"""Reads an output with DuckDB and pyarrow, and shows that both see what was promised.

read_output.py OUTPUT ARTICLES TOKENS
"""

import sys

import duckdb
import numpy
import pyarrow
import pyarrow.dataset

output, articles, tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

count, pages, total, listed, characters = duckdb.sql(
    f"""select count(*), count(distinct page_id), sum(token_count), sum(len(tokens)),
               count(*) filter (length(text) <> char_count)
        from '{output}/tokens/**/*.parquet'"""
).fetchone()
assert (count, pages) == (articles, articles), (count, pages)
assert (total, listed) == (tokens, tokens), (total, listed)
assert characters == 0, f"{characters} texts have another length than char_count says"

table = pyarrow.dataset.dataset(f"{output}/tokens", format="parquet").to_table()
assert table.num_rows == articles
kinds = {field.name: str(field.type) for field in table.schema}
assert kinds == {
    "page_id": "uint64",
    "title": "string",
    "revision_id": "uint64",
    "timestamp": "timestamp[us, tz=UTC]",
    "text": "string",
    "tokens": "list<element: uint32 not null>",
    "token_count": "uint32",
    "char_count": "uint32",
}, kinds
assert not table.schema.field("page_id").nullable and table.schema.field("revision_id").nullable

vectors = pyarrow.dataset.dataset(f"{output}/vectors", format="parquet").to_table()
embedding = vectors.column("embedding")
assert str(embedding.type).startswith("fixed_size_list<") and embedding.type.list_size == 384, embedding.type
assert embedding.type.value_type == pyarrow.float32()
matrix = numpy.array(embedding.to_pylist(), dtype=numpy.float32)
assert numpy.allclose(numpy.linalg.norm(matrix, axis=1), 1, atol=1e-5)
assert set(vectors.column("page_id").to_pylist()) == set(table.column("page_id").to_pylist())
assert set(vectors.column("passage").to_pylist()) == {0}
print(f"{count} articles, {total} tokens, {vectors.num_rows} vectors")
