//! The path of a file, as `include_bytes!` takes it.

use std::env;
use std::path::PathBuf;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, LitStr, Result, Token, parenthesized};

/// What the macro is called with.
pub(crate) struct Argument {
    /// The runtime, as the program knows it.
    pub(crate) runtime: TokenTree,
    /// The file.
    pub(crate) path: PathBuf,
    /// The expression for its path.
    pub(crate) expression: TokenStream,
    /// Where that is.
    pub(crate) span: Span,
}

impl Parse for Argument {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let runtime = input.parse()?;
        input.parse::<Token![,]>()?;
        let expression = input.fork().parse()?;
        let Text { value, span } = input.parse()?;
        // Relative to the source file; an absolute path replaces all that is before it.
        let source = span.unwrap().local_file().unwrap_or_default();
        Ok(Self { runtime, path: source.with_file_name("").join(value), expression, span })
    }
}

/// The value of a literal, `env!` or `concat!`.
struct Text {
    value: String,
    span: Span,
}

impl Parse for Text {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(LitStr) {
            let literal: LitStr = input.parse()?;
            return Ok(Self { value: literal.value(), span: literal.span() });
        }
        let name: Ident = input.parse()?;
        input.parse::<Token![!]>()?;
        let content;
        parenthesized!(content in input);
        let parts = Punctuated::<Self, Token![,]>::parse_terminated(&content)?;
        let span = parts.first().map_or(name.span(), |part| part.span);
        let value: String = parts.into_iter().map(|part| part.value).collect();
        match name.to_string().as_str() {
            "concat" => Ok(Self { value, span }),
            "env" => match env::var(&value) {
                Ok(value) => Ok(Self { value, span }),
                Err(error) => Err(Error::new(span, format!("{value}: {error}"))),
            },
            _ => Err(Error::new(name.span(), "a path is a literal, env! or concat!")),
        }
    }
}
