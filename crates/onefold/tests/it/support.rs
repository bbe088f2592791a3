//! A data folder, the binary on it, and a server that stops by itself.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A data folder of its own, gone when it is dropped.
pub struct Folder {
    folder: tempfile::TempDir,
    /// Settings, as environment variables.
    settings: Vec<(&'static str, String)>,
}

impl Folder {
    pub fn new() -> Folder {
        Folder::with(vec![])
    }

    /// One whose commands have these settings, as environment variables.
    pub fn with(settings: Vec<(&'static str, String)>) -> Folder {
        Folder { folder: tempfile::tempdir().unwrap(), settings }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A file beside the data folder.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        self.file_of_bytes(name, content.as_bytes())
    }

    /// The same of bytes.
    pub fn file_of_bytes(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        self.command_of(Command::new(env!("CARGO_BIN_EXE_onefold")), args)
    }

    fn command_of(&self, mut command: Command, args: &[&str]) -> Command {
        command.args(args).arg("--data").arg(self.path()).stdin(Stdio::null());
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command that works, and gives what it printed.
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "onefold {args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that works, and gives what it printed as JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.run(args);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("onefold {args:?}: {error}: {text}"))
    }

    /// Runs a command, whatever becomes of it.
    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Starts a command that does not end by itself.
    #[cfg(feature = "cluster")]
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Starts a server on the folder, on a free port, and waits until it answers.
    pub fn serve(&self) -> Server {
        self.serve_by(self.command(&["serve", "--listen", "127.0.0.1:0"]))
    }

    /// A server whose files may be kept from growing, by [`Server::files_end_at`].
    pub fn serve_within_limits(&self) -> Server {
        // A write past the limit is to fail, as on a full disk, and not to end the process.
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_onefold")]);
        self.serve_by(self.command_of(shell, &["serve", "--listen", "127.0.0.1:0"]))
    }

    /// The demonstration on the folder, once it has done everything and goes on serving, on a free port.
    pub fn serve_demo(&self) -> Server {
        let said = self.folder.path().join("demo");
        let mut command = self.command(&["demo", "--keep"]);
        command.env("ONEFOLD_SERVER__LISTEN", "127.0.0.1:0").stdout(std::fs::File::create(&said).unwrap());
        let server = self.serve_by(command);
        for _ in 0..12_000 {
            if std::fs::read_to_string(&said).unwrap().contains("Serving on") {
                return server;
            }
            pause();
        }
        panic!("the demonstration does not end");
    }

    fn serve_by(&self, mut command: Command) -> Server {
        let _ = std::fs::remove_file(self.path().join("server.json"));
        let said = std::fs::File::create(self.folder.path().join("said")).unwrap();
        let child = command.stderr(said).spawn().unwrap();
        let mut server = Server { child, url: String::new() };
        for _ in 0..3000 {
            if let Ok(text) = std::fs::read(self.path().join("server.json"))
                && let Ok(running) = serde_json::from_slice::<Value>(&text)
            {
                server.url = running["url"].as_str().unwrap().to_owned();
                return server;
            }
            assert!(server.child.try_wait().unwrap().is_none(), "the server ended while it started");
            pause();
        }
        panic!("the server does not answer");
    }

    /// What the server that was started last has said.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("said")).unwrap()
    }

    /// The operator's token.
    pub fn token(&self) -> String {
        std::fs::read_to_string(self.path().join("token")).unwrap().trim().to_owned()
    }
}

/// Lets another process go on. Tests wait on conditions; this is what they do between two looks.
#[expect(clippy::disallowed_methods, reason = "another process is waited for, and gives no sign but its files")]
pub fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(10));
}

/// A running server; killed when it is dropped.
pub struct Server {
    child: Child,
    pub url: String,
}

impl Server {
    /// No file of the server grows beyond so many bytes: `unlimited`, or a number.
    pub fn files_end_at(&self, bytes: &str) {
        let set = Command::new("prlimit")
            .args(["--pid", &self.child.id().to_string(), &format!("--fsize={bytes}:unlimited")])
            .status();
        assert!(set.unwrap().success(), "prlimit, of util-linux, sets the limit");
    }

    /// The same, and another is put in its place.
    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A real server of S3's protocol with one bucket, `bucket`; it ends with the test.
pub struct Bucket {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Bucket {
    pub fn start() -> Bucket {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bucket")).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let child = Command::new(root().join("tests/engines/bin/versitygw"))
            .args(["--quiet", "--port", &format!("127.0.0.1:{port}"), "posix"])
            .arg(folder.path())
            .envs([("ROOT_ACCESS_KEY", "test"), ("ROOT_SECRET_KEY", "secret")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the S3 server is missing; `make test` installs it");
        let bucket = Bucket { child, port, folder };
        for _ in 0..3000 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return bucket;
            }
            pause();
        }
        panic!("the S3 server does not answer");
    }

    /// What a client of it must know.
    pub fn options(&self) -> [(&'static str, String); 5] {
        [
            ("aws_endpoint", format!("http://127.0.0.1:{}", self.port)),
            ("aws_allow_http", "true".to_owned()),
            ("aws_access_key_id", "test".to_owned()),
            ("aws_secret_access_key", "secret".to_owned()),
            ("aws_region", "us-east-1".to_owned()),
        ]
    }

    /// The bucket as the server keeps it.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("bucket")
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP client of the tests.
pub fn http() -> reqwest::blocking::Client {
    reqwest::blocking::Client::builder().no_proxy().build().unwrap()
}
