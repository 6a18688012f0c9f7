//! Files as operators have them: bundles, with what editors and tools leave in them.

use proptest::prelude::*;

use super::*;

/// A certificate, made for this file alone.
fn authority(name: &str, days: (i64, i64)) -> String {
    use openssl::{
        asn1::Asn1Integer,
        bn::BigNum,
        ec::{EcGroup, EcKey},
        hash::MessageDigest,
        pkey::PKey,
        x509::{X509Builder, X509NameBuilder},
    };
    let make = || {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
        let mut subject = X509NameBuilder::new()?;
        subject.append_entry_by_nid(Nid::COMMONNAME, name)?;
        let subject = subject.build();
        let mut made = X509Builder::new()?;
        made.set_version(2)?;
        made.set_serial_number(&*Asn1Integer::from_bn(&*BigNum::from_u32(1)?)?)?;
        made.set_subject_name(&subject)?;
        made.set_issuer_name(&subject)?;
        made.set_pubkey(&key)?;
        made.set_not_before(&*Asn1Time::from_unix(days.0 * 86_400)?)?;
        made.set_not_after(&*Asn1Time::from_unix(days.1 * 86_400)?)?;
        made.sign(&key, MessageDigest::sha256())?;
        made.build().to_pem()
    };
    String::from_utf8(make().expect("OpenSSL makes it")).expect("PEM is ASCII")
}

fn names(file: &[u8]) -> Vec<String> {
    let read = Authorities::read(file).unwrap_or_else(|why| panic!("{why}: {}", String::from_utf8_lossy(file)));
    read.0.iter().map(|one| name(one.subject_name())).collect()
}

#[test]
fn every_certificate_of_a_bundle_counts_whatever_stands_around_it() {
    let (old, new) = (authority("old", (0, 40_000)), authority("new", (0, 40_000)));
    let bundle = format!("{old}{new}");
    let indented: String = bundle.lines().map(|line| format!("    {line}  \n")).collect();
    for file in [
        bundle.clone(),
        format!("\u{feff}{bundle}"),
        bundle.replace('\n', "\r\n"),
        bundle.replace('\n', "\r"),
        format!("Subject: CN=old\n\n{old}\nuntil 2027: -----\n# Größe\n{new}\nend"),
        format!("{old}{old}{new}"),
        format!("{}{}", old.trim_end(), new),
        indented,
        bundle
            .replace("BEGIN CERTIFICATE", "BEGIN X509 CERTIFICATE")
            .replace("END CERTIFICATE", "END X509 CERTIFICATE"),
    ] {
        assert_eq!(names(file.as_bytes()), ["old", "new"], "{file}");
    }
    let latin = [b"Gr\xF6\xDFe\n".as_slice(), bundle.as_bytes()].concat();
    assert_eq!(names(&latin), ["old", "new"]);
}

#[test]
fn what_is_no_certificate_is_refused_by_name_and_line() {
    let good = authority("good", (0, 40_000));
    let (head, _) = good.split_at(good.len() / 2);
    let der = X509::from_pem(good.as_bytes()).and_then(|one| one.to_der()).expect("good");
    let wide: Vec<u8> = std::iter::once(0xFEFF).chain(good.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let key = "-----BEGIN PRIVATE KEY-----\nMIG=\n-----END PRIVATE KEY-----\n";
    let damaged = good.replacen("MII", "MIJ", 1);
    for (file, says) in [
        (Vec::new(), "empty"),
        (b" \r\n".to_vec(), "empty"),
        (b"broker.example.edu\n".to_vec(), "no certificate"),
        (der, "openssl x509 -inform der"),
        (wide, "UTF-16"),
        (key.into(), "line 1 begins a PRIVATE KEY"),
        (format!("{good}{key}").into(), "PRIVATE KEY, not a CERTIFICATE: a private key does not belong here"),
        (good.replace(" CERT", " TRUSTED CERT").into(), "TRUSTED CERTIFICATE"),
        (format!("# one\n{head}").into(), "line 2 has no end"),
        (format!("{head}\n{good}").into(), "line 1 has no end"),
        (damaged.into(), "line 1 cannot be read"),
        (b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".to_vec(), "line 1 cannot be read"),
    ] {
        let refused = Authorities::read(&file).expect_err(says).to_string();
        assert!(refused.contains(says), "{says}: {refused}");
    }
}

#[test]
fn those_out_of_date_are_named_and_do_no_harm() {
    let file =
        [authority("over", (0, 10)), authority("now", (0, 40_000)), authority("later", (39_000, 40_000))].concat();
    let read = Authorities::read(file.as_bytes()).expect("good");
    assert_eq!(read.count(), 3);
    let now = Timestamp::from_second(20_000 * 86_400).expect("a time");
    assert_eq!(read.out_of_date(now), ["over", "later"]);
}

#[test]
fn the_common_name_of_a_certificate_is_read() {
    assert_eq!(common_name(authority("door-1", (0, 10)).as_bytes()), Some("door-1".into()));
    assert_eq!(common_name(b"no certificate"), None);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Authorities::read(&bytes).is_err());
    }
}
