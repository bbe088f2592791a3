//! The contract over S3's protocol, kept by a real server of it.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use onefold_lake::{Lake, conformance};
use onefold_lake_delta::{DeltaLake, Engine, Settings};
use onefold_model::{Timestamp, clock::ManualClock};
use onefold_sim::{World, track};
use tempfile::TempDir;
use url::Url;

use crate::support::{BUDGET, ask, write};

/// Versity's gateway over a folder; it ends with the test.
struct Gateway {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Gateway {
    fn start() -> Gateway {
        let folder = TempDir::new().expect("a folder");
        std::fs::create_dir(folder.path().join("bucket")).expect("a bucket");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/engines/bin/versitygw");
        let child = Command::new(program)
            .args(["--quiet", "--port", &format!("127.0.0.1:{port}"), "posix"])
            .arg(folder.path())
            .envs([("ROOT_ACCESS_KEY", "test"), ("ROOT_SECRET_KEY", "secret")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the gateway; `make setup` installs it");
        let gateway = Gateway { child, port, _folder: folder };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        gateway
    }

    fn lake(&self, folder: &str) -> Arc<DeltaLake> {
        let url = Url::parse(&format!("s3://bucket/{folder}")).expect("a URL");
        let options = [
            ("aws_endpoint", format!("http://127.0.0.1:{}", self.port)),
            ("aws_allow_http", "true".to_owned()),
            ("aws_access_key_id", "test".to_owned()),
            ("aws_secret_access_key", "secret".to_owned()),
            ("aws_region", "us-east-1".to_owned()),
        ];
        let settings = Settings {
            options: options.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            merge_files: 3,
            retention: Duration::ZERO,
            ..Settings::new(url)
        };
        // Ahead of the gateway's own clock, so that whatever is not named is old.
        let clock = Arc::new(ManualClock::at(Timestamp(4_000_000_000_000)));
        Arc::new(DeltaLake::open(settings, clock).expect("a lake"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_bucket_keeps_the_contract() {
    let gateway = Gateway::start();
    let count = AtomicUsize::new(0);
    conformance::check(&|| {
        let lake: Arc<dyn Lake> = gateway.lake(&format!("lakes/{}", count.fetch_add(1, Ordering::Relaxed)));
        lake
    });
}

#[test]
fn what_one_process_wrote_to_a_bucket_another_reads_and_goes_on_with() {
    let gateway = Gateway::start();
    let mut world = World::new();
    for (round, count) in ["2", "4"].into_iter().enumerate() {
        world.send(track("u1", "Order"));
        world.send(track("u2 a2", "Viewed"));
        world.run();
        let lake = gateway.lake("shop");
        write(&world, &(lake.clone() as Arc<dyn Lake>));
        let found = ask(&world, &Engine::new(lake), "SELECT count(*) FROM events", BUDGET).expect("an answer");
        assert_eq!(found, [count], "round {round}");
    }
}
