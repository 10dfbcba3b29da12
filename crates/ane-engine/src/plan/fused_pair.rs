//! Pairs of elementwise functions that run as one pass.
//!
//! To fuse two more functions: a line in `fused_pairs`. A function that is new there needs its expression in
//! `exec::elementwise`, its rounding in `rounded` there and in `idiom::fused_pairs`, and as a second function its arity
//! there.

use super::function::Ew;

/// Lists the pairs: name = first, second at the operand of the second that the first's result is.
macro_rules! fused_pairs {
    ($then:ident) => {
        $then! {
            AbsLess = Abs, Less at 0;
            AbsMax = Abs, Max at 0;
            AddAdd = Add, Add at 0;
            AddAddRight = Add, Add at 1;
            AddDiv = Add, Div at 1;
            AddMul = Add, Mul at 0;
            AddRelu = Add, Relu at 0;
            AddSelect = Add, Select at 1;
            AddSqrt = Add, Sqrt at 0;
            AddSub = Add, Sub at 0;
            GreaterSelect = Greater, Select at 0;
            MaxDiv = Max, Div at 1;
            MaxMax = Max, Max at 0;
            MulAdd = Mul, Add at 0;
            MulAddRight = Mul, Add at 1;
            MulMul = Mul, Mul at 0;
            MulMulRight = Mul, Mul at 1;
            MulSelect = Mul, Select at 2;
            MulSub = Mul, Sub at 0;
            MulSubRight = Mul, Sub at 1;
            SelectAbs = Select, Abs at 0;
            SelectAdd = Select, Add at 1;
            SelectMul = Select, Mul at 0;
            SelectMulRight = Select, Mul at 1;
            SubMul = Sub, Mul at 0;
            SubSub = Sub, Sub at 0;
        }
    };
}
pub(crate) use fused_pairs;

macro_rules! define {
    ($($name:ident = $first:ident, $second:ident at $place:literal;)*) => {
        /// Two functions in one pass. Operands: those of the first, then the others of the second.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum FusedPair {
            $($name,)*
        }

        impl FusedPair {
            pub(crate) fn of(first: Ew, second: Ew, place: usize) -> Option<Self> {
                match (first, second, place) {
                    $((Ew::$first, Ew::$second, $place) => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}
fused_pairs!(define);
