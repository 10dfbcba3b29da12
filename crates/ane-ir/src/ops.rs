//! The op set. To add an op: write `ops/<name>.rs` and add its two lines here, the `pub mod` and the list entry.

use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Results, Value},
    numerics::Numerics,
    operands::Segments,
    tensor::{Literal, Real, Tensor},
    types::{DType, TensorType},
};
use smallvec::SmallVec;

pub use crate::{
    operands::{Argument, Arity, Operand, Operands},
    type_error::TypeError,
};

pub mod abs;
pub mod add;
pub mod avg_pool;
pub mod band_part;
pub mod batch_norm;
pub mod cast;
pub mod ceil;
pub mod clip;
pub mod concat;
pub mod constant;
pub mod conv;
pub mod conv_transpose;
pub mod cos;
pub mod cumsum;
pub mod elu;
pub mod equal;
pub mod erf;
pub mod exp;
pub mod expand_dims;
pub mod fill;
pub mod floor;
pub mod gather;
pub mod gather_along_axis;
pub mod gelu;
pub mod greater;
pub mod greater_equal;
pub mod identity;
pub mod instance_norm;
pub mod inverse;
pub mod layer_norm;
pub mod leaky_relu;
pub mod less;
pub mod less_equal;
pub mod linear;
pub mod log;
pub mod logical_and;
pub mod logical_not;
pub mod logical_or;
pub mod logical_xor;
pub mod matmul;
pub mod max_pool;
pub mod maximum;
pub mod minimum;
pub mod mul;
pub mod not_equal;
pub mod one_hot;
pub mod pad;
pub mod pow;
pub mod real_div;
pub mod reduce_argmax;
pub mod reduce_l2_norm;
pub mod reduce_log_sum_exp;
pub mod reduce_max;
pub mod reduce_mean;
pub mod reduce_min;
pub mod reduce_sum;
pub mod reduce_sum_square;
pub mod relu;
pub mod reshape;
pub mod round;
pub mod rsqrt;
pub mod scatter;
pub mod select;
pub mod sigmoid;
pub mod sigmoid_hard;
pub mod sign;
pub mod silu;
pub mod sin;
pub mod slice_by_index;
pub mod slice_by_size;
pub mod softmax;
pub mod softplus;
pub mod softsign;
pub mod split;
pub mod sqrt;
pub mod square;
pub mod squeeze;
pub mod sub;
pub mod support;
pub mod tanh;
pub mod tile;
pub mod transpose;
pub mod upsample_bilinear;
pub mod upsample_nearest_neighbor;

/// The op set, once. Calls `$callback!` with every op; other crates use it to make one test per op.
///
/// ```ignore
/// macro_rules! suite { ($($module:ident::$op:ident,)*) => { $(mod $module { /* one test per op */ })* } }
/// ane_ir::for_each_op!(suite);
/// ```
#[macro_export]
macro_rules! for_each_op {
    ($callback:ident) => {
        $callback! {
            abs::Abs,
            add::Add,
            avg_pool::AvgPool,
            band_part::BandPart,
            batch_norm::BatchNorm,
            cast::Cast,
            ceil::Ceil,
            clip::Clip,
            concat::Concat,
            constant::Const,
            conv::Conv,
            conv_transpose::ConvTranspose,
            cos::Cos,
            cumsum::Cumsum,
            elu::Elu,
            equal::Equal,
            erf::Erf,
            exp::Exp,
            expand_dims::ExpandDims,
            fill::Fill,
            floor::Floor,
            gather::Gather,
            gather_along_axis::GatherAlongAxis,
            gelu::Gelu,
            greater::Greater,
            greater_equal::GreaterEqual,
            identity::Identity,
            instance_norm::InstanceNorm,
            inverse::Inverse,
            layer_norm::LayerNorm,
            leaky_relu::LeakyRelu,
            less::Less,
            less_equal::LessEqual,
            linear::Linear,
            log::Log,
            logical_and::LogicalAnd,
            logical_not::LogicalNot,
            logical_or::LogicalOr,
            logical_xor::LogicalXor,
            matmul::Matmul,
            max_pool::MaxPool,
            maximum::Maximum,
            minimum::Minimum,
            mul::Mul,
            not_equal::NotEqual,
            one_hot::OneHot,
            pad::Pad,
            pow::Pow,
            real_div::RealDiv,
            reduce_argmax::ReduceArgmax,
            reduce_l2_norm::ReduceL2Norm,
            reduce_log_sum_exp::ReduceLogSumExp,
            reduce_max::ReduceMax,
            reduce_mean::ReduceMean,
            reduce_min::ReduceMin,
            reduce_sum::ReduceSum,
            reduce_sum_square::ReduceSumSquare,
            relu::Relu,
            reshape::Reshape,
            round::Round,
            rsqrt::Rsqrt,
            scatter::Scatter,
            select::Select,
            sigmoid::Sigmoid,
            sigmoid_hard::SigmoidHard,
            sign::Sign,
            silu::Silu,
            sin::Sin,
            slice_by_index::SliceByIndex,
            slice_by_size::SliceBySize,
            softmax::Softmax,
            softplus::Softplus,
            softsign::Softsign,
            split::Split,
            sqrt::Sqrt,
            square::Square,
            squeeze::Squeeze,
            sub::Sub,
            tanh::Tanh,
            tile::Tile,
            transpose::Transpose,
            upsample_bilinear::UpsampleBilinear,
            upsample_nearest_neighbor::UpsampleNearestNeighbor,
        }
    };
}

