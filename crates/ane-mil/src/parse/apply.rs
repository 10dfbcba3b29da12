//! One statement of the syntax tree to a node: operands, attributes, types.

use super::{
    error::{Fault, ParseErrorKind},
    literal::{bad_literal, checked_elements, tensor_type},
    lower::{Lowering, results, unknown_argument, wrong_type},
    nearest::nearest,
    syntax::{Argument, Body, Statement, Type, Value, ValueKind},
};
use ane_ir::{Arity, Operand, Operands, Segments, TensorType, ops};
use std::collections::{HashMap, HashSet};

/// Largest single integer attribute: axes, counts of parts, factors. An op may make as many results as one says.
const MAX_INTEGER: u32 = 1 << 16;

impl<'a, 't> Lowering<'a, 't, '_, '_> {
    pub(super) fn apply(&mut self, statement: &'a Statement<'t>) -> Result<(), Fault> {
        let op_name = statement.op.text;
        let Some((declared, attribute_names)) = ops::Op::signature(op_name) else {
            return Err(Fault::new(
                ParseErrorKind::UnknownOp {
                    name: op_name.into(),
                    suggestion: nearest(op_name, ops::Op::NAMES.iter().copied()),
                },
                statement.op.span,
            ));
        };
        let mut known: Vec<&str> = declared.iter().map(|o| o.name).collect();
        known.extend(attribute_names);
        refuse_arguments(statement, &known)?;
        let (operands, counts) = self.operands_of(statement, declared)?;
        let mut attributes: HashMap<&str, (ops::Attr, &'a Argument<'t>)> = HashMap::new();
        for argument in &statement.arguments {
            if attribute_names.contains(&argument.name.text) {
                let attr = self.attribute(statement, argument)?;
                attributes.insert(argument.name.text, (attr, argument));
            }
        }
        let op = self.make_op(statement, &mut attributes)?;
        let fault = |e| Fault::new(ParseErrorKind::Type(e), statement.op.span);
        let segments = Segments::of(op.name(), declared, &counts).map_err(fault)?;
        self.push(statement, op, &operands, &segments)
    }

    /// The operands that are given, and how many there are for each declared one.
    fn operands_of(
        &mut self,
        statement: &'a Statement<'t>,
        declared: &[Operand],
    ) -> Result<(Vec<ane_ir::Value>, Vec<usize>), Fault> {
        let mut values = Vec::new();
        let mut counts = Vec::new();
        for operand in declared {
            let before = values.len();
            let argument = statement
                .arguments
                .iter()
                .find(|a| a.name.text == operand.name);
            match (argument.map(|a| &a.value), operand.arity) {
                (None, Arity::Optional) => {}
                (None, Arity::Required | Arity::List) => {
                    return Err(Fault::new(
                        ParseErrorKind::MissingOperand {
                            op: statement.op.text.into(),
                            name: operand.name.into(),
                        },
                        statement.op.span,
                    ));
                }
                (
                    Some(Value {
                        kind: ValueKind::Tuple(all),
                        ..
                    }),
                    Arity::List,
                ) => {
                    for v in all {
                        values.push(self.operand(v)?);
                    }
                }
                (Some(one), _) => values.push(self.operand(one)?),
            }
            counts.push(values.len() - before);
        }
        Ok((values, counts))
    }

    fn operand(&mut self, value: &Value<'t>) -> Result<ane_ir::Value, Fault> {
        match &value.kind {
            ValueKind::Name(name) => self.named_value(name, value.span),
            ValueKind::Literal(Some(ty), body) => {
                let literal = self.blobs.constant(&tensor_type(ty)?, body, value.span)?;
                self.push_constant(literal, value.span)
            }
            ValueKind::Literal(None, _) => Err(bad_literal(
                "a value or a typed literal",
                "a literal without type",
                value.span,
            )),
            ValueKind::Tuple(_) => Err(bad_literal("one value", "several", value.span)),
        }
    }

    fn attribute(
        &mut self,
        statement: &'a Statement<'t>,
        argument: &'a Argument<'t>,
    ) -> Result<ops::Attr, Fault> {
        let (ty, body) = self.literal_of(argument)?;
        let attr = self.blobs.attribute(ty, body, argument.value.span)?;
        if let ops::Attr::Int(i) = attr
            && i.unsigned_abs() > MAX_INTEGER
        {
            return Err(wrong_attribute(statement, argument, &attr));
        }
        Ok(attr)
    }

    /// The literal that an argument is or names, with its type if it has one.
    fn literal_of(
        &mut self,
        argument: &'a Argument<'t>,
    ) -> Result<(Option<&'a Type>, &'a Body<'t>), Fault> {
        let span = argument.value.span;
        match &argument.value.kind {
            ValueKind::Literal(ty, body) => Ok((ty.as_ref(), body)),
            ValueKind::Name(name) => {
                let Some((ty, val)) = self.binding(name, span)?.constant else {
                    let name = (*name).into();
                    return Err(Fault::new(ParseErrorKind::NotConstant { name }, span));
                };
                match &val.kind {
                    ValueKind::Literal(own, body) => Ok((Some(own.as_ref().unwrap_or(ty)), body)),
                    ValueKind::Name(_) | ValueKind::Tuple(_) => {
                        Err(bad_literal("a literal", "something else", val.span))
                    }
                }
            }
            ValueKind::Tuple(_) => Err(bad_literal("one literal", "several", span)),
        }
    }

