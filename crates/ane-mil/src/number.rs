//! Spelling of floating-point numbers: hexadecimal out, hexadecimal or decimal in.

/// Bits of the fraction of an f64.
const FRACTION_BITS: u32 = 52;
const FRACTION: u64 = (1 << FRACTION_BITS) - 1;
const BIAS: i64 = 1023;

/// `x` as a hexadecimal float such as `0x1.8p+3`, which any correct reader turns back into the same bits.
pub(crate) fn hex(x: f64) -> String {
    if x.is_nan() {
        return "nan".into();
    }
    let sign = if x.is_sign_negative() { "-" } else { "" };
    if x.is_infinite() {
        return format!("{sign}inf");
    }
    if x == 0.0 {
        return format!("{sign}0x0p+0");
    }
    let bits = x.to_bits();
    let mut exponent = i64::from((bits >> FRACTION_BITS) as u32 & 0x7ff);
    let mut fraction = bits & FRACTION;
    if exponent == 0 {
        // A subnormal has no implicit leading one; shifting the highest set bit there gives it one.
        let shift = fraction.leading_zeros() - (63 - FRACTION_BITS);
        fraction = (fraction << shift) & FRACTION;
        exponent = 1 - i64::from(shift);
    }
    let digits = format!("{fraction:013x}");
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    format!("{sign}0x1{point}{digits}p{:+}", exponent - BIAS)
}

/// The number spelled `text`: decimal, hexadecimal, `inf` or `nan`, with or without a sign.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let (sign, magnitude) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    match magnitude {
        "inf" => return Some(sign * f64::INFINITY),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    if let Some(hex) = magnitude
        .strip_prefix("0x")
        .or_else(|| magnitude.strip_prefix("0X"))
    {
        return parse_hex(hex).map(|x| sign * x);
    }
    // The standard parser also knows words such as `infinity`, which are names in MIL.
    magnitude
        .starts_with(|c: char| c.is_ascii_digit() || c == '.')
        .then(|| magnitude.parse::<f64>().ok())
        .flatten()
        .map(|x| sign * x)
}

fn parse_hex(text: &str) -> Option<f64> {
    let (digits, exponent) = match text.split_once(['p', 'P']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && part.is_empty() {
        return None;
    }
    let mut mantissa: u64 = 0;
    let mut exponent = i64::from(exponent);
    for (i, c) in whole.chars().chain(part.chars()).enumerate() {
        let digit = u64::from(c.to_digit(16)?);
        let fractional = i >= whole.len();
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
            exponent -= if fractional { 4 } else { 0 };
        } else {
            // Digits that no longer fit only decide which way a tie rounds.
            mantissa |= u64::from(digit != 0);
            exponent += if fractional { 0 } else { 4 };
        }
    }
    let mut x = mantissa as f64;
    let mut rest = exponent.clamp(-4096, 4096) as i32;
    while rest != 0 && x != 0.0 && x.is_finite() {
        let step = rest.clamp(-1000, 1000);
        x *= 2.0_f64.powi(step);
        rest -= step;
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hex_floats_look_like_apples() {
        assert_eq!(hex(0.125), "0x1p-3");
        assert_eq!(hex(-12.0), "-0x1.8p+3");
        assert_eq!(hex(0.0), "0x0p+0");
        assert_eq!(hex(f64::from_bits(1)), "0x1p-1074");
    }

    #[test]
    fn both_notations_are_read() {
        assert_eq!(parse("0x1.0cp-17"), Some((1.0 + 3.0 / 64.0) / 131_072.0));
        assert_eq!(parse("-1"), Some(-1.0));
        assert_eq!(parse("1e-5"), Some(1e-5));
        assert_eq!(parse("0xp1"), None);
        assert_eq!(parse("1.2.3"), None);
        assert_eq!(parse("infinity"), None);
        assert_eq!(parse("-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(parse("0x1p+99999"), Some(f64::INFINITY));
    }

    #[test]
    fn hex_keeps_every_bit() {
        for seed in ane_ir::testing::seeds() {
            let config = ProptestConfig {
                failure_persistence: None,
                rng_seed: proptest::test_runner::RngSeed::Fixed(seed),
                ..ProptestConfig::default()
            };
            proptest!(config, |(bits in any::<u64>())| {
                let x = f64::from_bits(bits);
                prop_assume!(x.is_finite());
                prop_assert_eq!(parse(&hex(x)).map(f64::to_bits), Some(bits));
            });
        }
    }
}
