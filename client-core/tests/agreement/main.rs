//! What participants agree on, byte by byte: known answers made by another implementation (`vectors/make.py`), and
//! properties of everything that is decoded.

#![forbid(unsafe_code)]

mod known;
mod shapes;
