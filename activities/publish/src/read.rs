//! Reading parts again: the texts for embedding, and whole rows for checks and search.

use std::borrow::Cow;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float16Type, Float32Type, UInt32Type, UInt64Type};
use arrow_array::{FixedSizeListArray, ListArray, PrimitiveArray, RecordBatch, StringArray};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use crate::PublishError;

/// Rows decoded at once, at most.
const BATCH_ROWS: usize = 32;
/// Bytes decoded at once, by the average row of a row group; one row that has more is decoded alone.
const BATCH_BYTES: usize = 16 << 20;

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

/// Record batches of some columns of a part, none of which spans two row groups: rows of one are of like size.
pub(crate) struct Batches {
    what: &'static str,
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    /// The row groups that are not begun.
    row_groups: Range<usize>,
    reader: Option<ParquetRecordBatchReader>,
}

impl Batches {
    /// Reads `columns`, all of which must be there.
    pub(crate) fn open(
        bytes: Bytes,
        what: &'static str,
        columns: &[&'static str],
    ) -> Result<Self, PublishError> {
        let decode = |source: ParquetError| PublishError::Decode { what, source };
        let metadata = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new()).map_err(decode)?;
        for &column in columns {
            metadata.schema().index_of(column).map_err(|_| PublishError::NoColumn { column })?;
        }
        let mask = ProjectionMask::columns(metadata.parquet_schema(), columns.iter().copied());
        let row_groups = 0..metadata.metadata().num_row_groups();
        Ok(Self { what, bytes, metadata, mask, row_groups, reader: None })
    }

    /// Opens the next row group, if there is one.
    fn open_next(&mut self) -> Option<Result<(), ParquetError>> {
        let index = self.row_groups.next()?;
        let row_group = self.metadata.metadata().row_group(index);
        let of_row = row_group.total_byte_size().max(0) as usize / row_group.num_rows().max(1) as usize;
        let rows = (BATCH_BYTES / of_row.max(1)).clamp(1, BATCH_ROWS);
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.metadata.clone());
        let builder = builder.with_projection(self.mask.clone()).with_row_groups(vec![index]);
        let opened = builder.with_batch_size(rows).build();
        Some(opened.map(|reader| self.reader = Some(reader)))
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, PublishError>;

    fn next(&mut self) -> Option<Self::Item> {
        let what = self.what;
        let decode = |source| PublishError::Decode { what, source };
        loop {
            if let Some(batch) = self.reader.as_mut().and_then(Iterator::next) {
                return Some(batch.map_err(|error| decode(ParquetError::from(error))));
            }
            if let Err(error) = self.open_next()? {
                return Some(Err(decode(error)));
            }
        }
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
