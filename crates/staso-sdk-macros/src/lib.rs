//! The attributes of `staso-sdk`: a function whose calls are spans. A crate of its own because attributes
//! have to be; programs name them as `staso_sdk::tool`, with the feature `macros`.
//!
//! An attribute changes the body of its function and nothing else: a span begins before it and ends after it.
//! A value is recorded only where it is named, since not every type can be serialised.

use proc_macro::TokenStream;
use proc_macro2::{Ident, Span, TokenStream as Tokens};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{ItemFn, LitStr, ReturnType, Token, Type, parenthesized, parse_macro_input};

/// Every call is a span of kind tool, named like the function.
///
/// * `name = "…"` names it otherwise.
/// * `input(a, b)` records these arguments, which must be `Serialize`, by their names.
/// * `output` records what is returned, which must be `Serialize`; together with `err` the value of an `Ok`.
/// * `err` ends the span as an error where an `Err` is returned, with its message.
#[proc_macro_attribute]
pub fn tool(options: TokenStream, function: TokenStream) -> TokenStream {
    record(Sort::Tool, options, function)
}

/// Like `tool`, for an agent: everything within belongs to the agent of this name.
#[proc_macro_attribute]
pub fn agent(options: TokenStream, function: TokenStream) -> TokenStream {
    record(Sort::Agent, options, function)
}

/// Like `tool`, for any work. `kind = "…"` is llm, tool, chain, retriever, agent or custom; chain unless
/// it is said.
#[proc_macro_attribute]
pub fn trace(options: TokenStream, function: TokenStream) -> TokenStream {
    record(Sort::Trace, options, function)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Tool,
    Agent,
    Trace,
}

/// What stands in the parentheses of an attribute.
#[derive(Default)]
struct Options {
    name: Option<LitStr>,
    kind: Option<LitStr>,
    input: Vec<Ident>,
    has_output: bool,
    has_err: bool,
}

impl Options {
    fn read(&mut self, option: &syn::meta::ParseNestedMeta<'_>, sort: Sort) -> syn::Result<()> {
        if option.path.is_ident("name") {
            self.name = Some(option.value()?.parse()?);
        } else if option.path.is_ident("kind") && sort == Sort::Trace {
            self.kind = Some(option.value()?.parse()?);
        } else if option.path.is_ident("input") {
            let names;
            parenthesized!(names in option.input);
            self.input.extend(Punctuated::<Ident, Token![,]>::parse_terminated(&names)?);
        } else if option.path.is_ident("output") {
            self.has_output = true;
        } else if option.path.is_ident("err") {
            self.has_err = true;
        } else {
            let kind = if sort == Sort::Trace { "kind = \"…\", " } else { "" };
            let known = format!("it is one of name = \"…\", {kind}input(…), output, err");
            return Err(option.error(known));
        }
        Ok(())
    }

    fn kind(&self, sort: Sort) -> syn::Result<Tokens> {
        let Some(kind) = &self.kind else {
            return Ok(match sort {
                Sort::Tool => quote!(Tool),
                Sort::Agent => quote!(Agent),
                Sort::Trace => quote!(Chain),
            });
        };
        Ok(match &*kind.value().to_ascii_lowercase() {
            "llm" => quote!(Llm),
            "tool" => quote!(Tool),
            "chain" => quote!(Chain),
            "retriever" => quote!(Retriever),
            "agent" => quote!(Agent),
            "custom" => quote!(Custom),
            _ => {
                let known = "it is one of llm, tool, chain, retriever, agent, custom";
                return Err(syn::Error::new(kind.span(), known));
            }
        })
    }
}

