//! skeleton
#![forbid(unsafe_code)]
mod js;
