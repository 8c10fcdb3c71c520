//! Parts: what is written is read again, the same rows give the same bytes, and bad rows are refused.

use crate::common;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, TimestampMicrosecondType, UInt32Type, UInt64Type};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use wikitok_publish::{
    PassageKey, PublishError, TokenPartOptions, TokenPartWriter, TokenRow, VectorPartOptions,
    VectorPartWriter, read_texts,
};
use wikitok_store::ErrorKind;

fn batches(bytes: &Bytes) -> Vec<RecordBatch> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
    builder.build().unwrap().map(Result::unwrap).collect()
}

fn row_groups(bytes: &Bytes) -> usize {
    ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap().metadata().num_row_groups()
}

fn encode(options: TokenPartOptions, rows: &[TokenRow]) -> Bytes {
    let mut writer = TokenPartWriter::new(options).unwrap();
    for row in rows {
        writer.push(row.clone()).unwrap();
    }
    writer.finish().unwrap().content.read_all().unwrap()
}

fn decode(bytes: &Bytes) -> Vec<TokenRow> {
    batches(bytes).iter().flat_map(|batch| (0..batch.num_rows()).map(|row| decode_row(batch, row))).collect()
}

fn decode_row(batch: &RecordBatch, row: usize) -> TokenRow {
    let column = |name| batch.column_by_name(name).unwrap();
    let (revision_ids, times) = (column("revision_id"), column("timestamp"));
    let text = column("text").as_string::<i32>().value(row).to_owned();
    let tokens = column("tokens").as_list::<i32>().value(row).as_primitive::<UInt32Type>().values().to_vec();
    assert_eq!(column("token_count").as_primitive::<UInt32Type>().value(row) as usize, tokens.len());
    assert_eq!(column("char_count").as_primitive::<UInt32Type>().value(row) as usize, text.chars().count());
    let time = times.is_valid(row).then(|| times.as_primitive::<TimestampMicrosecondType>());
    TokenRow {
        page_id: column("page_id").as_primitive::<UInt64Type>().value(row),
        title: column("title").as_string::<i32>().value(row).to_owned(),
        revision_id: revision_ids.is_valid(row).then(|| revision_ids.as_primitive::<UInt64Type>().value(row)),
        timestamp: time.map(|times| times.value_as_datetime(row).unwrap().and_utc().to_rfc3339()),
        text,
        tokens,
    }
}

