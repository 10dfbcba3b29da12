//! Tokens to the syntax tree: the grammar inferred from texts that compiled, plus empty parameter, output and function
//! lists, which the printer can write.

use super::{
    cursor::Cursor,
    error::{Fault, ParseErrorKind, Span},
    layout::{TENSOR_BUFFER, buffer_type},
    nearest::nearest,
    syntax::{
        Argument, Body, Element, Func, Item, ItemKind, Name, Scalar, Statement, Type, Value,
        ValueKind,
    },
};
use crate::{lex::TokenKind, number};

/// The functions of a program.
pub(super) fn program(text: &str) -> Result<Vec<Func<'_>>, Fault> {
    let mut c = Cursor::new(text)?;
    c.word("program")?;
    let opened = c.open('(')?;
    number_text(&mut c)?;
    c.close(')', opened)?;
    if c.is('[') {
        // `buildInfo` says which tools wrote the text; nothing depends on it.
        c.skip_brackets()?;
    }
    let opened = c.open('{')?;
    let mut functions = Vec::new();
    while c.is_word("func") {
        functions.push(func(&mut c)?);
    }
    c.close('}', opened)?;
    if c.peek().kind != TokenKind::End {
        return Err(c.unexpected("the end of the text"));
    }
    Ok(functions)
}

fn func<'t>(c: &mut Cursor<'t>) -> Result<Func<'t>, Fault> {
    c.word("func")?;
    let name = c.name("the name of the function")?;
    let opset = opset(c)?.ok_or_else(|| c.unexpected("`<` and the op set"))?;
    let (params, _) = c.list(('(', ')'), |c| {
        let ty = ty(c)?;
        Ok((ty, c.name("the name of the parameter")?))
    })?;
    let opened = c.open('{')?;
    let mut body = Vec::new();
    while !c.is('}') {
        if c.peek().kind != TokenKind::Ident {
            // An unclosed body is said to be one, not to lack a type.
            c.close('}', opened)?;
        }
        body.push(statement(c)?);
    }
    c.close('}', opened)?;
    c.arrow()?;
    let (outputs, _) = c.list(('(', ')'), |c| c.name("the name of an output"))?;
    c.expect(';')?;
    Ok(Func {
        name,
        opset,
        params,
        body,
        outputs,
    })
}

fn opset<'t>(c: &mut Cursor<'t>) -> Result<Option<&'t str>, Fault> {
    if !c.is('<') {
        return Ok(None);
    }
    let opened = c.open('<')?;
    let name = c.name("an op set such as `ios18`")?;
    c.close('>', opened)?;
    Ok(Some(name.text))
}

fn statement<'t>(c: &mut Cursor<'t>) -> Result<Statement<'t>, Fault> {
    let mut results = Vec::new();
    loop {
        let ty = ty(c)?;
        results.push((ty, c.name("the name of the value")?));
        if !c.accept(',') {
            break;
        }
    }
    c.expect('=')?;
    let op = c.name("an op")?;
    let arguments = call(c)?;
    c.expect(';')?;
    Ok(Statement {
        results,
        op,
        arguments,
    })
}

/// What follows the name of an op: op set, arguments, attributes.
fn call<'t>(c: &mut Cursor<'t>) -> Result<Vec<Argument<'t>>, Fault> {
    opset(c)?;
    let (mut arguments, _) = c.list(('(', ')'), argument)?;
    if c.is('[') {
        let (attributes, _) = c.list(('[', ']'), argument)?;
        // The label repeats the name of the first result, which is the one that counts.
        arguments.extend(attributes.into_iter().filter(|a| a.name.text != "name"));
    }
    Ok(arguments)
}

fn argument<'t>(c: &mut Cursor<'t>) -> Result<Argument<'t>, Fault> {
    let name = c.name("the name of an argument")?;
    c.expect('=')?;
    Ok(Argument {
        name,
        value: value(c)?,
    })
}

pub(super) fn value<'t>(c: &mut Cursor<'t>) -> Result<Value<'t>, Fault> {
    let start = c.span();
    if c.is('(') {
        let (values, span) = c.list(('(', ')'), value)?;
        return Ok(Value {
            kind: ValueKind::Tuple(values),
            span,
        });
    }
    let typed = matches!(c.peek_second().kind, TokenKind::Punct('(' | '<'));
    if c.peek().kind == TokenKind::Ident && typed && !c.is_word("BLOBFILE") {
        return if c.is_word("const") {
            inline_const(c)
        } else {
            typed_literal(c)
        };
    }
    if c.peek().kind == TokenKind::Ident && !typed && !c.is_word("true") && !c.is_word("false") {
        let name = c.name("a value")?;
        return Ok(Value {
            kind: ValueKind::Name(name.text),
            span: name.span,
        });
    }
    let (body, end) = body(c)?;
    Ok(Value {
        kind: ValueKind::Literal(None, body),
        span: start.to(end),
    })
}

/// `const()[val = …]` in the place of a value means its `val`.
fn inline_const<'t>(c: &mut Cursor<'t>) -> Result<Value<'t>, Fault> {
    let op = c.name("`const`")?;
    let mut arguments = call(c)?;
    let val = arguments.iter().position(|a| a.name.text == "val");
    match val {
        Some(i) => Ok(arguments.swap_remove(i).value),
        None => Err(Fault::new(
            ParseErrorKind::MissingAttribute {
                op: op.text.into(),
                name: "val".into(),
            },
            op.span,
        )),
    }
}

