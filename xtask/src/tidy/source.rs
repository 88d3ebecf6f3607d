//! One Rust file of ours, parsed: its text, its tokens with their lines, its functions.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{Attribute, Expr, ImplItem, Item, Lit, Meta, Signature, TraitItem, Visibility};

use crate::outcome::Failure;
use crate::shell;

/// A parsed file.
pub(super) struct Source {
    path: String,
    text: String,
    file: syn::File,
    tokens: TokenStream,
    is_test: bool,
}

/// A function or method that others may call.
pub(super) struct Function {
    /// `Type::method`, or the bare name of a free function.
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) docs: String,
    pub(super) is_async: bool,
    pub(super) is_public: bool,
    /// Declared by a trait: each implementation has its own body.
    pub(super) in_trait: bool,
}

impl Source {
    /// Parses one file. `path` is relative to the repository, with forward slashes.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::new(format!("{path} does not parse: {error}"));
        let file = syn::parse_file(text).map_err(|error| broken(&error))?;
        let tokens = text.parse().map_err(|error| broken(&error))?;
        Ok(Self { path: path.to_owned(), text: text.to_owned(), file, tokens, is_test: is_test_path(path) })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The file's own name.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// Whether all of the file is for tests, benchmarks, examples or a build script.
    pub(super) fn is_test(&self) -> bool {
        self.is_test
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.file.items
    }

    /// The tokens in order, groups opened, the parts under `#[cfg(test)]` left out.
    pub(super) fn code(&self) -> Vec<Token> {
        let mut flat = Vec::new();
        flatten(self.tokens.clone(), &mut flat);
        flat
    }

    /// The functions outside of `#[cfg(test)]`, in the order of the file.
    pub(super) fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        functions_of(&self.file.items, &mut found);
        found
    }

    /// The files, or folders of files, that this one declares as `#[cfg(test)] mod name;`.
    fn test_modules(&self) -> Vec<String> {
        let stem = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        let folder = match self.name() {
            "lib.rs" | "main.rs" | "mod.rs" => stem.rsplit_once('/').map_or("", |(folder, _)| folder),
            _ => stem,
        };
        let declared = self.file.items.iter().filter_map(|item| match item {
            Item::Mod(module) if module.content.is_none() && is_test_only(&module.attrs) => {
                Some(&module.ident)
            }
            _ => None,
        });
        declared.map(|name| format!("{folder}/{name}")).collect()
    }
}

/// One token, its groups' delimiters reduced to a character.
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

/// Reads every Rust file of the repository but what cargo built.
pub(super) fn read_all(root: &Path) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for path in files(root, |name| name.ends_with(".rs"))? {
        sources.push(Source::parse(&path, &shell::read(&root.join(&path))?)?);
    }
    mark_test_modules(&mut sources);
    Ok(sources)
}

/// The files below the root whose name fits, relative to it, sorted; folders that are hidden or built are left out.
pub(super) fn files(root: &Path, fits: impl Fn(&str) -> bool + Copy) -> Result<BTreeSet<String>, Failure> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let unreadable = |error| Failure::new(format!("cannot list {}: {error}", folder.display()));
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.is_file() && fits(&name) {
                found.insert(relative(root, &path));
            }
        }
    }
    Ok(found)
}

fn relative(root: &Path, path: &Path) -> String {
    let parts = path.strip_prefix(root).unwrap_or(path).components();
    let names = parts.filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    names.collect::<Vec<_>>().join("/")
}

fn mark_test_modules(sources: &mut [Source]) {
    let modules: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in sources {
        let stem = source.path.strip_suffix(".rs").unwrap_or(&source.path);
        source.is_test |=
            modules.iter().any(|module| stem == module || stem.starts_with(&format!("{module}/")));
    }
}

fn is_test_path(path: &str) -> bool {
    path.split('/').any(|part| ["tests", "benches", "examples", "build.rs"].contains(&part))
}

fn flatten(tokens: TokenStream, flat: &mut Vec<Token>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let line = token.span().start().line;
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                let is_attribute = matches!(tokens.peek(), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket);
                let Some(TokenTree::Group(attribute)) = tokens.next_if(|_| is_attribute) else { continue };
                if cfg_implies_test(attribute.stream()) {
                    skip_item(&mut tokens);
                }
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                flat.push(Token { text: open.into(), line });
                flatten(group.stream(), flat);
                flat.push(Token { text: close.into(), line: group.span_close().end().line });
            }
            TokenTree::Literal(_) => flat.push(Token { text: "\"\"".into(), line }),
            TokenTree::Ident(ident) => flat.push(Token { text: ident.to_string(), line }),
            TokenTree::Punct(punct) => flat.push(Token { text: punct.as_char().into(), line }),
        }
    }
}

/// Skips what an attribute stands on: up to its body's end, or its semicolon.
fn skip_item(tokens: &mut impl Iterator<Item = TokenTree>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
            TokenTree::Punct(punct) if punct.as_char() == ';' => return,
            _ => {}
        }
    }
}

fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => implies_test(list.tokens.clone()),
        _ => false,
    })
}

/// Whether the inside of an attribute is `cfg(…)` with a condition that only tests fulfil.
fn cfg_implies_test(attribute: TokenStream) -> bool {
    let mut tokens = attribute.into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Ident(name)), Some(TokenTree::Group(condition))) => {
            name == "cfg" && implies_test(condition.stream())
        }
        _ => false,
    }
}

