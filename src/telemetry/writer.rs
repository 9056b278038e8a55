//! Output with secrets taken out.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use super::redact::redact;

/// Writers of the inner kind that are handed whole records without secrets.
pub(super) struct Redacted<W>(pub(super) W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Redacted<W> {
    type Writer = RedactedWriter<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        RedactedWriter(self.0.make_writer())
    }
}

pub(super) struct RedactedWriter<W>(W);

impl<W: Write> Write for RedactedWriter<W> {
    // The subscriber writes each record at once, so a secret is never cut in two.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record);
        self.0.write_all(redact(&text).as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
