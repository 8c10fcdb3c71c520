//! The stages of a part, each alone, and as a plain loop on one thread: what a job costs that is nothing else.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use wikitok_dump::{
    Article, Batch, ByteRange, Compression, RangeBytes, RangeInput, RangeLimits, RangeReader, Record,
    open_range, sniff,
};
use wikitok_publish::{TokenPartOptions, TokenPartWriter, TokenRow};
use wikitok_tokenize::{Encoding, Tokenizer};

use crate::Contender;
use crate::clock::{self, Sample, Work};
use crate::data::{Dump, Input};

/// Bytes of a batch, about what a job hands from thread to thread.
const BATCH_BYTES: usize = 1 << 20;

/// Parsing and writing, from memory to memory.
pub(crate) fn alone(input: &Input) -> Vec<Contender<'_>> {
    let rows = rows(&input.articles);
    let bytes = input.text_bytes();
    vec![
        Contender::new("parse, ASCII with \\u escapes (gzip)", || parse(&input.gzip.data)),
        Contender::new("parse, UTF-8 (bzip2)", || parse(&input.bzip2.data)),
        Contender::new("write: Parquet, zstd", move || clock::process(|| write(&rows, bytes))),
    ]
}

/// Every article of some shards.
pub(crate) fn articles(shards: &[Bytes]) -> Vec<Article> {
    let mut articles = Vec::new();
    for shard in shards {
        let mut reader = open(shard);
        while let Some(record) = reader.next().unwrap() {
            if let Record::Article(article) = record {
                articles.push(article);
            }
        }
    }
    articles
}

/// Decompresses a shard and looks at nothing.
pub(crate) fn decompress(shard: &Bytes) -> u64 {
    let mut bytes = RangeBytes::open(Arc::new(shard.clone()), &all_of(shard)).unwrap();
    let (mut chunk, mut total) = (Vec::new(), 0);
    while bytes.next_chunk(&mut chunk).unwrap() {
        total += black_box(&chunk).len() as u64;
    }
    total
}

/// Slots of the whole job.
const CORES: usize = 2;

/// Decompresses and parses.
pub(crate) fn read(dump: &Dump) -> Sample {
    let shards = load(&dump.shards);
    clock::process(|| shards.iter().map(|shard| records(shard, |_| {})).fold(Work::default(), add))
}

/// Decompresses, parses and tokenizes; writes, too, if asked.
pub(crate) fn plain_loop(dump: &Dump, and_write: bool) -> Sample {
    let shards = load(&dump.shards);
    let tokenizer = Tokenizer::new(Encoding::default()).unwrap();
    clock::process(|| {
        let one = |shard| {
            if and_write { tokenize_and_write(shard, &tokenizer) } else { tokenize(shard, &tokenizer) }
        };
        shards.iter().map(one).fold(Work::default(), add)
    })
}

/// The loop that also writes, on as many cores as the whole job has slots: cores that are busy side by side are slower,
/// each, than one alone.
pub(crate) fn plain_loops(dump: &Dump) -> Sample {
    let shards = load(&dump.shards);
    let tokenizer = Tokenizer::new(Encoding::default()).unwrap();
    let one = || shards.iter().map(|shard| tokenize_and_write(shard, &tokenizer)).fold(Work::default(), add);
    clock::process(|| {
        std::thread::scope(|scope| {
            let loops = [(); CORES].map(|()| scope.spawn(one));
            loops.into_iter().map(|done| done.join().unwrap()).fold(Work::default(), add)
        })
    })
}

fn tokenize(shard: &Bytes, tokenizer: &Tokenizer) -> Work {
    records(shard, |article| {
        black_box(tokenizer.encode_ordinary(&article.text).unwrap());
    })
}

fn tokenize_and_write(shard: &Bytes, tokenizer: &Tokenizer) -> Work {
    let mut part = TokenPartWriter::new(TokenPartOptions::default()).unwrap();
    let work = records(shard, |article| {
        let tokens = tokenizer.encode_ordinary(&article.text).unwrap();
        part.push(row(article, tokens)).unwrap();
    });
    black_box(part.finish().unwrap());
    work
}

fn parse(shards: &[Bytes]) -> Sample {
    let mut batches: Vec<Batch> = Vec::new();
    let mut bytes = 0;
    for shard in shards {
        let mut reader = open(shard);
        while let Some(batch) = reader.next_batch(BATCH_BYTES).unwrap() {
            batches.push(batch);
        }
        bytes += reader.finish().unwrap().uncompressed_bytes;
    }
    clock::process(|| {
        let is_article = |record: &Record| matches!(record, Record::Article(_));
        let articles = batches.into_iter().flatten().filter(is_article).count() as u64;
        Work { bytes, articles }
    })
}

fn write(rows: &[TokenRow], bytes: u64) -> Work {
    let mut part = TokenPartWriter::new(TokenPartOptions::default()).unwrap();
    for row in rows {
        part.push(row.clone()).unwrap();
    }
    black_box(part.finish().unwrap());
    Work { bytes, articles: rows.len() as u64 }
}

fn rows(articles: &[Article]) -> Vec<TokenRow> {
    let tokenizer = Tokenizer::new(Encoding::default()).unwrap();
    let row = |article: &Article| row(article.clone(), tokenizer.encode_ordinary(&article.text).unwrap());
    articles.iter().map(row).collect()
}

fn row(article: Article, tokens: Vec<u32>) -> TokenRow {
    let Article { page_id, title, revision_id, timestamp, text } = article;
    TokenRow { page_id, title, revision_id, timestamp, text, tokens }
}

fn records(shard: &Bytes, mut take: impl FnMut(Article)) -> Work {
    let mut reader = open(shard);
    let mut articles = 0;
    while let Some(record) = reader.next().unwrap() {
        if let Record::Article(article) = record {
            articles += 1;
            take(article);
        }
    }
    Work { bytes: reader.finish().unwrap().uncompressed_bytes, articles }
}

fn open(shard: &Bytes) -> RangeReader {
    open_range(Arc::new(shard.clone()), &all_of(shard), RangeLimits::default()).unwrap()
}

fn all_of(shard: &Bytes) -> RangeInput {
    match sniff(shard).unwrap() {
        Compression::Gzip => RangeInput::Stream { start: None, consume_bytes: u64::MAX },
        Compression::Bzip2 => RangeInput::Blocks(ByteRange { from: 0, to: shard.len() as u64 }),
    }
}

fn load(shards: &[impl AsRef<Path>]) -> Vec<Bytes> {
    shards.iter().map(|path| Bytes::from(std::fs::read(path).unwrap())).collect()
}

fn add(sum: Work, more: Work) -> Work {
    Work { bytes: sum.bytes + more.bytes, articles: sum.articles + more.articles }
}