/// Value of an attribute, the parameters that MIL passes by name and that are not tensors at run time.
#[derive(Debug, Clone, PartialEq)]
pub enum Attr {
    /// `bool(true)`
    Bool(bool),
    /// `int32(1)`
    Int(i32),
    /// `tensor<int32, [2]>([0, 1])`
    Ints(Vec<i32>),
    /// `tensor<bool, [2]>([true, false])`
    Bools(Vec<bool>),
    /// `tensor<fp16, [2]>([0x1p-3, 0x1p+0])`, in the op's own dtype.
    Floats(Vec<f64>),
    /// `tensor<string, [2]>(["a", "b"])`
    Strs(Vec<String>),
    /// A float in the op's own dtype: `fp16(0x1p-3)`
    Float(f64),
    /// `string("EXACT")`
    Str(String),
    /// Data: an inline tensor or a blob.
    Literal(Literal),
}

/// A Rust type that an attribute can have.
pub trait AttrType: Sized {
    /// As MIL passes it; `None` when the attribute is left out.
    fn to_attr(&self) -> Option<Attr>;
    /// From what MIL passed; `None` when it is of the wrong kind or value.
    fn from_attr(attr: Attr) -> Option<Self>;
    /// The value when MIL leaves the attribute out, where that is allowed.
    fn absent() -> Option<Self> {
        None
    }
}

macro_rules! attr_type {
    ($t:ty, $variant:ident) => {
        impl AttrType for $t {
            fn to_attr(&self) -> Option<Attr> {
                Some(Attr::$variant(self.clone()))
            }
            fn from_attr(attr: Attr) -> Option<Self> {
                match attr {
                    Attr::$variant(x) => Some(x),
                    _ => None,
                }
            }
        }
    };
}
attr_type!(bool, Bool);
attr_type!(i32, Int);
attr_type!(Vec<i32>, Ints);
attr_type!(Vec<bool>, Bools);
attr_type!(f64, Float);
attr_type!(Vec<f64>, Floats);
attr_type!(String, Str);
attr_type!(Vec<String>, Strs);
attr_type!(Literal, Literal);

