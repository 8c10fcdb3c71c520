//! Reading parts again: the texts for embedding, and whole rows for checks and search.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float16Type, Float32Type, UInt32Type, UInt64Type};
use arrow_array::{FixedSizeListArray, ListArray, PrimitiveArray, RecordBatch, StringArray};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use crate::PublishError;

/// Rows decoded at once: few enough that even the longest articles there are fit in memory.
const BATCH_ROWS: usize = 32;

/// The text of an article.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Text {
    /// The page.
    pub page_id: u64,
    /// Its title.
    pub title: String,
    /// Its text.
    pub text: String,
}

/// The texts of a token part, batch by batch, in the order they were written.
pub struct TextBatches {
    batches: Batches,
}

/// Opens the texts of a token part.
///
/// The part must have been written with its text.
pub fn read_texts(bytes: Bytes) -> Result<TextBatches, PublishError> {
    let batches = Batches::open(bytes, "texts", &["page_id", "title", "text"])?;
    Ok(TextBatches { batches })
}

impl Iterator for TextBatches {
    type Item = Result<Vec<Text>, PublishError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.next()?;
        Some(batch.and_then(|batch| texts(&batch)))
    }
}

fn texts(batch: &RecordBatch) -> Result<Vec<Text>, PublishError> {
    let page_ids = numbers::<UInt64Type>(batch, "page_id")?;
    let (titles, texts) = (strings(batch, "title")?, strings(batch, "text")?);
    let row = |row| Text {
        page_id: page_ids.value(row),
        title: titles.value(row).to_owned(),
        text: texts.value(row).to_owned(),
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

/// Record batches of some columns of a part.
pub(crate) struct Batches {
    what: &'static str,
    reader: ParquetRecordBatchReader,
}

impl Batches {
    /// Reads `columns`, all of which must be there.
    pub(crate) fn open(
        bytes: Bytes,
        what: &'static str,
        columns: &[&'static str],
    ) -> Result<Self, PublishError> {
        let decode = |source: ParquetError| PublishError::Decode { what, source };
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(decode)?;
        for &column in columns {
            builder.schema().index_of(column).map_err(|_| PublishError::NoColumn { column })?;
        }
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(decode)?;
        Ok(Self { what, reader })
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, PublishError>;

    fn next(&mut self) -> Option<Self::Item> {
        let decode = |source| PublishError::Decode { what: self.what, source };
        Some(self.reader.next()?.map_err(|error| decode(ParquetError::from(error))))
    }
}

pub(crate) fn numbers<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    column: &'static str,
) -> Result<&'a PrimitiveArray<T>, PublishError> {
    let array = batch.column_by_name(column).and_then(|array| array.as_primitive_opt());
    array.ok_or(PublishError::NoColumn { column })
}

pub(crate) fn strings<'a>(
    batch: &'a RecordBatch,
    column: &'static str,
) -> Result<&'a StringArray, PublishError> {
    let array = batch.column_by_name(column).and_then(|array| array.as_string_opt());
    array.ok_or(PublishError::NoColumn { column })
}

pub(crate) fn lists<'a>(batch: &'a RecordBatch, column: &'static str) -> Result<&'a ListArray, PublishError> {
    let array = batch.column_by_name(column).and_then(|array| array.as_list_opt());
    let array = array.filter(|lists: &&ListArray| lists.values().as_primitive_opt::<UInt32Type>().is_some());
    array.ok_or(PublishError::NoColumn { column })
}

/// The vectors of a batch, and the numbers in them one after another, widened where they are of 16 bits.
pub(crate) fn vectors<'a>(
    batch: &'a RecordBatch,
    column: &'static str,
) -> Result<(&'a FixedSizeListArray, Cow<'a, [f32]>), PublishError> {
    let lists = batch.column_by_name(column).and_then(|array| array.as_fixed_size_list_opt());
    let lists: &FixedSizeListArray = lists.ok_or(PublishError::NoColumn { column })?;
    if let Some(numbers) = lists.values().as_primitive_opt::<Float32Type>() {
        return Ok((lists, Cow::Borrowed(numbers.values())));
    }
    let numbers = lists.values().as_primitive_opt::<Float16Type>();
    let numbers = numbers.ok_or(PublishError::NoColumn { column })?;
    Ok((lists, numbers.values().iter().map(|number| number.to_f32()).collect()))
}
