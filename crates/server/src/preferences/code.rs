//! The code at the end of a link: HMAC-SHA-256 (RFC 2104), cut to 128 bits.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;

/// Bytes of the code.
const CODE: usize = 16;

fn code(secret: &[u8], context: &[u8], body: &[u8]) -> hmac::Tag {
    let mut signing = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
    signing.update(context);
    signing.update(body);
    signing.sign()
}

/// A body and its code, as base64url. `context` tells kinds of links apart.
pub fn sign(secret: &[u8], context: &[u8], mut body: Vec<u8>) -> String {
    let tag = code(secret, context, &body);
    body.extend_from_slice(&tag.as_ref()[..CODE]);
    URL_SAFE_NO_PAD.encode(body)
}

/// The body and the code of what [`sign`] gives.
pub fn parts(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut body = URL_SAFE_NO_PAD.decode(text).ok()?;
    let given = body.split_off(body.len().checked_sub(CODE)?);
    Some((body, given))
}

/// Whether the code is the body's. All of it is compared, wherever it differs first.
pub fn is_right(secret: &[u8], context: &[u8], body: &[u8], given: &[u8]) -> bool {
    let right = code(secret, context, body);
    given.len() == CODE && right.as_ref().iter().zip(given).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}
