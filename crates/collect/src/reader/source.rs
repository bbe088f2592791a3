//! The bytes of a file: counted for the progress bar, decompressed, and decoded to UTF-8.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8};

use super::{OpenError, Progress};
use crate::format::Compression;

/// Bytes looked at to tell format, delimiter and encoding.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;

/// A file being read.
pub(crate) struct Source {
    reader: Box<dyn Read + Send>,
    read_bytes: Arc<AtomicU64>,
    total_bytes: u64,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl Source {
    pub(crate) fn progress(&self) -> Progress {
        Progress { read_bytes: self.read_bytes.load(Ordering::Relaxed), total_bytes: self.total_bytes }
    }
}

struct Counted {
    file: File,
    read_bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read_bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    |source| OpenError::Io { path, source }
}

/// How the file is compressed, by its first bytes.
pub(crate) fn compression(path: &Path) -> Result<Compression, OpenError> {
    let mut head = vec![];
    File::open(path).and_then(|file| file.take(4).read_to_end(&mut head)).map_err(failed(path))?;
    Ok(Compression::of(&head))
}

/// The file's bytes, decompressed.
pub(crate) fn bytes(path: &Path, compression: Compression) -> Result<Source, OpenError> {
    let file = File::open(path).map_err(failed(path))?;
    let total_bytes = file.metadata().map_err(failed(path))?.len();
    let read_bytes = Arc::new(AtomicU64::new(0));
    let counted = Counted { file, read_bytes: read_bytes.clone() };
    let reader: Box<dyn Read + Send> = match compression {
        Compression::None => Box::new(counted),
        Compression::Gzip => {
            Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, counted)))
        }
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(counted).map_err(failed(path))?),
    };
    Ok(Source { reader, read_bytes, total_bytes })
}

/// The file's text in UTF-8, without a byte-order mark. UTF-16 is told by its mark; what else is not UTF-8 is left as it
/// is unless `encoding` (a label of the WHATWG Encoding Standard) names it.
pub(crate) fn text(path: &Path, compression: Compression, encoding: Option<&str>) -> Result<Source, OpenError> {
    let named = match encoding {
        None => UTF_8,
        Some(label) => Encoding::for_label(label.trim().as_bytes())
            .ok_or_else(|| OpenError::UnknownEncoding { label: label.to_owned() })?,
    };
    let Source { mut reader, read_bytes, total_bytes } = bytes(path, compression)?;
    let mut head = Vec::with_capacity(3);
    (&mut reader).take(3).read_to_end(&mut head).map_err(failed(path))?;
    let (encoding, mark_bytes) = Encoding::for_bom(&head).unwrap_or((named, 0));
    let rest = io::Cursor::new(head.split_off(mark_bytes)).chain(reader);
    let reader: Box<dyn Read + Send> = if encoding == UTF_8 {
        Box::new(rest)
    } else {
        Box::new(Decoded {
            inner: rest,
            decoder: encoding.new_decoder_without_bom_handling(),
            raw: vec![],
            text: vec![],
            at: 0,
            ended: false,
        })
    };
    Ok(Source { reader, read_bytes, total_bytes })
}

/// The first bytes of the text, at most `bytes_max`.
pub(crate) fn head(
    path: &Path,
    compression: Compression,
    encoding: Option<&str>,
    bytes_max: usize,
) -> Result<Vec<u8>, OpenError> {
    let mut head = vec![];
    text(path, compression, encoding)?.take(bytes_max as u64).read_to_end(&mut head).map_err(failed(path))?;
    Ok(head)
}

/// Text of another encoding, made UTF-8. What is no text in that encoding becomes U+FFFD.
struct Decoded<R> {
    inner: R,
    decoder: Decoder,
    raw: Vec<u8>,
    text: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() {
            if self.ended {
                return Ok(0);
            }
            self.raw.resize(64 * 1024, 0);
            let read = self.inner.read(&mut self.raw)?;
            self.ended = read == 0;
            let room = self.decoder.max_utf8_buffer_length(read).unwrap_or(read * 3 + 16);
            self.text.resize(room, 0);
            self.at = 0;
            let (result, _, written, _) = self.decoder.decode_to_utf8(&self.raw[..read], &mut self.text, self.ended);
            debug_assert_eq!(result, CoderResult::InputEmpty);
            self.text.truncate(written);
        }
        let n = buffer.len().min(self.text.len() - self.at);
        buffer[..n].copy_from_slice(&self.text[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// A window on the text that moves forward; it grows as far as its user needs to look ahead.
pub(crate) struct Buffer {
    source: Source,
    data: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
}

impl Buffer {
    pub(crate) fn new(source: Source) -> Buffer {
        Buffer { source, data: vec![0; 256 * 1024], start: 0, end: 0, ended: false }
    }

    /// What is in the window.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// Moves the window on by `n` bytes.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
    }

    /// Reads more behind what is there; `false` at the end of the file.
    pub(crate) fn fill(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.data.len() {
            self.data.resize(self.data.len() * 2, 0);
        }
        let read = self.source.read(&mut self.data[self.end..])?;
        self.end += read;
        self.ended = read == 0;
        Ok(!self.ended)
    }

    /// Reads until `n` bytes are there, or the file ends.
    pub(crate) fn fill_to(&mut self, n: usize) -> io::Result<()> {
        while self.bytes().len() < n && self.fill()? {}
        Ok(())
    }

    /// The next byte, `None` at the end.
    pub(crate) fn peek(&mut self) -> io::Result<Option<u8>> {
        self.fill_to(1)?;
        Ok(self.bytes().first().copied())
    }

    pub(crate) fn progress(&self) -> Progress {
        self.source.progress()
    }
}
