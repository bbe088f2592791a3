//! Lakes for tests.

use std::{path::Path, sync::Arc, time::Duration};

use onefold_lake_delta::{DeltaLake, Settings};
use onefold_model::{Timestamp, clock::ManualClock};
use url::Url;

/// A lake in a folder, with a clock that stands.
pub fn in_folder(folder: &Path) -> Arc<DeltaLake> {
    let url = Url::from_directory_path(folder).expect("an absolute path");
    let settings = Settings { merge_files: 3, retention: Duration::ZERO, threads: 2, ..Settings::new(url) };
    let clock = Arc::new(ManualClock::at(Timestamp(1_700_000_000_000)));
    Arc::new(DeltaLake::open(settings, clock).expect("a lake"))
}
