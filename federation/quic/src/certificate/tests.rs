//! Certificates for browsers: made, kept, and refused.

use super::*;

const NOW: u64 = 1_790_000_000_123;
const LIFE: Duration = Duration::from_secs(13 * 24 * 3600);

#[test]
fn a_certificate_is_on_p256_and_lives_as_long_as_it_says() {
    let made = WebCertificate::generate(NOW, LIFE).unwrap();
    assert_eq!(made.not_before(), 1_790_000_000_000);
    assert_eq!(made.not_after(), 1_790_000_000_000 + 13 * 24 * 3600 * 1000);
    assert_eq!(made.hash(), sha256(&[made.der()]));
    assert_ne!(made.hash(), WebCertificate::generate(NOW, LIFE).unwrap().hash());
    // ecPublicKey on prime256v1 (RFC 5480), and both times as UTCTime.
    let holds = |wanted: &[u8]| made.der().windows(wanted.len()).any(|bytes| bytes == wanted);
    assert!(holds(&[
        0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07
    ]));
    assert!(holds(b"260921141320Z") && holds(b"261004141320Z"));
}

#[test]
fn what_browsers_would_refuse_is_not_made() {
    for (from, life) in [
        (NOW, MAX_LIFETIME + Duration::from_secs(1)),
        (NOW, MAX_LIFETIME + Duration::from_millis(1)),
        (NOW, Duration::from_millis(999)),
        (u64::MAX, LIFE),
    ] {
        assert_eq!(WebCertificate::generate(from, life).unwrap_err(), CertificateError::Lifetime);
    }
    WebCertificate::generate(0, MAX_LIFETIME).unwrap();
}

#[test]
fn what_is_kept_comes_back_and_damage_is_noticed() {
    let made = WebCertificate::generate(NOW, LIFE).unwrap();
    let kept = made.to_bytes();
    let back = WebCertificate::from_bytes(&kept).unwrap();
    assert_eq!((back.hash(), back.not_before(), back.not_after()), (made.hash(), made.not_before(), made.not_after()));
    assert_eq!(back.to_bytes(), kept);
    for len in 0..kept.len() {
        assert_eq!(WebCertificate::from_bytes(&kept[..len]).unwrap_err(), CertificateError::Damaged, "{len}");
    }
    let other = WebCertificate::generate(NOW, LIFE).unwrap();
    let strange = WebCertificate { key: other.key.clone(), ..made.clone() };
    assert_eq!(WebCertificate::from_bytes(&strange.to_bytes()).unwrap_err(), CertificateError::Damaged);
    let eternal = WebCertificate { not_after: made.not_after + 24 * 3600 * 30, ..made };
    assert_eq!(WebCertificate::from_bytes(&eternal.to_bytes()).unwrap_err(), CertificateError::Damaged);
}

#[test]
fn a_certificate_does_not_show_its_key() {
    let made = WebCertificate::generate(NOW, LIFE).unwrap();
    assert_eq!(format!("{made:?}"), "WebCertificate { not_before: 1790000000000, not_after: 1791123200000, .. }");
    assert_eq!(format!("{:?}", WebIdentity::short_lived(&made).unwrap()), "WebIdentity");
}

/// A certificate and its key as an authority gives them out.
fn pem(algorithm: &'static rcgen::SignatureAlgorithm) -> (String, String) {
    let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let params = rcgen::CertificateParams::new(vec!["relay.example".into()]).unwrap();
    (params.self_signed(&pair).unwrap().pem(), pair.serialize_pem())
}

#[test]
fn a_chain_and_key_of_an_authority_are_shown_until_they_are_replaced() {
    let (chain, key) = pem(&rcgen::PKCS_ECDSA_P384_SHA384);
    let (intermediate, _) = pem(&rcgen::PKCS_ED25519);
    let identity = WebIdentity::from_pem(format!("{chain}{intermediate}").as_bytes(), key.as_bytes()).unwrap();
    let shared = identity.clone();
    assert_eq!(identity.current().cert.len(), 2);
    let made = WebCertificate::generate(NOW, LIFE).unwrap();
    shared.replace(&made).unwrap();
    assert_eq!(identity.current().end_entity_cert().unwrap().as_ref(), made.der());
    let (next, next_key) = pem(&rcgen::PKCS_ED25519);
    assert_eq!(shared.replace_pem(next.as_bytes(), key.as_bytes()), Err(CertificateError::Mismatch));
    assert_eq!(identity.current().end_entity_cert().unwrap().as_ref(), made.der());
    shared.replace_pem(next.as_bytes(), next_key.as_bytes()).unwrap();
    assert_ne!(identity.current().end_entity_cert().unwrap().as_ref(), made.der());
}

#[test]
fn files_without_a_certificate_or_key_are_told_apart() {
    let (chain, key) = pem(&rcgen::PKCS_ECDSA_P256_SHA256);
    let refused = |chain: &str, key: &str| WebIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
    assert_eq!(refused("", &key), CertificateError::NoCertificate);
    assert_eq!(refused(&key, &key), CertificateError::NoCertificate);
    assert_eq!(refused(&chain, ""), CertificateError::NoKey);
    assert_eq!(refused(&chain, &chain), CertificateError::NoKey);
}
