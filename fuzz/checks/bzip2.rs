//! Any bytes are decoded as bzip2 decodes them, or refused; and any cut gives the same records.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use wikitok_dump::{
    BlockChain, ByteRange, DumpError, RangeBytes, RangeInput, RangeLimits, Record, check_chain, open_range,
};

/// The first byte says what is done with the others: taken as a file, or compressed to one first, so that
/// what is inside of blocks is reached, too.
pub(crate) fn check(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    let file = if how & 1 == 0 { data.to_vec() } else { compress(data, u32::from(how >> 1) % 9 + 1) };
    let ours = decompress(&file);
    let reference = reference(&file);
    if how & 1 == 1 {
        assert_eq!(ours.as_deref().expect("it is whole"), data);
    }
    match (&ours, reference) {
        (Ok(ours), Some(reference)) => assert_eq!(ours, &reference),
        // What no program writes: randomised blocks, not since 1997, and codes that are no prefix codes, which the
        // reference overlooks where they are not used.
        (Err(error), Some(_)) => {
            let message = error.to_string();
            let is_known =
                ["randomised", "a code that cannot be"].iter().any(|known| message.contains(known));
            assert!(is_known, "{message}");
        }
        _ => {}
    }
    let cut = file.len() as u64 * u64::from(how) / 256;
    cuts_agree(&file, cut);
}

fn compress(data: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(level));
    encoder.write_all(data).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn decompress(file: &[u8]) -> Result<Vec<u8>, DumpError> {
    let input = RangeInput::Blocks(ByteRange { from: 0, to: file.len() as u64 });
    let mut bytes = RangeBytes::open(Arc::new(Bytes::copy_from_slice(file)), &input)?;
    let (mut plain, mut chunk) = (Vec::new(), Vec::new());
    while bytes.next_chunk(&mut chunk)? {
        plain.extend_from_slice(&chunk);
    }
    Ok(plain)
}

fn reference(file: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    bzip2::read::MultiBzDecoder::new(file).read_to_end(&mut plain).ok().map(|_| plain)
}

/// If the whole and both halves are in order, and the halves meet, they give the same.
fn cuts_agree(file: &[u8], cut: u64) {
    let end = file.len() as u64;
    let Ok((whole, chain)) = read(file, 0, end) else { return };
    let (Ok((mut first, head)), Ok((second, tail))) = (read(file, 0, cut), read(file, cut, end)) else {
        return;
    };
    if check_chain(&[chain]).is_ok() && check_chain(&[head, tail]).is_ok() {
        first.extend(second);
        assert_eq!(whole, first, "cut at {cut}");
    }
}

fn read(file: &[u8], from: u64, to: u64) -> Result<(Vec<Record>, BlockChain), DumpError> {
    let input = RangeInput::Blocks(ByteRange { from, to });
    let mut reader = open_range(Arc::new(Bytes::copy_from_slice(file)), &input, RangeLimits::default())?;
    let mut records = Vec::new();
    while let Some(mut record) = reader.next()? {
        if let Record::Quarantined(bad) = &mut record {
            // It counts from the beginning of the range.
            bad.offset = 0;
        }
        records.push(record);
    }
    Ok((records, reader.finish()?.chain.expect("blocks have a chain")))
}