fn record(sort: Sort, options: TokenStream, function: TokenStream) -> TokenStream {
    let mut read = Options::default();
    let parser = syn::meta::parser(|option| read.read(&option, sort));
    parse_macro_input!(options with parser);
    let function = parse_macro_input!(function as ItemFn);
    expand(sort, &read, &function).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand(sort: Sort, options: &Options, function: &ItemFn) -> syn::Result<Tokens> {
    let ItemFn { attrs, vis, sig, block } = function;
    if sig.constness.is_some() {
        return Err(syn::Error::new(sig.constness.span(), "a const fn has nowhere to record to"));
    }
    let own = sig.ident.unraw().to_string();
    let name = options.name.as_ref().map_or_else(|| own.clone(), LitStr::value);
    let kind = options.kind(sort)?;
    let belongs = (sort == Sort::Agent).then(|| quote!(.agent(#name)));
    let builder = quote!(::staso_sdk::span(#name).kind(::staso_sdk::SpanKind::#kind)#belongs);
    // Names that the body can neither see nor hide.
    let [span, result] = ["span", "result"].map(|name| Ident::new(name, Span::mixed_site()));
    let before = before(sort, options, (&name, &own), sig.ident.span(), &span);
    let after = after(options, &span, &result);
    let body = match (after.is_empty(), sig.asyncness.is_some()) {
        (true, _) => quote!(#before #block),
        (false, true) => {
            let returned = returned(&sig.output).map(|returned| quote!(: #returned));
            quote!(#before let #result #returned = (async move #block).await; #after #result)
        }
        (false, false) => {
            let returned = returned(&sig.output).map(|returned| quote!(-> #returned));
            let work = quote!(move || #returned #block);
            quote!(#before let #result = ::staso_sdk::attribute::run(#work); #after #result)
        }
    };
    let body = match sig.asyncness {
        Some(_) => quote! {
            let work = async move { let #span = ::staso_sdk::current(); #body };
            ::staso_sdk::Instrument::instrument(work, #builder).await
        },
        None => quote!(let #span = #builder.start(); #body),
    };
    Ok(quote!(#(#attrs)* #vis #sig { #body }))
}

/// What a span says before the body runs: a body may change its arguments, or move them away.
fn before(
    sort: Sort,
    options: &Options,
    (name, own): (&str, &str),
    place: Span,
    span: &Ident,
) -> Tokens {
    let line = quote_spanned!(place=> ::core::line!());
    let tool = if sort == Sort::Tool { quote!(Some(#name)) } else { quote!(None) };
    let agent =
        (sort == Sort::Agent).then(|| quote!(("agent_name", ::staso_sdk::attribute::json(#name)),));
    let (inputs, names) =
        (&options.input, options.input.iter().map(|name| name.unraw().to_string()));
    let input = (sort == Sort::Agent || !inputs.is_empty()).then(|| {
        quote! {
            ::staso_sdk::attribute::input(&#span, ::std::vec![
                #agent #((#names, ::staso_sdk::attribute::json(&#inputs)),)*
            ]);
        }
    });
    quote! {
        if #span.is_recording() {
            let function = ::core::concat!(::core::module_path!(), "::", #own);
            ::staso_sdk::attribute::describe(&#span, (::core::file!(), #line, function), #tool);
            #input
        }
    }
}

/// What a span says once the body has run.
fn after(options: &Options, span: &Ident, result: &Ident) -> Tokens {
    let output = quote!(::staso_sdk::attribute::output);
    match (options.has_output, options.has_err) {
        (false, false) => Tokens::new(),
        (true, false) => quote!(#output(&#span, &#result);),
        (has_output, true) => {
            let ok = has_output.then(|| quote!(#output(&#span, value)));
            quote! {
                match &#result {
                    ::core::result::Result::Ok(value) => { let _ = value; #ok }
                    ::core::result::Result::Err(error) => {
                        ::staso_sdk::attribute::failed(&#span, error);
                    }
                }
            }
        }
    }
}

/// The type that a body returns, where it can be named.
fn returned(output: &ReturnType) -> Option<Tokens> {
    match output {
        ReturnType::Default => Some(quote!(())),
        ReturnType::Type(_, returned)
            if matches!(**returned, Type::ImplTrait(_) | Type::Never(_)) =>
        {
            None
        }
        ReturnType::Type(_, returned) => Some(quote!(#returned)),
    }
}
