//! Whole numbers of 32 bits are exact, beyond what f32 holds too.

#![allow(clippy::unwrap_used)]

use ane_engine::{Options, Plan, Pool, SharedBuffer};
use ane_ir::{DType, Graph, Literal, Numerics, TensorType, eval_literals};

fn ints(buffer: &SharedBuffer) -> Vec<i32> {
    buffer.read(|bytes| {
        let words = bytes.as_chunks::<4>().0.iter();
        words.map(|w| i32::from_le_bytes(*w)).collect()
    })
}

#[test]
fn whole_numbers_beyond_those_of_f32_keep_every_bit() {
    let ty = TensorType::new(DType::Int32, [2, 3]);
    let values: [i32; 6] = [16_777_217, -2_147_483_648, 2_147_483_647, 5, -16_777_219, 0];
    let one = Literal::splat(ty.clone(), 16_777_219.0);
    let mut g = Graph::new();
    let v = g.input("x", ty.clone()).unwrap();
    let c = g.constant(one).unwrap();
    let smaller = g.minimum(v, c).unwrap();
    let transposed = g.transpose(smaller, &[1, 0]).unwrap();
    let flat = g.reshape(transposed, &ane_ir::Shape::new(&[6])).unwrap();
    let double = g.concat(&[flat, flat], 0).unwrap();
    let next = g.add(flat, flat).unwrap();
    let same = g.equal(v, c).unwrap();
    let same = g.cast(same, DType::Fp16).unwrap();
    let copy = g.identity(v).unwrap();
    for (name, y) in [
        ("double", double),
        ("next", next),
        ("same", same),
        ("copy", copy),
    ] {
        g.output(name, y).unwrap();
    }
    let plan = Plan::compile(&g, Options::new(Numerics::ieee())).unwrap();
    let input_bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let input = SharedBuffer::new(24);
    input.write(|bytes| bytes.copy_from_slice(&input_bytes));
    let blank = |p: &ane_engine::Port| SharedBuffer::new(p.ty.bytes());
    let outputs: Vec<SharedBuffer> = plan.outputs().iter().map(blank).collect();
    let pool = Pool::new(2).unwrap();
    let mut bound = plan.bind(&[input], &outputs, 2).unwrap();
    bound.execute(&pool);
    let bytes = input_bytes.clone();
    let x = Literal::from_bytes(ty, bytes).unwrap();
    let want = eval_literals(&g, &[x], &Numerics::ieee()).unwrap();
    for (want, found) in want.iter().zip(&outputs) {
        assert_eq!(want.bytes(), found.read(<[u8]>::to_vec));
    }
    let small = values.map(|x| x.min(16_777_219));
    let transposed = [0, 3, 1, 4, 2, 5].map(|i| small[i]);
    assert_eq!(ints(&outputs[0]), [transposed, transposed].concat());
    assert_eq!(ints(&outputs[3]), values);
}