impl<A: AttrType> AttrType for Option<A> {
    fn to_attr(&self) -> Option<Attr> {
        self.as_ref().and_then(AttrType::to_attr)
    }
    fn from_attr(attr: Attr) -> Option<Self> {
        A::from_attr(attr).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl AttrType for DType {
    fn to_attr(&self) -> Option<Attr> {
        Some(Attr::Str(self.name().into()))
    }
    fn from_attr(attr: Attr) -> Option<Self> {
        match attr {
            Attr::Str(s) => Self::from_name(&s),
            _ => None,
        }
    }
}

/// Attributes as MIL names and values; implemented by `attributes!`.
pub trait Attributes: Sized {
    /// MIL names of all attributes.
    const ATTRIBUTES: &'static [&'static str];
    /// Names and values of those that are given.
    fn attrs(&self) -> Vec<(&'static str, Attr)>;
    /// Inverse of [`Attributes::attrs`]; `Err` names the attribute that is missing or of the wrong kind.
    fn from_attrs(get: &mut dyn FnMut(&str) -> Option<Attr>) -> Result<Self, &'static str>;
}

/// The struct of an op and both directions of attribute conversion.
///
/// `attributes! { /// doc  Softmax { /// doc  axis: i32, } }` makes `pub struct Softmax { pub axis: i32 }` and
/// `impl Attributes for Softmax`. `name: T = default` is what a missing attribute means.
macro_rules! attributes {
    ($(#[$m:meta])* $name:ident { $($(#[$fm:meta])* $field:ident : $ty:ty $(= $default:expr)?),* $(,)? }) => {
        $(#[$m])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name { $($(#[$fm])* pub $field: $ty),* }

        impl $crate::ops::Attributes for $name {
            const ATTRIBUTES: &'static [&'static str] = &[$(stringify!($field)),*];
            fn attrs(&self) -> Vec<(&'static str, $crate::ops::Attr)> {
                #[allow(unused_mut)]
                let mut attrs = Vec::new();
                $(if let Some(a) = $crate::ops::AttrType::to_attr(&self.$field) {
                    attrs.push((stringify!($field), a));
                })*
                attrs
            }
            #[allow(unused_variables)]
            fn from_attrs(
                get: &mut dyn FnMut(&str) -> Option<$crate::ops::Attr>,
            ) -> Result<Self, &'static str> {
                $(let $field = match get(stringify!($field)) {
                    Some(a) => <$ty as $crate::ops::AttrType>::from_attr(a),
                    #[allow(unreachable_code)]
                    None => { $(Some($default).or)? (<$ty as $crate::ops::AttrType>::absent()) }
                }.ok_or(stringify!($field))?;)*
                Ok(Self { $($field),* })
            }
        }
    };
}
pub(crate) use attributes;

/// Types of the results of a node.
pub type ResultTypes = SmallVec<[TensorType; 1]>;

/// How an op may be put on the engine's output compared with `eval`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// Bit for bit.
    Exact,
    /// This many units in the last place of fp16.
    Ulps(u32),
    /// Sums in another order: `terms · 2⁻²⁴ · Σ|terms|`, then one rounding.
    Sum,
}

/// Everything the system knows about one op.
pub trait OpDef: Attributes + Clone + Into<Op> {
    /// MIL name.
    const NAME: &'static str;
    /// The tensor operands, in order.
    const OPERANDS: &'static [Operand];
    /// Whether results are elements of operands, or data, with their bits unchanged.
    const MOVES: bool = false;
    /// Whether it works element by element on operands that broadcast.
    const BROADCASTS: bool = false;
    /// Result types, or why the operands do not fit.
    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError>;
    /// The definition, naive, before rounding to the node's dtype.
    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>>;
    /// Cotangents of the operands that are present from those of the results (`None`: no cotangent reached that result).
    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError>;
    /// Operands every generic suite runs the op on; must not be empty.
    fn samples() -> Vec<Sample<Self>>;
    /// The same function in simpler ops, for targets that lack this one.
    fn decompose(
        &self,
        _g: &mut Graph,
        _xs: &Operands<'_, Value>,
    ) -> Result<Option<Results>, TypeError> {
        Ok(None)
    }
    /// How far the engine may be from `eval`.
    fn tolerance() -> Tolerance {
        Tolerance::Exact
    }
}

/// An op applied to operands of given types and contents, for the generic suites.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<O> {
    /// The op with its attributes.
    pub op: O,
    /// Types of the operands that are given, and how they are filled.
    pub operands: Vec<(TensorType, Fill)>,
    /// To which declared operands they belong.
    pub segments: Segments,
}

impl<O: OpDef> Sample<O> {
    /// A sample whose operands fill the declaration from the left: optional ones at its end may be missing.
    ///
    /// # Panics
    /// When the op does not take so many.
    pub fn new(op: O, operands: impl Into<Vec<(TensorType, Fill)>>) -> Self {
        let operands = operands.into();
        let segments = Segments::plain(O::NAME, O::OPERANDS, operands.len());
        Self {
            op,
            segments: segments.expect("samples have as many operands as their op takes"),
            operands,
        }
    }

    /// A sample with so many operands for each declared one.
    ///
    /// # Panics
    /// When the op does not take so many.
    pub fn with_counts(
        op: O,
        operands: impl Into<Vec<(TensorType, Fill)>>,
        counts: &[usize],
    ) -> Self {
        let segments = Segments::of(O::NAME, O::OPERANDS, counts);
        Self {
            op,
            operands: operands.into(),
            segments: segments.expect("samples have as many operands as their op takes"),
        }
    }
}

