//! A room's link: whoever has it may come in.

use std::fmt;

/// A room's link; whoever has it may come in.
#[derive(Clone, PartialEq, Eq)]
pub struct Link(());

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link(..)")
    }
}
