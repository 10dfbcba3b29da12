//! The wire format of Protocol Buffers, as far as `ModelProto` needs it.

/// A message is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireError {
    /// It ends within a field.
    #[error("it ends within a field, at offset {0} of a message")]
    Ends(usize),
    /// A number has more than ten bytes, or more than 64 bits.
    #[error("the number at offset {0} of a message is longer than 64 bits")]
    Long(usize),
    /// A field has a number or a type that there is not.
    #[error(
        "the field at offset {at} of a message has the number {field} and the wire type {wire}, which there is not"
    )]
    Key {
        /// Where.
        at: usize,
        /// Its number.
        field: u64,
        /// Its type.
        wire: u64,
    },
    /// A field has the type of another.
    #[error("field {field} is {found}, expected {expected}")]
    Type {
        /// Its number.
        field: u64,
        /// What it is.
        found: &'static str,
        /// What it is to be.
        expected: &'static str,
    },
    /// A string is no UTF-8.
    #[error("the string in field {0} is no UTF-8")]
    Utf8(u64),
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// A field with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    value: Value<'a>,
}

impl<'a> Field<'a> {
    fn wrong(&self, expected: &'static str) -> WireError {
        let found = match self.value {
            Value::Varint(_) => "a varint",
            Value::Fixed64(_) => "of 64 bits",
            Value::Bytes(_) => "of bytes",
            Value::Fixed32(_) => "of 32 bits",
        };
        WireError::Type {
            field: self.number,
            found,
            expected,
        }
    }

    pub(super) fn number(&self) -> Result<u64, WireError> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.wrong("a varint")),
        }
    }

    pub(super) fn flag(&self) -> Result<bool, WireError> {
        Ok(self.number()? != 0)
    }

    pub(super) fn float(&self) -> Result<f32, WireError> {
        match self.value {
            Value::Fixed32(bits) => Ok(f32::from_bits(bits)),
            _ => Err(self.wrong("of 32 bits")),
        }
    }

    pub(super) fn bytes(&self) -> Result<&'a [u8], WireError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.wrong("of bytes")),
        }
    }

    pub(super) fn text(&self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::Utf8(self.number))
    }
}

/// The fields of a message, in their order.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, WireError>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= message.len() {
            return None;
        }
        let field = field(message, &mut at);
        if field.is_err() {
            at = message.len();
        }
        Some(field)
    })
}

fn field<'a>(message: &'a [u8], at: &mut usize) -> Result<Field<'a>, WireError> {
    let start = *at;
    let key = varint(message, at)?;
    let (number, wire) = (key >> 3, key & 7);
    let value = match wire {
        _ if number == 0 || number >= 1 << 29 => None,
        0 => Some(Value::Varint(varint(message, at)?)),
        1 => Some(Value::Fixed64(u64::from_le_bytes(fixed(message, at)?))),
        2 => {
            let length = usize::try_from(varint(message, at)?);
            let end = length.ok().and_then(|length| at.checked_add(length));
            let bytes = end.and_then(|end| message.get(*at..end));
            let bytes = bytes.ok_or(WireError::Ends(start))?;
            *at += bytes.len();
            Some(Value::Bytes(bytes))
        }
        5 => Some(Value::Fixed32(u32::from_le_bytes(fixed(message, at)?))),
        _ => None,
    };
    let value = value.ok_or(WireError::Key {
        at: start,
        field: number,
        wire,
    })?;
    Ok(Field { number, value })
}

fn varint(message: &[u8], at: &mut usize) -> Result<u64, WireError> {
    let start = *at;
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *message.get(*at).ok_or(WireError::Ends(start))?;
        *at += 1;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            break;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(WireError::Long(start))
}

fn fixed<const N: usize>(message: &[u8], at: &mut usize) -> Result<[u8; N], WireError> {
    let bytes = message.get(*at..).and_then(|rest| rest.first_chunk::<N>());
    let bytes = *bytes.ok_or(WireError::Ends(*at))?;
    *at += N;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &[u8]) -> Result<Vec<Field<'_>>, WireError> {
        fields(message).collect()
    }

    #[test]
    fn fields_of_each_type_are_read() {
        let message = b"\x08\xac\x02\x11\x01\0\0\0\0\0\0\0\x1a\x02ab\x25\0\0\x80\x3f";
        let found = read(message).unwrap_or_default();
        let values = [
            Value::Varint(300),
            Value::Fixed64(1),
            Value::Bytes(b"ab"),
            Value::Fixed32(0x3f80_0000),
        ];
        let expected = (1..)
            .zip(values)
            .map(|(number, value)| Field { number, value });
        assert_eq!(found, expected.collect::<Vec<_>>());
        assert_eq!(found[3].float(), Ok(1.0));
        assert!(found[0].text().is_err() && found[2].number().is_err());
        let most = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(read(most).map(|f| f[0].number()), Ok(Ok(u64::MAX)));
    }

    #[test]
    fn malformed_messages_are_refused() {
        let cases: &[(&[u8], WireError)] = &[
            (b"\x08", WireError::Ends(1)),
            (b"\x08\xff", WireError::Ends(1)),
            (
                b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
                WireError::Long(1),
            ),
            (
                b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                WireError::Long(1),
            ),
            (b"\x11\0", WireError::Ends(1)),
            (b"\x1a\x03ab", WireError::Ends(0)),
            (
                b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                WireError::Ends(0),
            ),
            (
                b"\x0b",
                WireError::Key {
                    at: 0,
                    field: 1,
                    wire: 3,
                },
            ),
            (
                b"\x00\x00",
                WireError::Key {
                    at: 0,
                    field: 0,
                    wire: 0,
                },
            ),
        ];
        for (message, expected) in cases {
            assert_eq!(read(message).as_ref(), Err(expected), "{message:?}");
        }
    }
}
