//! A bug ends in a trap, which JavaScript sees as a `RuntimeError`; before it, the console is told where.

use std::panic;

use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(words: &str);
}

/// Runs when the module is loaded.
#[wasm_bindgen(start)]
fn begin() {
    panic::set_hook(Box::new(|info| {
        // The place alone: what a bug says may hold what must not be shown.
        let place = info.location().map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
        console_error(&format!("a bug in Conclave's core{place} ended the call: please report this line"));
    }));
}
