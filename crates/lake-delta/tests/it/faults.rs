//! Stores that fail, writers that die, and two of them.

use std::{
    collections::BTreeSet,
    fmt,
    ops::Range,
    path::Path as Folder,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, local::LocalFileSystem, path::Path,
};
use onefold_lake::{Lake, Step, Table, Writer};
use onefold_lake_delta::Engine;
use onefold_sim::{World, identify, track, world::WORKSPACE};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{BUDGET, ask, in_folder, through, write};

/// A local store of which one put fails, before it has done anything or after it has done it all.
#[derive(Debug)]
struct Failing {
    store: LocalFileSystem,
    puts_left: AtomicI64,
    after: bool,
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that fails")
    }
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let fails = self.puts_left.fetch_sub(1, Ordering::SeqCst) == 0;
        let error = || object_store::Error::Generic { store: "test", source: "503 Slow Down".into() };
        if fails && !self.after {
            return Err(error());
        }
        let put = self.store.put_opts(location, payload, options).await?;
        if fails { Err(error()) } else { Ok(put) }
    }
    async fn put_multipart_opts(&self, to: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(to, options).await
    }
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(location, options).await
    }
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.store.get_ranges(location, ranges).await
    }
    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

fn world() -> World {
    let mut world = World::new();
    world.segment("buyers", "count(\"Order\") >= 1");
    for n in 0..20 {
        world.send(identify(&format!("u{n}"), json!({ "plan": "pro" })));
        world.send(track(&format!("u{n} a{n}"), "Order").with(json!({ "total": n })).consent("news", true));
    }
    world.run();
    world
}

const COUNTS: &str = "SELECT (SELECT count(*) FROM events) AS events, \
    (SELECT count(DISTINCT \"offset\") FROM events) AS offsets, (SELECT count(*) FROM profiles) AS profiles, \
    (SELECT count(*) FROM identifiers) AS identifiers, (SELECT count(*) FROM segment_members_history) AS members, \
    (SELECT count(*) FROM consents) AS consents";

fn parquet_files(folder: &Folder) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("_delta_log") {
            found.extend(parquet_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.insert(path.display().to_string());
        }
    }
    found
}

#[test]
fn whichever_put_fails_no_row_is_lost_or_doubled_and_nothing_is_left_behind() {
    let world = world();
    for after in [false, true] {
        for fails_at in 0.. {
            let folder = TempDir::new().expect("a folder");
            let store = Failing { store: LocalFileSystem::new(), puts_left: AtomicI64::new(fails_at), after };
            let store = Arc::new(store);
            let lake: Arc<dyn Lake> = through(folder.path(), store.clone());
            let settings = onefold_lake::Settings { offsets_max: 25, ..onefold_lake::Settings::default() };
            let writer = Writer::new(world.log.clone(), world.store.clone(), lake.clone(), settings);
            let whole = || -> std::result::Result<(), onefold_lake::Error> {
                while writer.step(&world.access(), &world.definitions())? == Step::More {}
                lake.maintain(WORKSPACE)
            };
            let failed = whole().is_err();
            // The process dies, and another begins.
            drop((writer, lake));
            let lake = in_folder(folder.path());
            write(&world, &(lake.clone() as Arc<dyn Lake>));
            let engine = Engine::new(lake.clone());
            let counts = ask(&world, &engine, COUNTS, BUDGET).expect("it is answered");
            assert_eq!(counts, ["40 | 40 | 20 | 40 | 20 | 20"], "put {fails_at}, after: {after}");
            lake.maintain(WORKSPACE).expect("it is maintained");
            assert_eq!(ask(&world, &engine, COUNTS, BUDGET).expect("it is answered"), counts);
            let files: usize = Table::ALL.iter().map(|table| lake.files(WORKSPACE, *table)).sum();
            assert_eq!(parquet_files(folder.path()).len(), files, "put {fails_at}, after: {after}");
            if !failed && store.puts_left.load(Ordering::SeqCst) >= 0 {
                break;
            }
        }
    }
}

#[test]
fn of_two_writers_each_row_comes_from_one() {
    let world = world();
    let folder = TempDir::new().expect("a folder");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let lake: Arc<dyn Lake> = in_folder(folder.path());
                let settings = onefold_lake::Settings { offsets_max: 3, ..onefold_lake::Settings::default() };
                let writer = Writer::new(world.log.clone(), world.store.clone(), lake, settings);
                loop {
                    match writer.step(&world.access(), &world.definitions()) {
                        Ok(Step::More) | Err(onefold_lake::Error::Moved { .. }) => {}
                        Ok(Step::UpToDate(_)) => return,
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let lake = in_folder(folder.path());
    write(&world, &(lake.clone() as Arc<dyn Lake>));
    let counts = ask(&world, &Engine::new(lake), COUNTS, BUDGET).expect("it is answered");
    assert_eq!(counts, ["40 | 40 | 20 | 40 | 20 | 20"]);
}
