//! The border to JavaScript: the only place that knows there is any.
//!
//! `core` is the class that a worker holds, `functions` what needs no room, `arguments` reads what comes in, `items` and
//! `record` shape what goes out, `names` spells enums as TypeScript knows them, `types.d.ts` says all of it to TypeScript.

mod arguments;
mod core;
mod functions;
mod items;
mod names;
mod panics;
mod record;

use wasm_bindgen::prelude::wasm_bindgen;

pub use self::{
    core::Core,
    functions::{read_link, read_well_known, version},
};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.d.ts");
