//! The files of the page, all of them in memory: read once at the start, bounded, and never looked for on disk again, so
//! that no path from the network ever reaches the file system.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use conclave_federation::proof::sha256;

use crate::config::values::Size;

/// Files in a page's folder, variants included.
const MAX_FILES: usize = 1_024;
/// Folders inside each other.
const MAX_DEPTH: usize = 8;
/// What is served at `/` and for links.
const INDEX: &str = "/index.html";

/// One file in one coding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Variant {
    pub(crate) body: Bytes,
    /// With its quotes: changes with every byte of the body.
    pub(crate) etag: String,
}

impl Variant {
    fn new(body: Vec<u8>) -> Self {
        let hash = sha256(&[&body]);
        let short: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { body: body.into(), etag: format!("\"{short}\"") }
    }
}

/// One file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Page {
    pub(crate) kind: &'static str,
    pub(crate) plain: Variant,
    pub(crate) brotli: Option<Variant>,
}

/// All files by their paths, each beginning with a slash; empty when this relay serves no page.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Site {
    pages: BTreeMap<String, Page>,
}

/// Why a folder is no page. The words follow the setting and the folder's name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// The system said so.
    #[error("{0}: cannot be read: {1}: name the folder that `cargo xtask web` builds, or remove the line")]
    Unreadable(PathBuf, std::io::ErrorKind),
    /// Nothing to begin with.
    #[error("{0}: there is no index.html in it: build the page with `cargo xtask web`, and name the folder that it tells")]
    NoIndex(PathBuf),
    /// More bytes than are given.
    #[error("{0}: its files are larger than {1} together: name the folder of the page alone, or raise web.max_page")]
    TooLarge(PathBuf, Size),
    /// More files or folders than a page has.
    #[error("{0}: it has more than {MAX_FILES} files, or folders deeper than {MAX_DEPTH}: name the folder of the page alone")]
    TooMany(PathBuf),
}

impl Site {
    /// Reads a folder. Hidden files are left out; `name.br` is `name` in brotli and nothing by itself.
    ///
    /// # Errors
    /// When it cannot be read, is larger than `most`, or has no page in it.
    pub(crate) fn load(folder: &Path, most: Size) -> Result<Self, Unfit> {
        let mut reading = Reading { root: folder, most, left: most.0, files: BTreeMap::new() };
        reading.folder(folder, "", 0)?;
        let (mut compressed, plain): (BTreeMap<_, _>, BTreeMap<_, _>) =
            reading.files.into_iter().partition(|(name, _)| name.ends_with(".br"));
        let mut variant = |name: &str| compressed.remove(&format!("{name}.br")).map(Variant::new);
        let pages: BTreeMap<String, Page> = plain
            .into_iter()
            .map(|(name, body)| {
                let page = Page { kind: kind(&name), brotli: variant(&name), plain: Variant::new(body) };
                (name, page)
            })
            .collect();
        if !pages.contains_key(INDEX) {
            return Err(Unfit::NoIndex(folder.to_owned()));
        }
        Ok(Self { pages })
    }

    /// Whether there is a page at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// The file at this path. A room's link names `/r`, and says the rest where servers do not see it.
    pub(crate) fn find(&self, path: &str) -> Option<&Page> {
        self.pages.get(if matches!(path, "/" | "/r") { INDEX } else { path })
    }

    /// Whether this path is the page itself, under any of its names.
    pub(crate) fn is_index(path: &str) -> bool {
        matches!(path, "/" | "/r" | INDEX)
    }
}

struct Reading<'a> {
    root: &'a Path,
    most: Size,
    left: u64,
    files: BTreeMap<String, Vec<u8>>,
}