/// Whether a condition is `test`, or `all(…)` with one of these, or `any(…)` of nothing but these.
fn implies_test(condition: TokenStream) -> bool {
    let mut tokens = condition.into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Ident(name)), None) => name == "test",
        (Some(TokenTree::Ident(name)), Some(TokenTree::Group(group))) => {
            let mut parts = split_at_commas(group.stream()).into_iter();
            (name == "all" && parts.clone().any(implies_test)) || (name == "any" && parts.all(implies_test))
        }
        _ => false,
    }
}

fn split_at_commas(tokens: TokenStream) -> Vec<TokenStream> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
    tokens
        .split(is_comma)
        .filter(|part| !part.is_empty())
        .map(|part| part.iter().cloned().collect())
        .collect()
}

fn functions_of(items: &[Item], found: &mut Vec<Function>) {
    for item in items {
        match item {
            Item::Fn(function) if !is_test_only(&function.attrs) => {
                found.push(Function::new(None, &function.sig, &function.attrs, is_pub(&function.vis)));
            }
            Item::Mod(module) if !is_test_only(&module.attrs) => {
                functions_of(module.content.as_ref().map_or(&[], |(_, items)| items), found);
            }
            Item::Impl(block) if block.trait_.is_none() && !is_test_only(&block.attrs) => {
                let owner = type_name(&block.self_ty);
                for item in &block.items {
                    if let ImplItem::Fn(method) = item
                        && !is_test_only(&method.attrs)
                    {
                        found.push(Function::new(
                            owner.as_deref(),
                            &method.sig,
                            &method.attrs,
                            is_pub(&method.vis),
                        ));
                    }
                }
            }
            Item::Trait(declared) if !is_test_only(&declared.attrs) => {
                let owner = declared.ident.to_string();
                for item in &declared.items {
                    if let TraitItem::Fn(method) = item {
                        let is_public = is_pub(&declared.vis);
                        let function = Function::new(Some(&owner), &method.sig, &method.attrs, is_public);
                        found.push(Function { in_trait: true, ..function });
                    }
                }
            }
            _ => {}
        }
    }
}

impl Function {
    fn new(owner: Option<&str>, signature: &Signature, attributes: &[Attribute], is_public: bool) -> Self {
        let name = &signature.ident;
        Self {
            name: owner.map_or_else(|| name.to_string(), |owner| format!("{owner}::{name}")),
            line: name.span().start().line,
            docs: docs(attributes),
            is_async: signature.asyncness.is_some() || returns_future(signature),
            is_public,
            in_trait: false,
        }
    }
}

fn is_pub(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// `-> impl Future…` is an `async fn` in other words.
fn returns_future(signature: &Signature) -> bool {
    let syn::ReturnType::Type(_, returned) = &signature.output else { return false };
    let syn::Type::ImplTrait(opaque) = &**returned else { return false };
    opaque.bounds.iter().any(|bound| match bound {
        syn::TypeParamBound::Trait(bound) => {
            bound.path.segments.last().is_some_and(|segment| segment.ident == "Future")
        }
        _ => false,
    })
}

fn type_name(type_: &syn::Type) -> Option<String> {
    match type_ {
        syn::Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        syn::Type::Reference(reference) => type_name(&reference.elem),
        _ => None,
    }
}

fn docs(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let source = Source::parse("crates/x/src/lib.rs", text).unwrap();
        source.code().iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_strings_and_tests_are_no_code() {
        assert_eq!(code("// a\nfn f() { g(\"b\"); }"), "fn f ( ) { g ( \"\" ) ; }");
        assert_eq!(code("#[cfg(test)]\nmod tests { fn a() {} }\nfn b() {}"), "fn b ( ) { }");
        assert_eq!(code("#[cfg(all(test, unix))]\nfn a() {}"), "");
        assert_eq!(code("#[cfg(test)]\nuse a::b;\nuse c;"), "use c ;");
    }

    #[test]
    fn code_that_also_runs_outside_of_tests_stays() {
        assert_eq!(code("#[cfg(not(test))]\nfn a() {}"), "fn a ( ) { }");
        assert_eq!(code("#[cfg(any(test, unix))]\nfn a() {}"), "fn a ( ) { }");
    }

    #[test]
    fn functions_know_their_type_and_their_docs() {
        let text = "impl<T> Pipe<T> { /// Reads.\n pub async fn read(&self) {} }\n\
                    pub trait Ask { async fn ask(&self); }\n\
                    pub fn later() -> impl std::future::Future<Output = ()> {}\n\
                    pub(crate) async fn inner() {}";
        let source = Source::parse("crates/x/src/lib.rs", text).unwrap();
        let functions = source.functions();
        let names: Vec<&str> = functions.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(names, ["Pipe::read", "Ask::ask", "later", "inner"]);
        assert_eq!(functions[0].docs.trim(), "Reads.");
        assert!(functions.iter().all(|function| function.is_async));
        assert_eq!(
            functions.iter().map(|function| function.is_public).collect::<Vec<_>>(),
            [true, true, true, false]
        );
        assert_eq!(functions[0].line, 2);
    }

    #[test]
    fn a_file_declared_for_tests_is_a_test_file() {
        let mut sources = vec![
            Source::parse("crates/x/src/dial.rs", "#[cfg(test)]\nmod checks;\nmod tcp;").unwrap(),
            Source::parse("crates/x/src/dial/checks.rs", "fn a() {}").unwrap(),
            Source::parse("crates/x/src/dial/checks/deep.rs", "fn a() {}").unwrap(),
            Source::parse("crates/x/src/dial/tcp.rs", "fn a() {}").unwrap(),
        ];
        mark_test_modules(&mut sources);
        assert_eq!(sources.iter().map(Source::is_test).collect::<Vec<_>>(), [false, true, true, false]);
    }
}
