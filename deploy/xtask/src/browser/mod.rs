//! `cargo xtask browser`
mod chromium;
mod fakes;
