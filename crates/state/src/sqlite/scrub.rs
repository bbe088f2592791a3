//! Zeroing what SQLite leaves behind in its pages.
//!
//! `secure_delete` zeroes what is deleted, but not what is moved: when a page is rebuilt because its rows were spread
//! over its neighbours, the bytes between its cell pointers and its cells keep copies of rows that now stand elsewhere,
//! and that are not zeroed when those rows are deleted later. `VACUUM` would get rid of them by writing the file anew,
//! twice; this reads the file once and writes only where something was left.
//!
//! The bytes in that gap mean nothing (<https://sqlite.org/fileformat2.html#b_tree_pages>, "unallocated region"), so
//! zeroing them in place changes no content, whatever happens in the middle. Which pages are pages of a tree is asked
//! of SQLite's own `dbstat`, and a page is touched only if its header says the same as that.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    mem::ManuallyDrop,
    path::Path,
};

use rusqlite::Connection;

/// The main file.
///
/// It is never closed: on Unix, closing any descriptor of a file drops the locks that SQLite holds on that file in this
/// process (<https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>).
pub(super) struct MainFile(ManuallyDrop<File>);

impl MainFile {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        Ok(MainFile(ManuallyDrop::new(file)))
    }
}

/// What went wrong.
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    File(io::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sqlite(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::File(error)
    }
}

/// Zeroes the gaps of all pages in `file`, and gives how many had something in theirs. `db` stands in a transaction
/// that keeps every other writer out, and the write-ahead log is empty, so that the file is all there is.
pub(super) fn scrub(db: &Connection, file: &mut MainFile) -> Result<u64, Fault> {
    let file = &mut *file.0;
    let mut statement = db
        .prepare("SELECT pageno, pgoffset, pgsize, ncell, unused FROM dbstat WHERE pagetype IN ('leaf', 'internal')")?;
    let mut pages = statement.query([])?;
    let (mut page, mut scrubbed) = (Vec::new(), 0);
    while let Some(row) = pages.next()? {
        let (number, offset): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (size, cells, unused): (usize, usize, usize) = (at(row, 2)?, at(row, 3)?, at(row, 4)?);
        page.resize(size, 0);
        file.seek(SeekFrom::Start(offset.unsigned_abs()))?;
        file.read_exact(&mut page)?;
        // The first page begins with the header of the file.
        let header = if number == 1 { 100 } else { 0 };
        let Some(gap) = gap(&page, header, cells, unused) else {
            let cause = format!("page {number} of the state is not as SQLite says");
            return Err(io::Error::new(io::ErrorKind::InvalidData, cause).into());
        };
        if page[gap.clone()].iter().any(|byte| *byte != 0) {
            file.seek(SeekFrom::Start(offset.unsigned_abs() + gap.start as u64))?;
            page[gap.clone()].fill(0);
            file.write_all(&page[gap])?;
            scrubbed += 1;
        }
    }
    if scrubbed > 0 {
        file.sync_data()?;
    }
    Ok(scrubbed)
}

fn at(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<usize> {
    row.get::<_, i64>(column).map(|number| usize::try_from(number).unwrap_or(0))
}

/// The bytes of a page between its cell pointers and its cells. `None` where the header is not that of a page of a tree
/// with so many cells and at most so many unused bytes.
fn gap(page: &[u8], header: usize, cells: usize, unused: usize) -> Option<std::ops::Range<usize>> {
    let number = |at: usize| Some(usize::from(u16::from_be_bytes(page.get(at..at + 2)?.try_into().ok()?)));
    // Interior pages have four bytes more, the rightmost child.
    let pointers = header
        + match page.get(header)? {
            2 | 5 => 12,
            10 | 13 => 8,
            _ => return None,
        };
    let start = pointers + 2 * cells;
    let end = match number(header + 5)? {
        0 => 65_536,
        end => end,
    };
    let fits = number(header + 3)? == cells && start <= end && end <= page.len() && end - start <= unused;
    fits.then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_gap_of_a_page_that_is_as_said_is_told() {
        let mut page = vec![0_u8; 512];
        page[..8].copy_from_slice(&[10, 0, 0, 0, 3, 1, 0x2c, 0]);
        assert_eq!(gap(&page, 0, 3, 400), Some(14..300));
        assert_eq!(gap(&page, 0, 4, 400), None, "another number of cells");
        assert_eq!(gap(&page, 0, 3, 285), None, "a gap longer than all that is unused");
        page[0] = 2;
        assert_eq!(gap(&page, 0, 3, 400), Some(18..300));
        page[0] = 7;
        assert_eq!(gap(&page, 0, 3, 400), None, "no page of a tree");
        page[..8].copy_from_slice(&[13, 0, 0, 0, 3, 0xff, 0xff, 0]);
        assert_eq!(gap(&page, 0, 3, 400), None, "cells beyond the page");
    }
}
