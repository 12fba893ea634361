//! Reading fields that may hold anything: what fits is read, what does not is kept and marked.

use std::cell::Cell;
use std::rc::Rc;

use super::Limits;
use super::text::{Mends, plain_json, unescape};
use super::value;
use super::walk::{Raw, is_array, is_null, is_object, is_string};
use crate::span::Repair;
use crate::value::{Attributes, Value};

/// The attribute under which the original of a replaced field is kept.
pub(super) const ORIGINAL: &str = "staso.original.";

/// What a request may hold only so much of.
pub(super) const TOO_MANY: &str = "too many values in one request: kept as text";

/// Reads the fields of one object and remembers what it mended.
pub(super) struct Mender {
    pub(super) limits: Limits,
    /// What was mended.
    pub(super) repairs: Vec<Repair>,
    /// `staso.original.<field>`: what stood there before.
    pub(super) originals: Attributes,
    /// Within a list, originals are not kept one by one: the list is kept whole instead.
    is_in_list: bool,
    has_lost: bool,
    /// Values that the request may still make; shared by all of its spans.
    budget: Rc<Cell<usize>>,
}

impl Mender {
    pub(super) fn new(limits: Limits, budget: Rc<Cell<usize>>) -> Self {
        Self {
            limits,
            repairs: Vec::new(),
            originals: Vec::new(),
            is_in_list: false,
            has_lost: false,
            budget,
        }
    }

    /// Reads the items of one list. If any of them loses something, the whole list is kept as
    /// original, so that a million bad items cost one attribute and not a million.
    pub(super) fn within_list<T>(
        &mut self,
        field: &str,
        raw: Raw<'_>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.is_in_list = true;
        self.has_lost = false;
        let items = read(self);
        self.is_in_list = false;
        if std::mem::take(&mut self.has_lost) {
            self.keep(field, raw);
        }
        items
    }

    /// Whether this value may become a tree. A tree takes many times the memory of its text, and no
    /// value has more nodes than commas, so the commas are what it costs.
    pub(super) fn affords(&self, raw: Raw<'_>) -> bool {
        let cost = 1 + memchr::memchr_iter(b',', raw).count();
        let rest = self.budget.get().checked_sub(cost);
        self.budget.set(rest.unwrap_or(self.budget.get()));
        rest.is_some()
    }

    /// Marks a repair, once for each field and problem.
    pub(super) fn mark(&mut self, field: &str, problem: &str) {
        let is_same = |r: &Repair| r.field == field && r.problem == problem;
        if !self.repairs.iter().any(is_same) {
            self.repairs.push(Repair { field: field.to_owned(), problem: problem.to_owned() });
        }
    }

    /// Marks what reading one value mended.
    pub(super) fn mark_mends(&mut self, field: &str, mends: Mends) {
        if !mends.is_none() {
            mends.problems().for_each(|problem| self.mark(field, problem));
        }
    }

    /// Marks a repair and keeps the original value.
    pub(super) fn replace(&mut self, field: &str, raw: Raw<'_>, problem: &str) {
        self.mark(field, problem);
        self.keep(field, raw);
    }

    fn keep(&mut self, field: &str, raw: Raw<'_>) {
        if self.is_in_list {
            self.has_lost = true;
            return;
        }
        let key = format!("{ORIGINAL}{field}");
        if !self.originals.iter().any(|(known, _)| *known == key) {
            let original = self.value(field, raw);
            self.originals.push((key, original));
        }
    }

    /// Any value.
    pub(super) fn value(&mut self, field: &str, raw: Raw<'_>) -> Value {
        let mut mends = Mends::default();
        let is_scalar = !is_object(raw) && !is_array(raw);
        let value = if is_scalar || self.affords(raw) {
            value::read(raw, self.limits.max_attribute_depth, &mut mends)
        } else {
            self.mark(field, TOO_MANY);
            let (text, text_mends) = plain_json(raw, usize::MAX, false);
            mends = text_mends;
            Value::String(text)
        };
        self.mark_mends(field, mends);
        value
    }

    /// Text of any length; null and absence are `None`, other values are kept as original.
    pub(super) fn long_text(&mut self, field: &str, raw: Option<Raw<'_>>) -> Option<String> {
        let raw = self.present(field, raw)?;
        if is_object(raw) || is_array(raw) {
            self.replace(field, raw, "not text: kept as an attribute");
            return None;
        }
        if !is_string(raw) {
            self.mark(field, "not text: its JSON form is used");
        }
        let unescaped = unescape(raw);
        self.mark_mends(field, unescaped.mends);
        Some(unescaped.text.into_owned())
    }

    /// Short text: cut at the limit, the empty text kept.
    pub(super) fn name(&mut self, field: &str, raw: Option<Raw<'_>>) -> Option<String> {
        let mut text = self.long_text(field, raw)?;
        if text.len() > self.limits.max_name_bytes {
            text.truncate(text.floor_char_boundary(self.limits.max_name_bytes));
            self.mark(field, "too long: cut");
        }
        Some(text)
    }

    /// Short text; the empty text is `None`, as existing clients mean it.
    pub(super) fn label(&mut self, field: &str, raw: Option<Raw<'_>>) -> Option<String> {
        self.name(field, raw).filter(|text| !text.is_empty())
    }

    /// An integer, also as text of digits, since 64-bit numbers are often sent so.
    pub(super) fn integer(&mut self, field: &str, raw: Option<Raw<'_>>) -> Option<i64> {
        let raw = self.present(field, raw)?;
        let text = unescape(raw).text;
        let whole = text.parse().ok().or_else(|| whole_double(&text));
        if whole.is_none() && !text.is_empty() {
            self.replace(field, raw, "not a whole number of 64 bits: ignored");
        }
        whole
    }

    /// A count: an integer that is not negative.
    pub(super) fn count(&mut self, field: &str, raw: Option<Raw<'_>>) -> Option<i64> {
        let n = self.integer(field, raw)?;
        if n < 0 {
            self.replace(field, raw.unwrap_or_default(), "negative: ignored");
            return None;
        }
        Some(n)
    }

    /// A small count of a protocol: 0 where absent, the maximum where larger.
    pub(super) fn count_u32(&mut self, field: &str, raw: Option<Raw<'_>>) -> u32 {
        let n = self.count(field, raw).unwrap_or(0);
        u32::try_from(n).unwrap_or_else(|_| {
            self.mark(field, "beyond 32 bits: the maximum is used");
            u32::MAX
        })
    }

    /// True or false.
    pub(super) fn boolean(&mut self, field: &str, raw: Option<Raw<'_>>) -> Option<bool> {
        match self.present(field, raw)? {
            b"true" => Some(true),
            b"false" => Some(false),
            other => {
                self.replace(field, other, "not true or false: ignored");
                None
            }
        }
    }

    /// The value, unless it is absent, null, or a number that JSON does not have (marked).
    pub(super) fn present<'r>(&mut self, field: &str, raw: Option<Raw<'r>>) -> Option<Raw<'r>> {
        let raw = raw?;
        if raw == b"null" {
            return None;
        }
        if is_null(raw) {
            self.mark_mends(field, Mends { nonfinite: true, ..Mends::default() });
            return None;
        }
        Some(raw)
    }
}

/// The integer that a double such as `12.0` stands for.
fn whole_double(text: &str) -> Option<i64> {
    let x: f64 = text.parse().ok()?;
    // Above 2^53 doubles are no longer exact counts.
    let is_exact = x.fract() == 0.0 && x.abs() <= 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and within 2^53")]
    is_exact.then_some(x as i64)
}
