//! The messages of a session over TCP, as one end makes them.

use bytes::Bytes;
use conclave_federation::{
    io::{SessionKey, StreamKey, Wrote},
    mux::{self, End, Limits, Mux},
    track::priority,
    wire::code::Code,
};

/// What a relay says, each by its name.
pub(crate) fn messages() -> Vec<(&'static str, Bytes)> {
    let mut mux = Mux::new(SessionKey(1), End::Acceptor, Limits::RELAY);
    let mut said = vec![("mux alive", mux::ALIVE)];
    let write = |mux: &mut Mux, stream, bytes| {
        assert!(matches!(mux.write(stream, &mut [Bytes::from_static(bytes)]), Wrote::Accepted(_)));
    };
    let next = |mux: &mut Mux| mux.next_message().expect("something was said");
    write(&mut mux, StreamKey::CONTROL, b"control");
    said.push(("mux data control", next(&mut mux)));
    mux.datagram(Bytes::from_static(b"sound"));
    said.push(("mux datagram", next(&mut mux)));
    // The seventeenth of its kind: its number takes two bytes.
    let streams: Vec<_> = (0..17).map(|_| mux.open_uni(priority::BASE).expect("within the limit")).collect();
    write(&mut mux, streams[0], b"group");
    mux.finish(streams[0]);
    said.push(("mux last", next(&mut mux)));
    mux.finish(streams[1]);
    said.push(("mux last empty", next(&mut mux)));
    write(&mut mux, streams[16], b"group");
    said.push(("mux data uni", next(&mut mux)));
    mux.reset(streams[16], Code::LATE);
    said.push(("mux reset", next(&mut mux)));
    let bidi = mux.open_bidi().expect("within the limit");
    write(&mut mux, bidi, b"request");
    said.push(("mux data bidi", next(&mut mux)));
    mux.stop(bidi, Code::UNWANTED);
    said.push(("mux stop", next(&mut mux)));
    mux.close(Code::SHUTTING_DOWN, "connect again");
    said.push(("mux close", next(&mut mux)));
    said
}

/// The other end reads each of them as what it was said for.
#[test]
fn the_other_end_reads_every_message() {
    let mut near = Mux::new(SessionKey(1), End::Dialler, Limits::PARTICIPANT);
    for (name, message) in messages() {
        assert_eq!(near.handle_message(&message), Ok(()), "{name}");
    }
    let told: Vec<_> = std::iter::from_fn(|| near.next_net()).collect();
    // All but the sign of life.
    assert_eq!(told.len(), 9, "{told:?}");
}
