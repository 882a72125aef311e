//! The Confluent wire format: a zero byte, the schema's id, the Avro datum.

/// Bytes before the datum.
pub(crate) const PREFIX_LENGTH: usize = 5;

const MAGIC: u8 = 0;

/// Why a value does not begin as the wire format asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameError {
    Empty,
    Magic,
    Truncated,
}

/// Writes the bytes before the datum.
pub(crate) fn write_prefix(schema_id: u32, value: &mut Vec<u8>) {
    value.push(MAGIC);
    value.extend_from_slice(&schema_id.to_be_bytes());
}

/// Splits a value into the schema's id and the datum.
pub(crate) fn split(value: &[u8]) -> Result<(u32, &[u8]), FrameError> {
    let (magic, rest) = value.split_first().ok_or(FrameError::Empty)?;
    if *magic != MAGIC {
        return Err(FrameError::Magic);
    }
    let (id, datum) = rest.split_first_chunk().ok_or(FrameError::Truncated)?;
    Ok((u32::from_be_bytes(*id), datum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_reads_back_as_written() {
        for id in [0, 1, 0x0102_0304, u32::MAX] {
            let mut value = Vec::new();
            write_prefix(id, &mut value);
            assert_eq!(value.len(), PREFIX_LENGTH);
            value.push(7);
            assert_eq!(split(&value), Ok((id, &[7][..])));
        }
    }

    #[test]
    fn each_fault_of_a_prefix_has_its_name() {
        assert_eq!(split(&[]), Err(FrameError::Empty));
        assert_eq!(split(&[1, 0, 0, 0, 1]), Err(FrameError::Magic));
        assert_eq!(split(&[0, 0, 0, 0]), Err(FrameError::Truncated));
    }
}
