#![allow(unreachable_pub, reason = "shared by several tests")]
//! The least that speaks with a relay: a session, and requests one after the other.

#![allow(dead_code, reason = "each test uses the part it needs")]

use std::time::Duration;

use bytes::Bytes;
use conclave_federation::{
    id::{Generation, Instance, RelayId},
    io::{Closed, Dial, DialKey, Net, Outlet, SessionKey, StreamKey},
    proof::{AttachClaim, Capability, SigningKey},
    record::RoomRecord,
    session::{Event, Local, Remote, Session},
    wire::{
        code::Code,
        message::{Answer, Attach, Request},
    },
};
use conclave_quic::{BindConfig, Driver, Endpoint};

/// Longest wait for anything; only a failure reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client with one session.
pub struct Client {
    driver: Driver,
    session: Session<u32>,
    key: SessionKey,
    pub relay: RelayId,
    pub nonce: [u8; 32],
    asked: u32,
    closed: Option<Closed>,
}

impl Client {
    /// Connects to a relay that said that it is ready.
    pub async fn connect(address: &str, relay: &str) -> Self {
        let relay = RelayId::from_hex(relay).unwrap();
        let mut driver = Driver::new(Endpoint::bind(BindConfig::participant()).unwrap());
        driver.dial(Dial { key: DialKey(1), relay: Some(relay), addresses: vec![address.to_owned()] });
        let net = tokio::time::timeout(PATIENCE, driver.next()).await.expect("an answer to the dial");
        let Net::Connected { session: key, side, exporter } = net else { panic!("not connected: {net:?}") };
        let session = Session::new(driver.now(), key, side, exporter, &Local::Client, &mut driver);
        let mut client = Self { driver, session, key, relay, nonce: [0; 32], asked: 0, closed: None };
        let Event::Active(Remote::Relay { nonce, .. }) = client.event().await else { panic!("no greeting") };
        client.nonce = nonce;
        client
    }

    async fn event(&mut self) -> Event<u32> {
        loop {
            if let Some(event) = self.session.next_event() {
                return event;
            }
            assert!(self.turn().await, "the session ended: {:?}", self.closed);
        }
    }

    /// The next thing that the network does; `false` when the session is over.
    async fn turn(&mut self) -> bool {
        let net = tokio::time::timeout(PATIENCE, self.driver.next()).await.expect("the relay says something");
        let now = self.driver.now();
        match net {
            Net::Data { stream, kind, bytes, fin, .. } => {
                self.session.on_data(now, stream, kind, bytes, fin, &mut self.driver).expect("the relay speaks conclave/1");
            }
            Net::Writable { .. } => self.session.on_writable(&mut self.driver).expect("little is waiting"),
            Net::Closed { why, .. } => {
                self.closed = Some(why);
                return false;
            }
            _ => {}
        }
        true
    }

    /// Asks and waits for the answer.
    pub async fn ask(&mut self, request: Request) -> Answer {
        self.asked += 1;
        let now = self.driver.now();
        self.session.request(now, request, self.asked, &mut self.driver);
        loop {
            if let Event::Answer(tag, answer) = self.event().await {
                assert_eq!(tag, self.asked);
                return answer;
            }
        }
    }

    /// Proves membership of a room whose access key is the founder's.
    pub async fn attach(&mut self, founder: &SigningKey, record: &RoomRecord, instance: Instance) -> Answer {
        let claim = AttachClaim {
            relay: self.relay,
            authority: "",
            nonce: &self.nonce,
            room: record.room,
            instance,
            generation: Generation(0),
            role: 0,
        };
        let expires = self.driver.now().unix_ms + 600_000;
        let attach = Attach {
            room: record.room,
            instance,
            generation: Generation(0),
            role: 0,
            signature: founder.sign(conclave_federation::proof::Label::Attach, &claim.bytes()),
            capability: Capability::issue(founder, self.relay, record.room, instance, Generation(0), expires),
        };
        self.ask(Request::Attach(attach)).await
    }

    /// Writes bytes that mean nothing on the control stream.
    pub fn garbage(&mut self, bytes: &'static [u8]) {
        self.driver.write(self.key, StreamKey::CONTROL, &mut [Bytes::from_static(bytes)]);
    }

    /// Waits for the session's end: the relay's code, when it gave one.
    pub async fn end(mut self) -> Option<Code> {
        while self.turn().await {}
        match self.closed {
            Some(Closed::ByRemote(code, words)) => {
                assert!(!words.is_empty(), "a code without words");
                Some(code)
            }
            _ => None,
        }
    }
}
