//! Finding a secret in whatever form it was written down.

use base64ct::{Base64, Base64Unpadded, Base64Url, Encoding};

/// The forms in which this secret stands in the text, by name: as it is, escaped, in hex, in base64 or
/// percent-encoded. Empty where it does not.
#[must_use]
pub fn forms_found(secret: &str, text: &[u8]) -> Vec<&'static str> {
    let lower = text.to_ascii_lowercase();
    let found = forms(secret).into_iter().filter(|(name, form)| {
        let form = form.as_bytes();
        match *name {
            "hex" | "spaced hex" | "percent" => contains(&lower, &form.to_ascii_lowercase()),
            _ => contains(text, form),
        }
    });
    found.map(|(name, _)| name).collect()
}

/// Every form that is looked for.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let each = |form: fn(&u8) -> String| bytes.iter().map(form).collect::<String>();
    let mut forms = vec![
        ("plain", secret.to_owned()),
        ("escaped for debugging", secret.escape_debug().to_string()),
        ("escaped to ASCII", secret.escape_default().to_string()),
        ("escaped bytes", bytes.escape_ascii().to_string()),
        ("numbers", bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")),
        ("hex", each(|byte| format!("{byte:02x}"))),
        ("spaced hex", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")),
        ("percent", each(|byte| format!("%{byte:02x}"))),
        ("percent", percent_where_needed(bytes)),
    ];
    // Within longer data, base64 cuts the secret at any of three places; the ends depend on the neighbours.
    for skipped in 0..3 {
        let whole = bytes.get(skipped..).unwrap_or_default();
        let whole = whole.get(..whole.len() / 3 * 3).unwrap_or_default();
        if whole.len() >= 6 {
            forms.push(("base64", Base64Unpadded::encode_string(whole)));
            forms.push(("base64", Base64Url::encode_string(whole)));
        }
    }
    forms.push(("base64", Base64::encode_string(bytes)));
    forms
}

fn percent_where_needed(bytes: &[u8]) -> String {
    let written = bytes.iter().map(|&byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    });
    written.collect()
}

fn contains(text: &[u8], form: &[u8]) -> bool {
    !form.is_empty() && text.windows(form.len()).any(|window| window == form)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "pa\"ss \\wörd 42!";

    #[test]
    fn every_form_is_found_in_its_surroundings() {
        for (name, form) in forms(SECRET) {
            let text = format!("before {form} after");
            assert!(forms_found(SECRET, text.as_bytes()).contains(&name), "{name}: {form}");
        }
    }

    #[test]
    fn base64_is_found_wherever_the_secret_stands_in_the_data() {
        for before in 0..6 {
            let data = format!("{}{SECRET}, and more", "x".repeat(before));
            let text = Base64::encode_string(data.as_bytes());
            assert!(forms_found(SECRET, text.as_bytes()).contains(&"base64"), "after {before} bytes");
        }
    }

    #[test]
    fn upper_and_mixed_case_hex_is_found() {
        let text: String = SECRET.bytes().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(forms_found(SECRET, text.as_bytes()), ["hex"]);
        assert_eq!(forms_found(SECRET, b"pa%22ss%20%5Cw%C3%B6rd%2042%21"), ["percent"]);
    }

    #[test]
    fn other_text_is_not_taken_for_it() {
        assert!(forms_found(SECRET, b"password 42! SSH-2.0-x 70 61 22").is_empty());
        assert!(forms_found(SECRET, b"").is_empty());
    }
}
