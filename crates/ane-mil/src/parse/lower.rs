//! The syntax tree to graphs.

use super::{
    error::{Fault, ParseErrorKind, Span, position},
    layout,
    literal::{Blobs, bad_literal, tensor_type},
    nearest::nearest,
    syntax::{Argument, Element, Func, Name, Statement, Type, Value, ValueKind},
};
use crate::blob::BlobSource;
use ane_ir::{Def, Function, Graph, Literal, Module, TensorType, ops};
use std::collections::{HashMap, HashSet};

/// The one word among the ops that is data.
const CONST: &str = "const";

pub(super) fn module(
    text: &str,
    functions: &[Func<'_>],
    source: &dyn BlobSource,
) -> Result<Module, Fault> {
    let mut blobs = Blobs::new(source);
    let mut module = Module::default();
    let mut names: HashMap<&str, Span> = HashMap::new();
    for f in functions {
        if let Some(first) = names.insert(f.name.text, f.name.span) {
            return Err(duplicate(text, f.name, first));
        }
        module.functions.push(Function {
            name: f.name.text.into(),
            opset: f.opset.into(),
            graph: Lowering::new(text, f, &mut blobs).function(f)?,
        });
    }
    Ok(module)
}

fn duplicate(text: &str, name: Name<'_>, first: Span) -> Fault {
    Fault::new(
        ParseErrorKind::DuplicateName {
            name: name.text.into(),
            first_line: position(text, first.offset).0,
        },
        name.span,
    )
}

/// What a name means.
pub(super) struct Binding<'a, 't> {
    defined: Span,
    /// `None` for a constant that is only an attribute.
    pub(super) value: Option<ane_ir::Value>,
    /// Of a constant: its declared type and its payload.
    pub(super) constant: Option<(&'a Type, &'a Value<'t>)>,
}

/// One function on its way to a graph.
pub(super) struct Lowering<'a, 't, 'b, 's> {
    text: &'t str,
    pub(super) graph: Graph,
    names: HashMap<&'t str, Binding<'a, 't>>,
    /// Names read as operands or outputs, and names read as attributes.
    operands: HashSet<&'t str>,
    attributes: HashSet<&'t str>,
    pub(super) blobs: &'b mut Blobs<'s>,
}

impl<'a, 't, 'b, 's> Lowering<'a, 't, 'b, 's> {
    fn new(text: &'t str, f: &'a Func<'t>, blobs: &'b mut Blobs<'s>) -> Self {
        let mut operands: HashSet<&str> = f.outputs.iter().map(|o| o.text).collect();
        let mut attributes = HashSet::new();
        for statement in &f.body {
            let signature = ops::Op::signature(statement.op.text);
            for argument in &statement.arguments {
                let is_attribute = match signature {
                    Some((_, names)) => names.contains(&argument.name.text),
                    None if layout::is_change(statement.op.text) => {
                        layout::is_layout(argument.name.text)
                    }
                    // The op is refused where it stands; its constants, strings among them, are not read as tensors.
                    None => true,
                };
                let uses = if is_attribute {
                    &mut attributes
                } else {
                    &mut operands
                };
                match &argument.value.kind {
                    ValueKind::Name(name) => {
                        uses.insert(*name);
                    }
                    ValueKind::Tuple(values) => {
                        uses.extend(values.iter().filter_map(|v| match v.kind {
                            ValueKind::Name(name) => Some(name),
                            ValueKind::Literal(..) | ValueKind::Tuple(_) => None,
                        }));
                    }
                    ValueKind::Literal(..) => {}
                }
            }
        }
        Self {
            text,
            graph: Graph::new(),
            names: HashMap::new(),
            operands,
            attributes,
            blobs,
        }
    }

    fn function(mut self, f: &'a Func<'t>) -> Result<Graph, Fault> {
        for (ty, name) in &f.params {
            self.refuse_duplicate(*name)?;
            let ty = tensor_type(ty)?;
            let value = self
                .graph
                .input(name.text, ty)
                .map_err(|_| duplicate(self.text, *name, name.span))?;
            self.bind(*name, Some(value), None);
        }
        for statement in &f.body {
            if statement.op.text == CONST {
                self.constant(statement)?;
            } else if layout::is_change(statement.op.text) {
                self.change_layout(statement)?;
            } else {
                self.apply(statement)?;
            }
        }
        for output in &f.outputs {
            self.output(*output)?;
        }
        Ok(self.graph)
    }

    pub(super) fn refuse_duplicate(&self, name: Name<'t>) -> Result<(), Fault> {
        match self.names.get(name.text) {
            Some(first) => Err(duplicate(self.text, name, first.defined)),
            None => Ok(()),
        }
    }

    pub(super) fn bind(
        &mut self,
        name: Name<'t>,
        value: Option<ane_ir::Value>,
        constant: Option<(&'a Type, &'a Value<'t>)>,
    ) {
        if let Some(value) = value {
            self.graph.set_name(value, name.text);
        }
        self.names.insert(
            name.text,
            Binding {
                defined: name.span,
                value,
                constant,
            },
        );
    }

    /// Binds another name to a value, which keeps the one it has.
    pub(super) fn alias(&mut self, name: Name<'t>, value: ane_ir::Value) {
        self.names.insert(
            name.text,
            Binding {
                defined: name.span,
                value: Some(value),
                constant: None,
            },
        );
    }

    fn output(&mut self, name: Name<'t>) -> Result<(), Fault> {
        let value = self.named_value(name.text, name.span)?;
        if matches!(self.graph.def(value), Def::Input(_)) {
            return Err(Fault::new(
                ParseErrorKind::OutputIsInput {
                    name: name.text.into(),
                },
                name.span,
            ));
        }
        let first = self.names[name.text].defined;
        self.graph
            .output(name.text, value)
            .map_err(|_| duplicate(self.text, name, first))
    }

    fn constant(&mut self, statement: &'a Statement<'t>) -> Result<(), Fault> {
        let [(ty, name)] = &statement.results[..] else {
            return Err(results(statement, 1));
        };
        self.refuse_duplicate(*name)?;
        let mut val = None;
        for argument in &statement.arguments {
            if argument.name.text != "val" {
                return Err(unknown_argument(statement, argument, &["val"]));
            }
            val = Some(&argument.value);
        }
        let val = val.ok_or_else(|| {
            Fault::new(
                ParseErrorKind::MissingAttribute {
                    op: CONST.into(),
                    name: "val".into(),
                },
                statement.op.span,
            )
        })?;
        let is_operand = self.operands.contains(name.text);
        let unused = !is_operand && !self.attributes.contains(name.text);
        let can_be_value = matches!(ty.element, Element::Tensor(_));
        let value = if is_operand || (unused && can_be_value) {
            let literal = self.literal(ty, *name, val)?;
            Some(self.push_constant(literal, name.span)?)
        } else {
            None
        };
        self.bind(*name, value, Some((ty, val)));
        Ok(())
    }

    /// The data of a named constant, whose own type and declared type must agree.
    fn literal(&mut self, ty: &Type, name: Name<'t>, val: &Value<'t>) -> Result<Literal, Fault> {
        let declared = tensor_type(ty)?;
        let ValueKind::Literal(own, body) = &val.kind else {
            return Err(bad_literal("a literal", "something else", val.span));
        };
        if let Some(own) = own {
            let inferred = tensor_type(own)?;
            if inferred != declared {
                return Err(wrong_type(name.text, declared, inferred, ty.span));
            }
        }
        self.blobs.constant(&declared, body, val.span)
    }

    pub(super) fn push_constant(
        &mut self,
        literal: Literal,
        span: Span,
    ) -> Result<ane_ir::Value, Fault> {
        self.graph
            .constant(literal)
            .map_err(|e| Fault::new(ParseErrorKind::Type(e), span))
    }

    pub(super) fn named_value(&self, name: &str, span: Span) -> Result<ane_ir::Value, Fault> {
        let binding = self.binding(name, span)?;
        binding.value.ok_or_else(|| {
            let what = binding.constant.map_or("", |(ty, _)| ty.element.name());
            Fault::new(
                ParseErrorKind::Unsupported {
                    what: format!("a value of type {what}"),
                },
                span,
            )
        })
    }

    pub(super) fn binding(&self, name: &str, span: Span) -> Result<&Binding<'a, 't>, Fault> {
        self.names.get(name).ok_or_else(|| {
            Fault::new(
                ParseErrorKind::UnknownValue {
                    name: name.into(),
                    suggestion: nearest(name, self.names.keys().copied()),
                },
                span,
            )
        })
    }
}

pub(super) fn unknown_argument(
    statement: &Statement<'_>,
    argument: &Argument<'_>,
    known: &[&str],
) -> Fault {
    Fault::new(
        ParseErrorKind::UnknownArgument {
            op: statement.op.text.into(),
            name: argument.name.text.into(),
            suggestion: nearest(argument.name.text, known.iter().copied()),
        },
        argument.name.span,
    )
}

pub(super) fn results(statement: &Statement<'_>, expected: usize) -> Fault {
    let names = &statement.results;
    let span = match (names.first(), names.last()) {
        (Some((_, first)), Some((_, last))) => first.span.to(last.span),
        _ => statement.op.span,
    };
    Fault::new(
        ParseErrorKind::ResultCount {
            op: statement.op.text.into(),
            expected,
            found: names.len(),
        },
        span,
    )
}

pub(super) fn wrong_type(
    name: &str,
    declared: TensorType,
    inferred: TensorType,
    span: Span,
) -> Fault {
    Fault::new(
        ParseErrorKind::WrongType {
            name: name.into(),
            declared,
            inferred,
        },
        span,
    )
}
