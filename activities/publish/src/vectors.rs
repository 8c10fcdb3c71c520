//! A vector part holds one row for each passage: which article it is of, where in its text, and its embedding.
//!
//! Where there is one passage for each article, of its beginning, its place is not written: the columns are those of
//! the first version of the format. Vectors are of 32 bits, or of 16 where that was asked for.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{
    FixedSizeListBuilder, Float16Builder, Float32Builder, StringBuilder, UInt32Builder, UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use half::f16;
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
    /// Of how many bits the numbers are.
    pub element: VectorElement,
    /// Whether passages are written with their place in the text.
    pub places: bool,
    /// How many bytes of vectors a row group holds at most, up to one row more.
    pub row_group_bytes: usize,
}

/// The numbers of a vector, as they are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum VectorElement {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits: half the size, three digits.
    F16,
}

/// Which passage of which page a vector is of.
#[derive(Clone, Debug)]
pub struct PassageKey<'a> {
    /// The page.
    pub page_id: u64,
    /// Its title.
    pub title: &'a str,
    /// The passage, counted from 0 within the page.
    pub passage: u32,
    /// Its characters in the text; written where the part has places.
    pub characters: Range<u32>,
}

impl VectorPartOptions {
    /// Options for vectors of `dimension` numbers.
    pub fn new(dimension: usize) -> Self {
        Self { dimension, element: VectorElement::F32, places: false, row_group_bytes: ROW_GROUP_BYTES }
    }
}

impl<'a> PassageKey<'a> {
    /// A passage whose place is not written.
    pub fn new(page_id: u64, title: &'a str, passage: u32) -> Self {
        Self { page_id, title, passage, characters: 0..0 }
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
        let schema = schema(options);
        let part = PartWriter::new(schema.clone(), writer_properties(), IN_MEMORY_BYTES)?;
        Ok(Self { options, part, columns: Columns::new(schema, options) })
    }

    /// Appends the vector of a passage. Passages of a page follow one another from 0.
    pub fn push(&mut self, key: &PassageKey<'_>, embedding: &[f32]) -> Result<(), PublishError> {
        if let Some(reason) = self.refuse(embedding) {
            return Err(PublishError::BadVector { page_id: key.page_id, passage: key.passage, reason });
        }
        self.columns.append(key, embedding);
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
        let fits = |&number: &f32| match self.options.element {
            VectorElement::F32 => number.is_finite(),
            VectorElement::F16 => f16::from_f32(number).is_finite(),
        };
        (!embedding.iter().all(fits)).then(|| "is not finite".to_owned())
    }

    fn flush(&mut self) -> Result<(), PublishError> {
        if self.columns.bytes == 0 {
            return Ok(());
        }
        self.part.write_row_group(&self.columns.take()?)
    }
}

fn schema(options: VectorPartOptions) -> SchemaRef {
    let mut fields = vec![
        Field::new("page_id", DataType::UInt64, false),
        Field::new("title", DataType::Utf8, false),
        Field::new("passage", DataType::UInt32, false),
    ];
    if options.places {
        fields.extend([CHAR_START, CHAR_END].map(|name| Field::new(name, DataType::UInt32, false)));
    }
    let list = DataType::FixedSizeList(element(options.element), options.dimension as i32);
    fields.push(Field::new("embedding", list, false));
    Arc::new(Schema::new(fields))
}

/// The passage's first character, counted from 0 in the text.
pub(crate) const CHAR_START: &str = "char_start";
/// The character after its last.
pub(crate) const CHAR_END: &str = "char_end";

fn element(element: VectorElement) -> Arc<Field> {
    let number = match element {
        VectorElement::F32 => DataType::Float32,
        VectorElement::F16 => DataType::Float16,
    };
    Arc::new(Field::new("element", number, false))
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
    places: Option<[UInt32Builder; 2]>,
    embedding: Embeddings,
    bytes: usize,
}

/// The vectors of a row group.
enum Embeddings {
    F32(FixedSizeListBuilder<Float32Builder>),
    F16(FixedSizeListBuilder<Float16Builder>),
}

/// What a row costs beside its title and vector.
const ROW_BYTES: usize = 16;

impl Columns {
    fn new(schema: SchemaRef, options: VectorPartOptions) -> Self {
        Self {
            schema,
            page_id: UInt64Builder::new(),
            title: StringBuilder::new(),
            passage: UInt32Builder::new(),
            places: options.places.then(<[UInt32Builder; 2]>::default),
            embedding: Embeddings::new(options),
            bytes: 0,
        }
    }

    fn append(&mut self, key: &PassageKey<'_>, embedding: &[f32]) {
        self.page_id.append_value(key.page_id);
        self.title.append_value(key.title);
        self.passage.append_value(key.passage);
        if let Some([start, end]) = &mut self.places {
            start.append_value(key.characters.start);
            end.append_value(key.characters.end);
        }
        self.embedding.append(embedding);
        self.bytes += ROW_BYTES + key.title.len() + 4 * embedding.len();
    }

    fn take(&mut self) -> Result<RecordBatch, PublishError> {
        self.bytes = 0;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.page_id.finish()),
            Arc::new(self.title.finish()),
            Arc::new(self.passage.finish()),
        ];
        if let Some(places) = &mut self.places {
            columns.extend(places.iter_mut().map(|place| -> ArrayRef { Arc::new(place.finish()) }));
        }
        columns.push(self.embedding.finish());
        RecordBatch::try_new(self.schema.clone(), columns).map_err(encode)
    }
}

impl Embeddings {
    fn new(options: VectorPartOptions) -> Self {
        let (size, field) = (options.dimension as i32, element(options.element));
        match options.element {
            VectorElement::F32 => {
                Self::F32(FixedSizeListBuilder::new(Float32Builder::new(), size).with_field(field))
            }
            VectorElement::F16 => {
                Self::F16(FixedSizeListBuilder::new(Float16Builder::new(), size).with_field(field))
            }
        }
    }

    fn append(&mut self, embedding: &[f32]) {
        match self {
            Self::F32(lists) => {
                lists.values().append_slice(embedding);
                lists.append(true);
            }
            Self::F16(lists) => {
                for &number in embedding {
                    lists.values().append_value(f16::from_f32(number));
                }
                lists.append(true);
            }
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::F32(lists) => Arc::new(lists.finish()),
            Self::F16(lists) => Arc::new(lists.finish()),
        }
    }
}
