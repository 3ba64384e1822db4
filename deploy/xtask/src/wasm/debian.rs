//! Fetches packages of Debian without installing them and without touching the system's package lists.
//!
//! The mirror is the one that the machine's own package sources name; only the suite may be another one. Apt checks
//! everything that it downloads against the signed index of the suite.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::shell;

/// How long apt may say nothing: it gives up on a mirror by itself, and a dead one must not hold a build for long.
const SILENCE: Duration = Duration::from_secs(180);

/// Suites that may hold the sources of a compiler, the likeliest first; the last one is large and changes daily.
const SUITES: &[&str] = &["trixie-backports", "trixie", "forky", "sid"];

/// The key ring that Debian's systems have.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What was seen once is the same for ever.
const KNOWN: &[(&str, &str)] =
    &[("rust-src_1.95.0+dfsg1-2~bpo13+1_all.deb", "7b76db5b880a77f9e52975d2baa6209d2f76d2c9c2789515c3088cb960e2c83b")];

/// One line of the machine's package sources, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    mirror: String,
    suite: String,
}

/// A private set of package lists.
pub(crate) struct Apt {
    folder: PathBuf,
    sources: Vec<Source>,
}

impl Apt {
    /// Prepares private lists in an empty folder.
    pub(crate) fn new(folder: PathBuf) -> Result<Self> {
        for tool in ["apt-get", "dpkg-deb"] {
            ensure!(shell::answers(Command::new(tool).arg("--version")), "there is no {tool}: this is not Debian");
        }
        ensure!(Path::new(KEYS).is_file(), "Debian's key ring is not there (package debian-archive-keyring)");
        let sources = sources_of(Path::new("/etc/apt"))?;
        ensure!(!sources.is_empty(), "the package sources name no mirror of Debian");
        for part in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(folder.join(part)).with_context(|| format!("cannot make {part}"))?;
        }
        Ok(Self { folder, sources })
    }

    /// Downloads and unpacks the standard library's sources of exactly this release; says where they lie.
    pub(crate) fn std_sources(&self, release: &str) -> Result<PathBuf> {
        let main = self.sources.iter().find(|source| !source.mirror.contains("security"));
        let mirror = &main.context("the package sources name no main mirror of Debian")?.mirror;
        let mut last_error = None;
        for suite in SUITES {
            let source = Source { mirror: mirror.clone(), suite: (*suite).to_owned() };
            if let Err(error) = self.update(&[source]) {
                last_error = Some(error);
                continue;
            }
            let Some(version) = newest(&self.versions("rust-src")?, release) else { continue };
            let what = format!("fetching the sources of Rust {release} ({version}, 45 MB)");
            let mut download = self.tool("apt-get");
            download.current_dir(&self.folder).args(["--quiet", "download"]).arg(format!("rust-src={version}"));
            shell::quiet(&what, SILENCE, &mut download)?;
            self.unpack(&self.folder)?;
            return library_below(&self.folder.join("root"));
        }
        match last_error {
            Some(error) => Err(error),
            None => bail!("no suite of Debian has the sources of Rust {release}"),
        }
    }

    /// Downloads and unpacks Debian's own newest compiler with its sources and a linker; says where.
    pub(crate) fn compiler(&self) -> Result<PathBuf> {
        self.update(&self.sources)?;
        let names = shell::output(self.tool("apt-cache").args(["pkgnames", "lld-"]))?;
        let linker =
            names.lines().filter_map(|name| name.strip_prefix("lld-")?.parse::<u32>().ok()).max().context("Debian has no lld")?;
        let mut install = self.tool("apt-get");
        install
            .args(["--quiet", "--yes", "--no-install-recommends", "--reinstall", "--download-only", "install"])
            .args(["rustc-web", "libstd-rust-web-dev", "rust-web-src"])
            .arg(format!("lld-{linker}"));
        shell::quiet("fetching Debian's own Rust (140 MB)", SILENCE, &mut install)?;
        self.unpack(&self.folder.join("archives"))?;
        Ok(self.folder.join("root"))
    }

    fn update(&self, sources: &[Source]) -> Result<()> {
        let lines = sources.iter().fold(String::new(), |mut lines, source| {
            let _ = writeln!(lines, "deb [signed-by={KEYS} target=Packages] {} {} main", source.mirror, source.suite);
            lines
        });
        fs::write(self.folder.join("sources.list"), lines).context("cannot write a list of sources")?;
        fs::write(self.folder.join("apt.conf"), configuration(&self.folder)).context("cannot write apt's settings")?;
        let suites: Vec<&str> = sources.iter().map(|source| source.suite.as_str()).collect();
        let what = format!("fetching Debian's package lists ({})", suites.join(", "));
        shell::quiet(&what, SILENCE, self.tool("apt-get").args(["--quiet", "update"]))?;
        Ok(())
    }

    /// The versions of a package, as apt orders them: the newest first.
    fn versions(&self, package: &str) -> Result<Vec<String>> {
        let table = shell::output(self.tool("apt-cache").args(["madison", package]))?;
        Ok(table.lines().filter_map(|line| line.split('|').nth(1)).map(|version| version.trim().to_owned()).collect())
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.arg("--config-file").arg(self.folder.join("apt.conf")).env("LC_ALL", "C");
        command
    }

    /// Unpacks all packages of a folder, one over the other, into `root`, and never installs them.
    fn unpack(&self, folder: &Path) -> Result<()> {
        let mut packages: Vec<PathBuf> = fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .context("cannot list what was downloaded")?;
        packages.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
        ensure!(!packages.is_empty(), "apt says that it downloaded, but there is nothing");
        for package in packages {
            check_known(&package)?;
            let name = package.file_stem().unwrap_or_default().to_string_lossy();
            let mut dpkg = Command::new("dpkg-deb");
            dpkg.arg("--extract").arg(&package).arg(self.folder.join("root"));
            shell::quiet(&format!("unpacking {name}"), SILENCE, &mut dpkg)?;
            fs::remove_file(&package).context("cannot remove an unpacked package")?;
        }
        Ok(())
    }
}