/// Contents of a sample tensor; deterministic, and kept away from points where a derivative does not exist.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fill {
    /// Both signs, at least 0.1 from zero, up to 2.
    Signed,
    /// Between 0.25 and 2.
    Positive,
    /// Pairwise at least 0.05 apart within the tensor, both signs.
    Distinct,
    /// 0 and 1.
    Truth,
    /// Small integers, both signs.
    Integers,
    /// The integers from 0 on, each once, in some order.
    Order,
}

/// Joins the ops into the closed enum and its dispatch.
macro_rules! ops {
    ($($module:ident::$op:ident,)*) => {
        /// The closed set of ops.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs)]
        pub enum Op { $($op($module::$op)),* }

        $(impl From<$module::$op> for Op {
            fn from(op: $module::$op) -> Self { Self::$op(op) }
        })*

        impl Op {
            /// MIL names of all ops.
            pub const NAMES: &'static [&'static str] = &[$(<$module::$op as OpDef>::NAME),*];
            /// MIL name.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$op(_) => <$module::$op as OpDef>::NAME),* }
            }
            /// Whether results are elements of operands, or data, with their bits unchanged.
            pub fn only_moves(&self) -> bool {
                match self { $(Self::$op(_) => <$module::$op as OpDef>::MOVES),* }
            }
            /// Whether it works element by element on operands that broadcast.
            pub fn broadcasts(&self) -> bool {
                match self { $(Self::$op(_) => <$module::$op as OpDef>::BROADCASTS),* }
            }
            /// The operands that the op declares.
            pub fn operands(&self) -> &'static [Operand] {
                match self { $(Self::$op(_) => <$module::$op as OpDef>::OPERANDS),* }
            }
            /// Attributes that are given, in declaration order.
            pub fn attrs(&self) -> Vec<(&'static str, Attr)> {
                match self { $(Self::$op(o) => o.attrs()),* }
            }
            /// Result types.
            pub fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
                xs.check(self.name())?;
                match self { $(Self::$op(o) => o.infer(xs)),* }
            }
            /// The definition, rounded to the node's dtype. What only moves elements leaves their bits alone.
            pub fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
                self.eval_stored(xs, numerics, |dtype| dtype)
            }
            /// The definition, rounded to what `stored` makes of the node's dtype.
            pub(crate) fn eval_stored<T: Real>(
                &self,
                xs: &Operands<'_, &Tensor<T>>,
                numerics: &Numerics,
                stored: impl Fn(DType) -> DType,
            ) -> Vec<Tensor<T>> {
                let mut ys = match self { $(Self::$op(o) => o.eval(xs, numerics)),* };
                if self.only_moves() {
                    return ys;
                }
                for y in &mut ys {
                    for e in &mut y.data {
                        *e = numerics.store(stored(y.ty.dtype), *e);
                    }
                }
                ys
            }
            /// Cotangents of the operands.
            pub fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
                match self { $(Self::$op(o) => o.vjp(cx, cts)),* }
            }
            /// In simpler ops.
            pub fn decompose(&self, g: &mut Graph, xs: &Operands<'_, Value>) -> Result<Option<Results>, TypeError> {
                match self { $(Self::$op(o) => o.decompose(g, xs)),* }
            }
            /// How far the engine may be from `eval`.
            pub fn tolerance(&self) -> Tolerance {
                match self { $(Self::$op(_) => <$module::$op as OpDef>::tolerance()),* }
            }
            /// Operands and attribute names of the op called `name`.
            pub fn signature(name: &str) -> Option<(&'static [Operand], &'static [&'static str])> {
                $(if name == <$module::$op as OpDef>::NAME {
                    return Some((<$module::$op as OpDef>::OPERANDS, <$module::$op as Attributes>::ATTRIBUTES));
                })*
                None
            }
            /// The op called `name` with the attributes that `get` finds; `None` when there is no such op.
            pub fn from_attrs(name: &str, get: &mut dyn FnMut(&str) -> Option<Attr>) -> Option<Result<Self, &'static str>> {
                $(if name == <$module::$op as OpDef>::NAME {
                    return Some(<$module::$op as Attributes>::from_attrs(get).map(Into::into));
                })*
                None
            }
        }
    };
}
for_each_op!(ops);

/// Samples of every op, for suites that mix them.
pub fn all_samples() -> Vec<Sample<Op>> {
    let mut all = Vec::new();
    macro_rules! collect {
        ($($module:ident::$op:ident,)*) => {
            $(all.extend(<$module::$op as OpDef>::samples().into_iter().map(|s| Sample {
                op: s.op.into(),
                operands: s.operands,
                segments: s.segments,
            }));)*
        };
    }
    for_each_op!(collect);
    all
}
