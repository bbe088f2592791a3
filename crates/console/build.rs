//! Builds the web app of `console/` by Node, and packs it for embedding. Where Node is not there, a page that says so takes its place.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use flate2::{Compression, write::GzEncoder};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What the app is made of, below `console/`.
const MADE_OF: [&str; 6] =
    ["src", "index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts"];

/// What gets smaller when it is packed.
const PACKED: [&str; 4] = ["js", "css", "html", "svg"];

const NO_NODE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Onefold</title>\
    <p>This build has no console, because Node (20 or later, with npm) was not there when it was built. \
    Everything that it does the command line does as well: <code>onefold --help</code>.";

fn main() -> Result<()> {
    let source = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../console");
    let target = PathBuf::from(env::var("OUT_DIR")?).join("app");
    for part in MADE_OF {
        println!("cargo::rerun-if-changed={}", source.join(part).display());
    }
    let _ = fs::remove_dir_all(&target);
    fs::create_dir_all(&target)?;
    if npm(&source, &["--version"]).is_ok() {
        if !is_installed(&source) {
            npm(&source, &["ci", "--no-audit", "--no-fund", "--loglevel=error"])?;
        }
        npm(&source, &["run", "build", "--", "--emptyOutDir", "--outDir", &target.display().to_string()])?;
    } else {
        println!("cargo::warning=Node is not there: this build has no console");
        fs::write(target.join("index.html"), NO_NODE)?;
    }
    pack(&target)
}

fn npm(folder: &Path, args: &[&str]) -> Result<()> {
    let output = Command::new("npm").args(args).current_dir(folder).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Err(format!("npm {} in {}: {said}", args.join(" "), folder.display()).into())
}

/// Whether what the lock file names is installed.
fn is_installed(folder: &Path) -> bool {
    let changed = |path: &str| fs::metadata(folder.join(path)).and_then(|file| file.modified()).ok();
    let installed = changed("node_modules/.package-lock.json");
    installed.is_some() && installed >= changed("package-lock.json")
}

/// Puts a packed file beside each that gets smaller by it.
fn pack(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            pack(&path)?;
        } else if path.extension().is_some_and(|extension| PACKED.iter().any(|packed| extension == *packed)) {
            let mut packer = GzEncoder::new(vec![], Compression::best());
            packer.write_all(&fs::read(&path)?)?;
            let mut name = path.into_os_string();
            name.push(".gz");
            fs::write(name, packer.finish()?)?;
        }
    }
    Ok(())
}
