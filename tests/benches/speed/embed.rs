//! Embedding beside sentence-transformers, on the same articles and cores, and beside what the cores can do at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wikitok_embed::{Device, EmbedError, Embedder, EmbedderOptions, Precision};

use crate::Contender;
use crate::clock::{self, Sample, Work};
use crate::data::{self, Input};

/// Articles embedded in a round.
const ARTICLES: usize = 120;
/// Cores that all contenders have.
const CORES: usize = 2;

/// Those that can run here; the first is sentence-transformers.
pub(crate) fn contenders(input: &Input) -> Vec<Contender<'_>> {
    let texts: Vec<&str> =
        input.articles.iter().take(ARTICLES).map(|article| article.text.as_str()).collect();
    let mut contenders = Vec::new();
    if let Some(python) = python() {
        let path = write(&texts);
        let bytes = bytes(&texts);
        contenders.push(Contender::new("sentence-transformers (torch), best batch", move || {
            reference(&python, &path, bytes)
        }));
    }
    let Some(exact) = load(Precision::Fp32) else { return contenders };
    let lengths: Vec<usize> = texts.iter().map(|text| exact.count_word_pieces(text).unwrap()).collect();
    let operations = operations(&lengths);
    eprintln!("embed: {} word pieces, {:.1} GFLOP", lengths.iter().sum::<usize>(), operations / 1e9);
    let (ours, bytes) = (texts.clone(), bytes(&texts));
    contenders.push(Contender::new("wikitok, fp32", move || embed(&exact, &ours)));
    if let Some(rough) = load(Precision::Int8) {
        contenders.push(Contender::new("wikitok, int8", move || embed(&rough, &texts)));
    }
    contenders.extend(limits::contenders(operations, bytes, texts_len(input)));
    contenders
}

fn texts_len(input: &Input) -> u64 {
    input.articles.len().min(ARTICLES) as u64
}

fn load(precision: Precision) -> Option<Embedder> {
    let home = data::root().join(".wikitok");
    let loaded = Embedder::load(&EmbedderOptions {
        model_directory: home.join("models/all-MiniLM-L6-v2"),
        runtime_library: home.join("lib/libonnxruntime.so"),
        device: Device::Cpu,
        precision,
        threads: CORES,
    });
    match loaded {
        Err(error @ EmbedError::PrecisionUnavailable { .. }) => {
            eprintln!("{error}: left out");
            None
        }
        loaded => Some(loaded.unwrap()),
    }
}

fn embed(embedder: &Embedder, texts: &[&str]) -> Sample {
    clock::children(|| {
        std::hint::black_box(embedder.embed(texts, None, &|_| true).unwrap());
        Work { bytes: bytes(texts), articles: texts.len() as u64 }
    })
}

fn bytes(texts: &[&str]) -> u64 {
    texts.iter().map(|text| text.len() as u64).sum()
}

/// Multiplications and additions that the model needs for texts of so many word pieces, without padding.
fn operations(lengths: &[usize]) -> f64 {
    const LAYERS: f64 = 6.0;
    const HIDDEN: f64 = 384.0;
    const WIDE: f64 = 1536.0;
    let of_text = |pieces: f64| {
        LAYERS
            * (2.0 * pieces * (4.0 * HIDDEN * HIDDEN + 2.0 * HIDDEN * WIDE) + 4.0 * pieces * pieces * HIDDEN)
    };
    lengths.iter().map(|&pieces| of_text(pieces as f64)).sum()
}

/// The Python that `tools/fetch --bench-embed` gave torch.
fn python() -> Option<PathBuf> {
    let python = data::root().join(".wikitok/bench-embed/bin/python");
    let there =
        Command::new(&python).args(["-c", "import sentence_transformers"]).stderr(Stdio::null()).status();
    if there.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    eprintln!("sentence-transformers is not there: left out (`tools/fetch --bench-embed` installs it, 6 GB)");
    None
}

fn write(texts: &[&str]) -> PathBuf {
    let path = data::scratch().join("embed.json");
    fs::write(&path, serde_json::to_vec(texts).unwrap()).unwrap();
    path
}

/// What it takes to load torch and the model is not counted.
fn reference(python: &Path, texts: &Path, bytes: u64) -> Sample {
    const SCRIPT: &str = include_str!("sentence_transformers.py");
    let model = data::root().join(".wikitok/models/all-MiniLM-L6-v2");
    let output =
        Command::new(python).args(["-c", SCRIPT]).arg(model).arg(texts).arg(CORES.to_string()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut numbers = printed.split_whitespace().map(|number| number.parse::<f64>().unwrap());
    let (wall, cpu) = (numbers.next().unwrap(), numbers.next().unwrap());
    Sample { wall, cpu, bytes, articles: numbers.next().unwrap() as u64 }
}

/// As many operations as the model needs, with nothing to load or store: no program on these cores is faster.
mod limits {
    use super::{Contender, Sample, Work, clock};

    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn contenders<'a>(_: f64, _: u64, _: u64) -> Vec<Contender<'a>> {
        Vec::new()
    }

    #[cfg(target_arch = "x86_64")]
    pub(super) fn contenders<'a>(operations: f64, bytes: u64, articles: u64) -> Vec<Contender<'a>> {
        let mut contenders = Vec::new();
        let work = Work { bytes, articles };
        if std::arch::is_x86_feature_detected!("avx512f") {
            contenders.push(Contender::new("limit of the cores, fp32", move || {
                // SAFETY: the processor has the feature.
                #[allow(unsafe_code, reason = "a processor's feature")]
                run(work, || unsafe { multiply_add(operations) })
            }));
        }
        if std::arch::is_x86_feature_detected!("avx512vnni") {
            contenders.push(Contender::new("limit of the cores, int8", move || {
                // SAFETY: the processor has the feature.
                #[allow(unsafe_code, reason = "a processor's feature")]
                run(work, || unsafe { multiply_add_bytes(operations) })
            }));
        }
        contenders
    }

    /// On one thread: the time of the processor is what counts.
    #[cfg(target_arch = "x86_64")]
    fn run(work: Work, compute: impl FnOnce()) -> Sample {
        clock::process(|| {
            compute();
            work
        })
    }

    /// Sums that are in flight: more than the latency of an instruction times what begins at once.
    const SUMS: usize = 12;

    /// 16 lanes, a multiplication and an addition each.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn multiply_add(operations: f64) {
        use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps};
        let factor = std::hint::black_box(_mm512_set1_ps(0.5));
        let mut sums = [_mm512_set1_ps(1.0); SUMS];
        for _ in 0..(operations / (32.0 * SUMS as f64)) as u64 {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, factor, factor);
            }
        }
        std::hint::black_box(sums);
    }

    /// 64 pairs of bytes, a multiplication and an addition each.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vnni")]
    fn multiply_add_bytes(operations: f64) {
        use std::arch::x86_64::{_mm512_dpbusd_epi32, _mm512_set1_epi32};
        let factor = std::hint::black_box(_mm512_set1_epi32(0x0102_0304));
        let mut sums = [_mm512_set1_epi32(0); SUMS];
        for _ in 0..(operations / (128.0 * SUMS as f64)) as u64 {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, factor, factor);
            }
        }
        std::hint::black_box(sums);
    }
}
