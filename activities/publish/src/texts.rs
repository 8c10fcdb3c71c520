//! A text part holds what the vectors of a part are made of, when its tokens are kept without their text.

use std::sync::Arc;

use arrow_array::builder::{StringBuilder, UInt64Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::PublishError;
use crate::giant;
use crate::part::{EncodedPart, IN_MEMORY_BYTES, PartWriter, ROW_GROUP_BYTES, encode, properties};

/// Writes a text part, which [`crate::read_texts`] reads. Memory: the file so far, compressed, and one row group.
pub struct TextPartWriter {
    schema: SchemaRef,
    part: PartWriter,
    page_id: UInt64Builder,
    title: StringBuilder,
    text: StringBuilder,
    bytes: usize,
}

impl TextPartWriter {
    /// Starts a part.
    pub fn new() -> Result<Self, PublishError> {
        let schema = Arc::new(Schema::new(vec![
            Field::new("page_id", DataType::UInt64, false),
            Field::new("title", DataType::Utf8, false),
            Field::new("text", DataType::Utf8, false),
        ]));
        // It is read once and removed: the fastest compression will do. Beside it, the tokens are in the making.
        let part = PartWriter::new(schema.clone(), properties(1).build(), IN_MEMORY_BYTES / 4)?;
        Ok(Self {
            schema,
            part,
            page_id: UInt64Builder::new(),
            title: StringBuilder::new(),
            text: StringBuilder::new(),
            bytes: 0,
        })
    }

    /// Appends a text, and gives it back.
    pub fn push(&mut self, page_id: u64, title: &str, text: String) -> Result<String, PublishError> {
        if text.len() >= ROW_GROUP_BYTES {
            self.flush()?;
            let mut written = String::new();
            self.part.row_group(1, |group| {
                written = giant::write_text(group, page_id, title, text)?;
                Ok(())
            })?;
            return Ok(written);
        }
        self.page_id.append_value(page_id);
        self.title.append_value(title);
        self.text.append_value(&text);
        self.bytes += title.len() + text.len() + size_of::<u64>();
        if self.bytes >= ROW_GROUP_BYTES {
            self.flush()?;
        }
        Ok(text)
    }

    /// Ends the part.
    pub fn finish(mut self) -> Result<EncodedPart, PublishError> {
        self.flush()?;
        self.part.finish()
    }

    fn flush(&mut self) -> Result<(), PublishError> {
        if self.bytes == 0 {
            return Ok(());
        }
        self.bytes = 0;
        let columns: [ArrayRef; 3] =
            [Arc::new(self.page_id.finish()), Arc::new(self.title.finish()), Arc::new(self.text.finish())];
        let batch = RecordBatch::try_new(self.schema.clone(), columns.into()).map_err(encode)?;
        self.part.write_row_group(&batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_were_written() {
        let mut part = TextPartWriter::new().unwrap();
        let giant = "giant ".repeat(ROW_GROUP_BYTES / 6 + 1);
        let rows = [(7, "A", "text of a"), (8, "G", giant.as_str()), (9, "B", ""), (7, "A", "again")];
        for (page_id, title, text) in rows {
            assert!(part.push(page_id, title, text.to_owned()).unwrap() == text);
        }
        let part = part.finish().unwrap();
        assert_eq!(part.rows, 4);
        let batches = crate::read_texts(part.content.read_all().unwrap()).unwrap();
        let read: Vec<_> = batches.flat_map(Result::unwrap).collect();
        let read: Vec<_> =
            read.iter().map(|text| (text.page_id, text.title.as_str(), text.text.as_str())).collect();
        assert!(read == rows);
    }
}
