//! skeleton
#![forbid(unsafe_code)]
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("js/types.d.ts");

/// x
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {}

#[wasm_bindgen]
impl Core {
    /// Poll.
    #[wasm_bindgen(unchecked_return_type = "Item[]")]
    pub fn poll(&mut self, now: f64, unix: f64) -> js_sys::Array {
        let _ = (now, unix);
        js_sys::Array::new()
    }
    /// j
    pub fn join(link: &str, #[wasm_bindgen(unchecked_param_type = "Start")] start: JsValue) -> Result<Core, JsError> {
        let _ = (link, start);
        Err(JsError::new("no"))
    }
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(words: &str);
}
