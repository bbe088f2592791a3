//! Every format, read back row by row: what is good, what is bad, and that the one does not cost the other.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use expect_test::{Expect, expect};
use onefold_collect::{Cell, Data, OpenError, ReadOptions, RowError, open, reader::Delimiter};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// The rows as lines: `number@line a=text b=#number`, or `number@line BAD reason | raw`.
fn dump(path: &Path, options: &ReadOptions) -> String {
    let mut out = String::new();
    let mut rows = match open(path, options) {
        Ok(rows) => rows,
        Err(error) => return error.to_string().replace(path.to_str().unwrap(), "FILE"),
    };
    let columns = rows.columns().map(<[String]>::to_vec);
    while let Some(row) = rows.next() {
        match row {
            Ok(row) => {
                out += &format!("{}@{}", row.number, row.line);
                let mut show = |name: &str, cell: Cell<'_>| {
                    out += &match cell {
                        Cell::Empty => format!(" {name}"),
                        Cell::Text(text) => format!(" {name}={}", text.replace('\r', "\\r").replace('\n', "\\n")),
                        Cell::Number(text) => format!(" {name}=#{text}"),
                        Cell::Bool(value) => format!(" {name}={value}!"),
                        Cell::Time(text) => format!(" {name}=@{text}"),
                        Cell::Json(text) => format!(" {name}=${text}"),
                    }
                };
                match &row.data {
                    Data::Cells(cells) => {
                        let columns = columns.as_ref().unwrap();
                        assert_eq!(cells.len(), columns.len());
                        columns.iter().enumerate().for_each(|(i, name)| show(name, cells.get(i)));
                    }
                    Data::Json(members) => members.0.iter().for_each(|(name, raw)| show(name, Cell::of_json(raw))),
                }
            }
            Err(RowError::Bad(bad)) => {
                let raw: String = String::from_utf8_lossy(&bad.raw).chars().take(40).collect();
                out += &format!("{}@{} BAD {} | {raw:?}", bad.number, bad.line, bad.reason);
            }
            Err(stopped) => out += &stopped.to_string(),
        }
        out.push('\n');
    }
    assert!(rows.next().is_none(), "nothing follows the end");
    let progress = rows.progress();
    assert!(progress.read_bytes == progress.total_bytes || out.contains("reading stopped"), "{progress:?}");
    out
}

fn check(name: &str, content: &[u8], options: &ReadOptions, expect: Expect) {
    let folder = Folder::new();
    let path = folder.write(name, content);
    expect.assert_eq(&dump(&path, options));
}

fn check_csv(content: &[u8], expect: Expect) {
    check("a.csv", content, &ReadOptions::default(), expect);
}

