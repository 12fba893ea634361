//! The grammar, by example and by hostile input.

use proptest::prelude::*;
use staso_model::{SpanKind, SpanStatus};

use super::super::{Comparison, Filter, NumberField, RunState, TextField, TextMatch};
use super::parse;

fn agent(name: &str) -> Filter {
    Filter::Text(TextField::Agent, TextMatch::Equals(name.into()))
}

fn free(text: &str) -> Filter {
    Filter::Anywhere(text.into())
}

#[test]
fn terms_mean_what_the_grammar_says() {
    let examples = [
        ("", Filter::everything()),
        ("  ", Filter::everything()),
        ("status:ERROR", Filter::Status(SpanStatus::Error)),
        ("state:running", Filter::State(RunState::Running)),
        ("kind:llm", Filter::Kind(SpanKind::Llm)),
        ("agent:support", agent("support")),
        ("agent:\"a b\"", agent("a b")),
        ("agent:a,b", Filter::Any(vec![agent("a"), agent("b")])),
        ("model:gpt-*", Filter::Text(TextField::Model, TextMatch::Pattern("gpt-*".into()))),
        ("model:\"a\\*b\"", Filter::Text(TextField::Model, TextMatch::Equals("a*b".into()))),
        ("model=a*b", Filter::Text(TextField::Model, TextMatch::Equals("a*b".into()))),
        ("name:plan", Filter::Text(TextField::Name, TextMatch::Contains("plan".into()))),
        ("name=plan", Filter::Text(TextField::Name, TextMatch::Equals("plan".into()))),
        ("span:embed", Filter::SpanName("embed".into())),
        (
            "duration>=1.5s",
            Filter::Number(NumberField::DurationNs, Comparison::GreaterOrEqual, 1_500_000_000),
        ),
        ("cost>0.05", Filter::Number(NumberField::CostNanoUsd, Comparison::Greater, 50_000_000)),
        ("tokens:5", Filter::Number(NumberField::Tokens, Comparison::Equal, 5)),
        (
            "metadata.user.tier:gold",
            Filter::Metadata("user.tier".into(), TextMatch::Equals("gold".into())),
        ),
        ("metadata.\"a b\":x", Filter::Metadata("a b".into(), TextMatch::Equals("x".into()))),
        ("hello", free("hello")),
        ("\"a b: c\"", free("a b: c")),
        ("-hello", Filter::Not(Box::new(free("hello")))),
        ("NOT NOT x", Filter::Not(Box::new(Filter::Not(Box::new(free("x")))))),
        ("a b", Filter::All(vec![free("a"), free("b")])),
        ("a AND b", Filter::All(vec![free("a"), free("b")])),
        ("a b OR c", Filter::Any(vec![Filter::All(vec![free("a"), free("b")]), free("c")])),
        ("a (b OR c)", Filter::All(vec![free("a"), Filter::Any(vec![free("b"), free("c")])])),
        ("ORDER or not", Filter::All(vec![free("ORDER"), free("or"), free("not")])),
        ("日本 👍", Filter::All(vec![free("日本"), free("👍")])),
    ];
    for (source, wanted) in examples {
        assert_eq!(parse(source), Ok(wanted), "{source}");
    }
}

#[test]
fn errors_point_and_advise() {
    let examples = [
        ("frob:x", 0, "there is no field frob"),
        ("a frob>x", 2, "there is no field frob"),
        ("status:bad", 7, "not a status"),
        ("duration>5", 9, "not a duration"),
        ("agent>5", 0, "agent cannot be compared by size"),
        ("(a", 0, "this parenthesis is never closed"),
        ("a)", 1, "this parenthesis closes nothing"),
        ("a OR", 4, "a condition is missing here"),
        ("é \"x", 2, "this quotation mark is never closed"),
        ("agent:", 6, "a value is missing here"),
        ("trace:12", 6, "not a trace id"),
        ("agent:a*\\*", 6, "* and \\* cannot stand in one value"),
        ("metadata.:x", 0, "there is no field metadata."),
    ];
    for (source, position, message) in examples {
        let error = parse(source).unwrap_err();
        assert_eq!(error.position, position, "{source}: {error}");
        assert!(error.message.starts_with(message), "{source}: {error}");
        assert!(!error.hint.is_empty());
    }
    assert!(parse("frob:x").unwrap_err().message.contains("metadata.<path>"));
}

#[test]
fn depth_and_length_are_limited() {
    for piece in ["(", "-", "NOT ", "-("] {
        let error = parse(&piece.repeat(4000)).unwrap_err();
        assert!(error.message.contains("too deeply"), "{error}");
    }
    assert!(parse(&"x ".repeat(10_000)).is_err());
}

fn arbitrary_filter() -> impl Strategy<Value = Filter> {
    let text = prop_oneof!["[a-cA-C*\\\\\" ,()-]{0,6}", "\\PC{0,5}"];
    let matches = (0..3, text.clone()).prop_map(|(form, text)| match form {
        0 => TextMatch::Equals(text),
        1 => TextMatch::Contains(text),
        _ => TextMatch::Pattern(text),
    });
    let fields = (0..9_usize).prop_map(|i| super::TEXT_FIELDS[i].1);
    let leaf = prop_oneof![
        (fields, matches.clone()).prop_map(|(field, text)| Filter::Text(field, text)),
        text.clone().prop_map(Filter::Anywhere),
        text.clone().prop_map(Filter::SpanName),
        ("[a-z. \"é]{1,8}", matches).prop_map(|(path, text)| Filter::Metadata(path, text)),
        any::<i64>().prop_map(|n| Filter::Number(NumberField::DurationNs, Comparison::Less, n)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::All),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Any),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(source in "\\PC{0,80}") {
        let _ = parse(&source);
    }

    #[test]
    fn what_parses_reads_back_to_itself(
        source in "((status:ok|-|NOT|OR|agent[:=]|\"|\\*|\\\\|a|é|\\(|\\)|,|>|duration>1s|metadata\\.a\\.|:x) ?){0,12}",
    ) {
        if let Ok(filter) = parse(&source) {
            prop_assert_eq!(parse(&filter.to_string()), Ok(filter));
        }
    }

    /// Whatever a program builds can be written down, and settles after one reading.
    #[test]
    fn any_filter_can_be_written_and_read(filter in arbitrary_filter()) {
        let read = parse(&filter.to_string());
        prop_assert!(read.is_ok(), "{} {:?}", filter, read);
        let read = read.unwrap();
        prop_assert_eq!(parse(&read.to_string()), Ok(read));
    }
}
