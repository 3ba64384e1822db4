//! `/.well-known/conclave`: who this relay is, signed by its key; JSON around it for people and their tools.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use conclave_federation::{
    limits::MAX_CERTIFICATES,
    proof::SigningKey,
    record::RelayDescriptor,
    well_known::{CertificateHash, WellKnown},
    wire::{List, Wire},
};

/// How long it is believed. Clients read it before each dial; a shorter time would only ask more of their clocks.
const LIFE_MS: u64 = 24 * 3_600_000;
/// It is signed again when it is this old, so that nobody is given one that is about to end.
const FRESH_MS: u64 = 3_600_000;

/// What is published, and what is needed to sign it again.
#[derive(Debug)]
pub(crate) struct Document {
    key: SigningKey,
    descriptor: RelayDescriptor,
    certificates: Vec<CertificateHash>,
    signed: Option<Signed>,
}

#[derive(Debug)]
struct Signed {
    issued: u64,
    json: Bytes,
}

impl Document {
    /// Of this relay, with these certificates.
    pub(crate) const fn new(key: SigningKey, descriptor: RelayDescriptor, certificates: Vec<CertificateHash>) -> Self {
        Self { key, descriptor, certificates, signed: None }
    }

    /// Other certificates from now on.
    pub(crate) fn publish(&mut self, certificates: Vec<CertificateHash>) {
        if self.certificates != certificates {
            self.certificates = certificates;
            self.signed = None;
        }
    }

    /// The document at this moment; signed again every hour, and when the clock went back.
    pub(crate) fn json(&mut self, unix_ms: u64) -> Bytes {
        let is_fresh = |signed: &&Signed| (signed.issued..signed.issued.saturating_add(FRESH_MS)).contains(&unix_ms);
        if let Some(signed) = self.signed.as_ref().filter(is_fresh) {
            return signed.json.clone();
        }
        let json = self.sign(unix_ms);
        self.signed = Some(Signed { issued: unix_ms, json: json.clone() });
        json
    }

    fn sign(&self, unix_ms: u64) -> Bytes {
        let hashes: Vec<CertificateHash> = self.certificates.iter().take(MAX_CERTIFICATES).copied().collect();
        let hex: Vec<String> = hashes.iter().map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
        let list = List::new(hashes).unwrap_or_default();
        let signed =
            WellKnown::issue(&self.key, self.descriptor.clone(), unix_ms, unix_ms.saturating_add(LIFE_MS), list).encode();
        let addresses: Vec<&str> = self.descriptor.addresses.iter().map(|address| address.as_str()).collect();
        let json = serde_json::json!({
            "relay": self.descriptor.relay.to_hex(),
            "operator": self.descriptor.operator.to_hex(),
            "operator_name": self.descriptor.operator_name.as_str(),
            "addresses": addresses,
            "versions": ["conclave/1"],
            "certificate_hashes": hex,
            "signed": URL_SAFE_NO_PAD.encode(&signed),
        });
        Bytes::from(format!("{json}\n"))
    }
}

#[cfg(test)]
mod tests {
    use conclave_federation::{id::RelayId, record::Address};

    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    fn document() -> Document {
        let (operator, key) = (SigningKey::from_seed([1; 32]), SigningKey::from_seed([2; 32]));
        let relay = RelayId::new(*key.verifying_key().as_bytes());
        let addresses = List::new(vec![Address::cut("relay.example.org:4433")]).unwrap();
        let descriptor = RelayDescriptor::issue(&operator, relay, "Alder \"& Co\"", addresses);
        Document::new(key, descriptor, vec![[7; 32]])
    }

    fn read(json: &Bytes, unix_ms: u64) -> (serde_json::Value, WellKnown) {
        let value: serde_json::Value = serde_json::from_slice(json).unwrap();
        let signed = URL_SAFE_NO_PAD.decode(value["signed"].as_str().unwrap()).unwrap();
        (value, WellKnown::read(&Bytes::from(signed), unix_ms).unwrap())
    }

    #[test]
    fn what_is_around_the_signed_part_says_the_same() {
        let (json, signed) = read(&document().json(NOW), NOW);
        assert_eq!(json["relay"], signed.descriptor.relay.to_hex());
        assert_eq!(json["operator"], signed.descriptor.operator.to_hex());
        assert_eq!(json["operator_name"], "Alder \"& Co\"");
        assert_eq!(json["addresses"], serde_json::json!(["relay.example.org:4433"]));
        assert_eq!(json["versions"], serde_json::json!(["conclave/1"]));
        assert_eq!(json["certificate_hashes"], serde_json::json!(["07".repeat(32)]));
        assert_eq!(signed.certificates, List::new(vec![[7; 32]]).unwrap());
    }

    #[test]
    fn it_is_signed_again_every_hour_and_when_the_clock_went_back() {
        let mut document = document();
        let first = document.json(NOW);
        assert_eq!(document.json(NOW + FRESH_MS - 1), first);
        let second = document.json(NOW + FRESH_MS);
        assert_ne!(second, first);
        assert_eq!(read(&second, NOW + FRESH_MS).1.issued, NOW + FRESH_MS);
        let back = document.json(NOW - 1);
        assert_eq!(read(&back, NOW - 1).1.issued, NOW - 1);
    }

    #[test]
    fn other_certificates_are_published_at_once() {
        let mut document = document();
        let first = document.json(NOW);
        document.publish(vec![[7; 32]]);
        assert_eq!(document.json(NOW), first, "nothing changed");
        document.publish(vec![[8; 32], [9; 32]]);
        let (json, signed) = read(&document.json(NOW), NOW);
        assert_eq!(signed.certificates, List::new(vec![[8; 32], [9; 32]]).unwrap());
        assert_eq!(json["certificate_hashes"], serde_json::json!(["08".repeat(32), "09".repeat(32)]));
    }
}
