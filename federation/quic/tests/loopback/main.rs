//! Two drivers over loopback: what one writes is what the other gets, and nobody else notices what goes wrong.

mod ends;
mod pressure;
mod refusals;
mod sessions;
mod streams;
mod tcp;
mod trouble;
mod web;