impl Reading<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), Unfit> {
        if depth > MAX_DEPTH {
            return Err(Unfit::TooMany(self.root.to_owned()));
        }
        let unreadable = |path: &Path, error: &std::io::Error| Unfit::Unreadable(path.to_owned(), error.kind());
        for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
            let entry = entry.map_err(|error| unreadable(folder, &error))?;
            let path = entry.path();
            // A name that is no text cannot be asked for.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let about = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
            let full = format!("{prefix}/{name}");
            if about.is_dir() {
                self.folder(&path, &full, depth + 1)?;
            } else if about.is_file() {
                self.file(&path, full)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: String) -> Result<(), Unfit> {
        if self.files.len() >= MAX_FILES {
            return Err(Unfit::TooMany(self.root.to_owned()));
        }
        let unreadable = |error: std::io::Error| Unfit::Unreadable(path.to_owned(), error.kind());
        let mut body = Vec::new();
        let file = fs::File::open(path).map_err(unreadable)?;
        // It may grow while it is read.
        let read = file.take(self.left + 1).read_to_end(&mut body).map_err(unreadable)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| Unfit::TooLarge(self.root.to_owned(), self.most))?;
        self.files.insert(name, body);
        Ok(())
    }
}

/// The content type: browsers run scripts and WebAssembly only under their own.
fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt" | "md" | "ts") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, body: &[u8]) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, body).unwrap();
    }

    fn load(folder: &tempfile::TempDir, most: u64) -> Result<Site, Unfit> {
        Site::load(folder.path(), Size(most))
    }

    #[test]
    fn files_are_found_under_their_paths_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "index.html", b"page");
        write(folder.path(), "core/a_bg.wasm", b"plain");
        write(folder.path(), "core/a_bg.wasm.br", b"small");
        write(folder.path(), ".git/config", b"hidden");
        write(folder.path(), "alone.br", b"variant of nothing");
        let site = load(&folder, 1 << 20).unwrap();
        for path in ["/", "/r", "/index.html"] {
            assert_eq!(&site.find(path).unwrap().plain.body[..], b"page");
        }
        let wasm = site.find("/core/a_bg.wasm").unwrap();
        assert_eq!(wasm.kind, "application/wasm");
        assert_eq!(&wasm.brotli.as_ref().unwrap().body[..], b"small");
        assert_ne!(wasm.brotli.as_ref().unwrap().etag, wasm.plain.etag);
        for path in
            ["", "/core", "/core/", "/core/a_bg.wasm.br", "/alone.br", "/.git/config", "/../index.html", "//index.html", "/R"]
        {
            assert_eq!(site.find(path), None, "{path}");
        }
    }

    #[test]
    fn an_etag_changes_with_every_byte() {
        let one = Variant::new(b"page".to_vec());
        assert_eq!(one.etag, Variant::new(b"page".to_vec()).etag);
        assert_ne!(one.etag, Variant::new(b"pagf".to_vec()).etag);
        assert!(one.etag.starts_with('"') && one.etag.ends_with('"') && one.etag.len() == 34);
    }

    #[test]
    fn a_folder_that_is_no_page_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(load(&folder, 1 << 20), Err(Unfit::NoIndex(_))));
        write(folder.path(), "index.html", &[b'x'; 1_000]);
        assert!(load(&folder, 1_000).is_ok());
        assert!(matches!(load(&folder, 999), Err(Unfit::TooLarge(..))));
        let missing = Site::load(&folder.path().join("missing"), Size(1_000)).unwrap_err();
        assert!(missing.to_string().contains("missing: cannot be read"), "{missing}");
        let file = Site::load(&folder.path().join("index.html"), Size(1_000)).unwrap_err();
        assert!(matches!(file, Unfit::Unreadable(..)));
    }

    #[test]
    fn more_files_or_deeper_folders_than_a_page_has_are_refused() {
        let deep = tempfile::tempdir().unwrap();
        write(deep.path(), "index.html", b"page");
        write(deep.path(), "1/2/3/4/5/6/7/8/fits", b"");
        assert!(load(&deep, 1 << 20).is_ok());
        write(deep.path(), "1/2/3/4/5/6/7/8/9/deep", b"");
        assert!(matches!(load(&deep, 1 << 20), Err(Unfit::TooMany(_))));

        let many = tempfile::tempdir().unwrap();
        write(many.path(), "index.html", b"page");
        for number in 0..MAX_FILES {
            write(many.path(), &number.to_string(), b"");
        }
        assert!(matches!(load(&many, 1 << 20), Err(Unfit::TooMany(_))));
    }
}
