//! A PostgreSQL server that lives as long as the tests that hold it.
//!
//! It listens on a Unix socket in its own folder, so that it needs no free port. A shell stands between: it ends the
//! server when its input ends, which also happens when the test program is killed. The locale is not C, so that a
//! missing `COLLATE "C"` shows.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tempfile::TempDir;

const INSTALL: &str = "PostgreSQL 15 or later is needed for these tests, with `initdb` and `postgres` on the PATH, under \
                       /usr/lib/postgresql, or where `pg_config --bindir` says. Install it, on Debian with \
                       `apt-get install postgresql`";

/// A running server.
pub struct Postgres {
    folder: TempDir,
    shell: Child,
}

impl Postgres {
    /// Starts a server of its own.
    ///
    /// # Panics
    /// With what to do, where PostgreSQL is not installed or does not start.
    pub fn start() -> Postgres {
        let binaries = binaries().unwrap_or_else(|| panic!("{INSTALL}"));
        let folder = TempDir::with_prefix("pg").expect("a temporary folder can be made");
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("a folder can be made");
        let user = Server { as_postgres: fs::metadata(&data).expect("it was just made").uid() == 0 };
        user.give(folder.path());

        let made = user
            .command(&binaries.join("initdb"))
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "--locale=C"])
            .args(["--locale-provider=icu", "--icu-locale=en", "-D"])
            .arg(&data)
            .output()
            .expect("initdb can be run");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));

        let mut shell = user
            .command(Path::new("sh"))
            .args(["-c", "\"$@\" & server=$!; read -r _; kill -QUIT $server; wait $server", "sh"])
            .arg(binaries.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "logging_collector=off"])
            .args(["-c", "max_connections=200", "-c", "log_min_messages=log"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell can be run");
        let mut log = BufReader::new(shell.stderr.take().expect("its output is piped")).lines();
        let mut told = String::new();
        loop {
            match log.next() {
                Some(Ok(line)) if line.contains("ready to accept connections") => break,
                Some(Ok(line)) => told = told + &line + "\n",
                _ => panic!("PostgreSQL did not start: {told}"),
            }
        }
        // Keeps reading, so that the server never waits to write.
        std::thread::spawn(move || log.for_each(drop));
        Postgres { folder, shell }
    }

    /// A server that all tests of this program that run at the same time share.
    pub fn shared() -> Arc<Postgres> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Postgres::start());
            *shared = Arc::downgrade(&started);
            started
        })
    }

    /// The address of its database, for `PostgresSettings::new`.
    pub fn url(&self) -> String {
        format!("host={} user=postgres dbname=postgres", self.folder.path().display())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // The folder must not be removed under a running server.
        let _ = self.shell.wait();
    }
}

/// The server refuses to run as root: then it runs as the user `postgres`.
struct Server {
    as_postgres: bool,
}

impl Server {
    fn command(&self, program: &Path) -> Command {
        if !self.as_postgres {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"]).arg(program);
        command
    }

    fn give(&self, folder: &Path) {
        if self.as_postgres {
            let given = Command::new("chown").args(["-R", "postgres:postgres"]).arg(folder).status();
            assert!(given.is_ok_and(|status| status.success()), "{INSTALL}: there is no user postgres");
        }
    }
}

fn binaries() -> Option<PathBuf> {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.and_then(|told| String::from_utf8(told.stdout).ok()).map(|told| PathBuf::from(told.trim()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    versions.sort();
    let candidates = told.into_iter().chain(std::env::split_paths(&path)).chain(versions.into_iter().rev());
    candidates.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}
