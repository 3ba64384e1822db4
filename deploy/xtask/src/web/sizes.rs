//! How much a browser has to load.

/// Bytes as they are and as they travel.
#[derive(Clone, Copy, Default)]
struct Size {
    files: usize,
    raw: usize,
    brotli: usize,
}

/// The sizes of all files, by what they are.
#[derive(Default)]
pub(crate) struct Sizes {
    wasm: Size,
    script: Size,
    page: Size,
}

impl Sizes {
    pub(super) fn add(&mut self, name: &str, raw: usize, brotli: usize) {
        let size = match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("wasm") => &mut self.wasm,
            Some("js") => &mut self.script,
            _ => &mut self.page,
        };
        *size = size.plus(Size { files: 1, raw, brotli });
    }

    /// A line for each kind, and the sum.
    pub(super) fn table(&self) -> String {
        let rows = [("wasm", self.wasm), ("scripts", self.script), ("page", self.page), ("all", self.sum())];
        let mut lines = vec![format!("  {:8} {:>6} {:>10} {:>10}", "", "files", "raw", "brotli")];
        lines.extend(rows.iter().map(|(name, size)| {
            format!("  {name:8} {:>6} {:>10} {:>10}", size.files, kilobytes(size.raw), kilobytes(size.brotli))
        }));
        lines.join("\n")
    }

    /// The two numbers that matter.
    pub(super) fn line(&self) -> String {
        let Size { files, raw, brotli } = self.sum();
        format!(
            "wasm {} ({} after brotli), {files} files together {} ({} after brotli)",
            kilobytes(self.wasm.raw),
            kilobytes(self.wasm.brotli),
            kilobytes(raw),
            kilobytes(brotli)
        )
    }

    fn sum(&self) -> Size {
        self.wasm.plus(self.script).plus(self.page)
    }
}

impl Size {
    const fn plus(self, other: Self) -> Self {
        Self { files: self.files + other.files, raw: self.raw + other.raw, brotli: self.brotli + other.brotli }
    }
}

/// Thousands of bytes, with tenths where there are few.
fn kilobytes(bytes: usize) -> String {
    let tenths = bytes.div_ceil(100);
    if tenths < 100 { format!("{}.{} kB", tenths / 10, tenths % 10) } else { format!("{} kB", bytes.div_ceil(1_000)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_kind_and_the_sum() {
        let mut sizes = Sizes::default();
        sizes.add("core/conclave_web_bg.wasm", 1_687_784, 400_001);
        sizes.add("sdk/index.js", 4_040, 900);
        sizes.add("page/main.js", 1_000, 100);
        sizes.add("index.html", 2_000, 501);
        let expected = "            files        raw     brotli
  wasm          1    1688 kB     401 kB
  scripts       2     5.1 kB     1.0 kB
  page          1     2.0 kB     0.6 kB
  all           4    1695 kB     402 kB";
        assert_eq!(sizes.table(), expected);
        assert_eq!(sizes.line(), "wasm 1688 kB (401 kB after brotli), 4 files together 1695 kB (402 kB after brotli)");
    }
}
