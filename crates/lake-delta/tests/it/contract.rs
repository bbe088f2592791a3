//! The contract of a lake.

use std::{cell::RefCell, sync::Arc};

use onefold_lake::{Lake, conformance};
use tempfile::TempDir;

use crate::support::in_folder;

#[test]
fn a_local_folder_keeps_the_contract() {
    let folders = RefCell::new(vec![]);
    conformance::check(&|| {
        let folder = TempDir::new().expect("a folder");
        let lake: Arc<dyn Lake> = in_folder(folder.path());
        folders.borrow_mut().push(folder);
        lake
    });
}
