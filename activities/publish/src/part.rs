//! A part is one Parquet file, encoded in memory row group by row group.

use std::fmt::Write as _;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use sha2::{Digest, Sha256};

use crate::{FileEntry, PublishError};

/// How many bytes of values a row group holds at most, up to one row more; a row that has as many has a row
/// group of its own.
///
/// Whoever reads a part holds one row group, compressed, at a time; whoever writes one holds as much
/// uncompressed.
pub(crate) const ROW_GROUP_BYTES: usize = 16 << 20;

/// A finished part, not yet stored.
#[derive(Clone, Debug)]
pub struct EncodedPart {
    /// The file.
    pub bytes: Bytes,
    /// Its rows.
    pub rows: u64,
    /// Its sha256, in lower-case hexadecimal.
    pub sha256: String,
}

impl EncodedPart {
    /// What a manifest says of the part once it lies at `key`.
    pub fn entry(&self, key: String) -> FileEntry {
        FileEntry { key, rows: self.rows, bytes: self.bytes.len() as u64, sha256: self.sha256.clone() }
    }
}

/// The sha256 of `bytes`, in lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Bytes in lower-case hexadecimal, as manifests have digests.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
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
    file: SerializedFileWriter<Vec<u8>>,
    columns: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    rows: u64,
}

impl PartWriter {
    pub(crate) fn new(schema: SchemaRef, properties: WriterProperties) -> Result<Self, PublishError> {
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties));
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
        let mut writers = self.columns.create_column_writers(self.file.flushed_row_groups().len())?;
        let mut next = writers.iter_mut();
        for (field, values) in self.schema.fields().iter().zip(batch.columns()) {
            for (leaf, writer) in compute_leaves(field, values)?.iter().zip(&mut next) {
                writer.write(leaf)?;
            }
        }
        writers.into_iter().map(ArrowColumnWriter::close).collect()
    }

    /// Writes a row group of `rows` rows, whose columns are written by `write`, in the order of the schema.
    pub(crate) fn row_group(
        &mut self,
        rows: u64,
        write: impl FnOnce(&mut SerializedRowGroupWriter<'_, Vec<u8>>) -> Result<(), ParquetError>,
    ) -> Result<(), PublishError> {
        let mut group = self.file.next_row_group().map_err(encode)?;
        write(&mut group).map_err(encode)?;
        group.close().map_err(encode)?;
        self.rows += rows;
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<EncodedPart, PublishError> {
        let bytes = Bytes::from(self.file.into_inner().map_err(encode)?);
        let sha256 = sha256(&bytes);
        Ok(EncodedPart { bytes, rows: self.rows, sha256 })
    }
}

pub(crate) fn encode(source: impl Into<ParquetError>) -> PublishError {
    PublishError::Encode { source: source.into() }
}
