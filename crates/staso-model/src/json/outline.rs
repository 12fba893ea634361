//! Where the long values of a body end.
//!
//! Reading a span as slices takes the ends of the body, of its traces, of each trace, of its spans and of
//! each span and member. Looking for each end anew reads the bytes five times. The scan, which reads them
//! once anyway, keeps the ends of those values that are long.

use super::walk::{Elements, Members, Raw, elements_with, members_with};

/// A shorter value is found to its end as quickly as in a list.
const LONG_BYTES: usize = 256;

/// Values that begin in no more containers than this: the members of a span of a trace of the list of traces.
const MAX_DEPTH: usize = 5;

/// The long values of the outer levels of a text. Each takes [`LONG_BYTES`] of the text on its level, so that the
/// list is a small part of the text whatever stands in it.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// (begin, end), by begin.
    values: Vec<(u32, u32)>,
    /// Places in `values` of the containers that are open, outermost first.
    open: Vec<usize>,
}

impl Outline {
    /// A container begins, within so many others.
    pub(super) fn open(&mut self, begin: usize, depth: usize) {
        if depth <= MAX_DEPTH {
            // What is beyond 32 bits ends where it begins: that is no end, and is looked for.
            let begin = u32::try_from(begin).unwrap_or(u32::MAX);
            self.open.push(self.values.len());
            self.values.push((begin, begin));
        }
    }

    /// The container that began last ends, within so many others.
    pub(super) fn close(&mut self, end: usize, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let Some(place) = self.open.pop() else { return };
        let Some(value) = self.values.get_mut(place) else { return };
        match u32::try_from(end) {
            Ok(end) if (end - value.0) as usize >= LONG_BYTES => value.1 = end,
            // Nothing within it was long either.
            _ => self.values.truncate(place),
        }
    }

    /// A string, within so many containers.
    pub(super) fn string(&mut self, begin: usize, end: usize, depth: usize) {
        if depth <= MAX_DEPTH
            && end - begin >= LONG_BYTES
            && let (Ok(begin), Ok(end)) = (u32::try_from(begin), u32::try_from(end))
        {
            self.values.push((begin, end));
        }
    }
}

/// A scanned text, to be walked by its outline.
#[derive(Clone, Copy)]
pub(super) struct Outlined<'a> {
    text: &'a [u8],
    outline: &'a Outline,
}

impl<'a> Outlined<'a> {
    pub(super) fn new(text: &'a [u8], outline: &'a Outline) -> Self {
        Self { text, outline }
    }

    /// The members of an object that is a part of the text.
    pub(super) fn members(&self, raw: Raw<'a>) -> Members<'a> {
        members_with(raw, self.ends(raw))
    }

    /// The elements of an array that is a part of the text.
    pub(super) fn elements(&self, raw: Raw<'a>) -> Elements<'a> {
        elements_with(raw, self.ends(raw))
    }

    fn ends(&self, raw: Raw<'a>) -> LongEnds<'a> {
        let base = raw.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        if base.saturating_add(raw.len()) > self.text.len() {
            return LongEnds::default();
        }
        let values = &self.outline.values;
        let first = values.partition_point(|(begin, _)| (*begin as usize) <= base);
        LongEnds { base, values: &values[first..] }
    }
}

/// The ends of long values within one value.
#[derive(Clone, Copy, Default)]
pub(super) struct LongEnds<'a> {
    /// Where the value begins in the text.
    base: usize,
    /// Those that were not passed yet.
    values: &'a [(u32, u32)],
}

impl LongEnds<'_> {
    /// The offset after what begins at this offset, where it is known. Offsets are asked for in order.
    pub(super) fn of(&mut self, start: usize) -> Option<usize> {
        let at = self.base + start;
        let passed = self.values.iter().take_while(|(begin, _)| (*begin as usize) < at).count();
        self.values = &self.values[passed..];
        let (begin, end) = *self.values.first()?;
        (begin as usize == at && end > begin).then(|| end as usize - self.base)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scan::scan;
    use super::super::walk::{elements, is_array, is_object, members, trim};
    use super::*;

    /// Everything below a value, walked with and without the outline.
    fn agree(outlined: &Outlined<'_>, raw: Raw<'_>) {
        let inside: Vec<Raw<'_>> = if is_object(raw) {
            assert!(outlined.members(raw).eq(members(raw)));
            members(raw).map(|(_, value)| value).collect()
        } else if is_array(raw) {
            assert!(outlined.elements(raw).eq(elements(raw)));
            elements(raw).collect()
        } else {
            Vec::new()
        };
        inside.into_iter().for_each(|value| agree(outlined, value));
    }

    fn json() -> impl Strategy<Value = String> {
        let long = "[a-z\\u{600}-\\u{610}]{0,400}";
        let text = long.prop_map(|text| format!("\"{text}\\\\\\\"{{[\""));
        let leaf = prop_oneof![Just("null".to_owned()), Just("-1.5e3 ".to_owned()), text];
        let value = leaf.prop_recursive(8, 60, 5, |inner| {
            let items = proptest::collection::vec(inner, 0..5);
            prop_oneof![
                items.clone().prop_map(|items| format!("[ {}]", items.join(" ,"))),
                items.prop_map(|items| {
                    let member = |item: &String| format!("\"k\" :{item}");
                    let members: Vec<_> = items.iter().map(member).collect();
                    format!("{{{} }}", members.join(","))
                }),
            ]
        });
        value.prop_map(|value| format!(" {value}"))
    }

    proptest! {
        #[test]
        fn the_outline_leads_where_the_bytes_lead(text in json()) {
            let (_, outline) = scan(text.as_bytes()).unwrap();
            agree(&Outlined::new(text.as_bytes(), &outline), trim(text.as_bytes()));
        }
    }

    #[test]
    fn what_is_deep_or_short_takes_no_room() {
        let deep = "[".repeat(1 << 16) + &"]".repeat(1 << 16);
        let (_, outline) = scan(deep.as_bytes()).unwrap();
        assert!(outline.values.len() <= MAX_DEPTH + 1);
        let short = format!("[{}0]", "[[[]]],".repeat(1 << 12));
        let (_, outline) = scan(short.as_bytes()).unwrap();
        assert_eq!(outline.values.len(), 1);
    }
}
