//! A part is one Parquet file, encoded row group by row group, the columns of one side by side.

use std::io;
use std::panic;
use std::thread::{self, ScopedJoinHandle};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowLeafColumn, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use sha2::{Digest, Sha256};
use wikitok_store::Content;

use crate::spool::Spool;
use crate::{FileEntry, PublishError};

/// How many bytes of values a row group holds at most, up to one row more; a row that has as many has a row
/// group of its own.
///
/// Whoever reads a part holds one row group, compressed, at a time; whoever writes one holds as much
/// uncompressed.
pub(crate) const ROW_GROUP_BYTES: usize = 16 << 20;
/// A part that is larger waits in a file until it is stored.
pub(crate) const IN_MEMORY_BYTES: usize = 32 << 20;

/// A finished part, not yet stored.
#[derive(Clone, Debug)]
pub struct EncodedPart {
    /// The file.
    pub content: Content,
    /// Its rows.
    pub rows: u64,
    /// Its sha256, in lower-case hexadecimal.
    pub sha256: String,
}

impl EncodedPart {
    /// What a manifest says of the part once it lies at `key`.
    pub fn entry(&self, key: String) -> FileEntry {
        FileEntry { key, rows: self.rows, bytes: self.content.len(), sha256: self.sha256.clone() }
    }
}

/// The sha256 of `bytes`, in lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// What all our Parquet files have in common. The writer's name is fixed: the library's own carries its
/// version, and a part's bytes should change only when its content does.
pub(crate) fn properties(level: i32) -> WriterPropertiesBuilder {
    let level = ZstdLevel::try_new(level).expect("a level that zstd has");
    WriterProperties::builder()
        .set_created_by("wikitok".to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(None)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
}

/// A Parquet file in the making.
pub(crate) struct PartWriter {
    file: SerializedFileWriter<Spool>,
    columns: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    rows: u64,
}

impl PartWriter {
    /// Starts a part that is held in a file once it is larger than `in_memory` bytes.
    pub(crate) fn new(
        schema: SchemaRef,
        properties: WriterProperties,
        in_memory: usize,
    ) -> Result<Self, PublishError> {
        let writer = ArrowWriter::try_new(Spool::new(in_memory), schema.clone(), Some(properties));
        let (file, columns) = writer.and_then(ArrowWriter::into_serialized_writer).map_err(encode)?;
        Ok(Self { file, columns, schema, rows: 0 })
    }

    /// Writes a batch as a row group of its own.
    pub(crate) fn write_row_group(&mut self, batch: &RecordBatch) -> Result<(), PublishError> {
        let columns = self.encode_columns(batch).map_err(encode)?;
        self.row_group(batch.num_rows() as u64, |group| {
            columns.into_iter().try_for_each(|column| column.append_to_row_group(group))
        })
    }

    fn encode_columns(&self, batch: &RecordBatch) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
        let mut writers =
            self.columns.create_column_writers(self.file.flushed_row_groups().len())?.into_iter();
        thread::scope(|scope| {
            let mut encoding = Vec::new();
            for (field, values) in self.schema.fields().iter().zip(batch.columns()) {
                for (leaf, writer) in compute_leaves(field, values)?.into_iter().zip(&mut writers) {
                    encoding.push(scope.spawn(move || encode_column(writer, &leaf)));
                }
            }
            let wait = |column: ScopedJoinHandle<'_, Result<ArrowColumnChunk, ParquetError>>| {
                column.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
            };
            encoding.into_iter().map(wait).collect()
        })
    }

    /// Writes a row group of `rows` rows, whose columns are written by `write`, in the order of the schema.
    pub(crate) fn row_group(
        &mut self,
        rows: u64,
        write: impl FnOnce(&mut SerializedRowGroupWriter<'_, Spool>) -> Result<(), ParquetError>,
    ) -> Result<(), PublishError> {
        let mut group = self.file.next_row_group().map_err(encode)?;
        write(&mut group).map_err(encode)?;
        group.close().map_err(encode)?;
        self.rows += rows;
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<EncodedPart, PublishError> {
        let spool = self.file.into_inner().map_err(encode)?;
        let (content, sha256) = spool.finish().map_err(|source| PublishError::Held { source })?;
        Ok(EncodedPart { content, rows: self.rows, sha256 })
    }
}

fn encode_column(
    mut writer: ArrowColumnWriter,
    leaf: &ArrowLeafColumn,
) -> Result<ArrowColumnChunk, ParquetError> {
    writer.write(leaf)?;
    writer.close()
}

/// The error for a part that cannot be encoded, or not be held.
pub(crate) fn encode(source: impl Into<ParquetError>) -> PublishError {
    match source.into() {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(source) => PublishError::Held { source: *source },
            Err(other) => PublishError::Encode { source: ParquetError::External(other) },
        },
        source => PublishError::Encode { source },
    }
}
