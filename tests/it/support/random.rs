//! Random numbers and texts.

pub fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_be_bytes(bytes) % below
}

/// Returns random hexadecimal digits, which databases compress little.
pub fn noise(digits: u64) -> String {
    (0..digits / 16).fold(String::new(), |noise, _| {
        noise + &format!("{:016x}", random(u64::MAX))
    })
}