#[test]
fn csv_with_quotes_and_line_ends_of_all_kinds() {
    check_csv(
        b"\xef\xbb\xbfid,name,note\r\n1,\"A, \"\"B\"\"\",\"two\r\nlines\"\r\n\r\n2,C,\r\n   \r\n3,D,x",
        expect![[r#"
            1@2 id=1 name=A, "B" note=two\r\nlines
            2@5 id=2 name=C note=
            3@7 id=3 name=D note=x
        "#]],
    );
    check_csv(
        b"a;b\n1,5;x\n",
        expect![[r#"
            1@2 a=1,5 b=x
        "#]],
    );
    check_csv(
        b"a\tb\r1\t2\r3\t4\r",
        expect![[r#"
            1@2 a=1 b=2
            2@3 a=3 b=4
        "#]],
    );
    check_csv(
        b" a ,,a\n1,2,3\n",
        expect![[r#"
            1@2 a=1 column_2=2 a_2=3
        "#]],
    );
    check_csv(b"", expect!["FILE is empty"]);
    check_csv(b"a,b\n", expect![""]);
}

#[test]
fn csv_bad_rows_cost_only_themselves() {
    check_csv(
        b"a,b\n1,2\n3\n4,5,6\n7,8\n",
        expect![[r#"
            1@2 a=1 b=2
            2@3 BAD has 1 of 2 columns; ragged = true takes the others for empty | "3\n"
            3@4 BAD has 3 columns where the header has 2; is a delimiter not quoted? | "4,5,6\n"
            4@5 a=7 b=8
        "#]],
    );
    check_csv(
        b"a,b\n1,Zo\xeb\n2,x\n",
        expect![[r#"
            1@2 BAD column b is not UTF-8 (byte 0xEB); if it comes from Windows or Excel, set encoding = "windows-1252" | "1,Zo�\n"
            2@3 a=2 b=x
        "#]],
    );
    // Halves of a character in two fields are none.
    check_csv(
        b"a,b\n\xc3,\xa9\n2,x\n",
        expect![[r#"
            1@2 BAD column a is not UTF-8 (byte 0xC3); if it comes from Windows or Excel, set encoding = "windows-1252" | "�,�\n"
            2@3 a=2 b=x
        "#]],
    );
    check_csv(
        b"a,b\n1,\"open\n2,x\n3,y\n",
        expect![[r#"
            1@2 BAD a quote that opens on this line is not closed; double every quote inside of a quoted field | "1,\"open"
            2@3 a=2 b=x
            3@4 a=3 b=y
        "#]],
    );
}

#[test]
fn csv_ragged_rows_are_taken_where_allowed() {
    let options = ReadOptions { ragged: true, ..ReadOptions::default() };
    check(
        "a.csv",
        b"a,b,c\n1\n1,2,3,,\n1,2,3,4\n",
        &options,
        expect![[r#"
            1@2 a=1 b= c=
            2@3 a=1 b=2 c=3
            3@4 BAD has 4 columns where the header has 3; is a delimiter not quoted? | "1,2,3,4\n"
        "#]],
    );
}

#[test]
fn csv_without_a_header() {
    check_csv(
        b"1,2.5\n3,4\n",
        expect![[r#"
            1@1 column_1=1 column_2=2.5
            2@2 column_1=3 column_2=4
        "#]],
    );
    let options = ReadOptions { columns: vec!["x".into(), "y".into()], ..ReadOptions::default() };
    check(
        "a.csv",
        b"a,b\n",
        &options,
        expect![[r#"
        1@1 x=a y=b
    "#]],
    );
}

#[test]
fn whitespace_separated() {
    let content = b" 00004 0001 19970101  2   29.33\r\n 00004\t0001 19970118 2 29.73\n\n 1 2\n";
    check(
        "a.txt",
        content,
        &ReadOptions::default(),
        expect![[r#"
            1@1 column_1=00004 column_2=0001 column_3=19970101 column_4=2 column_5=29.33
            2@2 column_1=00004 column_2=0001 column_3=19970118 column_4=2 column_5=29.73
            3@4 BAD has 2 columns, and 5 have names | " 1 2"
        "#]],
    );
    let columns = ["a", "b"].map(str::to_owned).to_vec();
    let options = ReadOptions { delimiter: Some(Delimiter::Whitespace), columns, ..ReadOptions::default() };
    check(
        "a.txt",
        b"x  y\n\xff z\n",
        &options,
        expect![[r#"
        1@1 a=x b=y
        2@2 BAD is not UTF-8 (byte 0xFF); if it comes from Windows or Excel, set encoding = "windows-1252" | "� z"
    "#]],
    );
}

#[test]
fn other_encodings() {
    let options = ReadOptions { encoding: Some("windows-1252".into()), ..ReadOptions::default() };
    check(
        "a.csv",
        b"a,b\n1,Zo\xeb \x80\n",
        &options,
        expect![[r#"
            1@2 a=1 b=Zoë €
        "#]],
    );
    let utf16: Vec<u8> = "\u{feff}a\tb\r\nZoë\t2\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    check(
        "a.csv",
        &utf16,
        &ReadOptions::default(),
        expect![[r#"
            1@2 a=Zoë b=2
        "#]],
    );
    let options = ReadOptions { encoding: Some("klingon".into()), ..ReadOptions::default() };
    check(
        "a.csv",
        b"a\n",
        &options,
        expect![[
            r#"encoding "klingon" is not known; use utf-8, windows-1252 or another label of the Encoding Standard"#
        ]],
    );
}

#[test]
fn ndjson() {
    check(
        "a.ndjson",
        b"\xef\xbb\xbf{\"a\":\"x\\ny\",\"n\":1.50,\"t\":true,\"o\":{\"p\":[1]},\"z\":null}\r\n\n{\"a\":}\n[1]\n{\"a\":\"\xff\"}\n{\"a\":2} x\n{\"a\":3}",
        &ReadOptions::default(),
        expect![[r#"
            1@1 a=x\ny n=#1.50 t=true! o=${"p":[1]} z
            2@3 BAD is not JSON: expected value (character 6) | "{\"a\":}"
            3@4 BAD is not a JSON object | "[1]"
            4@5 BAD is not UTF-8 (byte 0xFF); if it comes from Windows or Excel, set encoding = "windows-1252" | "{\"a\":\"�\"}"
            5@6 BAD is not JSON: trailing characters (character 9) | "{\"a\":2} x"
            6@7 a=#3
        "#]],
    );
}

#[test]
fn lines_over_the_bound_are_bad_and_the_next_is_read() {
    let long = "x".repeat(3 << 20);
    let check_last = |name: &str, content: String, reason: &str| {
        let folder = Folder::new();
        let path = folder.write(name, content.as_bytes());
        let mut rows = open(&path, &ReadOptions::default()).unwrap();
        let Some(Err(RowError::Bad(bad))) = rows.next() else { panic!("{name}: the long row is not bad") };
        assert!(bad.reason.contains(reason), "{}", bad.reason);
        assert_eq!((bad.number, bad.raw.len()), (1, 64 * 1024));
        let next = rows.next().unwrap().unwrap();
        assert_eq!(next.number, 2, "{name}");
        assert!(rows.next().is_none());
    };
    check_last("a.ndjson", format!("{{\"a\":\"{long}\"}}\n{{\"a\":1}}\n"), "1048576 bytes");
    check_last("a.csv", format!("a,b\n1,{long}\n2,3\n"), "1048576 bytes");
    check_last("a.csv", format!("a,b\n1,\"{long}\n2,3\n"), "not closed");
    let (long, text) = ("x".repeat(1_200_000), "x\n".repeat(600_000));
    check_last("a.ndjson", format!("{{\"a\":\"{long}\"}}\n{{\"a\":1}}\n"), "1048576 bytes");
    check_last("a.csv", format!("a,b\n1,{long}\n2,3\n"), "1048576 bytes");
    check_last("a.csv", format!("a,b\n1,\"{text}\"\n2,3\n"), "1048576 bytes");
    check_last("a.json", format!("[{{\"a\":\"{long}\"}},{{\"a\":1}}]"), "1048576 bytes");
}

#[test]
fn json_documents() {
    let check = |content: &str, list: Option<&str>, expect: Expect| {
        let options = ReadOptions {
            format: Some(onefold_collect::Format::Json),
            list: list.map(str::to_owned),
            ..ReadOptions::default()
        };
        check("a.json", content.as_bytes(), &options, expect);
    };
    check(
        " [ {\"a\":1} ,\n {\"a\":\"]}\\\"\"},\n3,{\"a\":},{\"a\":[{}]} ] \n",
        None,
        expect![[r#"
        1@1 a=#1
        2@2 a=]}"
        3@3 BAD is not a JSON object | "3"
        4@3 BAD is not JSON: expected value (character 6) | "{\"a\":}"
        5@3 a=$[{}]
    "#]],
    );
    check("[]", None, expect![[""]]);
    check("", None, expect![[""]]);
    check(
        "{\"count\":2,\"data\":[{\"a\":1},{\"a\":2}],\"next\":null}",
        None,
        expect![[r#"
        1@1 a=#1
        2@1 a=#2
    "#]],
    );
    check(
        "{\"id\":1,\"tags\":[\"x\"]}",
        None,
        expect![[r#"
        1@1 id=#1 tags=$["x"]
    "#]],
    );
    check(
        "{\n\"a\":1\n}\n{\n\"a\":2\n}",
        None,
        expect![[r#"
        1@1 a=#1
        2@4 a=#2
    "#]],
    );
    check(
        "{\"a\":[{\"x\":1}],\"b\":[{\"x\":2}]}",
        None,
        expect![[r#"
        1@1 x=#1
        reading stopped after row 1: the document holds a second list of objects, "b", which was not read; name the one to import with list = …
    "#]],
    );
    check(
        "{\"a\":[{\"x\":1}],\"b\":[{\"x\":2}]}",
        Some("b"),
        expect![[r#"
        1@1 x=#2
    "#]],
    );
    check(
        "{\"a\":[]}",
        Some("rows"),
        expect![[r#"
        reading stopped after row 0: the document has no list of objects called "rows"
    "#]],
    );
    check(
        "[{\"a\":1}",
        None,
        expect![[r#"
        1@1 a=#1
        reading stopped after row 1: line 1: the file ends where ] is wanted
    "#]],
    );
    check(
        "[{\"a\":1},,{}]",
        None,
        expect![[r#"
        1@1 a=#1
        reading stopped after row 1: line 1: ',' stands where an element is wanted
    "#]],
    );
    check(
        "[{\"a\":1}] [{\"a\":2}]",
        None,
        expect![[r#"
        1@1 a=#1
        reading stopped after row 1: line 1: '[' stands where the end of the file is wanted
    "#]],
    );
    check(
        "[{\"a\":1} {\"a\":2}]",
        None,
        expect![[r#"
        1@1 a=#1
        reading stopped after row 1: line 1: '{' stands where , or ] is wanted
    "#]],
    );
    check(
        "nonsense",
        None,
        expect![[r#"
        reading stopped after row 0: line 1: 'n' stands where an array or object is wanted
    "#]],
    );
}

#[test]
fn compressed_text_is_read_and_a_cut_off_file_stops() {
    let text = b"a,b\n1,2\n";
    let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    gzip.write_all(text).unwrap();
    let gzip = gzip.finish().unwrap();
    let options = ReadOptions::default();
    check(
        "a.csv.gz",
        &gzip,
        &options,
        expect![[r#"
            1@2 a=1 b=2
        "#]],
    );
    check(
        "a.csv.gz",
        &[&gzip[..], &gzip[..]].concat(),
        &options,
        expect![[r#"
            1@2 a=1 b=2
            2@3 a=a b=b
            3@4 a=1 b=2
        "#]],
    );
    check(
        "a.csv.zst",
        &zstd::encode_all(&text[..], 3).unwrap(),
        &options,
        expect![[r#"
            1@2 a=1 b=2
        "#]],
    );

    let long: String = (0..100_000).map(|i| format!("{{\"i\":{}}}\n", i * 7919 % 100_003)).collect();
    let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    gzip.write_all(long.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let folder = Folder::new();
    let path = folder.write("a.ndjson.gz", &gzip[..gzip.len() / 2]);
    let mut rows = open(&path, &options).unwrap();
    let mut good = 0;
    loop {
        match rows.next() {
            Some(Ok(_)) => good += 1,
            Some(Err(RowError::Stopped { rows, .. })) => break assert_eq!(rows, good),
            other => panic!("{other:?}"),
        }
    }
    assert!(good > 10_000);
    assert!(rows.next().is_none());
}

#[test]
fn a_missing_file_names_itself() {
    let error = open(Path::new("/nowhere/a.csv"), &ReadOptions::default()).err().unwrap();
    assert!(matches!(&error, OpenError::Io { .. }) && error.to_string().starts_with("/nowhere/a.csv: "));
}

fn workbook() -> Vec<u8> {
    use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet().set_name("people").unwrap();
    let (day, time) = (Format::new().set_num_format("yyyy-mm-dd"), Format::new().set_num_format("yyyy-mm-dd hh:mm:ss"));
    for (i, name) in ["id", "name", "since", "seen", "vip", "score"].iter().enumerate() {
        sheet.write(0, i as u16, *name).unwrap();
    }
    sheet.write(1, 0, 7).unwrap();
    sheet.write(1, 1, "Zoë").unwrap();
    sheet.write_with_format(1, 2, ExcelDateTime::from_ymd(2024, 2, 29).unwrap(), &day).unwrap();
    let seen = ExcelDateTime::from_ymd(2024, 2, 29).unwrap().and_hms(13, 5, 6).unwrap();
    sheet.write_with_format(1, 3, seen, &time).unwrap();
    sheet.write(1, 4, true).unwrap();
    sheet.write(1, 5, 0.1).unwrap();
    sheet.write(3, 1, "no id, after an empty row").unwrap();
    sheet.write(4, 6, "beyond the header").unwrap();
    let other = workbook.add_worksheet().set_name("other").unwrap();
    other.write(2, 0, "only").unwrap();
    other.write(3, 0, "row").unwrap();
    workbook.save_to_buffer().unwrap()
}

#[test]
fn workbooks() {
    let bytes = workbook();
    check(
        "a.xlsx",
        &bytes,
        &ReadOptions::default(),
        expect![[r#"
        1@2 id=#7 name=Zoë since=@2024-02-29 seen=@2024-02-29T13:05:06 vip=true! score=#0.1
        2@4 id name=no id, after an empty row since seen vip score
        3@5 BAD has a cell in column 7, which has no name in the header | "\t\t\t\t\t\tbeyond the header"
    "#]],
    );
    check(
        "a.xlsx.zst",
        &zstd::encode_all(&bytes[..], 3).unwrap(),
        &ReadOptions { sheet: Some("other".into()), ..ReadOptions::default() },
        expect![[r#"
            1@4 only=row
        "#]],
    );
    check(
        "a.xlsx",
        &bytes,
        &ReadOptions { sheet: Some("absent".into()), ..ReadOptions::default() },
        expect![[r#"FILE has no sheet "absent"; it has people, other"#]],
    );
    let error = check_damaged("a.xlsx", &bytes[..bytes.len() / 2]);
    assert!(error.contains("cannot be read as an Excel workbook"), "{error}");
}

fn check_damaged(name: &str, content: &[u8]) -> String {
    let folder = Folder::new();
    open(&folder.write(name, content), &ReadOptions::default()).err().unwrap().to_string()
}

mod parquet_file {
    use super::Arc;
    use parquet::{
        data_type::{
            BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, FloatType,
            Int32Type, Int64Type, Int96, Int96Type,
        },
        file::{properties::WriterProperties, writer::SerializedFileWriter},
        schema::parser::parse_message_type,
    };

    const SCHEMA: &str = "message rows {
        REQUIRED INT64 id;
        OPTIONAL BYTE_ARRAY name (UTF8);
        REQUIRED BOOLEAN vip;
        REQUIRED INT32 small (INTEGER(8,true));
        REQUIRED INT64 big (INTEGER(64,false));
        REQUIRED FLOAT f;
        REQUIRED DOUBLE d;
        REQUIRED INT32 day (DATE);
        REQUIRED INT64 ms (TIMESTAMP(MILLIS,true));
        REQUIRED INT64 us (TIMESTAMP(MICROS,true));
        REQUIRED INT64 ns (TIMESTAMP(NANOS,true));
        REQUIRED INT32 clock (TIME(MILLIS,true));
        REQUIRED INT96 old;
        REQUIRED INT64 money (DECIMAL(18,2));
        REQUIRED FIXED_LEN_BYTE_ARRAY (4) ratio (DECIMAL(4,4));
        REQUIRED FIXED_LEN_BYTE_ARRAY (16) uuid (UUID);
        REQUIRED BYTE_ARRAY bytes;
        REQUIRED group tags (LIST) { REPEATED group list { REQUIRED BYTE_ARRAY element (UTF8); } }
        REQUIRED group home { REQUIRED BYTE_ARRAY city (UTF8); OPTIONAL INT32 zip; }
    }";

    /// Two rows of every type.
    pub fn bytes() -> Vec<u8> {
        let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
        let properties = WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build();
        let mut writer = SerializedFileWriter::new(vec![], schema, Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        macro_rules! column {
            ($type:ty, $values:expr) => {
                column!($type, $values, None, None)
            };
            ($type:ty, $values:expr, $def:expr, $rep:expr) => {{
                let mut column = group.next_column().unwrap().unwrap();
                column.typed::<$type>().write_batch(&$values, $def, $rep).unwrap();
                column.close().unwrap();
            }};
        }
        let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
        column!(Int64Type, [1, i64::MAX]);
        column!(ByteArrayType, [text("Zoë \"Z\"")], Some(&[1, 0]), None);
        column!(BoolType, [true, false]);
        column!(Int32Type, [-5, 5]);
        column!(Int64Type, [-1, 1]);
        column!(FloatType, [0.1, f32::NAN]);
        column!(DoubleType, [0.1, 1e300]);
        column!(Int32Type, [19_782, -1]);
        column!(Int64Type, [1_709_211_906_000, -1]);
        column!(Int64Type, [1_709_211_906_000_001, 0]);
        column!(Int64Type, [1_709_211_906_000_000_001, 0]);
        column!(Int32Type, [3_723_004, 0]);
        let mut old = Int96::new();
        old.set_data(0, 0, 2_440_589);
        column!(Int96Type, [old, old]);
        column!(Int64Type, [2933, -5]);
        let fixed = |bytes: &[u8]| FixedLenByteArray::from(bytes.to_vec());
        column!(FixedLenByteArrayType, [fixed(&1234i32.to_be_bytes()), fixed(&(-1i32).to_be_bytes())]);
        column!(FixedLenByteArrayType, [fixed(&[0xab; 16]), fixed(&[1; 16])]);
        column!(ByteArrayType, [text("plain"), ByteArray::from(vec![0xff, 0])]);
        column!(ByteArrayType, [text("a"), text("b")], Some(&[1, 1, 0]), Some(&[0, 1, 0]));
        column!(ByteArrayType, [text("Köln"), text("Rome")]);
        column!(Int32Type, [50667], Some(&[1, 0]), None);
        group.close().unwrap();
        writer.into_inner().unwrap()
    }
}

#[test]
fn parquet_of_every_type() {
    let bytes = parquet_file::bytes();
    check(
        "a.parquet",
        &bytes,
        &ReadOptions::default(),
        expect![[r#"
        1@1 id=#1 name=Zoë "Z" vip=true! small=#-5 big=#18446744073709551615 f=#0.1 d=#0.1 day=@2024-02-29 ms=@2024-02-29T13:05:06Z us=@2024-02-29T13:05:06.000001Z ns=@2024-02-29T13:05:06.000000001Z clock=@01:02:03.004 old=@1970-01-02T00:00:00Z money=#29.33 ratio=#0.1234 uuid=abababab-abab-abab-abab-abababababab bytes=plain tags=$["a","b"] home=${"city":"Köln","zip":50667}
        2@2 id=#9223372036854775807 name vip=false! small=#5 big=#1 f d=#1000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 day=@1969-12-31 ms=@1969-12-31T23:59:59.999Z us=@1970-01-01T00:00:00Z ns=@1970-01-01T00:00:00Z clock=@00:00:00 old=@1970-01-02T00:00:00Z money=#-0.05 ratio=#-0.0001 uuid=01010101-0101-0101-0101-010101010101 bytes=/wA= tags=$[] home=${"city":"Rome","zip":null}
    "#]],
    );
    let folder = Folder::new();
    let plain = dump(&folder.write("a.parquet", &bytes), &ReadOptions::default());
    let zstd = dump(&folder.write("a.parquet.zst", &zstd::encode_all(&bytes[..], 3).unwrap()), &ReadOptions::default());
    assert_eq!(plain, zstd);
}

#[test]
fn damaged_parquet_never_ends_the_program() {
    let bytes = parquet_file::bytes();
    let error = check_damaged("a.parquet", &bytes[..bytes.len() - 10]);
    assert!(error.contains("cannot be read as Parquet"), "{error}");
    let folder = Folder::new();
    for at in (4..bytes.len() - 8).step_by(29) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        let path = folder.write("a.parquet", &damaged);
        let Ok(mut rows) = open(&path, &ReadOptions::default()) else { continue };
        for _ in 0..10 {
            let _ = rows.next();
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    /// Whatever the bytes, a reader comes to an end, numbers its rows upwards and panics never.
    #[test]
    fn any_bytes_come_to_an_end(
        bytes in proptest::collection::vec(proptest::sample::select(&b"\"\"\"',;\t\n\n\r{}[]:ab1 \\\xc3\xa9\xff"[..]), 0..200),
        format in 0..4usize,
    ) {
        use onefold_collect::Format;
        let folder = Folder::new();
        let path = folder.write("a", &bytes);
        let mut options = ReadOptions::default();
        match format {
            0 => options.format = Some(Format::Csv),
            1 => options.format = Some(Format::Ndjson),
            2 => options.format = Some(Format::Json),
            _ => (options.format, options.delimiter) = (Some(Format::Csv), Some(Delimiter::Whitespace)),
        }
        let Ok(mut rows) = open(&path, &options) else { return Ok(()) };
        let (mut last, mut last_line) = (0, 0);
        while let Some(row) = rows.next() {
            let (number, line) = match &row {
                Ok(row) => (row.number, row.line),
                Err(RowError::Bad(bad)) => (bad.number, bad.line),
                Err(RowError::Stopped { .. }) => continue,
            };
            proptest::prop_assert_eq!(number, last + 1);
            proptest::prop_assert!(line >= last_line);
            (last, last_line) = (number, line);
            proptest::prop_assert!(number <= bytes.len() as u64);
        }
    }
}
