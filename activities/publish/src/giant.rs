//! A giant is a row that alone fills a row group: an article of tens of megabytes.
//!
//! The general way of writing takes some twenty bytes for each token id of a row. A giant's columns are
//! written straight from the row, one after the other, and each is let go once it is written.

use std::io::Write;

use bytes::Bytes;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedRowGroupWriter;

use crate::TokenRow;

/// What the columns beside text and ids hold.
pub(crate) struct Small {
    pub(crate) timestamp: Option<i64>,
    pub(crate) characters: u32,
    pub(crate) keep_text: bool,
}

/// Writes `row` as all of a row group, whose columns are those of [`crate::tokens::schema`].
pub(crate) fn write<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    row: TokenRow,
    small: &Small,
) -> Result<(), ParquetError> {
    let mut group = Columns { group };
    let token_count = row.tokens.len() as i32;
    group.required::<Int64Type>(row.page_id as i64)?;
    group.required::<ByteArrayType>(ByteArray::from(row.title.into_bytes()))?;
    group.optional(row.revision_id.map(|id| id as i64))?;
    group.optional(small.timestamp)?;
    let text = row.text;
    if small.keep_text {
        group.required::<ByteArrayType>(ByteArray::from(text.into_bytes()))?;
    } else {
        drop(text);
    }
    group.list(row.tokens)?;
    group.required::<Int32Type>(token_count)?;
    group.required::<Int32Type>(small.characters as i32)
}

/// Writes a text as all of a row group, whose columns are those of a text part. Gives it back: there is no second one.
pub(crate) fn write_text<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    page_id: u64,
    title: &str,
    text: String,
) -> Result<String, ParquetError> {
    let text = Bytes::from(text);
    let mut group = Columns { group };
    group.required::<Int64Type>(page_id as i64)?;
    group.required::<ByteArrayType>(ByteArray::from(title))?;
    group.required::<ByteArrayType>(ByteArray::from(text.clone()))?;
    String::from_utf8(Vec::from(text)).map_err(|error| ParquetError::General(error.to_string()))
}

struct Columns<'g, 'w, W: Write> {
    group: &'g mut SerializedRowGroupWriter<'w, W>,
}

impl<W: Write + Send> Columns<'_, '_, W> {
    fn required<T: DataType>(&mut self, value: T::T) -> Result<(), ParquetError> {
        self.next::<T>(&[value], None, None)
    }

    fn optional(&mut self, value: Option<i64>) -> Result<(), ParquetError> {
        match value {
            Some(value) => self.next::<Int64Type>(&[value], Some(&[1]), None),
            None => self.next::<Int64Type>(&[], Some(&[0]), None),
        }
    }

    /// All ids are there, and all but the first go on with the list.
    fn list(&mut self, ids: Vec<u32>) -> Result<(), ParquetError> {
        let ids: Vec<i32> = ids.into_iter().map(|id| id as i32).collect();
        let present = vec![1; ids.len()];
        let mut goes_on = present.clone();
        goes_on[0] = 0;
        self.next::<Int32Type>(&ids, Some(&present), Some(&goes_on))
    }

    fn next<T: DataType>(
        &mut self,
        values: &[T::T],
        definitions: Option<&[i16]>,
        repetitions: Option<&[i16]>,
    ) -> Result<(), ParquetError> {
        let missing = || ParquetError::General("the schema has fewer columns than the row".to_owned());
        let mut column = self.group.next_column()?.ok_or_else(missing)?;
        column.typed::<T>().write_batch(values, definitions, repetitions)?;
        column.close()
    }
}
