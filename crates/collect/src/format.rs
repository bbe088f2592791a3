//! What kind of file it is: told by its content where the content says it for certain, else by its name, else by how it
//! looks.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    reader::{
        OpenError,
        source::{self, HEAD_BYTES},
    },
    sniff,
};

/// A file's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Delimited text: commas, semicolons, tabs, any one character, or white space (RFC 4180 and its kin).
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// An array of objects, an object that holds such an array, or objects one after the other.
    Json,
    /// Apache Parquet.
    Parquet,
    /// An Excel workbook (Office Open XML).
    Xlsx,
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// It is not.
    None,
    /// gzip (RFC 1952), one member or several.
    Gzip,
    /// Zstandard (RFC 8878), one frame or several.
    Zstd,
}

/// What was found out about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detected {
    /// Its format.
    pub format: Format,
    /// How it is compressed.
    pub compression: Compression,
}

impl Compression {
    /// By the first four bytes.
    pub(crate) fn of(head: &[u8]) -> Compression {
        match head {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }
}

/// Finds out what the file at `path` is. Fails where it cannot be read, and on the old `.xls`.
pub fn detect(path: &Path) -> Result<Detected, OpenError> {
    let compression = source::compression(path)?;
    let head = source::head(path, compression, None, HEAD_BYTES)?;
    let format = match head.as_slice() {
        [b'P', b'A', b'R', b'1', ..] => Format::Parquet,
        [b'P', b'K', 3, 4, ..] => Format::Xlsx,
        [0xd0, 0xcf, 0x11, 0xe0, ..] => return Err(OpenError::OldExcel { path: path.to_owned() }),
        text => of_text(&name(path), text),
    };
    Ok(Detected { format, compression })
}

/// The extension in lower case, looked for under one of compression.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = [".gz", ".zst", ".zstd"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    name.rsplit_once('.').map_or("", |(_, extension)| extension).to_owned()
}

fn of_text(extension: &str, head: &[u8]) -> Format {
    match extension {
        "csv" | "tsv" | "tab" => Format::Csv,
        "ndjson" | "jsonl" => Format::Ndjson,
        _ => sniff::json_format(head).unwrap_or(Format::Csv),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn content_outranks_the_name_and_the_name_outranks_the_looks() {
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, content: &[u8], format: Format, compression: Compression| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            assert_eq!(detect(&path).unwrap(), Detected { format, compression }, "{name}");
        };
        let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        gzip.write_all(b"{\"a\":1}\n{\"a\":2}\n").unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(&b"a,b\n1,2\n"[..], 1).unwrap();
        check("a.csv", b"{\"a\":1}\n", Format::Csv, Compression::None);
        check("a.TSV", b"a\tb\n", Format::Csv, Compression::None);
        check("a.jsonl", b"", Format::Ndjson, Compression::None);
        check("a.json", b"{\"a\":1}\n{\"a\":2}\n", Format::Ndjson, Compression::None);
        check("b.json", b" [{\"a\":1},\n{\"a\":2}]", Format::Json, Compression::None);
        check("c.json", b"{\n\"a\":1}\n", Format::Json, Compression::None);
        check("data", b"\xef\xbb\xbf{\"a\":1}", Format::Ndjson, Compression::None);
        check("data.txt", b"a b c", Format::Csv, Compression::None);
        check("a.json.gz", &gzip, Format::Ndjson, Compression::Gzip);
        check("misnamed.csv", &gzip, Format::Csv, Compression::Gzip);
        check("a.csv.zst", &zstd, Format::Csv, Compression::Zstd);
        check("a.csv", b"PAR1....", Format::Parquet, Compression::None);
        check("a.bin", b"PK\x03\x04....", Format::Xlsx, Compression::None);
    }

    #[test]
    fn the_old_excel_format_names_its_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.xls");
        std::fs::write(&path, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1").unwrap();
        assert!(detect(&path).unwrap_err().to_string().contains(".xlsx"));
    }
}