/// Everything private, nothing run afterwards, no translations and icons; a mirror that cannot be reached is an
/// error, which apt by itself calls a warning.
fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "Dir::Etc::sourcelist \"{folder}/sources.list\";\n\
         Dir::Etc::sourceparts \"-\";\n\
         Dir::State::lists \"{folder}/lists\";\n\
         Dir::Cache \"{folder}\";\n\
         Dir::Cache::archives \"archives\";\n\
         Debug::NoLocking \"true\";\n\
         APT::Sandbox::User \"root\";\n\
         APT::Update::Error-Mode \"any\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::Retries \"2\";\n\
         #clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n\
         #clear DPkg::Pre-Invoke;\n\
         #clear DPkg::Post-Invoke;\n"
    )
}

/// Where the standard library's sources lie below an unpacked package.
pub(crate) fn library_below(root: &Path) -> Result<PathBuf> {
    let sources = root.join("usr").join("src");
    fs::read_dir(&sources)
        .with_context(|| format!("cannot list {}", sources.display()))?
        .flatten()
        .map(|entry| entry.path().join("library"))
        .find(|library| library.join("std").is_dir())
        .context("the package holds no standard library")
}

fn newest(versions: &[String], release: &str) -> Option<String> {
    versions.iter().find(|version| version.strip_prefix(release).is_some_and(|rest| rest.starts_with(['+', '-', '~']))).cloned()
}

fn check_known(package: &Path) -> Result<()> {
    let name = package.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((_, expected)) = KNOWN.iter().find(|(known, _)| *known == name) else { return Ok(()) };
    let bytes = fs::read(package).with_context(|| format!("cannot read {name}"))?;
    let found = Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    ensure!(found == *expected, "{name} is not the package that is known by this name: its SHA-256 is {found}");
    Ok(())
}

