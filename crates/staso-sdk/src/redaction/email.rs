//! Addresses: a name, `@`, and a domain of two labels or more.

use std::ops::Range;

/// The next address that begins at `from` or later.
pub(super) fn next(text: &[u8], from: usize) -> Option<Range<usize>> {
    let mut looked = from;
    loop {
        let at = looked + memchr::memchr(b'@', &text[looked..])?;
        // A name begins where its characters do: one that an address before it holds already is none.
        let name = text[..at].iter().rev().take_while(|&&byte| is_of_name(byte)).count();
        if name > 0
            && at - name >= from
            && let Some(end) = domain(text, at + 1)
        {
            return Some(at - name..end);
        }
        looked = at + 1;
    }
}

/// Where the domain that begins at `at` ends.
fn domain(text: &[u8], at: usize) -> Option<usize> {
    let label = |at: usize| {
        let length = text[at..].iter().take_while(|&&byte| is_of_label(byte)).count();
        (length > 0).then_some(at + length)
    };
    let mut end = None;
    let mut last = label(at)?;
    while text.get(last) == Some(&b'.')
        && let Some(another) = label(last + 1)
    {
        last = another;
        end = Some(last);
    }
    end
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._%+'-".contains(&byte)
}

fn is_of_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}
