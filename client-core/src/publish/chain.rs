//! Which frame needs which: enough for a receiver to go on over a missing frame that nothing needs.

use crate::api::Media;

/// The newest frame of each layer in this group.
#[derive(Clone, Copy, Default)]
pub(super) struct Chain {
    newest: [Option<Newest>; Media::MAX_LAYERS as usize],
}

#[derive(Clone, Copy)]
struct Newest {
    number: u32,
    /// On its way. A frame that needs one that is not is of no use to anybody.
    sent: bool,
}

impl Chain {
    /// How many frames back the newest one is that a frame of this layer needs: of its own layer or of one below, whatever
    /// its encoder really refers to. `None` when that was dropped, or is too far back to be said.
    pub(super) fn back(&self, number: u32, layer: u8) -> Option<u8> {
        let below = self.newest.iter().take(usize::from(layer) + 1).flatten();
        let needed = below.min_by_key(|newest| number.wrapping_sub(newest.number)).filter(|newest| newest.sent)?;
        u8::try_from(number.wrapping_sub(needed.number)).ok()
    }

    /// A key frame: nothing before it is needed any more.
    pub(super) fn on_key(&mut self, number: u32) {
        *self = Self::default();
        self.on_frame(number, 0, true);
    }

    /// A frame was sent, or dropped.
    pub(super) fn on_frame(&mut self, number: u32, layer: u8, sent: bool) {
        if let Some(newest) = self.newest.get_mut(usize::from(layer)) {
            *newest = Some(Newest { number, sent });
        }
    }

    /// What was on its way of this layer and of those above it was dropped.
    pub(super) fn on_cut(&mut self, layer: u8) {
        for newest in self.newest.iter_mut().skip(usize::from(layer)).flatten() {
            newest.sent = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The distances of frames of these layers after a key frame.
    fn backs(layers: &[u8]) -> Vec<Option<u8>> {
        let mut chain = Chain::default();
        chain.on_key(u32::MAX);
        let frames = (0u32..).zip(layers);
        frames
            .map(|(number, layer)| {
                let back = chain.back(number, *layer);
                chain.on_frame(number, *layer, true);
                back
            })
            .collect()
    }

    #[test]
    fn a_frame_needs_the_newest_of_its_layer_or_below() {
        assert_eq!(backs(&[0, 0, 0]), [Some(1); 3]);
        assert_eq!(backs(&[1, 0, 1, 0]), [Some(1), Some(2), Some(1), Some(2)]);
        assert_eq!(backs(&[2, 1, 2, 0, 2]), [Some(1), Some(2), Some(1), Some(4), Some(1)]);
        assert_eq!(backs(&[1, 1, 0]), [Some(1), Some(1), Some(3)], "who knows what the second one refers to");
    }

    #[test]
    fn what_needs_a_dropped_frame_is_not_sent_until_a_lower_layer_goes_on() {
        let mut chain = Chain::default();
        chain.on_key(7);
        chain.on_frame(8, 1, false);
        assert_eq!((chain.back(9, 1), chain.back(9, 2), chain.back(9, 0)), (None, None, Some(2)));
        chain.on_frame(9, 0, true);
        assert_eq!(chain.back(10, 1), Some(1));
        chain.on_frame(10, 1, true);
        chain.on_cut(1);
        assert_eq!((chain.back(11, 1), chain.back(11, 0)), (None, Some(2)));
    }

    #[test]
    fn a_frame_too_far_back_cannot_be_said() {
        let mut chain = Chain::default();
        chain.on_key(0);
        assert_eq!((chain.back(255, 0), chain.back(256, 0)), (Some(255), None));
    }
}