/// Reads the machine's package sources in both of the formats that apt knows.
fn sources_of(etc_apt: &Path) -> Result<Vec<Source>> {
    let mut files = vec![etc_apt.join("sources.list")];
    if let Ok(entries) = fs::read_dir(etc_apt.join("sources.list.d")) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    let mut sources = Vec::new();
    for file in files.into_iter().filter(|file| file.is_file()) {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources.extend(text.lines().filter_map(one_line)),
            Some("sources") => sources.extend(text.split("\n\n").flat_map(stanza)),
            _ => {}
        }
    }
    sources.retain(|source| is_debian(&source.mirror));
    Ok(sources)
}

/// Other people's repositories are left alone.
fn is_debian(mirror: &str) -> bool {
    let last = mirror.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    matches!(last, "debian" | "debian-security" | "debian.list" | "debian-security.list")
}

/// `deb [options] mirror suite component...`
fn one_line(line: &str) -> Option<Source> {
    let rest = line.trim().strip_prefix("deb")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace();
    Some(Source { mirror: words.next()?.to_owned(), suite: words.next()?.to_owned() })
}

/// A paragraph of `Name: value` lines.
fn stanza(text: &str) -> Vec<Source> {
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let is_off = field("Enabled").is_some_and(|value| value.eq_ignore_ascii_case("no"));
    let is_binary = field("Types").is_some_and(|types| types.split_whitespace().any(|kind| kind == "deb"));
    if is_off || !is_binary {
        return Vec::new();
    }
    let suites = field("Suites").unwrap_or_default();
    field("URIs")
        .unwrap_or_default()
        .split_whitespace()
        .flat_map(|mirror| suites.split_whitespace().map(|suite| Source { mirror: mirror.to_owned(), suite: suite.to_owned() }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(mirror: &str, suite: &str) -> Source {
        Source { mirror: mirror.to_owned(), suite: suite.to_owned() }
    }

    #[test]
    fn both_formats_of_package_sources_are_read() {
        assert_eq!(
            one_line("deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main"),
            Some(source("http://mirror.example/debian", "bookworm"))
        );
        assert_eq!(
            one_line("  deb http://mirror.example/debian/ bookworm main contrib"),
            Some(source("http://mirror.example/debian/", "bookworm"))
        );
        assert_eq!(one_line("# deb http://mirror.example/debian bookworm main"), None);
        assert_eq!(one_line("deb-src http://mirror.example/debian bookworm main"), None);
        assert_eq!(
            stanza(
                "Types: deb deb-src\n# archive: 2025\nURIs: http://mirror.example/debian\nSuites: a a-updates\nComponents: main"
            ),
            [source("http://mirror.example/debian", "a"), source("http://mirror.example/debian", "a-updates")]
        );
        assert_eq!(stanza("Types: deb-src\nURIs: http://mirror.example/debian\nSuites: a"), []);
        assert_eq!(stanza("Enabled: no\nTypes: deb\nURIs: http://mirror.example/debian\nSuites: a"), []);
    }

    #[test]
    fn only_debians_own_mirrors_are_used() {
        assert!(is_debian("http://mirror.example/debian/"));
        assert!(is_debian("mirror+file:/etc/apt/mirrors/debian.list"));
        assert!(!is_debian("https://vendor.example/apt"));
        assert!(!is_debian("http://mirror.example/ubuntu"));
    }

    #[test]
    fn only_sources_of_exactly_this_release_will_do() {
        let versions = ["1.95.10+dfsg1-1", "1.95.0+dfsg1-2~bpo13+1", "1.95.0+dfsg1-1", "1.94.1-1"].map(str::to_owned);
        assert_eq!(newest(&versions, "1.95.0").as_deref(), Some("1.95.0+dfsg1-2~bpo13+1"));
        assert_eq!(newest(&versions, "1.94.1").as_deref(), Some("1.94.1-1"));
        assert_eq!(newest(&versions, "1.95.1"), None);
    }
}
