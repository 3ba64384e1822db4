//! Two ends of one pipe, a pipe that may lie.

use bytes::Bytes;
use conclave_federation::{
    io::{Closed, SessionKey, StreamKey},
    mux::{End, Limits, MAX_MESSAGE, Mux},
    wire::code::Code,
};

use super::Script;

/// Messages that one end may have to say in a row: its queue in the smallest pieces, and some signals.
const PATIENCE: usize = 64 * 1024;

/// Both ends do what the input says; between them messages are carried, kept back, damaged or made up.
pub fn mux(input: &[u8]) -> u32 {
    let mut script = Script::new(input);
    let mut ends =
        [Mux::new(SessionKey(1), End::Dialler, Limits::PARTICIPANT), Mux::new(SessionKey(2), End::Acceptor, Limits::RELAY)];
    let mut streams: [Vec<StreamKey>; 2] = [vec![StreamKey::CONTROL], vec![StreamKey::CONTROL]];
    let mut done = 0;
    while let Some(op) = script.next_op() {
        let side = usize::from(op & 1);
        let (Some(mine), Some(known)) = (ends.get_mut(side), streams.get_mut(side)) else { break };
        let stream = known.get(script.below(known.len())).copied().unwrap_or(StreamKey::CONTROL);
        done += 1;
        match (op >> 1) % 12 {
            0 => known.extend(mine.open_uni(script.byte() % 4)),
            1 => known.extend(mine.open_bidi()),
            2 | 3 => {
                let len = script.below(256) * script.below(256);
                let mut chunks = [Bytes::copy_from_slice(script.bytes()), Bytes::from(vec![7; len])];
                let _ = mine.write(stream, &mut chunks);
            }
            4 => mine.finish(stream),
            5 => mine.reset(stream, Code(script.byte().into())),
            6 => mine.stop(stream, Code(script.byte().into())),
            7 => {
                let _ = mine.datagram(Bytes::from(vec![1; script.below(256) * 5]));
            }
            8 => {
                // Whatever the other end may think of it.
                let _ = mine.handle_message(&Bytes::copy_from_slice(script.bytes()));
            }
            9 if script.byte() == 0 => mine.close(Code::NONE, "done"),
            10 if script.byte() == 0 => mine.lost(Closed::Lost),
            _ => done -= 1,
        }
        if op & 0x80 == 0 {
            carry(&mut ends, &mut streams, op & 0x40 != 0);
        }
    }
    carry(&mut ends, &mut streams, false);
    done
}

fn carry(ends: &mut [Mux; 2], streams: &mut [Vec<StreamKey>; 2], damaged: bool) {
    for side in [0, 1] {
        for _ in 0..PATIENCE {
            let Some(message) = ends[side].next_message() else { break };
            assert!(message.len() <= MAX_MESSAGE, "a message longer than any may be");
            let mut message = message.to_vec();
            if damaged && let Some(byte) = message.last_mut() {
                *byte ^= 0x41;
            }
            let taken = ends[1 - side].handle_message(&message.into());
            assert!(damaged || taken.is_ok() || ends[1 - side].is_over(), "an honest message was not understood");
            while let Some(net) = ends[1 - side].next_net() {
                if let conclave_federation::io::Net::Data { stream, .. } = net
                    && streams[1 - side].len() < 256
                {
                    streams[1 - side].push(stream);
                }
            }
        }
        assert!(ends[side].next_message().is_none(), "one end talks without end");
    }
}
