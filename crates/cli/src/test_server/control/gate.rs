//! Who may ask: the one who has the token, and who knows this machine by its own name.

use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName};
use hyper::{Request, StatusCode};
use subtle::ConstantTimeEq;

use super::answer::Refusal;
use crate::failure::Failure;

/// Checks the headers of a request.
pub(super) fn check<B>(request: &Request<B>, port: u16, token: &str) -> Result<(), Refusal> {
    if !is_loopback(request, port) {
        let message = "the Host header is not this control's own address";
        let failure = Failure::new("HOST_NOT_LOOPBACK", message).hint("use the address under `control.url`");
        return Err(Refusal::new(StatusCode::FORBIDDEN, failure));
    }
    // RFC 9110 section 11.1: the scheme's name in any case.
    let shown = only(request.headers(), &AUTHORIZATION).and_then(|value| value.split_once(' '));
    let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let right = shown.is_some_and(|(_, shown)| bool::from(shown.trim().as_bytes().ct_eq(token.as_bytes())));
    if right {
        return Ok(());
    }
    let failure = Failure::new("UNAUTHORIZED", "the request does not have this control's token")
        .hint("send `Authorization: Bearer` with what stands under `control.token`");
    Err(Refusal::new(StatusCode::UNAUTHORIZED, failure))
}

/// Whether the request was meant for this address: a name that somebody pointed at 127.0.0.1 was not.
fn is_loopback<B>(request: &Request<B>, port: u16) -> bool {
    let own = |authority: &str| {
        let authority = authority.to_ascii_lowercase();
        [format!("127.0.0.1:{port}"), format!("localhost:{port}")].contains(&authority)
    };
    let target = request.uri().authority().is_none_or(|authority| own(authority.as_str()));
    target && only(request.headers(), &HOST).is_some_and(own)
}

/// The header's value, if there is just one.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().uri("/record");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match check(&request.body(()).unwrap(), 7, "secret") {
            Ok(()) => 200,
            Err(refusal) => refusal.into_answer().status().as_u16(),
        }
    }

    #[test]
    fn only_the_token_for_this_address_is_let_in() {
        let host = ("host", "127.0.0.1:7");
        let token = ("authorization", "Bearer secret");
        for right in
            [[host, token], [("host", "LOCALHOST:7"), token], [host, ("authorization", "bearer secret")]]
        {
            assert_eq!(checked(&right), 200, "{right:?}");
        }
        for foreign in [
            &[("host", "evil.example:7"), token][..],
            &[("host", "127.0.0.1"), token],
            &[("host", "127.0.0.1:8"), token],
            &[("host", "127.0.0.1:7.evil.example"), token],
            &[host, host, token],
            &[token],
        ] {
            assert_eq!(checked(foreign), 403, "{foreign:?}");
        }
        for wrong in [
            &[host][..],
            &[host, ("authorization", "Bearer secre")],
            &[host, ("authorization", "Bearer secrets")],
            &[host, ("authorization", "Bearer ")],
            &[host, ("authorization", "Basic secret")],
            &[host, ("authorization", "secret")],
            &[host, token, token],
        ] {
            assert_eq!(checked(wrong), 401, "{wrong:?}");
        }
    }
}
