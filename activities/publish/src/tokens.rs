//! A token part holds one row for each article: who it is, its text, and its token ids.

use std::sync::Arc;

use arrow_array::builder::{
    ListBuilder, StringBuilder, TimestampMicrosecondBuilder, UInt32Builder, UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::DateTime;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::PublishError;
use crate::giant::{self, Small};
use crate::part::{EncodedPart, IN_MEMORY_BYTES, PartWriter, ROW_GROUP_BYTES, encode, properties};

/// No row has more ids: 64 MiB of them, which is a text of some 70 MB. While it is written it takes four times as
/// much memory.
pub const MOST_TOKENS: usize = 1 << 24;

/// A row of a token part.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TokenRow {
    /// The page.
    pub page_id: u64,
    /// Its title.
    pub title: String,
    /// The revision of the text.
    pub revision_id: Option<u64>,
    /// When the revision was made, in RFC 3339.
    pub timestamp: Option<String>,
    /// The text.
    pub text: String,
    /// Its token ids.
    pub tokens: Vec<u32>,
}

/// How token parts are written.
#[derive(Clone, Copy, Debug)]
pub struct TokenPartOptions {
    /// Whether the text is written beside its ids. Vectors need it.
    pub keep_text: bool,
    /// How many bytes of text and ids a row group holds at most, up to one row more.
    pub row_group_bytes: usize,
}

impl Default for TokenPartOptions {
    fn default() -> Self {
        Self { keep_text: true, row_group_bytes: ROW_GROUP_BYTES }
    }
}

/// Writes a token part. Memory: the file so far, compressed, and one row group.
pub struct TokenPartWriter {
    options: TokenPartOptions,
    part: PartWriter,
    columns: Columns,
    tokens: u64,
    characters: u64,
}

impl TokenPartWriter {
    /// Starts a part.
    pub fn new(options: TokenPartOptions) -> Result<Self, PublishError> {
        let schema = schema(options.keep_text);
        let part = PartWriter::new(schema.clone(), writer_properties(), IN_MEMORY_BYTES)?;
        let columns = Columns::new(schema, options.keep_text);
        Ok(Self { options, part, columns, tokens: 0, characters: 0 })
    }

    /// Appends a row. A row that is refused leaves the part as it was.
    pub fn push(&mut self, row: TokenRow) -> Result<(), PublishError> {
        let timestamp = self.check(&row)?;
        let characters = row.text.chars().count() as u32;
        self.characters += u64::from(characters);
        self.tokens += row.tokens.len() as u64;
        if !row.tokens.is_empty() && bytes_of(&row) >= self.options.row_group_bytes {
            self.flush()?;
            let small = Small { timestamp, characters, keep_text: self.options.keep_text };
            return self.part.row_group(1, |group| giant::write(group, row, &small));
        }
        self.columns.append(&row, timestamp, characters);
        if self.columns.bytes >= self.options.row_group_bytes {
            self.flush()?;
        }
        Ok(())
    }

    /// Shows that a row would not be refused. Gives its timestamp in microseconds.
    pub fn check(&self, row: &TokenRow) -> Result<Option<i64>, PublishError> {
        if row.tokens.len() > MOST_TOKENS {
            return Err(PublishError::TooManyTokens { page_id: row.page_id });
        }
        row.timestamp.as_deref().map(|text| micros(row.page_id, text)).transpose()
    }

    /// Token ids written so far.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Unicode scalar values of text seen so far.
    pub fn characters(&self) -> u64 {
        self.characters
    }

    /// Ends the part.
    pub fn finish(mut self) -> Result<EncodedPart, PublishError> {
        self.flush()?;
        self.part.finish()
    }

    fn flush(&mut self) -> Result<(), PublishError> {
        if self.columns.bytes == 0 {
            return Ok(());
        }
        self.part.write_row_group(&self.columns.take()?)
    }
}

