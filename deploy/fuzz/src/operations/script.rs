//! Operations spelled by bytes.

/// Reads choices off the input; everything is 0 once it has ended.
pub struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    /// From the front.
    #[must_use]
    pub const fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// The next operation, until the input ends.
    pub fn next_op(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        self.next_op().unwrap_or(0)
    }

    /// True once in `often`.
    pub fn once_in(&mut self, often: u8) -> bool {
        self.byte().is_multiple_of(often)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// Some bytes of the input, as they stand: at most 255.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.rest.len());
        let (front, rest) = self.rest.split_at(len);
        self.rest = rest;
        front
    }
}