    /// The op with its attributes. A bare `1` is an integer until the op wants a float there, and a typed scalar is a
    /// number until it wants data.
    fn make_op(
        &mut self,
        statement: &'a Statement<'t>,
        attributes: &mut HashMap<&str, (ops::Attr, &'a Argument<'t>)>,
    ) -> Result<ops::Op, Fault> {
        let op = statement.op.text;
        loop {
            let mut get = |name: &str| attributes.get(name).map(|(attr, _)| attr.clone());
            let made = ops::Op::from_attrs(op, &mut get).expect("the op has a signature");
            let name = match made {
                Ok(op) => return Ok(op),
                Err(name) => name,
            };
            let Some((attr, argument)) = attributes.get_mut(name) else {
                return Err(Fault::new(
                    ParseErrorKind::MissingAttribute {
                        op: op.into(),
                        name: name.into(),
                    },
                    statement.op.span,
                ));
            };
            let (ty, body) = self.literal_of(argument)?;
            *attr = match (&*attr, ty) {
                (ops::Attr::Int(i), None) => ops::Attr::Float(f64::from(*i)),
                (ops::Attr::Ints(all), None) => {
                    ops::Attr::Floats(all.iter().map(|&i| f64::from(i)).collect())
                }
                (ops::Attr::Bool(_) | ops::Attr::Int(_) | ops::Attr::Float(_), Some(ty)) => {
                    let ty = tensor_type(ty)?;
                    let span = argument.value.span;
                    ops::Attr::Literal(self.blobs.constant(&ty, body, span)?)
                }
                _ => {
                    let argument = *argument;
                    let given = self.attribute(statement, argument)?;
                    return Err(wrong_attribute(statement, argument, &given));
                }
            };
        }
    }

    fn push(
        &mut self,
        statement: &Statement<'t>,
        op: ops::Op,
        operands: &[ane_ir::Value],
        segments: &Segments,
    ) -> Result<(), Fault> {
        let fault = |e| Fault::new(ParseErrorKind::Type(e), statement.op.span);
        let tys: Vec<&TensorType> = operands.iter().map(|&v| self.graph.ty(v)).collect();
        let inferred = op
            .infer(&Operands::new(op.operands(), &tys, segments))
            .map_err(fault)?;
        if inferred.len() != statement.results.len() {
            return Err(results(statement, inferred.len()));
        }
        for (inferred, (ty, name)) in inferred.iter().zip(&statement.results) {
            if checked_elements(inferred.shape.dims()).is_none() {
                return Err(Fault::new(
                    ParseErrorKind::BadShape {
                        found: inferred.shape.to_string(),
                        rule: "at most 2^40 elements",
                    },
                    statement.op.span,
                ));
            }
            let declared = tensor_type(ty)?;
            if declared != *inferred {
                return Err(wrong_type(name.text, declared, inferred.clone(), ty.span));
            }
        }
        let values = self
            .graph
            .push_segments(op, operands, segments)
            .map_err(fault)?;
        for (&value, (_, name)) in values.iter().zip(&statement.results) {
            self.refuse_duplicate(*name)?;
            self.bind(*name, Some(value), None);
        }
        Ok(())
    }
}

/// Arguments that the op does not have, or that are given twice.
fn refuse_arguments(statement: &Statement<'_>, known: &[&str]) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    for argument in &statement.arguments {
        let name = argument.name.text;
        if !known.contains(&name) {
            return Err(unknown_argument(statement, argument, known));
        }
        if !seen.insert(name) {
            return Err(Fault::new(
                ParseErrorKind::DuplicateArgument {
                    op: statement.op.text.into(),
                    name: name.into(),
                },
                argument.name.span,
            ));
        }
    }
    Ok(())
}

fn wrong_attribute(statement: &Statement<'_>, argument: &Argument<'_>, attr: &ops::Attr) -> Fault {
    let kind = match attr {
        ops::Attr::Bool(_) => "bool",
        ops::Attr::Int(_) => "integer",
        ops::Attr::Ints(_) => "integers",
        ops::Attr::Bools(_) => "bools",
        ops::Attr::Floats(_) => "floats",
        ops::Attr::Strs(_) => "strings",
        ops::Attr::Float(_) => "float",
        ops::Attr::Str(_) => "string",
        ops::Attr::Literal(_) => "tensor",
    };
    Fault::new(
        ParseErrorKind::WrongAttribute {
            op: statement.op.text.into(),
            name: argument.name.text.into(),
            found: format!("the {kind} {attr}"),
        },
        argument.value.span,
    )
}
