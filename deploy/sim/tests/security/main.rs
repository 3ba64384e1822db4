//! Who comes in, who goes, and who has to be put out, over whole networks: what `SECURITY.md` promises of each.

mod doors;
mod going;
mod leaks;
mod led;
mod storm;