fn typed_literal<'t>(c: &mut Cursor<'t>) -> Result<Value<'t>, Fault> {
    let ty = ty(c)?;
    let start = ty.span;
    let opened = c.open('(')?;
    let (body, _) = body(c)?;
    let closed = c.close(')', opened)?;
    Ok(Value {
        kind: ValueKind::Literal(Some(ty), body),
        span: start.to(closed),
    })
}

/// What a literal holds, and its last token.
fn body<'t>(c: &mut Cursor<'t>) -> Result<(Body<'t>, Span), Fault> {
    if c.is('[') {
        let (items, span) = c.list(('[', ']'), item)?;
        return Ok((Body::List(items), span));
    }
    if c.is_word("BLOBFILE") {
        return blob(c);
    }
    let span = c.span();
    Ok((Body::Scalar(scalar(c)?), span))
}

fn item<'t>(c: &mut Cursor<'t>) -> Result<Item<'t>, Fault> {
    if c.is('[') {
        let (items, span) = c.list(('[', ']'), item)?;
        return Ok(Item {
            kind: ItemKind::List(items),
            span,
        });
    }
    let span = c.span();
    Ok(Item {
        kind: ItemKind::Scalar(scalar(c)?),
        span,
    })
}

fn scalar<'t>(c: &mut Cursor<'t>) -> Result<Scalar<'t>, Fault> {
    let token = c.peek();
    let text = c.text(token);
    let scalar = match (token.kind, text) {
        (TokenKind::Number, _) | (TokenKind::Ident, "inf" | "nan") => Scalar::Number(text),
        (TokenKind::Ident, "true") => Scalar::Bool(true),
        (TokenKind::Ident, "false") => Scalar::Bool(false),
        (TokenKind::Str, _) => Scalar::Str(unquoted(text)),
        _ => return Err(c.unexpected("a literal")),
    };
    c.advance();
    Ok(scalar)
}

/// A string without its quotes and escapes.
fn unquoted(text: &str) -> String {
    let mut chars = text[1..text.len() - 1].chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => plain.push('\n'),
                Some(c) => plain.push(c),
                None => {}
            },
            c => plain.push(c),
        }
    }
    plain
}

fn blob<'t>(c: &mut Cursor<'t>) -> Result<(Body<'t>, Span), Fault> {
    let word = c.name("`BLOBFILE`")?;
    let (arguments, span) = c.list(('(', ')'), argument)?;
    let (mut path, mut offset) = (None, None);
    for Argument { name, value } in arguments {
        let ValueKind::Literal(_, Body::Scalar(scalar)) = value.kind else {
            return Err(bad_literal("a literal", "something else", value.span));
        };
        match (name.text, scalar) {
            ("path", Scalar::Str(s)) => path = Some(s),
            ("offset", Scalar::Number(n)) => {
                let parsed = n.parse::<u64>();
                let bad = || bad_literal("an offset in bytes", &format!("`{n}`"), value.span);
                offset = Some(parsed.map_err(|_| bad())?);
            }
            _ => {
                let found = format!("`{}`", name.text);
                return Err(bad_literal(
                    "a string `path` and a number `offset`",
                    &found,
                    name.span,
                ));
            }
        }
    }
    match (path, offset) {
        (Some(path), Some(offset)) => Ok((Body::Blob { path, offset }, word.span.to(span))),
        _ => Err(bad_literal(
            "`path` and `offset`",
            "less",
            word.span.to(span),
        )),
    }
}

fn bad_literal(expected: &str, found: &str, span: Span) -> Fault {
    Fault::new(
        ParseErrorKind::BadLiteral {
            expected: expected.into(),
            found: found.into(),
        },
        span,
    )
}

fn ty(c: &mut Cursor<'_>) -> Result<Type, Fault> {
    let name = c.name("a type")?;
    if name.text == TENSOR_BUFFER {
        return buffer_type(c, name);
    }
    if name.text != "tensor" {
        return Ok(Type {
            element: element(name)?,
            dims: Vec::new(),
            span: name.span,
        });
    }
    let opened = c.open('<')?;
    let word = c.name("an element type")?;
    let element = element(word)?;
    c.expect(',')?;
    let (dims, _) = c.list(('[', ']'), dimension)?;
    let closed = c.close('>', opened)?;
    Ok(Type {
        element,
        dims,
        span: name.span.to(closed),
    })
}

pub(super) fn element(name: Name<'_>) -> Result<Element, Fault> {
    Element::from_name(name.text).ok_or_else(|| {
        Fault::new(
            ParseErrorKind::UnknownType {
                name: name.text.into(),
                suggestion: nearest(name.text, Element::names().chain(["tensor"])),
            },
            name.span,
        )
    })
}

pub(super) fn dimension(c: &mut Cursor<'_>) -> Result<usize, Fault> {
    let found = c.found();
    let span = c.span();
    let text = number_text(c)?;
    text.parse()
        .map_err(|_| bad_literal("a dimension", &found, span))
}

/// The text of a number, whatever its value.
fn number_text<'t>(c: &mut Cursor<'t>) -> Result<&'t str, Fault> {
    let token = c.peek();
    let text = c.text(token);
    if token.kind != TokenKind::Number || number::parse(text).is_none() {
        return Err(c.unexpected("a number"));
    }
    c.advance();
    Ok(text)
}
