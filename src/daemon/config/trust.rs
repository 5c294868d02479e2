//! Whom the daemon believes: the keys central signs with, or, said in so many words, anyone at the broker.

use toml::de::DeValue;

use super::table::{Found, Table};
use crate::wire::jws::{MAX_KID, Trust, TrustedKey};

const A_PUBLIC_KEY: &str =
    "an Ed25519 public key: 32 bytes in base64url, as `latch-sim central keygen` prints it";

/// Reads `trusted_keys` and `allow_unsigned` of `[mqtt]`.
pub fn read(mqtt: &Table<'_>) -> Option<Trust> {
    let entries = mqtt.tables("trusted_keys");
    let are_there = !entries.is_empty();
    let found: Vec<_> = entries.into_iter().map(key).collect();
    let allow_unsigned = mqtt.flag("allow_unsigned", false);
    for (n, kid) in found.iter().enumerate().filter_map(|(n, (kid, _))| Some((n, kid.as_ref()?))) {
        let is_same =
            |(other, _): &&(Option<Found<String>>, _)| other.as_ref().is_some_and(|o| o.value == kid.value);
        if let Some((Some(first), _)) = found.iter().take(n).find(is_same) {
            mqtt.add(kid, format!("a second key {:?}; the first is {}", kid.value, first.key));
        }
    }
    if are_there {
        return found.into_iter().map(|(_, key)| key).collect::<Option<_>>().map(Trust::Keys);
    }
    // Values that are neither a list nor a flag have been said already.
    let is_misread =
        mqtt.is_other("trusted_keys", DeValue::is_array) || mqtt.is_other("allow_unsigned", DeValue::is_bool);
    if mqtt.exists() && !allow_unsigned && !is_misread {
        let key = if mqtt.has("trusted_keys") { "trusted_keys" } else { "allow_unsigned" };
        mqtt.problem(
            "trusted_keys",
            &mqtt.place(key),
            "missing, so nothing central says would be believed; expected [[mqtt.trusted_keys]] with kid and \
             public_key, or allow_unsigned = true where everybody who can write to the broker may open doors",
        );
    }
    Some(Trust::Anyone)
}

fn key(table: Table<'_>) -> (Option<Found<String>>, Option<TrustedKey>) {
    let a_kid = format!("the name central signs under, 1 to {MAX_KID} characters");
    let fits = |text: &str| match text.len() {
        1..=MAX_KID => Ok(text.to_owned()),
        n => Err(format!("{n} characters long")),
    };
    let kid = table.parsed("kid", &a_kid, fits);
    let name = kid.as_ref().map_or("?", |kid| kid.value.as_str());
    let key = table.parsed("public_key", A_PUBLIC_KEY, |text| TrustedKey::new(name, text));
    table.end();
    (kid, key.map(|found| found.value))
}