fn row() -> impl Strategy<Value = TokenRow> {
    let seconds = proptest::option::of(0i64..4_000_000_000);
    let timestamp = seconds.prop_map(|seconds| {
        seconds.map(|seconds| chrono::DateTime::from_timestamp(seconds, 0).unwrap().to_rfc3339())
    });
    let tokens = prop::collection::vec(any::<u32>(), 0..40);
    (any::<u64>(), any::<String>(), any::<Option<u64>>(), timestamp, any::<String>(), tokens).prop_map(
        |(page_id, title, revision_id, timestamp, text, tokens)| TokenRow {
            page_id,
            title,
            revision_id,
            timestamp,
            text,
            tokens,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_come_back_as_they_were(rows in prop::collection::vec(row(), 0..40), row_group_bytes in 1usize..4000) {
        let options = TokenPartOptions { row_group_bytes, ..TokenPartOptions::default() };
        let bytes = encode(options, &rows);
        prop_assert_eq!(&decode(&bytes), &rows);
        prop_assert_eq!(&encode(options, &rows), &bytes);
    }

    #[test]
    fn vectors_come_back_bit_for_bit(
        vectors in prop::collection::vec(prop::array::uniform4(prop::num::f32::NORMAL), 1..40),
    ) {
        let mut writer = VectorPartWriter::new(VectorPartOptions { row_group_bytes: 100, ..VectorPartOptions::new(4) }).unwrap();
        for (page, vector) in vectors.iter().enumerate() {
            writer.push(&PassageKey::new(page as u64, "title", 0), vector).unwrap();
        }
        let batches = batches(&writer.finish().unwrap().content.read_all().unwrap());
        let numbers: Vec<u32> = batches.iter().flat_map(|batch| {
            let lists = batch.column_by_name("embedding").unwrap().as_fixed_size_list();
            assert_eq!(lists.value_length(), 4);
            let numbers: Vec<_> = lists.values().as_primitive::<Float32Type>().values().iter().map(|n| n.to_bits()).collect();
            numbers
        }).collect();
        let expected: Vec<u32> = vectors.concat().iter().map(|number| number.to_bits()).collect();
        prop_assert_eq!(numbers, expected);
    }
}

#[test]
fn texts_are_read_again_in_order() {
    let rows = common::rows(common::SHARDS[0]);
    let bytes = encode(TokenPartOptions::default(), &rows);
    let texts: Vec<_> = read_texts(bytes).unwrap().flat_map(Result::unwrap).collect();
    let found: Vec<_> = texts.iter().map(|text| (text.page_id, &*text.title, &*text.text)).collect();
    let expected: Vec<_> = rows.iter().map(|row| (row.page_id, &*row.title, &*row.text)).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_part_without_text_says_so() {
    let options = TokenPartOptions { keep_text: false, ..TokenPartOptions::default() };
    let bytes = encode(options, &common::rows(common::SHARDS[0]));
    assert!(batches(&bytes)[0].column_by_name("text").is_none());
    assert!(matches!(read_texts(bytes), Err(PublishError::NoColumn { column: "text" })));
}

/// Memory for writing and reading is that of a row group: a part of many must have many.
#[test]
fn row_groups_are_bounded_in_bytes() {
    let row = TokenRow { text: "x".repeat(1_000), ..TokenRow::default() };
    let options = TokenPartOptions { row_group_bytes: 10_000, ..TokenPartOptions::default() };
    assert_eq!(row_groups(&encode(options, &vec![row; 100])), 10);
    let mut writer =
        VectorPartWriter::new(VectorPartOptions { row_group_bytes: 10_000, ..VectorPartOptions::new(250) })
            .unwrap();
    for page in 0..100 {
        writer.push(&PassageKey::new(page, "", 0), &[0.5; 250]).unwrap();
    }
    assert_eq!(row_groups(&writer.finish().unwrap().content.read_all().unwrap()), 10);
}

#[test]
fn a_row_that_is_refused_leaves_no_trace() {
    let rows = common::rows(common::SHARDS[0]);
    let mut writer = TokenPartWriter::new(TokenPartOptions::default()).unwrap();
    writer.push(rows[0].clone()).unwrap();
    let bad = TokenRow { timestamp: Some("yesterday".to_owned()), ..rows[1].clone() };
    let error = writer.push(bad).unwrap_err();
    assert!(matches!(error, PublishError::BadTimestamp { page_id: 10, .. }));
    assert_eq!(error.kind(), ErrorKind::BadInput);
    assert_eq!((writer.tokens(), writer.characters()), (2, 11));
    assert_eq!(
        writer.finish().unwrap().content.read_all().unwrap(),
        encode(TokenPartOptions::default(), &rows[..1])
    );
}

#[test]
fn vectors_that_cannot_be_right_are_refused() {
    let mut writer = VectorPartWriter::new(VectorPartOptions::new(2)).unwrap();
    for vector in [&[1.0][..], &[1.0, 0.0, 0.0], &[f32::NAN, 0.0], &[f32::INFINITY, 0.0]] {
        assert!(matches!(
            writer.push(&PassageKey::new(7, "", 0), vector),
            Err(PublishError::BadVector { page_id: 7, .. })
        ));
    }
    writer.push(&PassageKey::new(7, "", 0), &[0.6, 0.8]).unwrap();
    assert_eq!(writer.finish().unwrap().rows, 1);
}

#[test]
fn what_is_no_parquet_is_bad_input() {
    let error = read_texts(Bytes::from_static(b"PAR1 but not really PAR1")).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::BadInput);
}