/// The columns of a token part, in order.
pub(crate) fn schema(keep_text: bool) -> SchemaRef {
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new("page_id", DataType::UInt64, false),
        Field::new("title", DataType::Utf8, false),
        Field::new("revision_id", DataType::UInt64, true),
        Field::new("timestamp", timestamp, true),
        Field::new("tokens", DataType::List(element()), false),
        Field::new("token_count", DataType::UInt32, false),
        Field::new("char_count", DataType::UInt32, false),
    ];
    if keep_text {
        fields.insert(4, Field::new("text", DataType::Utf8, false));
    }
    Arc::new(Schema::new(fields))
}

/// `element` is the name that the Parquet specification gives it, and that other readers expect.
fn element() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::UInt32, false))
}

fn writer_properties() -> WriterProperties {
    let mut builder = properties(3);
    for column in [&["text"][..], &["tokens", "list", "element"]] {
        // The least and greatest text or id of a row group help no query and cost space.
        let column = ColumnPath::from(column.iter().map(ToString::to_string).collect::<Vec<_>>());
        builder = builder.set_column_statistics_enabled(column, EnabledStatistics::None);
    }
    builder.build()
}

/// A row group in the making.
struct Columns {
    schema: SchemaRef,
    page_id: UInt64Builder,
    title: StringBuilder,
    revision_id: UInt64Builder,
    timestamp: TimestampMicrosecondBuilder,
    text: Option<StringBuilder>,
    tokens: ListBuilder<UInt32Builder>,
    token_count: UInt32Builder,
    char_count: UInt32Builder,
    bytes: usize,
}

/// What a row costs beside its text, title and ids.
const ROW_BYTES: usize = 32;

impl Columns {
    fn new(schema: SchemaRef, keep_text: bool) -> Self {
        Self {
            schema,
            page_id: UInt64Builder::new(),
            title: StringBuilder::new(),
            revision_id: UInt64Builder::new(),
            timestamp: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            text: keep_text.then(StringBuilder::new),
            tokens: ListBuilder::new(UInt32Builder::new()).with_field(element()),
            token_count: UInt32Builder::new(),
            char_count: UInt32Builder::new(),
            bytes: 0,
        }
    }

    fn append(&mut self, row: &TokenRow, timestamp: Option<i64>, characters: u32) {
        self.page_id.append_value(row.page_id);
        self.title.append_value(&row.title);
        self.revision_id.append_option(row.revision_id);
        self.timestamp.append_option(timestamp);
        if let Some(text) = &mut self.text {
            text.append_value(&row.text);
        }
        self.tokens.values().append_slice(&row.tokens);
        self.tokens.append(true);
        self.token_count.append_value(row.tokens.len() as u32);
        self.char_count.append_value(characters);
        self.bytes += bytes_of(row);
    }

    fn take(&mut self) -> Result<RecordBatch, PublishError> {
        self.bytes = 0;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.page_id.finish()),
            Arc::new(self.title.finish()),
            Arc::new(self.revision_id.finish()),
            Arc::new(self.timestamp.finish()),
            Arc::new(self.tokens.finish()),
            Arc::new(self.token_count.finish()),
            Arc::new(self.char_count.finish()),
        ];
        if let Some(text) = &mut self.text {
            columns.insert(4, Arc::new(text.finish()));
        }
        RecordBatch::try_new(self.schema.clone(), columns).map_err(encode)
    }
}

fn bytes_of(row: &TokenRow) -> usize {
    ROW_BYTES + row.title.len() + row.text.len() + 4 * row.tokens.len()
}

fn micros(page_id: u64, timestamp: &str) -> Result<i64, PublishError> {
    let parsed = DateTime::parse_from_rfc3339(timestamp);
    parsed
        .map(|time| time.timestamp_micros())
        .map_err(|_| PublishError::BadTimestamp { page_id, timestamp: timestamp.to_owned() })
}
