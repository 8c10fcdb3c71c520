//! A vector part holds one row for each passage: which article it is of, and its embedding.

use std::sync::Arc;

use arrow_array::builder::{
    FixedSizeListBuilder, Float32Builder, StringBuilder, UInt32Builder, UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::basic::Encoding;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::PublishError;
use crate::part::{EncodedPart, IN_MEMORY_BYTES, PartWriter, ROW_GROUP_BYTES, encode, properties};

/// How vector parts are written.
#[derive(Clone, Copy, Debug)]
pub struct VectorPartOptions {
    /// How many numbers a vector has.
    pub dimension: usize,
    /// How many bytes of vectors a row group holds at most, up to one row more.
    pub row_group_bytes: usize,
}

impl VectorPartOptions {
    /// Options for vectors of `dimension` numbers.
    pub fn new(dimension: usize) -> Self {
        Self { dimension, row_group_bytes: ROW_GROUP_BYTES }
    }
}

/// Writes a vector part. Memory: the file so far, compressed, and one row group.
pub struct VectorPartWriter {
    options: VectorPartOptions,
    part: PartWriter,
    columns: Columns,
}

impl VectorPartWriter {
    /// Starts a part.
    pub fn new(options: VectorPartOptions) -> Result<Self, PublishError> {
        let schema = schema(options.dimension);
        let part = PartWriter::new(schema.clone(), writer_properties(), IN_MEMORY_BYTES)?;
        Ok(Self { options, part, columns: Columns::new(schema, options.dimension) })
    }

    /// Appends the vector of passage `passage` of a page. Passages of a page follow one another from 0.
    pub fn push(
        &mut self,
        page_id: u64,
        title: &str,
        passage: u32,
        embedding: &[f32],
    ) -> Result<(), PublishError> {
        if let Some(reason) = self.refuse(embedding) {
            return Err(PublishError::BadVector { page_id, passage, reason });
        }
        self.columns.append(page_id, title, passage, embedding);
        if self.columns.bytes >= self.options.row_group_bytes {
            self.flush()?;
        }
        Ok(())
    }

    /// Ends the part.
    pub fn finish(mut self) -> Result<EncodedPart, PublishError> {
        self.flush()?;
        self.part.finish()
    }

    fn refuse(&self, embedding: &[f32]) -> Option<String> {
        if embedding.len() != self.options.dimension {
            return Some(format!("has {} numbers instead of {}", embedding.len(), self.options.dimension));
        }
        embedding.iter().any(|number| !number.is_finite()).then(|| "is not finite".to_owned())
    }

    fn flush(&mut self) -> Result<(), PublishError> {
        if self.columns.bytes == 0 {
            return Ok(());
        }
        self.part.write_row_group(&self.columns.take()?)
    }
}

fn schema(dimension: usize) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("page_id", DataType::UInt64, false),
        Field::new("title", DataType::Utf8, false),
        Field::new("passage", DataType::UInt32, false),
        Field::new("embedding", DataType::FixedSizeList(element(), dimension as i32), false),
    ]))
}

fn element() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Float32, false))
}

fn writer_properties() -> WriterProperties {
    let embedding = ColumnPath::from(["embedding", "list", "element"].map(str::to_owned).to_vec());
    properties(1)
        .set_column_encoding(embedding.clone(), Encoding::BYTE_STREAM_SPLIT)
        .set_column_statistics_enabled(embedding, EnabledStatistics::None)
        .build()
}

/// A row group in the making.
struct Columns {
    schema: SchemaRef,
    page_id: UInt64Builder,
    title: StringBuilder,
    passage: UInt32Builder,
    embedding: FixedSizeListBuilder<Float32Builder>,
    bytes: usize,
}

/// What a row costs beside its title and vector.
const ROW_BYTES: usize = 16;

impl Columns {
    fn new(schema: SchemaRef, dimension: usize) -> Self {
        let embedding = FixedSizeListBuilder::new(Float32Builder::new(), dimension as i32);
        Self {
            schema,
            page_id: UInt64Builder::new(),
            title: StringBuilder::new(),
            passage: UInt32Builder::new(),
            embedding: embedding.with_field(element()),
            bytes: 0,
        }
    }

    fn append(&mut self, page_id: u64, title: &str, passage: u32, embedding: &[f32]) {
        self.page_id.append_value(page_id);
        self.title.append_value(title);
        self.passage.append_value(passage);
        self.embedding.values().append_slice(embedding);
        self.embedding.append(true);
        self.bytes += ROW_BYTES + title.len() + 4 * embedding.len();
    }

    fn take(&mut self) -> Result<RecordBatch, PublishError> {
        self.bytes = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.page_id.finish()),
            Arc::new(self.title.finish()),
            Arc::new(self.passage.finish()),
            Arc::new(self.embedding.finish()),
        ];
        RecordBatch::try_new(self.schema.clone(), columns).map_err(encode)
    }
}
