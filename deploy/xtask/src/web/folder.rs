//! The finished folder: exactly the files that belong there, each with its compressed twin.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::compress::Compressed;
use super::module::Module;
use super::sizes::Sizes;
use super::{Build, Places, files_below, make, read, script};

/// Endings of files in the page's folder that are sources, or notes for people, and not for browsers.
const NOT_SERVED: &[&str] = &["ts", "md"];

/// The ending of a compressed twin.
const TWIN: &str = "br";

/// Every file of the folder by its path there, with `/`, and where its bytes are now.
pub(super) type Files = BTreeMap<String, PathBuf>;

/// Finds what belongs into the folder.
pub(super) fn gather(places: &Places, module: &Module) -> Result<Files> {
    let mut files: Files = module.files().into_iter().collect();
    let scripts = script::folder(places);
    for path in files_below(&scripts)? {
        add(&mut files, &scripts, path)?;
    }
    let page = places.web.join("page");
    for path in files_below(&page)? {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if !NOT_SERVED.contains(&ending) {
            add(&mut files, &page, path)?;
        }
    }
    Ok(files)
}

fn add(files: &mut Files, base: &Path, path: PathBuf) -> Result<()> {
    let name = name(base, &path)?;
    let before = files.insert(name, path);
    ensure!(before.is_none(), "two files want to be {}: rename one", before.unwrap_or_default().display());
    Ok(())
}

/// How a file is called below a folder, on any system.
fn name(base: &Path, path: &Path) -> Result<String> {
    let below = path.strip_prefix(base).with_context(|| format!("{} is not in its folder", path.display()))?;
    let parts: Option<Vec<&str>> = below.iter().map(|part| part.to_str()).collect();
    Ok(parts.with_context(|| format!("{} has a name that no address can spell", path.display()))?.join("/"))
}

/// Brings the folder to hold these files and their twins and nothing else; says how large they are.
pub(super) fn write(places: &Places, what: Build, files: &Files) -> Result<Sizes> {
    make(&places.folder)?;
    let mut compressed = Compressed::open(places.work.join("compressed"), what)?;
    let mut sizes = Sizes::default();
    for (name, source) in files {
        let bytes = read(source)?;
        let small = compressed.of(name, &bytes)?;
        super::write(&places.folder.join(name), &bytes)?;
        super::write(&places.folder.join(format!("{name}.{TWIN}")), &small)?;
        sizes.add(name, bytes.len(), small.len());
    }
    compressed.forget_unused()?;
    for path in files_below(&places.folder)? {
        let name = name(&places.folder, &path)?;
        let of = name.strip_suffix(TWIN).and_then(|name| name.strip_suffix('.')).unwrap_or(&name);
        if !files.contains_key(&name) && !files.contains_key(of) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(sizes)
}
